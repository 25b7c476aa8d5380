//! What people say of hosts (labels, owners, notes), and changes of many hosts at once.

use std::fmt;
use std::str::FromStr;

use super::closed_list::closed_list;
use super::{AccountId, InvalidId, Timestamp};
use crate::limits;

/// A word by which people group hosts: 1 to 40 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Label(String);

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    /// It is empty or too long, or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > limits::LABEL_BYTES {
            return Err(InvalidId::new("label", &text, "expected 1 to 40 characters"));
        }
        if !text.chars().all(is_allowed) {
            return Err(InvalidId::new("label", &text, "only a-z, 0-9 and '-' are allowed"));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

closed_list! {
    /// What a bulk change does to hosts.
    BulkKind {
        /// Gives them a label.
        Label = 1, "label";
        /// Takes a label away.
        Unlabel = 2, "unlabel";
        /// Says who answers for them; an empty name says that nobody does.
        Own = 3, "own";
        /// Adds a note.
        Note = 4, "note";
        /// Moves them to a site.
        Move = 5, "move";
    }
}

/// A change of many hosts, with its progress.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BulkReport {
    /// Its number.
    pub number: u64,
    /// What it does.
    pub kind: BulkKind,
    /// The label, owner, note or site.
    pub value: String,
    /// The account that asked for it; `None` for a user of the collector's machine.
    pub account: Option<AccountId>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When the last host was changed; `None` while hosts are left.
    pub ended_at: Option<Timestamp>,
    /// The hosts that were selected when it was asked for.
    pub hosts: u64,
    /// Those that it has come to.
    pub done: u64,
    /// Those that it changed; the others were so already.
    pub changed: u64,
    /// Those that have as many labels or notes as a host may have.
    pub refused: u64,
}

/// A label of a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostLabel {
    /// The label.
    pub label: Label,
    /// Since when the host has it.
    pub since: Timestamp,
}

/// Who answers for a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostOwner {
    /// The name.
    pub owner: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a person noted about a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostNote {
    /// When.
    pub at: Timestamp,
    /// The name of the account, or its id if it has none any more; empty for a user of the collector's machine.
    pub by: String,
    /// The text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_1_to_40_small_letters_digits_and_dashes() {
        for valid in ["a", "wave-3", &"x".repeat(40)] {
            assert_eq!(Label::new(valid).expect("valid").as_str(), valid);
        }
        for invalid in ["", "Wave", "wave 3", "wave_3", "é", &"x".repeat(41)] {
            assert!(Label::new(invalid).is_err(), "{invalid}");
        }
    }
}
