//! Administrative operations on hosts: revocation.

use muster_proto::model::{HostId, SiteId, Timestamp};

use crate::ledger::entry::Entry;
use crate::store::decide::tokens::Revocation;
use crate::store::sql::{AdminTx, Step};

const GET: &str = "SELECT revoked_at, site FROM host_row WHERE id = $1";
const REVOKE: &str = "UPDATE host SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

/// Revokes all keys of a host at a site that `may` admits; `false` if there is no such host. The host stays in all
/// counts, and the first revocation counts.
///
/// # Errors
/// The database fails.
pub(crate) fn revoke(tx: &mut dyn AdminTx, host: HostId, may: &dyn Fn(&SiteId) -> bool, now: Timestamp) -> Step<bool> {
    let id = host.as_bytes().as_slice();
    let rows = tx.query(GET, &[id.into()])?;
    let revocation = match rows.first() {
        Some(row) if may(&row.parse("a site", 1)?) => Revocation::of(Some(row.maybe_time(0)?.is_some())),
        _ => Revocation::of(None),
    };
    if revocation == Revocation::Revoke {
        tx.execute(REVOKE, &[id.into(), now.into()])?;
        tx.forget_identity(host);
        tx.record(Entry::HostRevoked { host });
    }
    Ok(revocation.is_known())
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[GET, REVOKE];
