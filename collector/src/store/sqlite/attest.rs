//! Signs and writes the attestations of a settlement, in its transaction.

use muster_proto::model::KeyFingerprint;
use rusqlite::{Connection, OptionalExtension as _};

use super::decisions;
use super::fault::{Step, StoreFault};
use crate::ledger::entry::Entry;
use crate::store::Settlement;
use crate::store::admin::sealing::TREE;
use crate::store::attestations::{Attested, KEPT, KnownThen};

/// Returns the ledger entries.
pub(super) fn attest(sql: &Connection, attested: &[Attested<'_, i64>], settlement: &Settlement) -> Step<Vec<Entry>> {
    let now = settlement.now;
    let mut entries = Vec::new();
    if attested.is_empty() {
        return Ok(entries);
    }
    let checkpoint: Option<String> = sql.prepare_cached(TREE)?.query_row([], |row| row.get(1)).optional()?;
    for one in attested {
        let decided = decisions::of_hosts(sql, &[one.host])?;
        let under = reported_under(sql, one)?;
        let known = KnownThen { decisions: decided.get(&one.host), checkpoint: checkpoint.as_deref(), issued: now };
        let sealed = one.seal(settlement.seal.as_deref(), under, &known)?;
        let order = one.proof.order.as_str();
        sql.prepare_cached(
            "INSERT INTO attestation (host, order_id, issued_at, sha256, envelope) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (host, order_id, issued_at) DO UPDATE SET sha256 = excluded.sha256, envelope = excluded.envelope",
        )?
        .execute((one.host, order, now.millis(), sealed.sha256.as_slice(), sealed.envelope.as_slice()))?;
        sql.prepare_cached(
            "DELETE FROM attestation WHERE host = ?1 AND order_id = ?2 AND ?3 <= (
                 SELECT count(*) FROM attestation b
                 WHERE b.host = ?1 AND b.order_id = ?2 AND b.issued_at > attestation.issued_at)",
        )?
        .execute((one.host, order, KEPT))?;
        entries.push(one.entry(&sealed));
    }
    Ok(entries)
}

/// The key under which a host reports: the one in use, or one that was given and not used yet.
fn reported_under(sql: &Connection, one: &Attested<'_, i64>) -> Step<KeyFingerprint> {
    let find = "SELECT fingerprint FROM host_key WHERE host = ?1 AND status <> 3 ORDER BY status LIMIT 1";
    let found: Option<[u8; 32]> = sql.prepare_cached(find)?.query_row([one.host], |row| row.get(0)).optional()?;
    let found = found.ok_or_else(|| StoreFault::damaged("a host", format!("{} has no key", one.proof.host)))?;
    Ok(KeyFingerprint::from_bytes(found))
}
