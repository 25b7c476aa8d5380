//! Reading the ledger. Entries are written by the operations that they record.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{AccountId, Digest, EntryKind, HostId, Timestamp};

use super::{notes, system_users};
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;
use crate::store::LedgerRow;
use crate::store::sql::{AdminTx, Row, Step, StoreFault};

/// Entries that are read at a time.
const PORTION: i64 = 500;
/// Entries that one request may read, because a rare host or actor matches few of them. The answer then says where to
/// go on.
const BUDGET: usize = 20_000;
/// How far the clocks of collectors may differ. Entries are in the order of their numbers, and a search that reaches an
/// entry older than this ends.
const CLOCK_SLACK_MS: i64 = 3_600_000;

#[cfg(test)]
const FOLLOW: &str = "SELECT no, at, entry FROM ledger WHERE no > $1 ORDER BY no LIMIT $2";
const NEWEST: &str = "SELECT no, at, entry FROM ledger WHERE no < $1 ORDER BY no DESC LIMIT $2";
const NEWEST_OF_KIND: &str = "SELECT no, at, entry FROM ledger WHERE kind = $3 AND no < $1 ORDER BY no DESC LIMIT $2";
const NEWEST_OF_ACCOUNT: &str =
    "SELECT no, at, entry FROM ledger WHERE account = $3 AND no < $1 ORDER BY no DESC LIMIT $2";
const GET: &str = "SELECT no, at, entry FROM ledger WHERE no = $1";
const ACCOUNT_NAME: &str = "SELECT name FROM account WHERE id = $1";
const HOST_NAME: &str = "SELECT hostname FROM host_row WHERE id = $1";

/// Who must have acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ByActor {
    Account(AccountId),
    Collector,
    Rules,
    Judge,
    Agent,
    Roster,
    /// The job that changes many hosts.
    Bulk,
}

impl ByActor {
    fn is(&self, actor: &ActorId) -> bool {
        match (self, actor) {
            (Self::Account(wanted), ActorId::Account { account, .. }) => wanted == account,
            (Self::Collector, ActorId::Collector { .. })
            | (Self::Rules, ActorId::Rules)
            | (Self::Judge, ActorId::Judge)
            | (Self::Agent, ActorId::Agent)
            | (Self::Roster, ActorId::Roster)
            | (Self::Bulk, ActorId::Bulk) => true,
            _ => false,
        }
    }
}

/// Which entries a reader wants, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct LedgerQuery {
    /// Only entries of this time or later.
    pub(crate) since: Option<Timestamp>,
    pub(crate) kind: Option<EntryKind>,
    pub(crate) by: Option<ByActor>,
    /// Only entries about this host.
    pub(crate) host: Option<HostId>,
    /// Only entries with a lower number.
    pub(crate) before: Option<u64>,
    pub(crate) rows: usize,
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LedgerPage {
    pub(crate) rows: Vec<LedgerRow>,
    /// The number before which the next page begins; `None` if no other entry matches. A page that read as many entries
    /// as one request may has a number, too, although perhaps none follows.
    pub(crate) next: Option<u64>,
    pub(crate) names: Names,
}

/// The present names of what entries name by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Names {
    pub(crate) accounts: BTreeMap<AccountId, String>,
    pub(crate) users: BTreeMap<u64, String>,
    pub(crate) hosts: BTreeMap<HostId, String>,
    /// Texts of people, by their hashes.
    pub(crate) notes: BTreeMap<Digest, String>,
}

/// The hosts of an entry whose names a reader gets; an entry may have hundreds.
pub(crate) const NAMED_HOSTS: usize = 3;

#[cfg(test)]
/// At most `most` entries with higher numbers than `after`, oldest first. A reader that continues after the last number
/// that it got misses none.
///
/// # Errors
/// The database fails, or an entry is damaged.
pub(crate) fn follow(tx: &mut dyn AdminTx, after: u64, most: usize) -> Step<Vec<LedgerRow>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.query(FOLLOW, &[after.cast_signed().into(), most.into()])?.iter().map(read).collect()
}

/// A page of the entries that a query wants.
///
/// # Errors
/// The database fails, or an entry is damaged.
pub(crate) fn list(tx: &mut dyn AdminTx, query: &LedgerQuery) -> Step<LedgerPage> {
    let mut page = LedgerPage::default();
    let mut before = query.before.map_or(i64::MAX, u64::cast_signed);
    let oldest = query.since.map_or(i64::MIN, |since| since.millis().saturating_sub(CLOCK_SLACK_MS));
    let mut left = BUDGET;
    'reading: loop {
        let portion = portion(tx, query, before)?;
        let is_last = portion.len() < usize::try_from(PORTION).unwrap_or(usize::MAX);
        for row in portion {
            if row.at.millis() < oldest {
                break 'reading;
            }
            let wants = wants(query, &row);
            // Only another entry that the query wants makes a next page, or a budget that ended before one was found.
            if left == 0 || wants && page.rows.len() == query.rows {
                page.next = Some(before.cast_unsigned());
                break 'reading;
            }
            left -= 1;
            before = row.number.cast_signed();
            if wants {
                page.rows.push(row);
            }
        }
        if is_last {
            break;
        }
    }
    page.names = names(tx, &page.rows)?;
    Ok(page)
}

/// One entry.
///
/// # Errors
/// The database fails, or the entry is damaged.
pub(crate) fn get(tx: &mut dyn AdminTx, number: u64) -> Step<Option<(LedgerRow, Names)>> {
    let Some(row) = tx.query(GET, &[number.cast_signed().into()])?.first().map(read).transpose()? else {
        return Ok(None);
    };
    let names = names(tx, std::slice::from_ref(&row))?;
    Ok(Some((row, names)))
}

fn portion(tx: &mut dyn AdminTx, query: &LedgerQuery, before: i64) -> Step<Vec<LedgerRow>> {
    let (before, most) = (before.into(), PORTION.into());
    let rows = match (&query.by, query.kind) {
        // Few entries have an account, so its index comes before that of the kind.
        (Some(ByActor::Account(account)), _) => {
            tx.query(NEWEST_OF_ACCOUNT, &[before, most, account.as_str().into()])?
        }
        (_, Some(kind)) => tx.query(NEWEST_OF_KIND, &[before, most, i64::from(kind.code()).into()])?,
        (_, None) => tx.query(NEWEST, &[before, most])?,
    };
    rows.iter().map(read).collect()
}

fn wants(query: &LedgerQuery, row: &LedgerRow) -> bool {
    query.since.is_none_or(|since| row.at >= since)
        && query.kind.is_none_or(|kind| row.entry.kind() == kind)
        && query.by.as_ref().is_none_or(|by| by.is(&row.actor))
        && query.host.is_none_or(|host| row.entry.concerns(host))
}

fn read(row: &Row) -> Step<LedgerRow> {
    let number = row.count(0)?;
    let (entry, actor) = Entry::from_json(row.text(2)?)
        .map_err(|error| StoreFault::damaged(format!("ledger entry {number}"), muster_proto::error_chain(&error)))?;
    Ok(LedgerRow { number, at: row.time(1)?, actor, entry })
}

fn names(tx: &mut dyn AdminTx, rows: &[LedgerRow]) -> Step<Names> {
    let mut names = Names::default();
    let mut accounts: BTreeSet<&AccountId> = rows.iter().filter_map(|row| row.actor.account()).collect();
    accounts.extend(rows.iter().filter_map(|row| row.entry.account()));
    for account in accounts {
        if let Some(row) = tx.query(ACCOUNT_NAME, &[account.as_str().into()])?.first() {
            names.accounts.insert(account.clone(), row.text(0)?.to_owned());
        }
    }
    let users: BTreeSet<u64> = rows.iter().filter_map(|row| row.actor.user()).collect();
    for user in users {
        names.users.extend(system_users::name(tx, user)?.map(|name| (user, name)));
    }
    let hosts: BTreeSet<HostId> =
        rows.iter().flat_map(|row| row.entry.hosts().iter().take(NAMED_HOSTS).copied()).collect();
    for host in hosts {
        if let Some(row) = tx.query(HOST_NAME, &[host.as_bytes().as_slice().into()])?.first() {
            names.hosts.insert(host, row.text(0)?.to_owned());
        }
    }
    let notes: BTreeSet<&Digest> = rows.iter().filter_map(|row| row.entry.reason()).collect();
    for hash in notes {
        names.notes.extend(notes::get(tx, hash)?.map(|text| (*hash, text)));
    }
    Ok(names)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[FOLLOW, NEWEST, NEWEST_OF_KIND, NEWEST_OF_ACCOUNT, GET, ACCOUNT_NAME, HOST_NAME];
