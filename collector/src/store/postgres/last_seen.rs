//! When hosts were last seen: kept in memory, written to the table many at a time. Another collector may have written the
//! same hosts.

use std::collections::{BTreeMap, HashMap};

use super::fault::Step;
use super::memory::Unwritten;
use super::row;
use super::session::Session;
use crate::store::last_seen::LastSeen;

const LOCK: &str = "
    SELECT host, last_seen, run, seq, previous_run, previous_seq, revision FROM host_current
    WHERE host = ANY ($1::int4[]) ORDER BY host FOR NO KEY UPDATE";

const WRITE: &str = "
    UPDATE host_current n SET last_seen = u.last_seen, run = u.run, seq = u.seq, previous_run = u.previous_run,
        previous_seq = u.previous_seq
    FROM unnest($1::int4[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::int8[])
        AS u (host, last_seen, run, seq, previous_run, previous_seq)
    WHERE n.host = u.host";

/// Writes these check-ins within a transaction that the caller commits. Returns those that must be repeated, because their
/// hosts have changed since they were answered.
pub(super) async fn write<'u>(session: &Session, taken: &'u [Unwritten]) -> Step<Vec<&'u Unwritten>> {
    let taken: BTreeMap<i32, &Unwritten> = taken.iter().map(|unwritten| (unwritten.live.no, unwritten)).collect();
    let hosts: Vec<i32> = taken.keys().copied().collect();
    let mut rows: HashMap<i32, (Option<LastSeen>, i32)> = HashMap::new();
    for found in session.query(LOCK, &[&hosts]).await? {
        rows.insert(found.try_get(0)?, (row::seen(&found, 1)?, found.try_get(6)?));
    }
    let (mut numbers, mut last_seen, mut runs, mut seqs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut previous_runs, mut previous_seqs) = (Vec::new(), Vec::new());
    let mut again = Vec::new();
    for (no, unwritten) in taken {
        let Some((kept, revision)) = rows.get(&no) else { continue };
        let Some(seen) = unwritten.live.seen else { continue };
        if *revision != unwritten.live.revision {
            again.push(unwritten);
            continue;
        }
        // Another collector may have written a later check-in already.
        let Some(seen) = newer(*kept, seen) else { continue };
        numbers.push(no);
        last_seen.push(seen.last_seen.millis());
        runs.push(seen.run.as_bytes().to_vec());
        seqs.push(seen.seq.cast_signed());
        previous_runs.push(seen.previous.map(|(run, _)| run.as_bytes().to_vec()));
        previous_seqs.push(seen.previous.map_or(0, |(_, seq)| seq.cast_signed()));
    }
    if !numbers.is_empty() {
        let values: super::session::Values<'_> = &[&numbers, &last_seen, &runs, &seqs, &previous_runs, &previous_seqs];
        session.execute(WRITE, values).await?;
    }
    Ok(again)
}

/// What to write, given the row and what this collector has seen; `None` if the row covers that.
fn newer(row: Option<LastSeen>, seen: LastSeen) -> Option<LastSeen> {
    let Some(row) = row else { return Some(seen) };
    if row.covers(seen.run, seen.seq) {
        return (seen.last_seen > row.last_seen).then(|| row.renewed(seen.last_seen));
    }
    let last_seen = seen.last_seen.max(row.last_seen);
    if seen.covers(row.run, row.seq) {
        return Some(LastSeen { last_seen, ..seen });
    }
    // Neither run is known to the other side: the later one is the present run.
    Some(if seen.last_seen >= row.last_seen {
        LastSeen { last_seen, previous: Some((row.run, row.seq)), ..seen }
    } else {
        LastSeen { previous: Some((seen.run, seen.seq)), ..row }
    })
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{RunId, Timestamp};

    use super::*;

    fn seen(run: u8, seq: u64, at: i64) -> LastSeen {
        LastSeen { last_seen: Timestamp::from_millis(at), run: RunId::from_bytes([run; 16]), seq, previous: None }
    }

    #[test]
    fn a_later_check_in_at_another_collector_is_not_taken_back() {
        assert_eq!(newer(None, seen(1, 1, 5)), Some(seen(1, 1, 5)));
        assert_eq!(newer(Some(seen(1, 7, 50)), seen(1, 6, 60)), Some(seen(1, 7, 60)), "a replay is a sign of life");
        assert_eq!(newer(Some(seen(1, 7, 50)), seen(1, 6, 40)), None);
        assert_eq!(newer(Some(seen(1, 7, 50)), seen(1, 8, 40)), Some(seen(1, 8, 50)));
        let both = newer(Some(seen(1, 7, 50)), seen(2, 1, 60)).expect("is newer");
        assert!(both.covers(RunId::from_bytes([1; 16]), 7) && both.covers(RunId::from_bytes([2; 16]), 1));
        assert_eq!(both.run, RunId::from_bytes([2; 16]));
        let late = newer(Some(seen(2, 1, 60)), seen(1, 7, 50)).expect("is remembered");
        assert_eq!((late.run, late.last_seen), (RunId::from_bytes([2; 16]), Timestamp::from_millis(60)));
        assert!(late.covers(RunId::from_bytes([1; 16]), 7));
    }
}
