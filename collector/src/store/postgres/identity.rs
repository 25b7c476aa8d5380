//! Who a host is: enrollment, its keys, and their revocation. Collectors cache identities, so each change notifies all
//! of them.

use std::collections::BTreeMap;

use muster_proto::convert::stored;
use muster_proto::model::{HostId, HostMark, KeyFingerprint};
use tokio_postgres::Row;

use super::fault::{PostgresFault, Step};
use super::session::{Session, Values};
use super::{ledger, row};
use crate::ledger::actor::ActorId;
use crate::store::decide::enroll::StoredToken;
use crate::store::decide::keys::{self, KeyStatus, RenewalDecision, StoredKey};
use crate::store::decide::readmit::{self, HostKeys, ReadmitDecision};
use crate::store::operations::NewHost;
use crate::store::{HostIdentity, KeyRenewal, Readmission, Readmitted, Renewed, Restoration};

/// The channel on which changes of identities are announced; the payload is the host's id, or [`RULES`].
pub(super) const CHANNEL: &str = "muster_identity";
/// The payload that announces a change of what is applied over the rules.
pub(super) const RULES: &str = "rules";

/// A host that is created, with the numbers of its site and token, and of its system, kernel, architecture and agent.
pub(super) struct NewRow<'a> {
    pub(super) new: NewHost<'a>,
    pub(super) site: i32,
    pub(super) token: Option<i32>,
    pub(super) phrases: [i32; 4],
}

/// Counts new hosts by site. Last in a transaction, because every enrollment at the site needs this row.
pub(super) async fn count_hosts(session: &Session, of_site: &BTreeMap<i32, i64>) -> Step<()> {
    let count = "INSERT INTO site_hosts (site, hosts) SELECT * FROM unnest($1::int4[], $2::int8[])
                 ON CONFLICT (site) DO UPDATE SET hosts = site_hosts.hosts + excluded.hosts";
    // In the order of the sites, so that no two transactions wait for each other.
    let (sites, hosts): (Vec<i32>, Vec<i64>) = of_site.iter().map(|(site, hosts)| (*site, *hosts)).unzip();
    session.execute(count, &[&sites, &hosts]).await?;
    Ok(())
}

/// A token: its columns in this order, beginning with the hash of its secret.
pub(super) fn token(found: &Row) -> Step<StoredToken<i32>> {
    Ok(StoredToken {
        secret_hash: row::hash(found, 0)?,
        site_no: found.try_get(1)?,
        site: row::site(found, 2)?,
        expires_at: row::instant(found, 3)?,
        max_uses: row::unsigned(found, 4)?,
        uses: row::count(found, 5)?,
        is_revoked: found.try_get(6)?,
        no: found.try_get(7)?,
    })
}

/// Creates hosts, their keys and their places in the judge queue with one statement.
pub(super) async fn create(session: &Session, rows: &[NewRow<'_>]) -> Step<()> {
    let make = "
        WITH new AS (
            SELECT * FROM unnest($1::bytea[], $2::int4[], $3::text[], $4::int2[], $5::int4[], $6::int4[], $7::int4[],
                                 $8::int4[], $9::bool[], $10::bytea[], $11::int8[], $12::bytea[], $13::int8[], $14::int4[],
                                 $15::bytea[])
                AS u (id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                      fingerprint, enrolled_at, key, key_at, token, identity)
        ), made AS (
            INSERT INTO host (id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                              fingerprint, enrolled_at, enrolled_with, identity)
            SELECT id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                   fingerprint, enrolled_at, token, identity FROM new RETURNING no, id
        ), now AS (
            INSERT INTO host_current (host, last_seen) SELECT m.no, n.enrolled_at FROM made m JOIN new n ON n.id = m.id
        ), pending AS (
            INSERT INTO identity_pending (host) SELECT no FROM made
        ), key AS (
            INSERT INTO host_key (fingerprint, host, status, created_at)
            SELECT n.key, m.no, $16, n.key_at FROM made m JOIN new n ON n.id = m.id
        )
        INSERT INTO judge_queue (host, ticket, queued_at)
        SELECT m.no, nextval('judge_queue_ticket'), n.enrolled_at FROM made m JOIN new n ON n.id = m.id";
    let column = |of: fn(&NewRow<'_>) -> i32| -> Vec<i32> { rows.iter().map(of).collect() };
    let times = |of: fn(&NewRow<'_>) -> i64| -> Vec<i64> { rows.iter().map(of).collect() };
    let ids: Vec<&[u8]> = rows.iter().map(|row| row.new.host.as_bytes().as_slice()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.new.facts.hostname.as_str()).collect();
    let platforms: Vec<i16> = rows.iter().map(|row| row::code(row.new.facts.platform.code())).collect();
    let offline: Vec<bool> = rows.iter().map(|row| row.new.facts.offline_root).collect();
    let fingerprints: Vec<&[u8]> = rows.iter().map(|row| row.new.fingerprint).collect();
    let keys: Vec<&[u8]> = rows.iter().map(|row| row.new.key.as_bytes().as_slice()).collect();
    let identities: Vec<Option<Vec<u8>>> =
        rows.iter().map(|row| stored::identity_bytes(&row.new.facts.identity)).collect();
    let tokens: Vec<Option<i32>> = rows.iter().map(|row| row.token).collect();
    let values: Values<'_> = &[
        &ids,
        &column(|row| row.site),
        &names,
        &platforms,
        &column(|row| row.phrases[0]),
        &column(|row| row.phrases[1]),
        &column(|row| row.phrases[2]),
        &column(|row| row.phrases[3]),
        &offline,
        &fingerprints,
        &times(|row| row.new.now.millis()),
        &keys,
        &times(|row| row.new.key_at.millis()),
        &tokens,
        &identities,
        &row::code(KeyStatus::InUse.code()),
    ];
    session.execute(make, values).await?;
    Ok(())
}

/// The keys among these that are stored, with their hosts.
pub(super) async fn keys(
    session: &Session,
    fingerprints: &[&KeyFingerprint],
) -> Step<Vec<(KeyFingerprint, StoredKey<i32>)>> {
    let find = "SELECT k.status, h.no, h.id, s.id,
                       EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = $2),
                       EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = $3), k.fingerprint
                FROM host_key k JOIN host h ON h.no = k.host JOIN site s ON s.no = h.site
                WHERE k.fingerprint = ANY ($1::bytea[])";
    let marks = [HostMark::Revoked, HostMark::Quarantined].map(|mark| i64::from(mark.code()));
    let asked: Vec<&[u8]> = fingerprints.iter().map(|key| key.as_bytes().as_slice()).collect();
    let stored = |found: &Row| -> Step<(KeyFingerprint, StoredKey<i32>)> {
        let key = KeyFingerprint::from_bytes(row::hash(found, 6)?);
        let stored = StoredKey {
            status: row::member("a key", KeyStatus::from_code, found, 0)?,
            host_no: found.try_get(1)?,
            host: row::host_id(found, 2)?,
            site: row::site(found, 3)?,
            is_revoked: found.try_get(4)?,
            is_quarantined: found.try_get(5)?,
        };
        Ok((key, stored))
    };
    session.query(find, &[&asked, &marks[0], &marks[1]]).await?.iter().map(stored).collect()
}

/// A key and its host.
pub(super) async fn key(session: &Session, fingerprint: &KeyFingerprint) -> Step<Option<StoredKey<i32>>> {
    Ok(keys(session, &[fingerprint]).await?.into_iter().next().map(|(_, stored)| stored))
}

/// Marks a key as in use if this is its first use, and the keys that were in use before as replaced.
pub(super) async fn first_use(session: &Session, fingerprint: &KeyFingerprint) -> Step<Option<HostIdentity>> {
    let Some(unlocked) = key(session, fingerprint).await? else { return Ok(None) };
    lock_host(session, unlocked.host).await?;
    // Read again under the lock: another collector may have been faster.
    let Some(key) = key(session, fingerprint).await? else { return Ok(None) };
    if key.is_first_use() {
        let (in_use, replaced) = (row::code(KeyStatus::InUse.code()), row::code(KeyStatus::Replaced.code()));
        let replace = "UPDATE host_key SET status = $2 WHERE host = $1 AND status = $3";
        session.execute(replace, &[&key.host_no, &replaced, &in_use]).await?;
        let take = "UPDATE host_key SET status = $2 WHERE fingerprint = $1";
        session.execute(take, &[&fingerprint.as_bytes().as_slice(), &in_use]).await?;
        notify(session, Some(key.host)).await?;
    }
    Ok(Some(key.identity()))
}

/// Locks the row of a host, so that one transaction at a time changes its keys. `false` if there is no such host.
async fn lock_host(session: &Session, host: HostId) -> Step<bool> {
    let find = "SELECT no FROM host WHERE id = $1 FOR NO KEY UPDATE";
    Ok(session.query_first(find, &[&host.as_bytes().as_slice()]).await?.is_some())
}

/// Adds the key of a certificate that a restore has lost, and its host if it is lost too. `phrases` are the numbers of
/// the texts of the facts, if they were sent.
pub(super) async fn readmit(session: &Session, request: &Readmission, phrases: Option<[i32; 4]>) -> Step<Readmitted> {
    lock_host(session, request.host).await?;
    let is_key_known = key(session, &request.key).await?.is_some();
    match readmit::readmit(request, is_key_known, host_keys(session, request.host).await?) {
        ReadmitDecision::Answer(answer) => return Ok(answer),
        ReadmitDecision::AddKey { host_no, entry } => {
            let (in_use, replaced) = (row::code(KeyStatus::InUse.code()), row::code(KeyStatus::Replaced.code()));
            session.execute("UPDATE host_key SET status = $2 WHERE host = $1", &[&host_no, &replaced]).await?;
            let put = "INSERT INTO host_key (fingerprint, host, status, created_at) VALUES ($1, $2, $3, $4)";
            let key = request.key.as_bytes().as_slice();
            session.execute(put, &[&key, &host_no, &in_use, &request.issued_at.millis()]).await?;
            ledger::write(session, request.now, &ActorId::Agent, &entry).await?;
        }
        ReadmitDecision::Create { facts, entry } => {
            let new = NewHost::readmitted(request, facts);
            let site = site_number(session, request.site.as_str()).await?;
            let phrases = phrases.unwrap_or_default();
            create(session, &[NewRow { new, site, token: None, phrases }]).await?;
            ledger::write(session, request.now, &ActorId::Agent, &entry).await?;
            count_hosts(session, &BTreeMap::from([(site, 1)])).await?;
        }
    }
    notify(session, Some(request.host)).await?;
    Ok(Readmitted::Host)
}

/// The number of a site, which is added if the token that named it is lost.
async fn site_number(session: &Session, site: &str) -> Step<i32> {
    let find = "SELECT no::int4 FROM site WHERE id = $1";
    if let Some(found) = session.query_first(find, &[&site]).await? {
        return Ok(found.try_get(0)?);
    }
    // If two transactions choose one number, the later one fails, and its agent tries again.
    let add = "INSERT INTO site (no, id) SELECT coalesce(max(no), 0) + 1, $1 FROM site RETURNING no::int4";
    let added = session.query_first(add, &[&site]).await?;
    let added = added.ok_or_else(|| PostgresFault::damaged("a site", "it was added, but has no row"))?;
    Ok(added.try_get(0)?)
}

async fn host_keys(session: &Session, host: HostId) -> Step<Option<HostKeys<i32>>> {
    let find = "SELECT h.no, EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = $2),
                       (SELECT max(created_at) FROM host_key k WHERE k.host = h.no)
                FROM host h WHERE h.id = $1";
    let values: Values<'_> = &[&host.as_bytes().as_slice(), &i64::from(HostMark::Revoked.code())];
    let Some(found) = session.query_first(find, values).await? else { return Ok(None) };
    let (host_no, is_revoked, newest_at) = (found.try_get(0)?, found.try_get(1)?, row::instant(&found, 2)?);
    Ok(Some(HostKeys { host_no, is_revoked, newest_at }))
}

/// The restores of this database.
pub(super) async fn restorations(session: &Session) -> Step<Vec<Restoration>> {
    let find = "SELECT backup_at, restored_at FROM restoration ORDER BY restored_at";
    let row = |row: &tokio_postgres::Row| -> Step<Restoration> {
        Ok(Restoration { backup_at: row::instant(row, 0)?, restored_at: row::instant(row, 1)? })
    };
    session.query(find, &[]).await?.iter().map(row).collect()
}

/// Gives the host a new key.
pub(super) async fn rekey(session: &Session, renewal: &KeyRenewal) -> Step<Renewed> {
    let KeyRenewal { host, old, new, quarantine, now } = renewal;
    if !lock_host(session, *host).await? {
        return Ok(Renewed::OldKeyInvalid);
    }
    let new_key_holder = key(session, new).await?.map(|key| key.host_no);
    let host_no = match keys::renew(renewal, key(session, old).await?, new_key_holder) {
        RenewalDecision::Refuse(answer) => return Ok(answer),
        RenewalDecision::Repeated { host_no } => host_no,
        RenewalDecision::Give { host_no, entry } => {
            let (old, new, given) = (old.as_bytes().as_slice(), new.as_bytes().as_slice(), KeyStatus::Given.code());
            // An unused key of an earlier renewal would be accepted for ever. The old key itself must stay.
            let forget = "DELETE FROM host_key WHERE host = $1 AND status = $2 AND fingerprint <> $3";
            session.execute(forget, &[&host_no, &row::code(given), &old]).await?;
            let put = "INSERT INTO host_key (fingerprint, host, status, created_at) VALUES ($1, $2, $3, $4)";
            session.execute(put, &[&new, &host_no, &row::code(given), &now.millis()]).await?;
            ledger::write(session, *now, &ActorId::Agent, &entry).await?;
            host_no
        }
    };
    if *quarantine {
        let mark = "INSERT INTO host_mark (mark, host, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let code = i64::from(HostMark::Quarantined.code());
        session.execute(mark, &[&code, &i64::from(host_no), &now.millis()]).await?;
    }
    notify(session, Some(*host)).await?;
    Ok(Renewed::Host)
}

/// Notifies all collectors that the identity of a host, or of every host, has changed, once the transaction is committed.
pub(super) async fn notify(session: &Session, host: Option<HostId>) -> Step<()> {
    let payload = host.map_or_else(|| "all".to_owned(), |host| host.to_string());
    session.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &payload]).await?;
    Ok(())
}

/// Announces a change of what is applied over the rules, also to this collector.
pub(super) async fn notify_rules(session: &Session) -> Step<()> {
    session.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &RULES]).await?;
    Ok(())
}
