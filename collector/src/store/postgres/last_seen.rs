//! When hosts were last seen: kept in memory, written to the table many at a time. Another collector may have written the
//! same hosts.

use std::collections::{BTreeMap, HashMap};

use super::fault::Step;
use super::memory::Unwritten;
use super::row;
use super::session::Session;
use crate::store::last_seen::LastSeen;

const LOCK: &str = "
    SELECT host, last_seen, run, seq, previous_run, previous_seq, returns, revision FROM host_current
    WHERE host = ANY ($1::int4[]) ORDER BY host FOR NO KEY UPDATE";

const WRITE: &str = "
    UPDATE host_current n SET last_seen = u.last_seen, run = u.run, seq = u.seq, previous_run = u.previous_run,
        previous_seq = u.previous_seq, returns = u.returns
    FROM unnest($1::int4[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::int8[], $7::int2[])
        AS u (host, last_seen, run, seq, previous_run, previous_seq, returns)
    WHERE n.host = u.host";

/// Writes these check-ins within a transaction that the caller commits. Returns those that must be repeated, because their
/// hosts have changed since they were answered, or because their runs have.
pub(super) async fn write<'u>(session: &Session, taken: &'u [Unwritten]) -> Step<Vec<&'u Unwritten>> {
    let taken: BTreeMap<i32, &Unwritten> = taken.iter().map(|unwritten| (unwritten.live.no, unwritten)).collect();
    let hosts: Vec<i32> = taken.keys().copied().collect();
    let mut rows: HashMap<i32, (Option<LastSeen>, i32)> = HashMap::new();
    for found in session.query(LOCK, &[&hosts]).await? {
        rows.insert(found.try_get(0)?, (row::seen(&found, 1)?, found.try_get(7)?));
    }
    let (mut numbers, mut last_seen, mut runs, mut seqs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut previous_runs, mut previous_seqs) = (Vec::new(), Vec::new());
    let mut returns = Vec::new();
    let mut again = Vec::new();
    for (no, unwritten) in taken {
        let Some((kept, revision)) = rows.get(&no) else { continue };
        let Some(seen) = unwritten.live.seen else { continue };
        if *revision != unwritten.live.revision {
            again.push(unwritten);
            continue;
        }
        let seen = match newest(*kept, seen) {
            Newest::Row => continue,
            Newest::Memory(seen) => seen,
            Newest::Unknown => {
                again.push(unwritten);
                continue;
            }
        };
        numbers.push(no);
        last_seen.push(seen.last_seen.millis());
        runs.push(seen.run.as_bytes().to_vec());
        seqs.push(seen.seq.cast_signed());
        previous_runs.push(seen.previous.map(|(run, _)| run.as_bytes().to_vec()));
        previous_seqs.push(seen.previous.map_or(0, |(_, seq)| seq.cast_signed()));
        returns.push(row::code(seen.returns.code()));
    }
    if !numbers.is_empty() {
        let values: super::session::Values<'_> =
            &[&numbers, &last_seen, &runs, &seqs, &previous_runs, &previous_seqs, &returns];
        session.execute(WRITE, values).await?;
    }
    Ok(again)
}

/// Which is the last check-in, by the row and by what this collector has seen.
#[derive(Debug, PartialEq, Eq)]
enum Newest {
    /// The row covers the other.
    Row,
    /// This is to be written.
    Memory(LastSeen),
    /// Another collector knows another run. Which one is replaced, and whether it comes back, is decided as for every
    /// check-in.
    Unknown,
}

fn newest(row: Option<LastSeen>, seen: LastSeen) -> Newest {
    let Some(row) = row else { return Newest::Memory(seen) };
    if row.covers(seen.run, seen.seq) {
        return if seen.last_seen > row.last_seen { Newest::Memory(row.renewed(seen.last_seen)) } else { Newest::Row };
    }
    if seen.covers(row.run, row.seq) && !row.is_return(seen.run) {
        return Newest::Memory(seen.renewed(row.last_seen).with_returns_of(&row));
    }
    Newest::Unknown
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{RunId, Timestamp};

    use super::*;
    use crate::store::last_seen::RunReturns;

    fn seen(run: u8, seq: u64, at: i64) -> LastSeen {
        let last_seen = Timestamp::from_millis(at);
        LastSeen { last_seen, run: RunId::from_bytes([run; 16]), seq, previous: None, returns: RunReturns::default() }
    }

    #[test]
    fn a_later_check_in_at_another_collector_is_not_taken_back() {
        let memory = |run, seq, at| Newest::Memory(seen(run, seq, at));
        assert_eq!(newest(None, seen(1, 1, 5)), memory(1, 1, 5));
        assert_eq!(newest(Some(seen(1, 7, 50)), seen(1, 6, 60)), memory(1, 7, 60), "a replay is a sign of life");
        assert_eq!(newest(Some(seen(1, 7, 50)), seen(1, 6, 40)), Newest::Row);
        assert_eq!(newest(Some(seen(1, 7, 50)), seen(1, 8, 40)), memory(1, 8, 50));
        let restarted =
            LastSeen::advanced(Some(seen(1, 7, 50)), RunId::from_bytes([2; 16]), 1, Timestamp::from_millis(60));
        assert_eq!(newest(Some(seen(1, 7, 50)), restarted), Newest::Memory(restarted));
        assert_eq!(newest(Some(restarted), seen(1, 7, 50)), Newest::Row);
    }

    #[test]
    fn what_two_collectors_know_of_two_runs_is_decided_as_a_check_in() {
        assert_eq!(newest(Some(seen(1, 7, 50)), seen(2, 1, 60)), Newest::Unknown);
        assert_eq!(newest(Some(seen(2, 1, 60)), seen(1, 8, 50)), Newest::Unknown);
        let now = Timestamp::from_millis(60);
        let (one, two) = (RunId::from_bytes([1; 16]), RunId::from_bytes([2; 16]));
        let replaced = LastSeen::advanced(Some(seen(1, 7, 50)), two, 1, now);
        let told = replaced.noted_return(one);
        let here = LastSeen::advanced(Some(replaced), RunId::from_bytes([3; 16]), 1, now);
        assert_eq!(newest(Some(replaced), here), Newest::Memory(here));
        assert_eq!(newest(Some(told), here), Newest::Unknown, "the database counts the return");
    }
}
