//! Signs and writes the attestations of a settlement, in its transaction. The hosts are locked.

use std::collections::HashMap;

use muster_proto::model::KeyFingerprint;

use crate::ledger::entry::Entry;
use crate::store::Settlement;
use crate::store::admin::sealing::TREE;
use crate::store::attestations::{KEPT, KnownThen};
use crate::store::decide::settle::Changes;
use crate::store::fault::StoreFault;
use crate::store::postgres::decisions;
use crate::store::postgres::fault::Step;
use crate::store::postgres::row;
use crate::store::postgres::session::{Session, Values};

/// The key under which each host reports: the one in use, or one that was given and not used yet.
const KEYS: &str = "
    SELECT DISTINCT ON (host) host, fingerprint FROM host_key WHERE host = ANY ($1::int4[]) AND status <> 3
    ORDER BY host, status";

const PUT: &str = "
    INSERT INTO attestation (host, order_id, issued_at, sha256, envelope)
    SELECT u.host, u.order_id, $3::int8, u.sha256, u.envelope
    FROM unnest($1::int4[], $2::text[], $4::bytea[], $5::bytea[]) AS u (host, order_id, sha256, envelope)
    ON CONFLICT (host, order_id, issued_at) DO UPDATE SET sha256 = excluded.sha256, envelope = excluded.envelope";

const FORGET: &str = "
    DELETE FROM attestation a USING unnest($1::int4[], $2::text[]) AS u (host, order_id)
    WHERE a.host = u.host AND a.order_id = u.order_id AND $3::int8 <= (
        SELECT count(*) FROM attestation b
        WHERE b.host = a.host AND b.order_id = a.order_id AND b.issued_at > a.issued_at)";

/// Returns the ledger entries.
pub(super) async fn attest(session: &Session, changes: &Changes<'_, i32>, settlement: &Settlement) -> Step<Vec<Entry>> {
    let attested = &changes.attestations;
    if attested.is_empty() {
        return Ok(Vec::new());
    }
    let hosts: Vec<i32> = attested.iter().map(|one| one.host).collect();
    let mut keys = HashMap::new();
    for found in session.query(KEYS, &[&hosts]).await? {
        keys.insert(found.try_get::<_, i32>(0)?, KeyFingerprint::from_bytes(row::hash(&found, 1)?));
    }
    let decided = decisions::of_hosts(session, &hosts).await?;
    let tree = session.query(TREE, &[]).await?;
    let checkpoint: Option<&str> = tree.first().map(|found| found.try_get(1)).transpose()?;
    let (mut orders, mut entries, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
    for one in attested {
        let key = keys.get(&one.host).copied();
        let key = key.ok_or_else(|| StoreFault::damaged("a host", format!("{} has no key", one.proof.host)))?;
        let known = KnownThen { decisions: decided.get(&one.host), checkpoint, issued: settlement.now };
        let seal = one.seal(settlement.seal.as_deref(), key, &known)?;
        entries.push(one.entry(&seal));
        orders.push(one.proof.order.as_str());
        sealed.push(seal);
    }
    let hashes: Vec<&[u8]> = sealed.iter().map(|one| one.sha256.as_slice()).collect();
    let envelopes: Vec<&[u8]> = sealed.iter().map(|one| one.envelope.as_slice()).collect();
    let now = settlement.now.millis();
    let put: Values<'_> = &[&hosts, &orders, &now, &hashes, &envelopes];
    session.execute(PUT, put).await?;
    session.execute(FORGET, &[&hosts, &orders, &KEPT]).await?;
    Ok(entries)
}
