//! Sites: the parts of the organisation, each with a number.

use muster_proto::model::SiteId;

use crate::store::sql::{AdminTx, Step, StoreFault};

const FIND: &str = "SELECT no FROM site WHERE id = $1";
const ADD: &str = "INSERT INTO site (no, id) SELECT coalesce(max(no), 0) + 1, $1 FROM site";

/// The number of a site, which is added if it is new.
pub(super) fn number(tx: &mut dyn AdminTx, site: &SiteId) -> Step<i64> {
    let id = site.as_str().into();
    if let Some(row) = tx.query(FIND, &[id])?.first() {
        return row.int(0);
    }
    tx.execute(ADD, &[id])?;
    let rows = tx.query(FIND, &[id])?;
    rows.first().ok_or_else(|| StoreFault::damaged("a site", format!("{site} was added, but has no row")))?.int(0)
}

/// As [`number`], where a job adds the site; the entry of what it does names it.
pub(super) fn number_noted(tx: &mut dyn AdminTx, site: &SiteId) -> Step<i64> {
    let id = site.as_str().into();
    if tx.query(FIND, &[id])?.is_empty() {
        tx.note_progress(ADD, &[id])?;
    }
    number(tx, site)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, ADD];
