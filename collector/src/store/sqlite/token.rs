//! Rows of enrollment tokens and account tokens. Of a secret, only the hash is stored.

use muster_proto::model::{Role, Timestamp, TokenId, TokenReport};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::ledger;
use super::row;
use super::writer::WriteContext;
use crate::ledger::entry::Entry;
use crate::store::decide::tokens::{self, Revocation};
use crate::store::{AccountToken, NewToken};

pub(super) fn create(context: &mut WriteContext<'_>, token: &NewToken) -> Step<()> {
    let site = row::site_number(context.sql, token.site.as_str())?;
    context
        .sql
        .prepare_cached(
            "INSERT INTO enrollment_token (id, secret_hash, site, created_at, expires_at, max_uses)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            token.id.as_str(),
            token.secret_hash,
            site,
            token.created_at.millis(),
            token.expires_at.millis(),
            token.max_uses.cast_signed(),
        ))?;
    ledger::write(context.sql, token.created_at, &tokens::created(token))
}

pub(super) fn list(sql: &Connection) -> Step<Vec<TokenReport>> {
    let mut statement = sql.prepare_cached(
        "SELECT t.id, s.id, t.created_at, t.expires_at, t.max_uses, t.uses, t.revoked_at
         FROM enrollment_token t JOIN site s ON s.no = t.site ORDER BY t.created_at DESC, t.id",
    )?;
    let mut rows = statement.query([])?;
    let mut tokens = Vec::new();
    while let Some(found) = rows.next()? {
        tokens.push(TokenReport {
            id: row::name("a token", found, 0, TokenId::new)?,
            site: row::site(found, 1)?,
            created_at: row::instant(found, 2)?,
            expires_at: row::instant(found, 3)?,
            max_uses: row::unsigned(found, 4)?,
            uses: row::count(found, 5)?,
            revoked_at: row::maybe_instant(found, 6)?,
        });
    }
    Ok(tokens)
}

pub(super) fn revoke(context: &mut WriteContext<'_>, id: &TokenId, now: Timestamp) -> Step<bool> {
    let find = "SELECT revoked_at IS NOT NULL FROM enrollment_token WHERE id = ?1";
    let is_revoked = context.sql.prepare_cached(find)?.query_row([id.as_str()], |row| row.get(0)).optional()?;
    let revocation = Revocation::of(is_revoked);
    if revocation == Revocation::Revoke {
        let revoke = "UPDATE enrollment_token SET revoked_at = ?2 WHERE id = ?1";
        context.sql.prepare_cached(revoke)?.execute((id.as_str(), now.millis()))?;
        ledger::write(context.sql, now, &Entry::TokenRevoked { token: id.clone() })?;
    }
    Ok(revocation.is_known())
}

pub(super) fn account_token_put(context: &mut WriteContext<'_>, token: &AccountToken) -> Step<()> {
    context
        .sql
        .prepare_cached(
            "INSERT INTO account_token (id, secret_hash, person, role, created_at, revoked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET secret_hash = excluded.secret_hash, person = excluded.person,
                 role = excluded.role, created_at = excluded.created_at, revoked_at = excluded.revoked_at",
        )?
        .execute((
            token.id.as_str(),
            token.secret_hash,
            &token.person,
            token.role.name(),
            token.created_at.millis(),
            token.revoked_at.map(Timestamp::millis),
        ))?;
    let (at, entry) = tokens::account_token_put(token);
    ledger::write(context.sql, at, &entry)
}

pub(super) fn account_token_get(sql: &Connection, id: &TokenId) -> Step<Option<AccountToken>> {
    let mut statement = sql
        .prepare_cached("SELECT secret_hash, person, role, created_at, revoked_at FROM account_token WHERE id = ?1")?;
    let mut rows = statement.query([id.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(AccountToken {
        id: id.clone(),
        secret_hash: found.get(0)?,
        person: found.get(1)?,
        role: row::name("an account token", found, 2, |name| name.parse::<Role>())?,
        created_at: row::instant(found, 3)?,
        revoked_at: row::maybe_instant(found, 4)?,
    }))
}
