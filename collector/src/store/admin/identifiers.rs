//! What hosts are recognised by: a job writes their identifiers, and people find hosts by them.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::convert::stored;
use muster_proto::model::{HostFacts, HostId, Identifier, MachineIdentity, Platform};

use super::identifier_row::identifier;
use super::roster::pending;
use crate::store::SiteScope;
use crate::store::sql::{AdminTx, Row, Step, Value};

const PENDING: &str = "SELECT host FROM identity_pending ORDER BY host LIMIT $1";
const IDENTITY: &str = "SELECT hostname, platform, identity FROM identity_row WHERE no = $1";
const KNOWN: &str = "SELECT kind, value FROM host_identifier WHERE host = $1 ORDER BY kind, value";
const ADD: &str = "INSERT INTO host_identifier (value, kind, host) VALUES ($1, $2, $3)";
const REMOVE: &str = "DELETE FROM host_identifier WHERE value = $1 AND kind = $2 AND host = $3";
const LOOKED_AT: &str = "DELETE FROM identity_pending WHERE host = $1";
const FIND: &str = "SELECT h.id, h.site FROM host_identifier i JOIN host_row h ON h.no = i.host
     WHERE i.value = $1 AND i.kind = $2 ORDER BY h.id LIMIT $3";

const BY_ID: &str = "SELECT no, id, site FROM host_row WHERE id = $1";
const FIND_ALL: &str = "SELECT h.no, h.id, h.site FROM host_identifier i JOIN host_row h ON h.no = i.host
     WHERE i.value = $1 AND i.kind = $2 ORDER BY h.no LIMIT $3";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[PENDING, IDENTITY, KNOWN, ADD, REMOVE, LOOKED_AT, FIND, BY_ID, FIND_ALL];

/// Hosts that one transaction looks at. Each has at most 38 identifiers before and after, and each of those may put eleven entries on the
/// list of those to match: with all of them, a transaction stays within its limit.
const PORTION: i64 = 20;

/// Hosts with one identifier that are read for a line of a list.
const FOUND_OF_LINE: i64 = 20;

/// How many hosts are found by one identifier.
const FOUND: i64 = 10;

/// What was done of the work that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advance {
    /// Whether more waits.
    pub(crate) is_unfinished: bool,
    /// Hosts whose stored identity cannot be read: they are recognised by their names alone.
    pub(crate) unreadable: Vec<i64>,
}

/// Whether any host waits.
///
/// # Errors
/// The database fails.
pub(crate) fn is_pending(tx: &mut dyn AdminTx) -> Step<bool> {
    Ok(!tx.query(PENDING, &[1.into()])?.is_empty())
}

/// Writes the identifiers of a portion of the hosts that enrolled or whose facts changed, and notes the entries of the roster that
/// must be matched again.
///
/// # Errors
/// The database fails.
pub(crate) fn advance(tx: &mut dyn AdminTx) -> Step<Advance> {
    let rows = tx.query(PENDING, &[PORTION.into()])?;
    let mut done = Advance { is_unfinished: rows.len() as i64 == PORTION, unreadable: Vec::new() };
    let lists: Vec<_> = rows.iter().map(|row| Ok(vec![row.int(0)?.into()])).collect::<Step<_>>()?;
    // First, so that what a host sends meanwhile waits for these rows, and is then looked at again.
    tx.note_progress_each(LOOKED_AT, &lists)?;
    let (present, known) = (tx.query_each(IDENTITY, &lists)?, tx.query_each(KNOWN, &lists)?);
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for ((row, present), known) in rows.iter().zip(&present).zip(&known) {
        let host = row.int(0)?;
        let (now, is_readable) = identifiers(present.first())?;
        done.unreadable.extend((!is_readable).then_some(host));
        let known = known.iter().map(|row| identifier(row, 0)).collect::<Step<BTreeSet<_>>>()?;
        added.extend(now.difference(&known).map(|new| (host, new.clone())));
        removed.extend(known.difference(&now).map(|old| (host, old.clone())));
    }
    let values = |(host, identifier): &'_ (i64, Identifier)| {
        let Identifier { kind, value } = identifier.clone();
        (value, i64::from(kind.code()), *host)
    };
    for (sql, changed) in [(REMOVE, &removed), (ADD, &added)] {
        let owned: Vec<_> = changed.iter().map(values).collect();
        let lists: Vec<_> = owned
            .iter()
            .map(|(value, kind, host)| vec![value.as_str().into(), (*kind).into(), (*host).into()])
            .collect();
        tx.note_progress_each(sql, &lists)?;
    }
    let changed: BTreeMap<i64, Vec<Identifier>> =
        added.into_iter().chain(removed).fold(BTreeMap::new(), |mut all, one| {
            all.entry(one.0).or_insert_with(Vec::new).push(one.1);
            all
        });
    pending::note_hosts(tx, &changed)?;
    Ok(done)
}

/// The identifiers of a host, and whether its stored identity could be read. A host that is gone has none.
fn identifiers(row: Option<&Row>) -> Step<(BTreeSet<Identifier>, bool)> {
    let Some(row) = row else { return Ok((BTreeSet::new(), true)) };
    let identity = if row.is_null(2) { Ok(MachineIdentity::default()) } else { stored::read_identity(row.blob(2)?) };
    let is_readable = identity.is_ok();
    let facts = HostFacts {
        hostname: row.text(0)?.to_owned(),
        platform: u8::try_from(row.int(1)?).ok().and_then(Platform::from_code).unwrap_or(Platform::Linux),
        os_name: String::new(),
        kernel: String::new(),
        architecture: String::new(),
        agent_version: String::new(),
        offline_root: false,
        identity: identity.unwrap_or_default(),
    };
    Ok((facts.identifiers(), is_readable))
}

/// A line of a list of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineAsked {
    /// The id, if the line is one.
    pub(crate) id: Option<HostId>,
    /// What else the line can be.
    pub(crate) identifiers: Vec<Identifier>,
}

/// What a line of a list of hosts means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFound {
    /// One host.
    One {
        /// The number of its row.
        no: i64,
        /// Its id.
        id: HostId,
    },
    /// No host of these sites.
    None,
    /// Several hosts have the identifier.
    Several,
}

/// The hosts of these sites that these lines mean, in the order of the lines. What one host says of itself takes no line from another:
/// if two hosts have it, as whatever kind of identifier, the line means several.
///
/// # Errors
/// The database fails.
pub(crate) fn find_each(tx: &mut dyn AdminTx, lines: &[LineAsked], sites: &SiteScope) -> Step<Vec<LineFound>> {
    let mut found = vec![BTreeMap::new(); lines.len()];
    let ids: Vec<(usize, HostId)> = (0..).zip(lines).filter_map(|(at, line)| Some((at, line.id?))).collect();
    let lists: Vec<Vec<Value<'_>>> = ids.iter().map(|(_, id)| vec![id.as_bytes().as_slice().into()]).collect();
    for ((at, _), rows) in ids.iter().zip(tx.query_each(BY_ID, &lists)?) {
        add_of_sites(&mut found, *at, &rows, sites)?;
    }
    let of_line = |(at, line): (usize, &'_ LineAsked)| -> Vec<(usize, Identifier)> {
        line.identifiers.iter().map(|one| (at, one.clone())).collect()
    };
    let asked: Vec<(usize, Identifier)> = (0..).zip(lines).flat_map(of_line).collect();
    let lists: Vec<Vec<Value<'_>>> = (asked.iter())
        .map(|(_, one)| vec![one.value.as_str().into(), i64::from(one.kind.code()).into(), FOUND_OF_LINE.into()])
        .collect();
    let mut is_cut = vec![false; lines.len()];
    for ((at, _), rows) in asked.iter().zip(tx.query_each(FIND_ALL, &lists)?) {
        if let Some(cut) = is_cut.get_mut(*at) {
            *cut |= rows.len() as i64 == FOUND_OF_LINE;
        }
        add_of_sites(&mut found, *at, &rows, sites)?;
    }
    let meant = |(hosts, is_cut): (BTreeMap<i64, HostId>, bool)| match hosts.first_key_value() {
        // Others of these sites may be among those that were not read.
        _ if is_cut => LineFound::Several,
        Some((no, id)) if hosts.len() == 1 => LineFound::One { no: *no, id: *id },
        Some(_) => LineFound::Several,
        None => LineFound::None,
    };
    Ok(found.into_iter().zip(is_cut).map(meant).collect())
}

fn add_of_sites(found: &mut [BTreeMap<i64, HostId>], at: usize, rows: &[Row], sites: &SiteScope) -> Step<()> {
    let Some(hosts) = found.get_mut(at) else { return Ok(()) };
    for row in rows {
        if sites.contains(&row.parse("a site", 2)?) {
            hosts.insert(row.int(0)?, HostId::from_bytes(row.bytes(1)?));
        }
    }
    Ok(())
}

/// The first hosts of these sites that have one of these identifiers, in the order of their ids.
///
/// # Errors
/// The database fails.
pub(crate) fn find(tx: &mut dyn AdminTx, identifiers: &[Identifier], sites: &SiteScope) -> Step<BTreeSet<HostId>> {
    let mut hosts = BTreeSet::new();
    for Identifier { kind, value } in identifiers {
        for row in tx.query(FIND, &[value.as_str().into(), i64::from(kind.code()).into(), FOUND.into()])? {
            if sites.contains(&row.parse("a site", 1)?) {
                hosts.insert(HostId::from_bytes(row.bytes(0)?));
            }
        }
    }
    Ok(hosts)
}
