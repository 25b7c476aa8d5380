//! The door on PostgreSQL. The work is synchronous, so it runs on a blocking thread and waits for each statement there.

use std::error::Error;
use std::sync::Arc;

use bytes::BytesMut;
use muster_proto::model::{HostId, Timestamp};
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::fault::{PostgresFault, Step};
use super::pool::Lease;
use super::session::Session;
use super::{admin_lock, identity, judge_queue, ledger, purge, tally};
use crate::ledger::entry::Entry;
use crate::store::Purged;
use crate::store::admin::system_users;
use crate::store::fault::StoreFault;
use crate::store::sql::{Acting, AdminTx, AdminWork, AtEnd, Cell, Mode, Row, Value};

/// Statements that wait to be sent together.
const SENT_TOGETHER: usize = 500;

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            // Hot tables have narrower numbers.
            Self::Int(number) if *ty == Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql_checked(ty, out),
            Self::Text(text) => text.to_sql_checked(ty, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // `to_sql` checks: what is accepted depends on the value.
        true
    }

    to_sql_checked!();
}

/// One administrative transaction.
struct PostgresTx {
    lease: Arc<Lease>,
    runtime: Handle,
    end: AtEnd,
    /// Statements that wait for the next one of another kind.
    later: Vec<(&'static str, Vec<Cell>)>,
    /// The fault of the last statement: it says whether another attempt may help.
    fault: Option<PostgresFault>,
}

impl PostgresTx {
    fn new(lease: Arc<Lease>, end: AtEnd) -> Self {
        Self { lease, runtime: Handle::current(), end, later: Vec::new(), fault: None }
    }

    /// The fault as the work sees it. The backend keeps its own.
    fn failed(&mut self, fault: PostgresFault) -> StoreFault {
        let seen = match &fault {
            PostgresFault::Store(fault) => fault.clone(),
            PostgresFault::Conflict(reason) | PostgresFault::ConnectionLost(reason) => {
                StoreFault::Other(reason.clone())
            }
        };
        self.fault = Some(fault);
        seen
    }

    fn change(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreFault> {
        self.end.may_write()?;
        self.send_later()?;
        let values = parameters(values);
        self.runtime.block_on(self.lease.execute(sql, &values)).map_err(|fault| self.failed(fault))
    }

    /// Sends the statements that wait, in their order.
    fn send_later(&mut self) -> Result<(), StoreFault> {
        if self.later.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.later);
        let mut texts: Vec<&'static str> = waiting.iter().map(|(sql, _)| *sql).collect();
        texts.sort_unstable();
        texts.dedup();
        let sent = self.runtime.block_on(async {
            self.lease.prepare(&texts).await?;
            let lists: Vec<Vec<Value<'_>>> =
                waiting.iter().map(|(_, cells)| cells.iter().map(Value::from).collect()).collect();
            let lists: Vec<_> = lists.iter().map(|values| parameters(values)).collect();
            let executed = waiting.iter().zip(&lists).map(|((sql, _), values)| self.lease.execute(sql, values));
            futures_util::future::try_join_all(executed).await
        });
        let rows = sent.map_err(|fault| self.failed(fault))?.into_iter().sum();
        self.end.count_progress(rows);
        Ok(())
    }

    /// Does the work; a fault of the database comes back as the backend saw it.
    fn run(&mut self, work: &AdminWork) -> Step<()> {
        let outcome = work(self).and_then(|()| self.send_later());
        outcome.map_err(|fault| self.fault.take().unwrap_or(PostgresFault::Store(fault)))
    }
}

impl AdminTx for PostgresTx {
    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreFault> {
        self.send_later()?;
        let values = parameters(values);
        let found = self.runtime.block_on(self.lease.query(sql, &values));
        let read = |rows: Vec<tokio_postgres::Row>| rows.iter().map(row).collect::<Step<Vec<Row>>>();
        found.and_then(read).map_err(|fault| self.failed(fault))
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreFault> {
        let rows = self.change(sql, values)?;
        self.end.count(rows);
        Ok(rows)
    }

    fn note_progress(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreFault> {
        let rows = self.change(sql, values)?;
        self.end.count_progress(rows);
        Ok(rows)
    }

    fn progress_later(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<(), StoreFault> {
        self.end.may_write()?;
        self.later.push((sql, values.iter().map(|value| Cell::from(*value)).collect()));
        if self.later.len() < SENT_TOGETHER { Ok(()) } else { self.send_later() }
    }

    fn query_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Row>>, StoreFault> {
        self.send_later()?;
        let found = self.runtime.block_on(async {
            self.lease.prepare(&[sql]).await?;
            let lists: Vec<Vec<&(dyn ToSql + Sync)>> = lists.iter().map(|values| parameters(values)).collect();
            futures_util::future::try_join_all(lists.iter().map(|values| self.lease.query(sql, values))).await
        });
        let read = |lists: Vec<Vec<tokio_postgres::Row>>| {
            lists.iter().map(|rows| rows.iter().map(row).collect()).collect::<Step<Vec<Vec<Row>>>>()
        };
        found.and_then(read).map_err(|fault| self.failed(fault))
    }

    fn note_progress_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Result<u64, StoreFault> {
        self.end.may_write()?;
        self.send_later()?;
        let changed = self.runtime.block_on(async {
            self.lease.prepare(&[sql]).await?;
            let lists: Vec<Vec<&(dyn ToSql + Sync)>> = lists.iter().map(|values| parameters(values)).collect();
            futures_util::future::try_join_all(lists.iter().map(|values| self.lease.execute(sql, values))).await
        });
        let rows = changed.map_err(|fault| self.failed(fault))?.into_iter().sum();
        self.end.count_progress(rows);
        Ok(rows)
    }

    fn requeue(&mut self, host_no: i64) {
        self.end.requeued.push(host_no);
    }

    fn forget_identity(&mut self, host: HostId) {
        self.end.forgotten.push(host);
    }

    fn announce_rules(&mut self) {
        self.end.has_new_rules = true;
    }

    fn list_host(&mut self, host_no: i64, is_listed: bool) {
        self.end.listed.insert(host_no, is_listed);
    }

    fn move_host(&mut self, host_no: i64, site_no: i64) {
        self.end.moved.insert(host_no, site_no);
    }

    fn purge(&mut self, host: HostId, host_no: i64, most: u64, _: Timestamp) -> Result<Purged, StoreFault> {
        self.end.may_write()?;
        self.send_later()?;
        let purged = self.runtime.block_on(purge::purge(&self.lease, host_no, most));
        let purged = purged.map_err(|fault| self.failed(fault))?;
        self.end.purged.extend((purged.own > 0).then_some(host));
        Ok(purged)
    }

    fn record(&mut self, entry: Entry) {
        self.end.entries.push(entry);
    }
}

fn parameters<'v>(values: &'v [Value<'_>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

fn row(found: &tokio_postgres::Row) -> Step<Row> {
    let cell = |at: usize| -> Step<Cell> {
        let ty = found.columns()[at].type_();
        Ok(if *ty == Type::INT8 {
            found.try_get::<_, Option<i64>>(at)?.map_or(Cell::Null, Cell::Int)
        } else if *ty == Type::INT4 {
            found.try_get::<_, Option<i32>>(at)?.map_or(Cell::Null, |number| Cell::Int(number.into()))
        } else if *ty == Type::INT2 {
            found.try_get::<_, Option<i16>>(at)?.map_or(Cell::Null, |number| Cell::Int(number.into()))
        } else if *ty == Type::BOOL {
            found.try_get::<_, Option<bool>>(at)?.map_or(Cell::Null, |flag| Cell::Int(flag.into()))
        } else if *ty == Type::BYTEA {
            found.try_get::<_, Option<Vec<u8>>>(at)?.map_or(Cell::Null, Cell::Bytes)
        } else {
            found.try_get::<_, Option<String>>(at)?.map_or(Cell::Null, Cell::Text)
        })
    };
    (0..found.len()).map(cell).collect::<Step<_>>().map(Row)
}

/// Does the work within a transaction that the caller commits, then writes what it left for the end. Returns the hosts
/// whose identities changed; `None` means every host.
pub(super) async fn write(lease: Arc<Lease>, acting: &Acting, work: &AdminWork) -> Step<Vec<Option<HostId>>> {
    admin_lock::take(&lease).await?;
    let session = Arc::clone(&lease);
    let (actor, work) = (acting.actor.clone(), Arc::clone(work));
    let done = on_a_blocking_thread(move || {
        let mut tx = PostgresTx::new(lease, AtEnd::new(Mode::Write));
        tx.run(&work)?;
        let end = std::mem::replace(&mut tx.end, AtEnd::new(Mode::Write));
        end.check()?;
        // The name of the user needs no entry: it is a part of the work's own.
        let actor = system_users::actor_id(&mut tx, &actor);
        let actor = actor.map_err(|fault| tx.fault.take().unwrap_or(PostgresFault::Store(fault)))?;
        Ok((end, actor))
    });
    let (end, actor) = done.await?;
    let session: &Session = &session;
    // In the order of locks at the head of `writer`: hosts first, the tally last.
    let (mut counted, sites) = tally::relocate(session, &end.moved).await?;
    tally::list(session, &end.listed, &mut counted).await?;
    judge_queue::requeue(session, &end.requeued, acting.now).await?;
    let forgotten = end.identities();
    for host in &forgotten {
        identity::notify(session, *host).await?;
    }
    if end.has_new_rules {
        identity::notify_rules(session).await?;
    }
    // Late, because this lock orders all entries.
    session.prepare(&ledger::STATEMENTS).await?;
    ledger::write_all(session, acting.now, &actor, end.entries.into_iter()).await?;
    tally::apply(session, &counted).await?;
    tally::count_sites(session, &sites).await?;
    Ok(forgotten)
}

/// Does work that only reads.
pub(super) async fn read(lease: Arc<Lease>, work: &AdminWork) -> Step<()> {
    let work = Arc::clone(work);
    on_a_blocking_thread(move || {
        let mut tx = PostgresTx::new(lease, AtEnd::new(Mode::Read));
        tx.run(&work)?;
        Ok(tx.end.check()?)
    })
    .await
}

async fn on_a_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> Step<T> + Send + 'static) -> Step<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PostgresFault::closed())?
}
