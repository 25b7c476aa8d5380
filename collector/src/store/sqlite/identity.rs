//! Who a host is: enrolment, its keys, and their withdrawal.

use muster_proto::model::{HostId, SiteId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};
use subtle::ConstantTimeEq as _;

use super::fault::Step;
use super::memory::{self, Live};
use super::writer::Desk;
use super::{docket, ledger, row};
use crate::ledger::entry::Entry;
use crate::store::{Enrolled, Enrollment, HostIdentity, KeyFingerprint};

/// A key that is in use.
const IN_USE: i64 = 1;
/// A key that was given and not used yet.
const GIVEN: i64 = 2;
/// A key whose successor was used.
const REPLACED: i64 = 3;

struct Token {
    site_no: i64,
    site: SiteId,
    expires_at: Timestamp,
    used_up: bool,
    revoked: bool,
}

pub(super) fn enroll(desk: &mut Desk<'_>, deed: &Enrollment) -> Step<Enrolled> {
    let Some(token) = token(desk.sql, deed)? else { return Ok(Enrolled::TokenUnknown) };
    if token.revoked {
        return Ok(Enrolled::TokenRevoked);
    }
    if deed.now >= token.expires_at {
        return Ok(Enrolled::TokenExpired);
    }
    // A retry, whose first answer was lost: the same host, and the token is not used again, even if it was the last use.
    if let Some(known) = identify(desk.sql, &deed.key)? {
        return Ok(if known.0.revoked {
            Enrolled::KeyRevoked
        } else {
            Enrolled::Host { host: known.0.host, site: known.0.site }
        });
    }
    if token.used_up {
        return Ok(Enrolled::TokenUsedUp);
    }
    desk.sql.prepare_cached("UPDATE enrol_token SET uses = uses + 1 WHERE id = ?1")?.execute([deed.token.as_str()])?;
    create(desk, deed, token.site_no)?;
    let entry = Entry::HostEnrolled { host: deed.host, site: token.site.clone(), token: deed.token.clone() };
    ledger::write(desk.sql, deed.now, &entry)?;
    Ok(Enrolled::Host { host: deed.host, site: token.site })
}

fn token(sql: &Connection, deed: &Enrollment) -> Step<Option<Token>> {
    let mut statement = sql.prepare_cached(
        "SELECT t.secret_hash, t.site, s.id, t.expires_at, t.max_uses <> 0 AND t.uses >= t.max_uses,
                t.revoked_at IS NOT NULL
         FROM enrol_token t JOIN site s ON s.no = t.site WHERE t.id = ?1",
    )?;
    let mut rows = statement.query([deed.token.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let kept: [u8; 32] = found.get(0)?;
    if !bool::from(kept.ct_eq(&deed.secret_hash)) {
        return Ok(None);
    }
    Ok(Some(Token {
        site_no: found.get(1)?,
        site: row::site(found, 2)?,
        expires_at: row::instant(found, 3)?,
        used_up: found.get(4)?,
        revoked: found.get(5)?,
    }))
}

fn create(desk: &mut Desk<'_>, deed: &Enrollment, site: i64) -> Step<()> {
    let (sql, facts, phrases) = (desk.sql, &deed.facts, desk.memory.dictionaries());
    let ticket = desk.memory.next_ticket();
    sql.prepare_cached(
        "INSERT INTO host (id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                           fingerprint, enrolled_at, ticket, waits_since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11)",
    )?
    .execute((
        deed.host.as_bytes(),
        site,
        &facts.hostname,
        facts.platform.code(),
        phrases.phrase(&facts.os_name),
        phrases.phrase(&facts.kernel),
        phrases.phrase(&facts.architecture),
        phrases.phrase(&facts.agent_version),
        facts.offline_root,
        &deed.fingerprint,
        deed.now.millis(),
        ticket,
    ))?;
    let no = sql.last_insert_rowid();
    sql.prepare_cached("INSERT INTO host_seen (host, last_seen) VALUES (?1, ?2)")?.execute((no, deed.now.millis()))?;
    key_put(sql, no, &deed.key, IN_USE, deed.now)?;
    sql.prepare_cached("UPDATE counter SET n = n + 1 WHERE name = 'hosts'")?.execute([])?;
    docket::is_put(desk, no, ticket, deed.now);
    let (host, facts) = (deed.host, Some(memory::facts_key(facts)));
    desk.after_commit(move |memory| {
        memory.host_put(host, Live { no, seen: None, look: None, judged_at: None, facts, state: None })
    });
    Ok(())
}

fn key_put(sql: &Connection, host: i64, key: &KeyFingerprint, standing: i64, now: Timestamp) -> Step<()> {
    sql.prepare_cached("INSERT INTO host_key (fingerprint, host, standing, since) VALUES (?1, ?2, ?3, ?4)")?
        .execute((key, host, standing, now.millis()))?;
    Ok(())
}

/// The host of a key, and whether this would be the key's first use.
pub(super) fn identify(sql: &Connection, key: &KeyFingerprint) -> Step<Option<(HostIdentity, bool)>> {
    let mut statement = sql.prepare_cached(
        "SELECT h.id, s.id, h.revoked_at IS NOT NULL, h.quarantined, k.standing
         FROM host_key k JOIN host h ON h.no = k.host JOIN site s ON s.no = h.site WHERE k.fingerprint = ?1",
    )?;
    let mut rows = statement.query([key])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let standing: i64 = found.get(4)?;
    let identity = HostIdentity {
        host: row::host_id(found, 0)?,
        site: row::site(found, 1)?,
        revoked: found.get(2)?,
        quarantined: found.get(3)?,
        superseded: standing == REPLACED,
    };
    Ok(Some((identity, standing == GIVEN)))
}

/// The first use of a key that was given: from now on it is the host's key, and those before it are replaced.
pub(super) fn take_into_use(desk: &mut Desk<'_>, key: KeyFingerprint) -> Step<Option<HostIdentity>> {
    let Some((identity, first)) = identify(desk.sql, &key)? else { return Ok(None) };
    if first {
        let host: i64 = desk
            .sql
            .prepare_cached("SELECT host FROM host_key WHERE fingerprint = ?1")?
            .query_row([key], |row| row.get(0))?;
        desk.sql
            .prepare_cached("UPDATE host_key SET standing = ?2 WHERE host = ?1 AND standing = ?3")?
            .execute((host, REPLACED, IN_USE))?;
        desk.sql.prepare_cached("UPDATE host_key SET standing = ?2 WHERE fingerprint = ?1")?.execute((key, IN_USE))?;
        let host = identity.host;
        desk.after_commit(move |memory| memory.identities_forget(Some(host)));
    }
    Ok(Some(identity))
}

pub(super) fn rekey(
    desk: &mut Desk<'_>,
    host: HostId,
    old: &KeyFingerprint,
    new: KeyFingerprint,
    quarantine: bool,
    now: Timestamp,
) -> Step<bool> {
    let holder = identify(desk.sql, old)?;
    if holder.is_none_or(|(identity, _)| identity.host != host || identity.revoked) {
        return Ok(false);
    }
    let sql = desk.sql;
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
        sql.prepare_cached("DELETE FROM host_key WHERE host = ?1 AND standing = ?2 AND fingerprint <> ?3")?
            .execute((no, GIVEN, old))?;
        key_put(sql, no, &new, GIVEN, now)?;
        ledger::write(sql, now, &Entry::HostRekeyed { host, quarantined: quarantine })?;
    }
    desk.after_commit(move |memory| memory.identities_forget(Some(host)));
    Ok(true)
}

pub(super) fn revoke(desk: &mut Desk<'_>, host: HostId, now: Timestamp) -> Step<bool> {
    let revoked: Option<bool> = desk
        .sql
        .prepare_cached("SELECT revoked_at IS NOT NULL FROM host WHERE id = ?1")?
        .query_row([host.as_bytes()], |row| row.get(0))
        .optional()?;
    if revoked == Some(false) {
        desk.sql
            .prepare_cached("UPDATE host SET revoked_at = ?2 WHERE id = ?1")?
            .execute((host.as_bytes(), now.millis()))?;
        ledger::write(desk.sql, now, &Entry::HostRevoked { host })?;
        desk.after_commit(move |memory| memory.identities_forget(Some(host)));
    }
    Ok(revoked.is_some())
}
