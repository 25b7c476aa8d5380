//! Who a host is: enrollment, its keys, and their withdrawal.

use muster_proto::model::{HostId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::memory::{self, CachedHost};
use super::writer::WriteContext;
use super::{judge_queue, ledger, row};
use crate::ledger::entry::Entry;
use crate::store::decide::enroll::{self, EnrollDecision, StoredToken};
use crate::store::{Enrolled, Enrollment, HostIdentity, KeyFingerprint};

/// A key that is in use.
const IN_USE: i64 = 1;
/// A key that was given and not used yet.
const GIVEN: i64 = 2;
/// A key whose successor was used.
const REPLACED: i64 = 3;

pub(super) fn enroll(context: &mut WriteContext<'_>, operation: &Enrollment) -> Step<Enrolled> {
    let token = token(context.sql, operation.token.as_str())?;
    let key_holder = identify(context.sql, &operation.key)?.map(|(holder, _)| holder);
    match enroll::enroll(operation, token, key_holder) {
        EnrollDecision::Answer(answer) => Ok(answer),
        EnrollDecision::Create { site_no, entry, answer } => {
            let count_use = "UPDATE enrollment_token SET uses = uses + 1 WHERE id = ?1";
            context.sql.prepare_cached(count_use)?.execute([operation.token.as_str()])?;
            create(context, operation, site_no)?;
            ledger::write(context.sql, operation.now, &entry)?;
            Ok(answer)
        }
    }
}

fn token(sql: &Connection, id: &str) -> Step<Option<StoredToken<i64>>> {
    let mut statement = sql.prepare_cached(
        "SELECT t.secret_hash, t.site, s.id, t.expires_at, t.max_uses, t.uses, t.revoked_at IS NOT NULL
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
    }))
}

fn create(context: &mut WriteContext<'_>, operation: &Enrollment, site: i64) -> Step<()> {
    let (sql, facts, phrases) = (context.sql, &operation.facts, context.memory.dictionaries());
    let ticket = context.memory.next_ticket();
    sql.prepare_cached(
        "INSERT INTO host (id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                           fingerprint, enrolled_at, ticket, queued_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11)",
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
        &operation.fingerprint,
        operation.now.millis(),
        ticket,
    ))?;
    let no = sql.last_insert_rowid();
    sql.prepare_cached("INSERT INTO host_check_in (host, last_seen) VALUES (?1, ?2)")?
        .execute((no, operation.now.millis()))?;
    key_put(sql, no, &operation.key, IN_USE, operation.now)?;
    sql.prepare_cached("UPDATE counter SET value = value + 1 WHERE name = 'hosts'")?.execute([])?;
    judge_queue::is_put(context, no, ticket, operation.now);
    let (host, facts) = (operation.host, Some(memory::facts_key(facts)));
    context.after_commit(move |memory| {
        memory.host_put(host, CachedHost { no, seen: None, snapshot: None, judged_at: None, facts, state: None })
    });
    Ok(())
}

fn key_put(sql: &Connection, host: i64, key: &KeyFingerprint, status: i64, now: Timestamp) -> Step<()> {
    sql.prepare_cached("INSERT INTO host_key (fingerprint, host, status, created_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute((key, host, status, now.millis()))?;
    Ok(())
}

/// The host of a key, and whether this would be the key's first use.
pub(super) fn identify(sql: &Connection, key: &KeyFingerprint) -> Step<Option<(HostIdentity, bool)>> {
    let mut statement = sql.prepare_cached(
        "SELECT h.id, s.id, h.revoked_at IS NOT NULL, h.quarantined, k.status
         FROM host_key k JOIN host h ON h.no = k.host JOIN site s ON s.no = h.site WHERE k.fingerprint = ?1",
    )?;
    let mut rows = statement.query([key])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let status: i64 = found.get(4)?;
    let identity = HostIdentity {
        host: row::host_id(found, 0)?,
        site: row::site(found, 1)?,
        revoked: found.get(2)?,
        quarantined: found.get(3)?,
        superseded: status == REPLACED,
    };
    Ok(Some((identity, status == GIVEN)))
}

/// The first use of a key that was given: from now on it is the host's key, and those before it are replaced.
pub(super) fn take_into_use(context: &mut WriteContext<'_>, key: KeyFingerprint) -> Step<Option<HostIdentity>> {
    let Some((identity, first)) = identify(context.sql, &key)? else { return Ok(None) };
    if first {
        let host: i64 = context
            .sql
            .prepare_cached("SELECT host FROM host_key WHERE fingerprint = ?1")?
            .query_row([key], |row| row.get(0))?;
        context
            .sql
            .prepare_cached("UPDATE host_key SET status = ?2 WHERE host = ?1 AND status = ?3")?
            .execute((host, REPLACED, IN_USE))?;
        context.sql.prepare_cached("UPDATE host_key SET status = ?2 WHERE fingerprint = ?1")?.execute((key, IN_USE))?;
        let host = identity.host;
        context.after_commit(move |memory| memory.identities_forget(Some(host)));
    }
    Ok(Some(identity))
}

pub(super) fn rekey(
    context: &mut WriteContext<'_>,
    host: HostId,
    old: &KeyFingerprint,
    new: KeyFingerprint,
    quarantine: bool,
    now: Timestamp,
) -> Step<bool> {
    let holder = identify(context.sql, old)?;
    if holder.is_none_or(|(identity, _)| identity.host != host || identity.revoked) {
        return Ok(false);
    }
    let sql = context.sql;
    let no: i64 =
        sql.prepare_cached("SELECT no FROM host WHERE id = ?1")?.query_row([host.as_bytes()], |row| row.get(0))?;
    // A retry with the same request is the same key: nothing is to be done for it. A key of another host is refused.
    let holder: Option<i64> = sql
        .prepare_cached("SELECT host FROM host_key WHERE fingerprint = ?1")?
        .query_row([new], |row| row.get(0))
        .optional()?;
    if holder.is_some_and(|holder| holder != no) {
        return Ok(false);
    }
    if quarantine {
        sql.prepare_cached("UPDATE host SET quarantined = 1 WHERE no = ?1")?.execute([no])?;
    }
    if holder.is_none() {
        // A key that was given before and never used is given up: its answer was lost.
        sql.prepare_cached("DELETE FROM host_key WHERE host = ?1 AND status = ?2 AND fingerprint <> ?3")?
            .execute((no, GIVEN, old))?;
        key_put(sql, no, &new, GIVEN, now)?;
        ledger::write(sql, now, &Entry::HostRekeyed { host, quarantined: quarantine })?;
    }
    context.after_commit(move |memory| memory.identities_forget(Some(host)));
    Ok(true)
}

pub(super) fn revoke(context: &mut WriteContext<'_>, host: HostId, now: Timestamp) -> Step<bool> {
    let revoked: Option<bool> = context
        .sql
        .prepare_cached("SELECT revoked_at IS NOT NULL FROM host WHERE id = ?1")?
        .query_row([host.as_bytes()], |row| row.get(0))
        .optional()?;
    if revoked == Some(false) {
        context
            .sql
            .prepare_cached("UPDATE host SET revoked_at = ?2 WHERE id = ?1")?
            .execute((host.as_bytes(), now.millis()))?;
        ledger::write(context.sql, now, &Entry::HostRevoked { host })?;
        context.after_commit(move |memory| memory.identities_forget(Some(host)));
    }
    Ok(revoked.is_some())
}
