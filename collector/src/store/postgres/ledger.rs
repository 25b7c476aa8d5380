//! The ledger's table: entries in, in the transaction of their deed; entries out, in order.

use muster_proto::model::{Lane, Timestamp};

use super::fault::{Fault, Step};
use super::names::Names;
use super::row;
use super::session::Session;
use crate::ledger::entry::Entry;
use crate::store::LedgerRow;

/// Changes of lane, of which there are many, as columns.
#[derive(Default)]
pub(super) struct Changes {
    hosts: Vec<i32>,
    orders: Vec<i32>,
    rules: Vec<i32>,
    was: Vec<Option<i16>>,
    is_now: Vec<Option<i16>>,
    in_scope: Vec<bool>,
}

/// A change of lane.
pub(super) struct Change {
    pub(super) host: i32,
    pub(super) order: i32,
    pub(super) rules: i32,
    pub(super) from: Option<Lane>,
    pub(super) to: Option<Lane>,
    pub(super) in_scope: bool,
}

pub(super) const CHANGES: &str = "
    INSERT INTO ledger (at, host, ord, rules, was, is_now, in_scope)
    SELECT $1, * FROM unnest($2::int4[], $3::int4[], $4::int4[], $5::int2[], $6::int2[], $7::bool[])";

impl Changes {
    pub(super) fn push(&mut self, change: &Change) {
        let lane = |lane: Option<Lane>| lane.map(|lane| row::code(lane.code()));
        self.hosts.push(change.host);
        self.orders.push(change.order);
        self.rules.push(change.rules);
        self.was.push(lane(change.from));
        self.is_now.push(lane(change.to));
        self.in_scope.push(change.in_scope);
    }

    pub(super) async fn write(&self, session: &Session, at: Timestamp) -> Step<()> {
        if !self.hosts.is_empty() {
            let Self { hosts, orders, rules, was, is_now, in_scope } = self;
            session.execute(CHANGES, &[&at.millis(), hosts, orders, rules, was, is_now, in_scope]).await?;
        }
        Ok(())
    }
}

pub(super) async fn write(session: &Session, at: Timestamp, entry: &Entry) -> Step<()> {
    let text = entry.to_json()?;
    session.execute("INSERT INTO ledger (at, entry) VALUES ($1, $2)", &[&at.millis(), &text]).await?;
    Ok(())
}

pub(super) async fn list(session: &Session, names: &Names, after: u64, most: usize) -> Step<Vec<LedgerRow>> {
    let find = "SELECT l.no, l.at, l.entry, h.id, l.ord, r.text, l.was, l.is_now, l.in_scope
                FROM ledger l LEFT JOIN host h ON h.no = l.host LEFT JOIN rules r ON r.no = l.rules
                WHERE l.no > $1 ORDER BY l.no LIMIT $2";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut entries = Vec::new();
    for found in session.query(find, &[&after.cast_signed(), &most]).await? {
        let number = row::count(&found, 0)?;
        let entry = match found.try_get::<_, Option<&str>>(2)? {
            Some(text) => Entry::from_json(text)
                .map_err(|error| Fault::damaged(format!("ledger entry {number}"), error.to_string()))?,
            None => {
                let lane = |at: usize| -> Step<Option<Lane>> {
                    match found.try_get::<_, Option<i16>>(at)? {
                        Some(_) => Ok(Some(row::member("a lane", Lane::from_code, &found, at)?)),
                        None => Ok(None),
                    }
                };
                Entry::LaneChanged {
                    host: row::host_id(&found, 3)?,
                    order: names.order(session, found.try_get(4)?).await?,
                    from: lane(6)?,
                    to: lane(7)?,
                    in_scope: found.try_get(8)?,
                    rules_version: found.try_get(5)?,
                }
            }
        };
        entries.push(LedgerRow { number, at: row::instant(&found, 1)?, entry });
    }
    Ok(entries)
}
