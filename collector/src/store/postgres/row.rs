//! Reading columns: codes, ids, times.

use muster_proto::convert::stored;
use muster_proto::model::{
    Digest, HostFacts, HostId, HostState, Lane, MachineIdentity, Platform, RunId, SiteId, Timestamp,
};
use tokio_postgres::Row;

use super::fault::{PostgresFault, Step};
use crate::store::last_seen::{LastSeen, RunReturns};
pub(super) use crate::store::versioned_json::{from_json, to_json};

/// A code as the database stores it.
pub(super) fn code(code: u8) -> i16 {
    i16::from(code)
}

/// A member of a closed list, from its code. `what` names the record if there is no such code.
pub(super) fn member<T>(what: &str, from_code: impl Fn(u8) -> Option<T>, row: &Row, at: usize) -> Step<T> {
    let code: i16 = row.try_get(at)?;
    let found = u8::try_from(code).ok().and_then(from_code);
    found.ok_or_else(|| PostgresFault::damaged(what, format!("code {code} is unknown")))
}

/// An awake lane; `None` for a host without a verdict.
pub(super) fn maybe_lane(row: &Row, at: usize) -> Step<Option<Lane>> {
    let Some(code) = row.try_get::<_, Option<i16>>(at)? else { return Ok(None) };
    let lane = u8::try_from(code).ok().and_then(Lane::from_code);
    Ok(Some(lane.ok_or_else(|| PostgresFault::damaged("a lane", format!("code {code} is unknown")))?))
}

pub(super) fn instant(row: &Row, at: usize) -> Step<Timestamp> {
    Ok(Timestamp::from_millis(row.try_get(at)?))
}

pub(super) fn maybe_instant(row: &Row, at: usize) -> Step<Option<Timestamp>> {
    Ok(row.try_get::<_, Option<i64>>(at)?.map(Timestamp::from_millis))
}

/// Bytes of a fixed length.
fn bytes<const N: usize>(what: &str, found: &[u8]) -> Step<[u8; N]> {
    found.try_into().map_err(|_| PostgresFault::damaged(what, format!("it has {} bytes instead of {N}", found.len())))
}

pub(super) fn host_id(row: &Row, at: usize) -> Step<HostId> {
    Ok(HostId::from_bytes(bytes("the id of a host", row.try_get(at)?)?))
}

pub(super) fn digest(row: &Row, at: usize) -> Step<Digest> {
    Ok(Digest::from_bytes(bytes("a digest", row.try_get(at)?)?))
}

pub(super) fn maybe_digest(row: &Row, at: usize) -> Step<Option<Digest>> {
    match row.try_get::<_, Option<&[u8]>>(at)? {
        Some(found) => Ok(Some(Digest::from_bytes(bytes("a digest", found)?))),
        None => Ok(None),
    }
}

/// The hash of a secret.
pub(super) fn hash(row: &Row, at: usize) -> Step<[u8; 32]> {
    bytes("the hash of a secret", row.try_get(at)?)
}

pub(super) fn site(row: &Row, at: usize) -> Step<SiteId> {
    name("a site", row, at, SiteId::new)
}

/// An identifier that is stored as text.
pub(super) fn name<T, E: std::fmt::Display>(
    what: &str,
    row: &Row,
    at: usize,
    read: impl Fn(String) -> Result<T, E>,
) -> Step<T> {
    read(row.try_get(at)?).map_err(|error| PostgresFault::damaged(what, error.to_string()))
}

pub(super) fn count(row: &Row, at: usize) -> Step<u64> {
    let n: i64 = row.try_get(at)?;
    u64::try_from(n).map_err(|_| PostgresFault::damaged("a count", format!("it is {n}")))
}

/// A number of 64 bits without a sign, which the database stores in the same bits with one.
pub(super) fn unsigned(row: &Row, at: usize) -> Step<u64> {
    Ok(row.try_get::<_, i64>(at)?.cast_unsigned())
}

/// The six columns `last_seen, run, seq, previous_run, previous_seq, returns`, from number `at` on; `None` before the first
/// check-in.
pub(super) fn seen(row: &Row, at: usize) -> Step<Option<LastSeen>> {
    let run = |at: usize| -> Step<Option<RunId>> {
        match row.try_get::<_, Option<&[u8]>>(at)? {
            Some(found) => Ok(Some(RunId::from_bytes(bytes("the run of an agent", found)?))),
            None => Ok(None),
        }
    };
    let Some(current) = run(at + 1)? else { return Ok(None) };
    let previous = match run(at + 3)? {
        Some(previous) => Some((previous, row.try_get::<_, i64>(at + 4)?.cast_unsigned())),
        None => None,
    };
    Ok(Some(LastSeen {
        last_seen: instant(row, at)?,
        run: current,
        seq: row.try_get::<_, i64>(at + 2)?.cast_unsigned(),
        previous,
        returns: member("the returns of a run", |code| Some(RunReturns::from_code(code)), row, at + 5)?,
    }))
}

/// The columns that [`facts`] reads, from a host `h`.
macro_rules! facts_columns {
    () => {
        "h.hostname, h.platform, (SELECT text FROM phrase WHERE no = h.os_name), \
         (SELECT text FROM phrase WHERE no = h.kernel), (SELECT text FROM phrase WHERE no = h.architecture), \
         (SELECT text FROM phrase WHERE no = h.agent_version), h.offline_root, h.identity"
    };
}
pub(super) use facts_columns;

pub(super) fn facts(row: &Row, at: usize) -> Step<HostFacts> {
    Ok(HostFacts {
        hostname: row.try_get(at)?,
        platform: member("a platform", Platform::from_code, row, at + 1)?,
        os_name: row.try_get(at + 2)?,
        kernel: row.try_get(at + 3)?,
        architecture: row.try_get(at + 4)?,
        agent_version: row.try_get(at + 5)?,
        offline_root: row.try_get(at + 6)?,
        identity: identity(row, at + 7)?,
    })
}

/// What identifies a machine beyond its host name.
fn identity(row: &Row, at: usize) -> Step<MachineIdentity> {
    let Some(bytes) = row.try_get::<_, Option<&[u8]>>(at)? else { return Ok(MachineIdentity::default()) };
    stored::read_identity(bytes).map_err(|error| PostgresFault::damaged("the identity of a host", error.to_string()))
}

/// A host's state; empty before the first.
pub(super) fn state(row: &Row, at: usize) -> Step<HostState> {
    row.try_get::<_, Option<&[u8]>>(at)?.map_or_else(|| Ok(HostState::default()), state_of)
}

/// The state of stored bytes.
pub(super) fn state_of(bytes: &[u8]) -> Step<HostState> {
    stored::read_state(bytes).map_err(|error| PostgresFault::damaged("the state of a host", error.to_string()))
}
