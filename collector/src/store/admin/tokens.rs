//! Enrollment tokens: created, listed, revoked. Of a secret, only the hash is stored. The statement that counts a use is
//! part of the enrollment, which each backend has.

use muster_proto::model::{SiteId, Timestamp, TokenId, TokenReport};

use super::sites;
use crate::ledger::entry::Entry;
use crate::store::NewToken;
use crate::store::decide::tokens::{self, Revocation};
use crate::store::sql::{AdminTx, Row, Step};

const CREATE: &str = "INSERT INTO enrollment_token (no, id, secret_hash, site, created_at, expires_at, max_uses, uses)
     SELECT coalesce(max(no), 0) + 1, $1, $2, $3, $4, $5, $6, 0 FROM enrollment_token";
const NUMBER: &str = "SELECT t.no, s.id FROM enrollment_token t JOIN site s ON s.no = t.site WHERE t.id = $1";
const LIST: &str = "SELECT t.id, s.id, t.created_at, t.expires_at, t.max_uses, t.uses, t.revoked_at
     FROM enrollment_token t JOIN site s ON s.no = t.site ORDER BY t.created_at DESC, t.id";
const GET: &str = "SELECT t.id, s.id, t.created_at, t.expires_at, t.max_uses, t.uses, t.revoked_at
     FROM enrollment_token t JOIN site s ON s.no = t.site WHERE t.id = $1";
const REVOKE: &str = "UPDATE enrollment_token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

/// Tokens that are kept this long after they expired, in milliseconds. The ledger keeps their ids for ever.
const KEPT_MS: i64 = 366 * 86_400_000;
/// Most tokens, expired and revoked ones included.
const MAX_TOKENS: u64 = 10_000;

const COUNT: &str = "SELECT count(*) FROM enrollment_token";
// The one with the highest number is kept: otherwise the next token would get its number, and its hosts.
const PRUNE: &str = "DELETE FROM enrollment_token WHERE id IN
     (SELECT id FROM enrollment_token WHERE expires_at < $1 AND no < (SELECT max(no) FROM enrollment_token)
      ORDER BY expires_at, id LIMIT 100)";

/// Whether another token may be added, after those that expired long ago were deleted. The caller records an entry in the
/// same transaction.
///
/// # Errors
/// The database fails.
pub(crate) fn has_space(tx: &mut dyn AdminTx, now: Timestamp) -> Step<bool> {
    let rows = tx.query(COUNT, &[])?;
    let count = rows.first().map_or(Ok(0), |row| row.count(0))?;
    let pruned = if count < MAX_TOKENS { 0 } else { prune(tx, now)? };
    Ok(count - pruned < MAX_TOKENS)
}

/// Deletes at most 100 tokens that expired long ago; returns how many.
pub(crate) fn prune(tx: &mut dyn AdminTx, now: Timestamp) -> Step<u64> {
    tx.execute(PRUNE, &[(now.millis() - KEPT_MS).into()])
}

/// Adds a token.
///
/// # Errors
/// There is a token with this id, or the database fails.
pub(crate) fn create(tx: &mut dyn AdminTx, token: &NewToken) -> Step<()> {
    let site = sites::number(tx, &token.site)?;
    let uses = token.max_uses.cast_signed();
    let hash = token.secret_hash.as_slice();
    let (created_at, expires_at) = (token.created_at.into(), token.expires_at.into());
    tx.execute(CREATE, &[token.id.as_str().into(), hash.into(), site.into(), created_at, expires_at, uses.into()])?;
    tx.record(tokens::created(token));
    Ok(())
}

/// The number of a token, and its site.
pub(super) fn number(tx: &mut dyn AdminTx, id: &TokenId) -> Step<Option<(i64, SiteId)>> {
    let rows = tx.query(NUMBER, &[id.as_str().into()])?;
    rows.first().map(|row| Ok((row.int(0)?, row.parse("a site", 1)?))).transpose()
}

/// All tokens, newest first.
///
/// # Errors
/// The database fails.
pub(crate) fn list(tx: &mut dyn AdminTx) -> Step<Vec<TokenReport>> {
    tx.query(LIST, &[])?.iter().map(report).collect()
}

/// Revokes a token of a site that `may` admits; `false` if there is no such token. A token that is revoked already keeps
/// the time of its first revocation.
///
/// # Errors
/// The database fails.
pub(crate) fn revoke(tx: &mut dyn AdminTx, id: &TokenId, may: &dyn Fn(&SiteId) -> bool, now: Timestamp) -> Step<bool> {
    let stored = tx.query(GET, &[id.as_str().into()])?.first().map(report).transpose()?;
    let stored = stored.filter(|token| may(&token.site));
    let revocation = Revocation::of(stored.map(|token| token.revoked_at.is_some()));
    if revocation == Revocation::Revoke {
        tx.execute(REVOKE, &[id.as_str().into(), now.into()])?;
        tx.record(Entry::TokenRevoked { token: id.clone() });
    }
    Ok(revocation.is_known())
}

fn report(row: &Row) -> Step<TokenReport> {
    Ok(TokenReport {
        id: row.parse("a token", 0)?,
        site: row.parse("a site", 1)?,
        created_at: row.time(2)?,
        expires_at: row.time(3)?,
        max_uses: row.int(4)?.cast_unsigned(),
        uses: row.count(5)?,
        revoked_at: row.maybe_time(6)?,
    })
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[CREATE, NUMBER, LIST, GET, REVOKE, COUNT, PRUNE];
