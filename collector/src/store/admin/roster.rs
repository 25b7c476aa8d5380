//! The roster: the machines that should answer. Lists of machines are imported, and their entries are matched with hosts.
//!
//! ```text
//!  list ─► rows ─► records, one per source and row ─► entries, one per machine ─► a host, or candidates that a person reviews
//! ```

pub(crate) mod by_hand;
pub(crate) mod entries;
pub(crate) mod import;
mod moves;
pub(crate) mod pending;
mod records;

use muster_proto::model::{SiteId, Timestamp};

use self::moves::Moves;
use crate::store::sql::{AdminTx, Step};

/// Counts the entries of hosts at the site to which these are moved.
///
/// # Errors
/// The database fails.
pub(super) fn hosts_moved(tx: &mut dyn AdminTx, hosts: &[i64], site: &SiteId, now: Timestamp) -> Step<()> {
    let mut moves = Moves::new(now);
    for host in hosts {
        moves.follow(tx, *host, site.as_str())?;
    }
    moves.finish(tx)
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    [
        by_hand::STATEMENTS,
        entries::STATEMENTS,
        import::STATEMENTS,
        moves::STATEMENTS,
        pending::STATEMENTS,
        records::STATEMENTS,
    ]
    .concat()
}
