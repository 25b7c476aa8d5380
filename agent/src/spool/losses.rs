//! What was lost, in a file beside the entries. The count is written together with the names of the entries that go, before
//! they go: a kill between the two is finished by the next process, and nothing is counted twice or not at all.

use std::path::{Path, PathBuf};

const FILE: &str = "losses.json";

/// What was lost, since the spool was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Losses {
    /// Looks for which a later one of the same hour or day stands.
    pub coalesced: u64,
    /// Looks dropped for their age, for lack of room, or because the collector cannot take them.
    pub dropped: u64,
    /// Looks that the disk did not give back as they were written.
    pub damaged: u64,
}

impl Losses {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.coalesced.saturating_add(self.dropped).saturating_add(self.damaged)
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.coalesced = self.coalesced.saturating_add(other.coalesced);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.damaged = self.damaged.saturating_add(other.damaged);
    }
}

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Note {
    #[serde(flatten)]
    pub(super) losses: Losses,
    /// Names of files that are counted already and go, or have gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) leaving: Vec<String>,
}

impl Note {
    pub(super) fn place(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// A count that is lost or damaged begins anew: it never keeps entries from leaving.
    pub(super) fn read(dir: &Path) -> Self {
        let bytes = std::fs::read(Self::place(dir)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_an_older_agent_is_still_read() {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(Note::place(dir.path()), br#"{"dropped":3,"damaged":1}"#).expect("written");
        let losses = Losses { coalesced: 0, dropped: 3, damaged: 1 };
        assert_eq!(Note::read(dir.path()), Note { losses, leaving: Vec::new() });
        let note = Note { losses, leaving: vec!["a".to_owned()] };
        std::fs::write(Note::place(dir.path()), serde_json::to_vec(&note).expect("JSON")).expect("written");
        assert_eq!(Note::read(dir.path()), note);
        std::fs::write(Note::place(dir.path()), b"{").expect("written");
        assert_eq!(Note::read(dir.path()), Note::default());
    }
}
