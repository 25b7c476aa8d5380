//! Marks of hosts: as readers see them, and the one that reports set. `store::admin` sets the others.

use std::collections::HashMap;

use muster_proto::model::{HoldersSign, HostId, HostMark, MarkReport, Timestamp, TokenId};
use tokio_postgres::Row;

use super::fault::{PostgresFault, Step};
use super::session::Session;
use super::{ledger, row};
use crate::ledger::actor::ActorId;
use crate::store::decide::marks;

/// Marks a host with whose key two machines report. Returns whether it was not marked before. The caller has locked the
/// host, so no other report marks it.
pub(super) async fn two_holders(
    session: &Session,
    (no, id): (i32, HostId),
    sign: HoldersSign,
    now: Timestamp,
) -> Step<bool> {
    let (code, host) = (i64::from(HostMark::TwoHolders.code()), i64::from(no));
    // An insertion would wait for a review that takes the mark away and then waits for this host's place in the queue.
    let find = "SELECT 1 FROM host_mark WHERE mark = $1 AND host = $2";
    if session.query_first(find, &[&code, &host]).await?.is_some() {
        return Ok(false);
    }
    let (hash, entry) = marks::two_holders(id, sign);
    let hash = hash.as_bytes().as_slice();
    let put = "INSERT INTO host_mark (mark, host, since, note) VALUES ($1, $2, $3, $4)";
    session.execute(put, &[&code, &host, &now.millis(), &hash]).await?;
    let note = "INSERT INTO note (hash, words) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";
    session.execute(note, &[&hash, &sign.text()]).await?;
    ledger::write(session, now, &ActorId::Agent, &entry).await?;
    Ok(true)
}

/// The marks of hosts, by their numbers.
pub(super) async fn of_hosts(session: &Session, hosts: &[i32]) -> Step<HashMap<i32, Vec<HostMark>>> {
    let find = "SELECT host::int4, mark FROM host_mark WHERE host = ANY ($1::int4[]) ORDER BY mark";
    let mut marks: HashMap<i32, Vec<HostMark>> = HashMap::new();
    for found in session.query(find, &[&hosts]).await? {
        marks.entry(found.try_get(0)?).or_default().push(mark(&found, 1)?);
    }
    Ok(marks)
}

/// The marks of a host with the reasons that people gave.
pub(super) async fn reports(session: &Session, host: i32) -> Step<Vec<MarkReport>> {
    let find = "SELECT m.mark, m.since, n.words FROM host_mark m LEFT JOIN note n ON n.hash = m.note
                WHERE m.host = $1::int4 ORDER BY m.mark";
    let report = |found: &Row| -> Step<MarkReport> {
        let reason = found.try_get::<_, Option<String>>(2)?.unwrap_or_default();
        Ok(MarkReport { mark: mark(found, 0)?, since: row::instant(found, 1)?, reason })
    };
    session.query(find, &[&host]).await?.iter().map(report).collect()
}

/// The token that a host enrolled with.
pub(super) async fn token(session: &Session, host: i32) -> Step<Option<TokenId>> {
    let find = "SELECT t.id FROM enrollment_token t JOIN host h ON h.enrolled_with = t.no WHERE h.no = $1";
    let found = session.query_first(find, &[&host]).await?;
    found.map(|found| row::name("a token", &found, 0, TokenId::new)).transpose()
}

fn mark(found: &Row, at: usize) -> Step<HostMark> {
    let code: i64 = found.try_get(at)?;
    let known = u8::try_from(code).ok().and_then(HostMark::from_code);
    known.ok_or_else(|| PostgresFault::damaged("a mark of a host", format!("code {code} is unknown")))
}
