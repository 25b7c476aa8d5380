//! The catalogue on a section: which observation shows which product. Once a section, never per host.

use muster_proto::canonical::{CanonicalSection, ObservationView};
use muster_proto::model::{Evidence, Kind, Platform, Presence, SourceName};

use super::hit::Hit;
use crate::rules::{Catalogue, Recognised, Subject};

/// Every product that an observation of the section shows.
#[must_use]
pub fn detect(catalogue: &Catalogue, section: &CanonicalSection) -> Vec<Hit> {
    let mut hits = Vec::new();
    for observation in &catalogue.let_through(section) {
        let condition = Condition::of(observation.state);
        if condition == Condition::Absent {
            continue;
        }
        for found in catalogue.recognise(section.platform(), &Subject::of(observation)) {
            hits.push(hit(section.platform(), section.source(), observation, condition, found));
        }
    }
    hits
}

fn hit(
    platform: Platform,
    source: SourceName,
    observation: &ObservationView<'_>,
    condition: Condition,
    found: Recognised<'_>,
) -> Hit {
    Hit {
        product: found.product.id.clone(),
        rule: rule_name(platform, observation.kind.name(), found),
        strength: found.recogniser.strength,
        presence: condition.applied_to(found.recogniser.shows),
        version: observation.version.to_owned(),
        evidence: Evidence { source, text: evidence_text(observation), path: observation.path.to_owned() },
    }
}

/// `kaspersky-endpoint-security/linux/deb#1`
pub(super) fn rule_name(platform: Platform, kind: &str, found: Recognised<'_>) -> String {
    format!("{}/{platform}/{kind}#{}", found.product.id, found.recogniser.number)
}

fn evidence_text(observation: &ObservationView<'_>) -> String {
    let ObservationView { kind, name, version, state, .. } = observation;
    let mut text = format!("{kind} {name}");
    if !version.is_empty() && *kind != Kind::Path {
        text.push_str(&format!(" {version}"));
    }
    if !state.is_empty() {
        text.push_str(&format!(" [{state}]"));
    }
    text
}

/// What a source says of the condition of what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It is there.
    There,
    /// What is left of it: dpkg's `rc`, a service whose binary is gone, an extension that waits to be uninstalled.
    LeftOver,
    /// The database knows the name and the thing is not there.
    Absent,
}

impl Condition {
    pub(super) fn of(state: &str) -> Self {
        let state = state.trim().to_ascii_lowercase();
        match state.as_str() {
            "rc" | "config-files" | "deinstall ok config-files" | "purge ok config-files" => Self::LeftOver,
            "binary-missing" | "missing" | "orphaned" | "broken-link" | "not-found" => Self::LeftOver,
            "terminated waiting to uninstall on reboot" | "terminating for uninstall" => Self::LeftOver,
            "un" | "pn" | "in" | "hn" | "not-installed" | "unknown ok not-installed" | "purge ok not-installed" => {
                Self::Absent
            }
            _ if state.ends_with("config-files") => Self::LeftOver,
            _ if state.ends_with("not-installed") => Self::Absent,
            _ => Self::There,
        }
    }

    pub(super) const fn applied_to(self, shows: Presence) -> Presence {
        match self {
            Self::There => shows,
            Self::LeftOver | Self::Absent => Presence::Remnant,
        }
    }
}
