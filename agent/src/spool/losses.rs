//! What was lost, in a file beside the entries. The count is written together with the names of the entries that go, before
//! they go: a kill between the two is finished by the next process, and nothing is counted twice or not at all.

use std::path::{Path, PathBuf};

use muster_proto::model::Losses;

const FILE: &str = "losses.json";

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
