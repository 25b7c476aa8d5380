//! Clean text: what sections and snapshots hold, so that one content has one spelling; and visible text, which facts and
//! states hold, because people read them.

use super::hidden::is_hidden;
use super::{
    HostFacts, HostState, MachineIdentity, Observation, RealtimeEvidence, SignatureState, UnitState, UserItem,
};
use crate::limits;

/// Cleans a text: control characters become spaces, spaces at both ends are removed, and the rest is cut to at most
/// `max` bytes at a character boundary.
#[must_use]
pub fn clean_text(text: &str, max: usize) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let trimmed = spaced.trim_start();
    let mut end = trimmed.len().min(max);
    while !trimmed.is_char_boundary(end) {
        end -= 1;
    }
    // The cut may leave a space at the end, so trim after it.
    trimmed[..end].trim_end().to_owned()
}

/// Whether a text has no control characters and no space at its ends.
pub(crate) fn is_clean_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Nearly all text is printable ASCII, where a byte is a character. This is the hot path of every upload.
    if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return bytes.first() != Some(&b' ') && bytes.last() != Some(&b' ');
    }
    text.trim().len() == text.len() && !text.chars().any(char::is_control)
}

/// As [`clean_text`], and each invisible character becomes U+FFFD, so that two names that differ look different.
fn visible_text(text: &str, max: usize) -> String {
    let shown: String =
        text.chars().map(|c| if is_hidden(c) && !c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    clean_text(&shown, max)
}

/// Whether a text is clean and has no invisible characters.
pub(crate) fn is_visible_text(text: &str) -> bool {
    is_clean_text(text) && (text.is_ascii() || !text.chars().any(is_hidden))
}

impl HostFacts {
    /// The facts with visible texts within the limits of the contract. The collector refuses others.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        let Self { hostname, platform: _, os_name, kernel, architecture, agent_version, offline_root: _, identity } =
            &mut self;
        *identity = std::mem::take(identity).cleaned();
        show_in_place(hostname, limits::HOSTNAME_BYTES);
        for text in [os_name, kernel, architecture, agent_version] {
            show_in_place(text, limits::TEXT_BYTES);
        }
        self
    }
}

impl MachineIdentity {
    /// With visible texts within the limits of the contract, and the addresses in order.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        // All fields are named, so that a new text cannot be forgotten here.
        let Self { serial, hardware_uuid, asset_tag, macs, fqdn, domain, chassis } = &mut self;
        macs.sort();
        macs.dedup();
        macs.truncate(limits::MACS_PER_HOST);
        for text in [serial, hardware_uuid, asset_tag, chassis].into_iter().chain(macs) {
            show_in_place(text, limits::IDENTIFIER_BYTES);
        }
        for name in [fqdn, domain] {
            show_in_place(name, limits::HOSTNAME_BYTES);
        }
        self
    }
}

impl HostState {
    /// The state with visible texts within the limits of the contract. The collector refuses others: its texts are the
    /// names of files and processes, which a user of the host can choose.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        // All fields are named, so that a new text cannot be forgotten here.
        let Self {
            boot_id,
            addresses,
            units_outcome: _,
            units,
            signatures,
            realtime,
            pending_reboot: _,
            realtime_outcome: _,
            user_items,
            users_outcome: _,
            losses: _,
        } = &mut self;
        let signatures =
            signatures.iter_mut().flat_map(|SignatureState { place, version, released: _ }| [place, version]);
        let texts = std::iter::once(boot_id)
            .chain(addresses)
            .chain(units.iter_mut().map(|UnitState { name, active: _ }| name))
            .chain(signatures)
            .chain(realtime.iter_mut().map(|RealtimeEvidence { place, on: _ }| place))
            .chain(user_items.iter_mut().flat_map(|UserItem { user, place }| [user, place]));
        for text in texts {
            show_in_place(text, limits::TEXT_BYTES);
        }
        self
    }
}

/// Cleans all texts of an observation and cuts them to the limits of the contract.
pub(super) fn clean_observation(observation: &mut Observation) {
    // All fields are named, so that a new text cannot be forgotten here.
    let Observation { kind: _, name, vendor, version, id, path, state, attributes } = observation;
    for text in [name, vendor, version, id, state] {
        clean_in_place(text, limits::TEXT_BYTES);
    }
    clean_in_place(path, limits::PATH_BYTES);
    let is_clean = |name: &String, value: &String| {
        is_clean_text(name)
            && is_clean_text(value)
            && name.len() <= limits::ATTRIBUTE_NAME_BYTES
            && value.len() <= limits::TEXT_BYTES
    };
    // Most observations are clean already; rebuilding the map costs an allocation for each attribute.
    if attributes.len() > limits::ATTRIBUTES_PER_OBSERVATION
        || !attributes.iter().all(|(name, value)| is_clean(name, value))
    {
        *attributes = std::mem::take(attributes)
            .into_iter()
            .map(|(name, value)| {
                (clean_text(&name, limits::ATTRIBUTE_NAME_BYTES), clean_text(&value, limits::TEXT_BYTES))
            })
            .take(limits::ATTRIBUTES_PER_OBSERVATION)
            .collect();
    }
}

fn clean_in_place(text: &mut String, max: usize) {
    if text.len() > max || !is_clean_text(text) {
        *text = clean_text(text, max);
    }
}

fn show_in_place(text: &mut String, max: usize) {
    if text.len() > max || !is_visible_text(text) {
        *text = visible_text(text, max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleaned_state_has_only_visible_texts_and_keeps_what_can_be_seen() {
        let text = || " web\u{1b}[2J\u{202e}\u{200b}é ".to_owned();
        let state = HostState {
            boot_id: text(),
            addresses: vec![text(), "192.0.2.7".to_owned()],
            units: vec![UnitState { name: text(), active: true }],
            signatures: vec![SignatureState { place: text(), version: text(), released: None }],
            realtime: vec![RealtimeEvidence { place: text(), on: true }],
            user_items: vec![UserItem { user: text(), place: "x".repeat(limits::TEXT_BYTES + 1) }],
            ..HostState::default()
        };
        let cleaned = state.cleaned();
        let shown = "web [2J\u{fffd}\u{fffd}é";
        assert_eq!(
            (cleaned.boot_id.as_str(), cleaned.addresses.as_slice()),
            (shown, &[shown.to_owned(), "192.0.2.7".to_owned()][..])
        );
        assert_eq!((cleaned.units[0].name.as_str(), cleaned.realtime[0].place.as_str()), (shown, shown));
        assert_eq!((cleaned.signatures[0].place.as_str(), cleaned.signatures[0].version.as_str()), (shown, shown));
        assert_eq!(
            (cleaned.user_items[0].user.as_str(), cleaned.user_items[0].place.len()),
            (shown, limits::TEXT_BYTES)
        );
        assert!(
            is_visible_text(shown) && is_visible_text("") && !is_visible_text("a\u{200b}") && !is_visible_text("a ")
        );
    }
}
