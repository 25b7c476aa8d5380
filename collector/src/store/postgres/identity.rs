//! Who a host is: enrollment, its keys, and their withdrawal. Other collectors are told of every change, since they
//! remember identities.

use muster_proto::model::{HostId, Timestamp};

use super::fault::{PostgresFault, Step};
use super::session::Session;
use super::{ledger, row};
use crate::ledger::entry::Entry;
use crate::store::decide::enroll::{self, EnrollDecision, StoredToken};
use crate::store::{Enrolled, Enrollment, HostIdentity, KeyFingerprint};

/// Where changes of identities are told.
pub(super) const CHANNEL: &str = "muster_identity";

/// A key that is in use.
const IN_USE: i16 = 1;
/// A key that was given and not used yet.
const GIVEN: i16 = 2;
/// A key whose successor was used.
const REPLACED: i16 = 3;

/// Enrolls a host. `phrases` are the numbers of its system, kernel, architecture and agent.
pub(super) async fn enroll(session: &Session, operation: &Enrollment, phrases: [i32; 4]) -> Step<Enrolled> {
    // The token is locked before the key is read: of two requests with one key, the second sees the host of the first.
    let token = lock_token(session, operation.token.as_str()).await?;
    let key_holder = identify(session, &operation.key).await?.map(|(holder, _)| holder);
    match enroll::enroll(operation, token, key_holder) {
        EnrollDecision::Answer(answer) => Ok(answer),
        EnrollDecision::Create { site_no, entry, answer } => {
            let count_use = "UPDATE enrollment_token SET uses = uses + 1 WHERE id = $1";
            session.execute(count_use, &[&operation.token.as_str()]).await?;
            create(session, operation, site_no, phrases).await?;
            ledger::write(session, operation.now, &entry).await?;
            // Last, because every enrollment needs this row.
            session.execute("UPDATE counter SET value = value + 1 WHERE name = 'hosts'", &[]).await?;
            Ok(answer)
        }
    }
}

/// The token, locked until the end of the transaction, so that its uses are counted one after the other.
async fn lock_token(session: &Session, id: &str) -> Step<Option<StoredToken<i32>>> {
    let find = "SELECT t.secret_hash, t.site, s.text, t.expires_at, t.max_uses, t.uses, t.revoked_at IS NOT NULL
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
    }))
}

/// The host with everything that belongs to it, in one statement.
async fn create(session: &Session, operation: &Enrollment, site: i32, phrases: [i32; 4]) -> Step<()> {
    let make = "
        WITH made AS (
            INSERT INTO host (id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                              fingerprint, enrolled_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING no
        ), now AS (
            INSERT INTO host_current (host, last_seen) SELECT no, $11 FROM made
        ), key AS (
            INSERT INTO host_key (fingerprint, host, status, created_at) SELECT $12, no, $13, $11 FROM made
        )
        INSERT INTO judge_queue (host, ticket, queued_at) SELECT no, nextval('judge_queue_ticket'), $11 FROM made";
    let (facts, [system, kernel, architecture, agent]) = (&operation.facts, phrases);
    let (id, fingerprint, key) =
        (operation.host.as_bytes().as_slice(), operation.fingerprint.as_slice(), operation.key.as_slice());
    let (platform, now) = (row::code(facts.platform.code()), operation.now.millis());
    let values: super::session::Values<'_> = &[
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
        &IN_USE,
    ];
    session.execute(make, values).await?;
    Ok(())
}

/// The host of a key, and whether this would be the key's first use.
pub(super) async fn identify(session: &Session, key: &KeyFingerprint) -> Step<Option<(HostIdentity, bool)>> {
    let find = "SELECT h.id, s.text, h.revoked_at IS NOT NULL, h.quarantined, k.status
                FROM host_key k JOIN host h ON h.no = k.host JOIN site s ON s.no = h.site WHERE k.fingerprint = $1";
    let Some(found) = session.query_first(find, &[&key.as_slice()]).await? else { return Ok(None) };
    let status: i16 = found.try_get(4)?;
    let identity = HostIdentity {
        host: row::host_id(&found, 0)?,
        site: row::site(&found, 1)?,
        revoked: found.try_get(2)?,
        quarantined: found.try_get(3)?,
        superseded: status == REPLACED,
    };
    Ok(Some((identity, status == GIVEN)))
}

/// The first use of a key that was given: from now on it is the host's key, and those before it are replaced.
pub(super) async fn take_into_use(session: &Session, key: &KeyFingerprint) -> Step<Option<HostIdentity>> {
    let Some((identity, _)) = identify(session, key).await? else { return Ok(None) };
    let host = lock(session, identity.host).await?;
    // Another collector may have been quicker: then there is nothing to do, and this says so too.
    let replace = "UPDATE host_key SET status = $3 WHERE host = $1 AND status = $4
                   AND EXISTS (SELECT 1 FROM host_key WHERE fingerprint = $2 AND status = $5)";
    let key = key.as_slice();
    session.execute(replace, &[&host, &key, &REPLACED, &IN_USE, &GIVEN]).await?;
    let take = "UPDATE host_key SET status = $2 WHERE fingerprint = $1 AND status = $3";
    session.execute(take, &[&key, &IN_USE, &GIVEN]).await?;
    tell(session, identity.host).await?;
    Ok(Some(identity))
}

/// Locks the row of a host, so that its keys are changed by one at a time, and says its number.
async fn lock(session: &Session, host: HostId) -> Step<i32> {
    let find = "SELECT no FROM host WHERE id = $1 FOR NO KEY UPDATE";
    let found = session.query_first(find, &[&host.as_bytes().as_slice()]).await?;
    let found = found.ok_or_else(|| PostgresFault::other(format!("host {host} is not there")))?;
    Ok(found.try_get(0)?)
}

pub(super) async fn rekey(
    session: &Session,
    host: HostId,
    old: &KeyFingerprint,
    new: KeyFingerprint,
    quarantine: bool,
    now: Timestamp,
) -> Step<bool> {
    let holder = identify(session, old).await?;
    if holder.is_none_or(|(identity, _)| identity.host != host || identity.revoked) {
        return Ok(false);
    }
    let no = lock(session, host).await?;
    let (old, new) = (old.as_slice(), new.as_slice());
    // A retry with the same request is the same key: nothing is to be done for it. A key of another host is refused.
    let holder = session.query_first("SELECT host FROM host_key WHERE fingerprint = $1", &[&new]).await?;
    let holder: Option<i32> = holder.map(|found| found.try_get(0)).transpose()?;
    if holder.is_some_and(|holder| holder != no) {
        return Ok(false);
    }
    if quarantine {
        session.execute("UPDATE host SET quarantined = true WHERE no = $1", &[&no]).await?;
    }
    if holder.is_none() {
        // A key that was given before and never used is given up: its answer was lost.
        let give_up = "DELETE FROM host_key WHERE host = $1 AND status = $2 AND fingerprint <> $3";
        session.execute(give_up, &[&no, &GIVEN, &old]).await?;
        let put = "INSERT INTO host_key (fingerprint, host, status, created_at) VALUES ($1, $2, $3, $4)";
        session.execute(put, &[&new, &no, &GIVEN, &now.millis()]).await?;
        ledger::write(session, now, &Entry::HostRekeyed { host, quarantined: quarantine }).await?;
    }
    tell(session, host).await?;
    Ok(true)
}

pub(super) async fn revoke(session: &Session, host: HostId, now: Timestamp) -> Step<bool> {
    let id = host.as_bytes().as_slice();
    let find = "SELECT revoked_at IS NOT NULL FROM host WHERE id = $1 FOR NO KEY UPDATE";
    let Some(found) = session.query_first(find, &[&id]).await? else { return Ok(false) };
    if !found.try_get::<_, bool>(0)? {
        session.execute("UPDATE host SET revoked_at = $2 WHERE id = $1", &[&id, &now.millis()]).await?;
        ledger::write(session, now, &Entry::HostRevoked { host }).await?;
        tell(session, host).await?;
    }
    Ok(true)
}

/// Tells all collectors, when the transaction is committed.
async fn tell(session: &Session, host: HostId) -> Step<()> {
    session.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &host.to_string()]).await?;
    Ok(())
}
