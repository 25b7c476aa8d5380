//! Who a host is: enrollment, its keys, and their revocation. Collectors cache identities, so each change notifies all
//! of them.

use muster_proto::model::{HostId, HostMark, KeyFingerprint};

use super::fault::{PostgresFault, Step};
use super::session::{Session, Values};
use super::{ledger, row};
use crate::ledger::actor::ActorId;
use crate::store::decide::enroll::{self, EnrollDecision, StoredToken};
use crate::store::decide::keys::{self, KeyStatus, RenewalDecision, StoredKey};
use crate::store::decide::readmit::{self, HostKeys, ReadmitDecision};
use crate::store::operations::NewHost;
use crate::store::{Enrolled, Enrollment, HostIdentity, KeyRenewal, Readmission, Readmitted, Renewed, Restoration};

/// The channel on which changes of identities are announced; the payload is the host's id.
pub(super) const CHANNEL: &str = "muster_identity";

/// Enrolls a host. `phrases` are the numbers of its system, kernel, architecture and agent.
pub(super) async fn enroll(session: &Session, operation: &Enrollment, phrases: [i32; 4]) -> Step<Enrolled> {
    // The token is locked before the key is read: of two requests with one key, the second sees the host of the first.
    let token = lock_token(session, operation.token.as_str()).await?;
    let key_holder = key(session, &operation.key).await?.map(StoredKey::identity);
    match enroll::enroll(operation, token, key_holder) {
        EnrollDecision::Answer(answer) => Ok(answer),
        EnrollDecision::Create { token_no, site_no, entry, answer } => {
            let count_use = "UPDATE enrollment_token SET uses = uses + 1 WHERE id = $1";
            session.execute(count_use, &[&operation.token.as_str()]).await?;
            create(session, &operation.into(), site_no, Some(token_no), phrases).await?;
            ledger::write(session, operation.now, &ActorId::Agent, &entry).await?;
            count_host(session, site_no).await?;
            Ok(answer)
        }
    }
}

/// Counts a new host. Last in a transaction, because every enrollment at the site needs this row.
async fn count_host(session: &Session, site: i32) -> Step<()> {
    let count = "INSERT INTO site_hosts (site, hosts) VALUES ($1, 1)
                 ON CONFLICT (site) DO UPDATE SET hosts = site_hosts.hosts + 1";
    session.execute(count, &[&site]).await?;
    Ok(())
}

/// The token, locked until the end of the transaction, so that its uses are counted one after the other.
async fn lock_token(session: &Session, id: &str) -> Step<Option<StoredToken<i32>>> {
    let find = "SELECT t.secret_hash, t.site::int4, s.id, t.expires_at, t.max_uses, t.uses, t.revoked_at IS NOT NULL,
                       t.no::int4
                FROM enrollment_token t JOIN site s ON s.no = t.site WHERE t.id = $1 FOR NO KEY UPDATE OF t";
    let Some(found) = session.query_first(find, &[&id]).await? else { return Ok(None) };
    Ok(Some(StoredToken {
        secret_hash: row::hash(&found, 0)?,
        site_no: found.try_get(1)?,
        site: row::site(&found, 2)?,
        expires_at: row::instant(&found, 3)?,
        max_uses: row::unsigned(&found, 4)?,
        uses: row::count(&found, 5)?,
        is_revoked: found.try_get(6)?,
        no: found.try_get(7)?,
    }))
}

/// Creates the host, its key and its place in the judge queue with one statement.
async fn create(
    session: &Session,
    operation: &NewHost<'_>,
    site: i32,
    token: Option<i32>,
    phrases: [i32; 4],
) -> Step<()> {
    let make = "
        WITH made AS (
            INSERT INTO host (id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                              fingerprint, enrolled_at, enrolled_with)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $15) RETURNING no
        ), now AS (
            INSERT INTO host_current (host, last_seen) SELECT no, $11 FROM made
        ), key AS (
            INSERT INTO host_key (fingerprint, host, status, created_at) SELECT $12, no, $13, $14 FROM made
        )
        INSERT INTO judge_queue (host, ticket, queued_at) SELECT no, nextval('judge_queue_ticket'), $11 FROM made";
    let (facts, [system, kernel, architecture, agent]) = (operation.facts, phrases);
    let (id, fingerprint, key) =
        (operation.host.as_bytes().as_slice(), operation.fingerprint, operation.key.as_bytes().as_slice());
    let (platform, now) = (row::code(facts.platform.code()), operation.now.millis());
    let values: Values<'_> = &[
        &id,
        &site,
        &facts.hostname,
        &platform,
        &system,
        &kernel,
        &architecture,
        &agent,
        &facts.offline_root,
        &fingerprint,
        &now,
        &key,
        &row::code(KeyStatus::InUse.code()),
        &operation.key_at.millis(),
        &token,
    ];
    session.execute(make, values).await?;
    Ok(())
}

/// A key and its host.
pub(super) async fn key(session: &Session, fingerprint: &KeyFingerprint) -> Step<Option<StoredKey<i32>>> {
    let find = "SELECT k.status, h.no, h.id, s.id,
                       EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = $2),
                       EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = $3)
                FROM host_key k JOIN host h ON h.no = k.host JOIN site s ON s.no = h.site WHERE k.fingerprint = $1";
    let marks = [HostMark::Revoked, HostMark::Quarantined].map(|mark| i64::from(mark.code()));
    let values: Values<'_> = &[&fingerprint.as_bytes().as_slice(), &marks[0], &marks[1]];
    let Some(found) = session.query_first(find, values).await? else { return Ok(None) };
    Ok(Some(StoredKey {
        status: row::member("a key", KeyStatus::from_code, &found, 0)?,
        host_no: found.try_get(1)?,
        host: row::host_id(&found, 2)?,
        site: row::site(&found, 3)?,
        is_revoked: found.try_get(4)?,
        is_quarantined: found.try_get(5)?,
    }))
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
            create(session, &new, site, None, phrases.unwrap_or_default()).await?;
            ledger::write(session, request.now, &ActorId::Agent, &entry).await?;
            count_host(session, site).await?;
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
