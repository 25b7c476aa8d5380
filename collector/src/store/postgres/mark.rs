//! Marks of hosts as readers see them. `store::admin` sets them.

use std::collections::HashMap;

use muster_proto::model::{HostMark, MarkReport, TokenId};
use tokio_postgres::Row;

use super::fault::{PostgresFault, Step};
use super::row;
use super::session::Session;

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
