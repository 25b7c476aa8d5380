//! A host's facts as its row stores them: four of the texts are phrases.

use muster_proto::convert::stored;
use muster_proto::model::{HostFacts, MachineIdentity, Platform};
use rusqlite::{Connection, Row};

use super::dictionary::Dictionaries;
use super::fault::{Step, StoreFault};
use super::row;

/// The columns that [`facts`] reads, from a host `h`.
pub(super) const COLUMNS: &str =
    "h.hostname, h.platform, h.os_name, h.kernel, h.architecture, h.agent_version, h.offline_root, h.identity";

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
        identity: identity(found, at + 7)?,
    })
}

/// What identifies a machine beyond its host name.
fn identity(found: &Row<'_>, at: usize) -> Step<MachineIdentity> {
    let Some(bytes) = found.get::<_, Option<Vec<u8>>>(at)? else { return Ok(MachineIdentity::default()) };
    stored::read_identity(&bytes).map_err(|error| StoreFault::damaged("the identity of a host", error.to_string()))
}

/// Notes that a job has to look at the identifiers of a host.
pub(super) fn note_identity(sql: &Connection, host: i64) -> Step<()> {
    sql.prepare_cached("INSERT INTO identity_pending (host) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([host])?;
    Ok(())
}
