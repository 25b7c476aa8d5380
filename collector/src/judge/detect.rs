//! Applies the catalogue to a section: which observation shows which product. Runs once per section, never per host.

use muster_proto::canonical::{CanonicalSection, ObservationView};
use muster_proto::model::{Evidence, Kind, Platform, Presence, SourceName};

use super::hit::Hit;
use crate::rules::{Catalogue, Condition, OtherVendor, Recognised, StateReading, Subject};

/// Every product that an observation of the section shows.
#[must_use]
pub fn detect(catalogue: &Catalogue, section: &CanonicalSection) -> Vec<Hit> {
    let mut hits = Vec::new();
    for observation in &catalogue.let_through(section) {
        let state = catalogue.read_state(Some(observation.kind), observation.state);
        // Package databases keep rows of packages that are not installed, such as `pn` in dpkg.
        if state.condition == Condition::Absent {
            continue;
        }
        let subject = Subject::of(observation);
        for found in catalogue.recognise(section.platform(), &subject) {
            let lingers = catalogue.lingers(found.product, &subject);
            hits.push(Hit { lingers, ..hit(section.platform(), section.source(), observation, state, found) });
        }
    }
    hits
}

fn hit(
    platform: Platform,
    source: SourceName,
    observation: &ObservationView<'_>,
    state: StateReading,
    found: Recognised<'_>,
) -> Hit {
    let mut attributes = observation.attributes.iter().filter(|_| observation.kind == Kind::Package);
    let store = attributes.find(|(name, _)| *name == "store").map_or("", |(_, store)| store);
    Hit {
        product: found.product.id.clone(),
        rule: rule_name(platform, observation.kind.name(), found),
        strength: found.strength,
        presence: presence(state, found.recogniser.shows),
        shows: found.recogniser.shows,
        lingers: false,
        store: store.to_owned(),
        store_id: if store.is_empty() { String::new() } else { observation.id.to_owned() },
        version: observation.version.to_owned(),
        evidence: Evidence {
            source,
            kind: observation.kind,
            name: observation.name.to_owned(),
            version: observation.version.to_owned(),
            state: observation.state.to_owned(),
            path: observation.path.to_owned(),
            other_vendor: match found.other_vendor {
                Some(OtherVendor::Publisher) => observation.vendor.to_owned(),
                Some(OtherVendor::Folder(vendor)) => vendor.to_owned(),
                None => String::new(),
            },
        },
    }
}

/// `kaspersky-endpoint-security/linux/deb#1`
pub(super) fn rule_name(platform: Platform, kind: &str, found: Recognised<'_>) -> String {
    format!("{}/{platform}/{kind}#{}", found.product.id, found.recogniser.number)
}

/// The presence that a recogniser shows for an observation in this state. An installed product that works is active;
/// one that works with stale signatures is only installed.
pub(super) fn presence(state: StateReading, shows: Presence) -> Presence {
    match state.condition {
        Condition::LeftOver | Condition::Absent => Presence::Remnant,
        Condition::There if shows == Presence::Installed && state.works == Some(true) && state.fresh != Some(false) => {
            Presence::Active
        }
        Condition::There => shows,
        // Nobody has said what the state means, so it must count neither as installed nor as gone.
        Condition::Unlisted => Presence::Suspect,
        // What shows no more than a remnant needs no program.
        Condition::Unclear if shows == Presence::Remnant => shows,
        Condition::Unclear => Presence::Suspect,
    }
}
