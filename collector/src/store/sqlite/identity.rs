//! Who a host is: enrollment, its keys, and their revocation.

use muster_proto::convert::stored;
use muster_proto::model::{HostId, HostMark, KeyFingerprint, Timestamp};
use rusqlite::Connection;

use super::fault::Step;
use super::memory::{self, CachedHost};
use super::writer::WriteContext;
use super::{facts, judge_queue, ledger, row};
use crate::ledger::actor::ActorId;
use crate::store::decide::enroll::{self, EnrollDecision, StoredToken};
use crate::store::decide::keys::{self, KeyStatus, RenewalDecision, StoredKey};
use crate::store::decide::readmit::{self, HostKeys, ReadmitDecision};
use crate::store::operations::NewHost;
use crate::store::{Enrolled, Enrollment, HostIdentity, KeyRenewal, Readmission, Readmitted, Renewed, Restoration};

pub(super) fn enroll(context: &mut WriteContext<'_>, operation: &Enrollment) -> Step<Enrolled> {
    let token = token(context.sql, operation.token.as_str())?;
    let key_holder = key(context.sql, &operation.key)?.map(StoredKey::identity);
    match enroll::enroll(operation, token, key_holder) {
        EnrollDecision::Answer(answer) => Ok(answer),
        EnrollDecision::Create { token_no, site_no, entry, answer } => {
            let count_use = "UPDATE enrollment_token SET uses = uses + 1 WHERE id = ?1";
            context.sql.prepare_cached(count_use)?.execute([operation.token.as_str()])?;
            create(context, &operation.into(), site_no, Some(token_no))?;
            ledger::write(context.sql, operation.now, &ActorId::Agent, &entry)?;
            Ok(answer)
        }
    }
}

fn token(sql: &Connection, id: &str) -> Step<Option<StoredToken<i64>>> {
    let mut statement = sql.prepare_cached(
        "SELECT t.secret_hash, t.site, s.id, t.expires_at, t.max_uses, t.uses, t.revoked_at IS NOT NULL, t.no
         FROM enrollment_token t JOIN site s ON s.no = t.site WHERE t.id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(StoredToken {
        secret_hash: found.get(0)?,
        site_no: found.get(1)?,
        site: row::site(found, 2)?,
        expires_at: row::instant(found, 3)?,
        max_uses: row::unsigned(found, 4)?,
        uses: row::count(found, 5)?,
        is_revoked: found.get(6)?,
        no: found.get(7)?,
    }))
}

fn create(context: &mut WriteContext<'_>, operation: &NewHost<'_>, site: i64, token: Option<i64>) -> Step<()> {
    let (sql, facts, phrases) = (context.sql, operation.facts, context.memory.dictionaries());
    let ticket = context.memory.next_ticket();
    sql.prepare_cached(
        "INSERT INTO host (id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                           fingerprint, enrolled_at, ticket, queued_at, enrolled_with, identity)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11, ?13, ?14)",
    )?
    .execute((
        operation.host.as_bytes(),
        site,
        &facts.hostname,
        facts.platform.code(),
        phrases.phrase(&facts.os_name),
        phrases.phrase(&facts.kernel),
        phrases.phrase(&facts.architecture),
        phrases.phrase(&facts.agent_version),
        facts.offline_root,
        operation.fingerprint,
        operation.now.millis(),
        ticket,
        token,
        stored::identity_bytes(&facts.identity),
    ))?;
    let no = sql.last_insert_rowid();
    sql.prepare_cached("INSERT INTO host_check_in (host, last_seen) VALUES (?1, ?2)")?
        .execute((no, operation.now.millis()))?;
    key_put(sql, no, &operation.key, KeyStatus::InUse, operation.key_at)?;
    let count =
        "INSERT INTO site_hosts (site, hosts) VALUES (?1, 1) ON CONFLICT (site) DO UPDATE SET hosts = hosts + 1";
    sql.prepare_cached(count)?.execute([site])?;
    facts::note_identity(sql, no)?;
    judge_queue::requeued(context, no, ticket, operation.now);
    let (host, facts) = (operation.host, Some(memory::facts_key(facts, operation.fingerprint)));
    context.after_commit(move |memory| {
        memory.host_put(host, CachedHost { no, seen: None, snapshot: None, judged_at: None, facts, state: None })
    });
    Ok(())
}

fn key_put(sql: &Connection, host: i64, key: &KeyFingerprint, status: KeyStatus, now: Timestamp) -> Step<()> {
    sql.prepare_cached("INSERT INTO host_key (fingerprint, host, status, created_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute((key.as_bytes(), host, status.code(), now.millis()))?;
    Ok(())
}

/// A key and its host.
pub(super) fn key(sql: &Connection, fingerprint: &KeyFingerprint) -> Step<Option<StoredKey<i64>>> {
    let mut statement = sql.prepare_cached(
        "SELECT k.status, h.no, h.id, s.id, EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = ?2),
                EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = ?3)
         FROM host_key k JOIN host h ON h.no = k.host JOIN site s ON s.no = h.site WHERE k.fingerprint = ?1",
    )?;
    let (revoked, quarantined) = (HostMark::Revoked.code(), HostMark::Quarantined.code());
    let mut rows = statement.query((fingerprint.as_bytes(), revoked, quarantined))?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(StoredKey {
        status: row::member("a key", KeyStatus::from_code, found, 0)?,
        host_no: found.get(1)?,
        host: row::host_id(found, 2)?,
        site: row::site(found, 3)?,
        is_revoked: found.get(4)?,
        is_quarantined: found.get(5)?,
    }))
}

/// Marks a key as in use if this is its first use, and the keys that were in use before as replaced.
pub(super) fn first_use(context: &mut WriteContext<'_>, fingerprint: KeyFingerprint) -> Step<Option<HostIdentity>> {
    // Read again by the writer: another request may have used the key since a reader found it.
    let Some(key) = key(context.sql, &fingerprint)? else { return Ok(None) };
    if key.is_first_use() {
        let replace = "UPDATE host_key SET status = ?2 WHERE host = ?1 AND status = ?3";
        let codes = (KeyStatus::Replaced.code(), KeyStatus::InUse.code());
        context.sql.prepare_cached(replace)?.execute((key.host_no, codes.0, codes.1))?;
        let take = "UPDATE host_key SET status = ?2 WHERE fingerprint = ?1";
        context.sql.prepare_cached(take)?.execute((fingerprint.as_bytes(), codes.1))?;
        let host = key.host;
        context.after_commit(move |memory| memory.identities_forget(Some(host)));
    }
    Ok(Some(key.identity()))
}

/// Adds the key of a certificate that a restore has lost, and its host if it is lost too.
pub(super) fn readmit(context: &mut WriteContext<'_>, request: &Readmission) -> Step<Readmitted> {
    let sql = context.sql;
    let is_key_known = key(sql, &request.key)?.is_some();
    match readmit::readmit(request, is_key_known, host_keys(sql, request.host)?) {
        ReadmitDecision::Answer(answer) => return Ok(answer),
        ReadmitDecision::AddKey { host_no, entry } => {
            let replace = "UPDATE host_key SET status = ?2 WHERE host = ?1";
            sql.prepare_cached(replace)?.execute((host_no, KeyStatus::Replaced.code()))?;
            key_put(sql, host_no, &request.key, KeyStatus::InUse, request.issued_at)?;
            ledger::write(sql, request.now, &ActorId::Agent, &entry)?;
        }
        ReadmitDecision::Create { facts, entry } => {
            let site = row::site_number(sql, request.site.as_str())?;
            create(context, &NewHost::readmitted(request, facts), site, None)?;
            ledger::write(context.sql, request.now, &ActorId::Agent, &entry)?;
        }
    }
    let host = request.host;
    context.after_commit(move |memory| memory.identities_forget(Some(host)));
    Ok(Readmitted::Host)
}

fn host_keys(sql: &Connection, host: HostId) -> Step<Option<HostKeys<i64>>> {
    let find = "SELECT h.no, EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = ?2), (SELECT max(created_at) FROM host_key k WHERE k.host = h.no)
                FROM host h WHERE h.id = ?1";
    let mut statement = sql.prepare_cached(find)?;
    let mut rows = statement.query((host.as_bytes(), HostMark::Revoked.code()))?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(HostKeys { host_no: found.get(0)?, is_revoked: found.get(1)?, newest_at: row::instant(found, 2)? }))
}

/// The restores of this database.
pub(super) fn restorations(sql: &Connection) -> Step<Vec<Restoration>> {
    let mut statement = sql.prepare_cached("SELECT backup_at, restored_at FROM restoration ORDER BY restored_at")?;
    let mut rows = statement.query([])?;
    let mut restorations = Vec::new();
    while let Some(found) = rows.next()? {
        restorations.push(Restoration { backup_at: row::instant(found, 0)?, restored_at: row::instant(found, 1)? });
    }
    Ok(restorations)
}

/// Gives the host a new key.
pub(super) fn rekey(context: &mut WriteContext<'_>, renewal: KeyRenewal) -> Step<Renewed> {
    let sql = context.sql;
    let KeyRenewal { host, old, new, quarantine, now } = renewal;
    let new_key_holder = key(sql, &new)?.map(|key| key.host_no);
    let host_no = match keys::renew(&renewal, key(sql, &old)?, new_key_holder) {
        RenewalDecision::Refuse(answer) => return Ok(answer),
        RenewalDecision::Repeated { host_no } => host_no,
        RenewalDecision::Give { host_no, entry } => {
            // An unused key of an earlier renewal would be accepted for ever. The old key itself must stay.
            let forget = "DELETE FROM host_key WHERE host = ?1 AND status = ?2 AND fingerprint <> ?3";
            sql.prepare_cached(forget)?.execute((host_no, KeyStatus::Given.code(), old.as_bytes()))?;
            key_put(sql, host_no, &new, KeyStatus::Given, now)?;
            ledger::write(sql, now, &ActorId::Agent, &entry)?;
            host_no
        }
    };
    if quarantine {
        let mark = "INSERT INTO host_mark (mark, host, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        sql.prepare_cached(mark)?.execute((HostMark::Quarantined.code(), host_no, now.millis()))?;
    }
    context.after_commit(move |memory| memory.identities_forget(Some(host)));
    Ok(Renewed::Host)
}
