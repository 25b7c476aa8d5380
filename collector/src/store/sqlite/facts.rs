//! A host's facts as its row stores them: four of the texts are phrases.

use muster_proto::model::{HostFacts, Platform};
use rusqlite::Row;

use super::dictionary::Dictionaries;
use super::fault::Step;
use super::row;

/// The columns that [`facts`] reads, from a host `h`.
pub(super) const COLUMNS: &str =
    "h.hostname, h.platform, h.os_name, h.kernel, h.architecture, h.agent_version, h.offline_root";

/// Facts from [`COLUMNS`], the first of which is number `at` of the row.
pub(super) fn facts(found: &Row<'_>, at: usize, dictionaries: &Dictionaries) -> Step<HostFacts> {
    let phrase = |at| dictionaries.phrases.words(found.get(at)?);
    Ok(HostFacts {
        hostname: found.get(at)?,
        platform: row::member("a platform", Platform::from_code, found, at + 1)?,
        os_name: phrase(at + 2)?,
        kernel: phrase(at + 3)?,
        architecture: phrase(at + 4)?,
        agent_version: phrase(at + 5)?,
        offline_root: found.get(at + 6)?,
    })
}
