//! Dispositions as they are stored and read: why hosts left the fleet. A host is retired by an approved one until it reports again or
//! is taken back.

use std::collections::BTreeMap;

use muster_proto::model::{
    DisposedHost, DispositionKind, DispositionReport, DispositionState, DutyEvidence, HostId, SiteId,
};

use crate::store::SiteScope;
use crate::store::decide::waivers::{REFUSED, REQUESTED};
use crate::store::decision_sql::APPROVED;
use crate::store::sql::{AdminTx, Row, Step, StoreFault};

pub(crate) mod clean;
pub(crate) mod decide;
pub(crate) mod retire;
pub(crate) mod returned;

/// What a list shows of a disposition.
macro_rules! rows {
    ($where:literal) => {
        concat!(
            "SELECT o.no, o.state, o.kind, n.words, o.evidence_name, o.evidence_sha256, o.needs_second, o.requested_by, r.name, \
             o.requested_at, o.decided_by, d.name, o.decided_at
             FROM disposition o LEFT JOIN note n ON n.hash = o.evidence LEFT JOIN account r ON r.id = o.requested_by
             LEFT JOIN account d ON d.id = o.decided_by WHERE ",
            $where
        )
    };
}
const GET: &str = rows!("o.no = $1 ORDER BY o.no");
const LIST: &str = rows!("o.no < $1 ORDER BY o.no DESC LIMIT $2");
const LIST_WAITING: &str = rows!("o.state = 2 AND o.no < $1 ORDER BY o.no DESC LIMIT $2");
const HOSTS: &str = "SELECT h.id, h.hostname, h.site, x.ended_at, x.returned_at
     FROM disposition_host x JOIN host_row h ON h.no = x.host WHERE x.disposition = $1 ORDER BY h.id";
const OF_HOST: &str = "SELECT x.disposition FROM disposition_host x JOIN host_row h ON h.no = x.host
     WHERE h.id = $1 ORDER BY x.disposition DESC LIMIT $2";

/// Dispositions that are read at a time.
const PORTION: i64 = 100;

/// A disposition with its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DispositionRow {
    /// The id of the account that asked for it.
    pub(crate) requested_by: String,
    pub(crate) report: DispositionReport,
    /// The sites of its hosts, in the order of the hosts.
    sites: Vec<SiteId>,
}

impl DispositionRow {
    /// As a reader of these sites sees it; `None` if none of its hosts is there.
    pub(crate) fn within(self, scope: &SiteScope) -> Option<DispositionReport> {
        let hosts = self.report.hosts.into_iter().zip(self.sites).filter(|(_, site)| scope.contains(site));
        let hosts: Vec<DisposedHost> = hosts.map(|(host, _)| host).collect();
        (!hosts.is_empty()).then_some(DispositionReport { hosts, ..self.report })
    }

    /// Whether all of its hosts are at these sites.
    pub(crate) fn is_within(&self, scope: &SiteScope) -> bool {
        self.sites.iter().all(|site| scope.contains(site))
    }
}

/// A page of dispositions, newest first, and the number before which the next page begins. `all` has those too that do not wait for
/// a second person.
///
/// # Errors
/// The database fails.
pub(crate) fn list(
    tx: &mut dyn AdminTx,
    all: bool,
    scope: &SiteScope,
    before: Option<u64>,
    rows: usize,
) -> Step<(Vec<DispositionReport>, Option<u64>)> {
    let mut before = before.map_or(i64::MAX, u64::cast_signed);
    let mut page = Vec::new();
    loop {
        let find = if all { LIST } else { LIST_WAITING };
        let found = tx.query(find, &[before.into(), PORTION.into()])?;
        let is_last = found.len() < usize::try_from(PORTION).unwrap_or(usize::MAX);
        for row in &found {
            let shown = with_hosts(tx, row)?.within(scope);
            if shown.is_some() && page.len() == rows {
                return Ok((page, Some(before.cast_unsigned())));
            }
            before = row.int(0)?;
            page.extend(shown);
        }
        if is_last {
            return Ok((page, None));
        }
    }
}

/// One disposition.
///
/// # Errors
/// The database fails.
pub(crate) fn find(tx: &mut dyn AdminTx, number: u64) -> Step<Option<DispositionRow>> {
    let rows = tx.query(GET, &[number.cast_signed().into()])?;
    rows.first().map(|row| with_hosts(tx, row)).transpose()
}

/// The newest dispositions of a host, newest first, each with this host only.
///
/// # Errors
/// The database fails.
pub(crate) fn of_host(tx: &mut dyn AdminTx, host: HostId, most: usize) -> Step<Vec<DispositionReport>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut reports = Vec::new();
    for row in tx.query(OF_HOST, &[host.as_bytes().as_slice().into(), most.into()])? {
        let found = find(tx, row.count(0)?)?;
        reports.extend(found.map(|mut found| {
            found.report.hosts.retain(|one| one.id == host);
            found.report
        }));
    }
    Ok(reports)
}

fn with_hosts(tx: &mut dyn AdminTx, row: &Row) -> Step<DispositionRow> {
    let (mut hosts, mut sites) = (Vec::new(), Vec::new());
    for row in tx.query(HOSTS, &[row.int(0)?.into()])? {
        hosts.push(DisposedHost {
            id: HostId::from_bytes(row.bytes(0)?),
            hostname: row.text(1)?.to_owned(),
            ended_at: row.maybe_time(3)?,
            returned_at: row.maybe_time(4)?,
        });
        sites.push(row.parse("a site", 2)?);
    }
    let damaged = || StoreFault::damaged("a disposition", "it has an unknown code");
    let states = BTreeMap::from([
        (REQUESTED, DispositionState::Requested),
        (APPROVED, DispositionState::Approved),
        (REFUSED, DispositionState::Refused),
    ]);
    let state = *states.get(&row.int(1)?).ok_or_else(damaged)?;
    let kind = u8::try_from(row.int(2)?).ok().and_then(DispositionKind::from_code).ok_or_else(damaged)?;
    let maybe_text =
        |at: usize| if row.is_null(at) { Ok(None) } else { row.text(at).map(|text| Some(text.to_owned())) };
    let name =
        |id: usize, name: usize| -> Step<String> { Ok(maybe_text(name)?.or(maybe_text(id)?).unwrap_or_default()) };
    let file = maybe_text(4)?.zip(maybe_text(5)?).map(|(name, sha256)| DutyEvidence { name, sha256 });
    let (requested_by, needs_second) = (row.text(7)?.to_owned(), row.flag(6)?);
    let decided_by = maybe_text(10)?;
    let is_own = state == DispositionState::Approved && decided_by.as_ref() == Some(&requested_by);
    let report = DispositionReport {
        number: row.count(0)?,
        state,
        kind,
        evidence: maybe_text(3)?.unwrap_or_else(|| "the evidence is forgotten".to_owned()),
        file,
        requested_by: name(7, 8)?,
        requested_at: row.time(9)?,
        decided_by: name(10, 11)?,
        decided_at: row.maybe_time(12)?,
        needs_second,
        is_self_approved: needs_second && is_own,
        hosts,
    };
    Ok(DispositionRow { requested_by, report, sites })
}

/// Every statement of this module.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let own = [GET, LIST, LIST_WAITING, HOSTS, OF_HOST];
    [&own, clean::STATEMENTS, decide::STATEMENTS, retire::STATEMENTS, returned::STATEMENTS].concat()
}
