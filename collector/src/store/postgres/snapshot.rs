//! Reads snapshots. `report` writes them.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::canonical;
use muster_proto::model::{Digest, Snapshot};

use super::fault::{PostgresFault, Step};
use super::row;
use super::session::Session;
use crate::store::fault::StoreFault;
use crate::store::snapshot_codec;

pub(super) async fn get(session: &Session, digest: &Digest) -> Step<Option<Snapshot>> {
    let find = "SELECT entries, complete FROM snapshot WHERE digest = $1";
    let Some(found) = session.query_first(find, &[&digest.as_bytes().as_slice()]).await? else { return Ok(None) };
    let (bytes, is_complete): (&[u8], bool) = (found.try_get(0)?, found.try_get(1)?);
    if !is_complete {
        return incomplete(bytes, digest).map(Some);
    }
    let numbers = section_numbers(bytes, digest)?;
    let digests = section_digests(session, &numbers).await?;
    // It may have been removed between the two statements.
    if digests.len() < numbers.len() && session.query_first(find, &[&digest.as_bytes().as_slice()]).await?.is_none() {
        return Ok(None);
    }
    complete(bytes, digest, &digests).map(Some)
}

/// Reads the stored bytes of an incomplete snapshot: its canonical form.
pub(super) fn incomplete(bytes: &[u8], digest: &Digest) -> Step<Snapshot> {
    canonical::read_snapshot(bytes).map_err(|error| damaged(digest, error.to_string()))
}

/// Reads the stored bytes of a complete snapshot; `digests` are those of its sections.
pub(super) fn complete(bytes: &[u8], digest: &Digest, digests: &BTreeMap<i64, Digest>) -> Step<Snapshot> {
    let known = |number: i64| {
        let lost = || StoreFault::damaged(format!("section number {number}"), "it is not there");
        digests.get(&number).copied().ok_or_else(lost)
    };
    snapshot_codec::decode(bytes, known).map_err(|fault| of_snapshot(digest, fault))
}

/// The numbers of the sections of a snapshot that is complete.
pub(super) fn section_numbers(bytes: &[u8], digest: &Digest) -> Step<BTreeSet<i64>> {
    let mut numbers = BTreeSet::new();
    let noted = |number| {
        numbers.insert(number);
        // The digests are not used, so any will do.
        Ok(Digest::from_bytes([0; 32]))
    };
    snapshot_codec::decode(bytes, noted).map_err(|fault| of_snapshot(digest, fault))?;
    Ok(numbers)
}

/// The digests of sections by their numbers, as far as they are stored.
pub(super) async fn section_digests(session: &Session, numbers: &BTreeSet<i64>) -> Step<BTreeMap<i64, Digest>> {
    let numbers: Vec<i64> = numbers.iter().copied().collect();
    let find = "SELECT no, digest FROM section WHERE no = ANY ($1::int8[])";
    let rows = session.query(find, &[&numbers]).await?;
    rows.iter().map(|found| Ok((found.try_get(0)?, row::digest(found, 1)?))).collect()
}

fn of_snapshot(digest: &Digest, fault: StoreFault) -> PostgresFault {
    match fault {
        StoreFault::Damaged { what, reason } => damaged(digest, format!("{what}: {reason}")),
        other @ (StoreFault::Full
        | StoreFault::EditionsFull
        | StoreFault::Stopped(_)
        | StoreFault::Closed
        | StoreFault::Other(_)) => PostgresFault::Store(other),
    }
}

fn damaged(digest: &Digest, reason: String) -> PostgresFault {
    PostgresFault::damaged(format!("snapshot {}", digest.short()), reason)
}
