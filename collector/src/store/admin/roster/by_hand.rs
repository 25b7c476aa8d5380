//! What people decide about entries of the roster: which host is the machine, which is not, and why none has to be.

use std::collections::BTreeSet;

use muster_proto::model::{EntryState, HostId, MatchBasis, Timestamp};

use super::moves::{self, Moves, Place};
use super::{entries, pending};
use crate::ledger::entry::Entry;
use crate::store::SiteScope;
use crate::store::admin::notes;
use crate::store::sql::{AdminTx, Step};

const HOST: &str = "SELECT no, site FROM host_row WHERE id = $1";
const ENTRY_OF_HOST: &str = "SELECT no FROM roster_entry WHERE host = $1";
const TOGETHER: &str = "DELETE FROM roster_apart WHERE entry = $1 AND host = $2";
const APART: &str = "INSERT INTO roster_apart (entry, host) VALUES ($1, $2) ON CONFLICT (entry, host) DO NOTHING";
const DECIDED: &str = "DELETE FROM roster_candidate WHERE entry = $1";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[HOST, ENTRY_OF_HOST, TOGETHER, APART, DECIDED];

/// What a person decides about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ByHand {
    /// This host is the machine.
    Match(HostId),
    /// The host that it is matched with is not the machine.
    Unmatch,
    /// No host has to be the machine, for this reason.
    Excuse(String),
}

/// Why a decision was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHandRefusal {
    /// There is no such entry at the caller's sites.
    NoEntry,
    /// There is no such host at the caller's sites.
    NoHost,
    /// The host is matched with another entry.
    Taken {
        /// Its number.
        entry: u64,
    },
    /// No list has the entry any more.
    Closed,
    /// It is not matched.
    NotMatched,
    /// It is matched, so it needs no excuse.
    Matched,
}

/// Does what a person decides about an entry.
///
/// # Errors
/// The database fails.
pub(crate) fn decide(
    tx: &mut dyn AdminTx,
    entry: u64,
    decision: &ByHand,
    sites: &SiteScope,
    now: Timestamp,
) -> Step<Result<(), ByHandRefusal>> {
    if entries::get(tx, entry, sites)?.is_none() {
        return Ok(Err(ByHandRefusal::NoEntry));
    }
    let no = entry.cast_signed();
    let Some(row) = moves::load(tx, &[no])?.remove(&no) else { return Ok(Err(ByHandRefusal::NoEntry)) };
    if row.state == EntryState::Closed {
        return Ok(Err(ByHandRefusal::Closed));
    }
    let mut moves = Moves::new(now);
    match decision {
        ByHand::Match(id) => {
            let found = tx.query(HOST, &[id.as_bytes().as_slice().into()])?;
            let Some(found) = found.first() else { return Ok(Err(ByHandRefusal::NoHost)) };
            if !sites.contains(&found.parse("a site", 1)?) {
                return Ok(Err(ByHandRefusal::NoHost));
            }
            let host = found.int(0)?;
            if let Some(other) = tx.query(ENTRY_OF_HOST, &[host.into()])?.first().map(|row| row.int(0)).transpose()?
                && other != no
            {
                return Ok(Err(ByHandRefusal::Taken { entry: other.unsigned_abs() }));
            }
            tx.note_progress(TOGETHER, &[no.into(), host.into()])?;
            let before: Vec<(i64, i64)> =
                row.host.filter(|before| *before != host).map(|before| (no, before)).into_iter().collect();
            pending::record_unmatched(tx, &before)?;
            moves.put(tx, &row, Place::at(host, MatchBasis::ByHand))?;
            pending::record_matched(tx, &[(no, host)], MatchBasis::ByHand)?;
        }
        ByHand::Unmatch => {
            let Some(host) = row.host else { return Ok(Err(ByHandRefusal::NotMatched)) };
            tx.note_progress(APART, &[no.into(), host.into()])?;
            moves.put(tx, &row, Place::without(EntryState::Missing))?;
            pending::record_unmatched(tx, &[(no, host)])?;
            pending::note(tx, &BTreeSet::from([no]))?;
        }
        ByHand::Excuse(reason) => {
            if row.host.is_some() {
                return Ok(Err(ByHandRefusal::Matched));
            }
            let reason = notes::put(tx, reason)?;
            let place = Place { note: Some(reason), ..Place::without(EntryState::Excused) };
            moves.put(tx, &row, place)?;
            tx.record(Entry::RosterExcused { entry, reason });
        }
    }
    tx.note_progress(DECIDED, &[no.into()])?;
    moves.finish(tx)?;
    Ok(Ok(()))
}
