//! The state key: the part of a host's state that assessments depend on. Hosts with the same snapshot and the same key
//! have the same assessments.

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostState, Platform, Timestamp};

use super::freshness::freshness;
use crate::rules::Catalogue;

/// The key of a state. It holds for a span of times of receipt, because signatures age.
#[derive(Debug, Clone, Copy)]
pub struct StateKey {
    /// The digest of what assessments depend on.
    pub digest: Digest,
    from: Timestamp,
    until: Timestamp,
}

impl StateKey {
    /// Whether the same state has the same key when it is received at this time.
    #[must_use]
    pub fn holds(&self, received: Timestamp) -> bool {
        self.from <= received && received <= self.until
    }
}

/// The key of a state: running units and signs that the catalogue knows, and whether signatures are fresh at the time of
/// receipt. Addresses, boot id and the exact dates of signatures are not part of it.
#[must_use]
pub fn state_key(catalogue: &Catalogue, state: &HostState, received: Timestamp) -> StateKey {
    let (mut from, mut until) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
    let mut lines: Vec<String> = [("units", state.units_outcome), ("realtime", state.realtime_outcome)]
        .map(|(what, outcome)| format!("{what} {}", outcome.map_or("unasked", |outcome| outcome.name())))
        .into();
    // A state does not say on which platform it was read, so the key covers all of them.
    for platform in Platform::ALL {
        for unit in state.units.iter().filter(|unit| unit.active) {
            if !catalogue.products_of_unit(*platform, &unit.name).is_empty() {
                lines.push(format!("running {platform} {}", unit.name));
            }
        }
        for product in catalogue.products() {
            let signs = catalogue.signs_seen(product, *platform, state);
            // A sign that is unknown decides nothing, so it may differ between states with the same key.
            for seen in signs.iter().filter(|seen| seen.on.is_some()) {
                let sign = (&seen.sign.unit, &seen.sign.places);
                // `by_absence` is part of the key, because the judge discards an absence under an old watchlist.
                lines.push(format!("sign {platform} {} {sign:?} {:?} {}", product.id, seen.on, seen.by_absence));
            }
            if let Some(spell) = freshness(catalogue, *platform, product, state, received) {
                lines.push(format!("signatures {platform} {} {:?}", product.id, spell.freshness));
                // The key holds only as long as the answer for every product does.
                (from, until) = (from.max(spell.from), until.min(spell.until));
            }
        }
    }
    // The order in which an agent lists its units must not change the key.
    lines.sort();
    StateKey { digest: Digest::of(lines.join("\n").as_bytes()), from, until }
}

/// The digest of everything in a state that [`state_key`] can depend on, under any catalogue. States with the same digest
/// have the same key. What differs from host to host (boot id, addresses, users' items) is not part of it.
#[must_use]
pub fn state_content(state: &HostState) -> Digest {
    let HostState { units_outcome, units, signatures, realtime, realtime_outcome, .. } = state;
    let judged = HostState {
        units_outcome: *units_outcome,
        units: units.clone(),
        signatures: signatures.clone(),
        realtime: realtime.clone(),
        realtime_outcome: *realtime_outcome,
        ..HostState::default()
    };
    Digest::of(&stored::state_bytes(&judged))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_proto::model::SignatureState;

    use super::*;
    use crate::rules;

    #[test]
    fn a_key_holds_until_some_signatures_become_fresh_or_stale() {
        let catalogue = rules::load(None).expect("the defaults load").catalogue;
        let released = Timestamp::from_millis(1_790_000_000_000);
        let of = |place: &str, days: u64| SignatureState {
            place: place.to_owned(),
            version: String::new(),
            released: Some(released.plus(Duration::from_secs(days * 86_400))),
        };
        let signatures = vec![
            of("/opt/sophos-spl/base/mcs/status/ALC_status.xml", 0),
            of("/var/lib/clamav/daily.cvd", 3),
            of("/var/lib/clamav/main.cvd", 60),
        ];
        let state = HostState { signatures, ..HostState::default() };
        let (mut turns, mut last) = (0, state_key(&catalogue, &state, released));
        for hours in 0..24 * 100 {
            let received = released.plus(Duration::from_secs(hours * 3_600));
            let key = state_key(&catalogue, &state, received);
            assert_eq!(last.holds(received), last.digest == key.digest, "after {hours} hours");
            assert!(key.holds(received), "after {hours} hours");
            turns += usize::from(last.digest != key.digest);
            last = key;
        }
        assert_eq!(turns, 5, "three dates start to count or become stale at different times");
    }
}
