//! Clean text: what sections and snapshots hold, so that one content has one spelling.

use super::Observation;
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
