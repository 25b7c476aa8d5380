//! Rows of enrollment tokens and account tokens. Of a secret, only the hash is stored.

use muster_proto::model::{Role, Timestamp, TokenId, TokenReport};

use super::fault::Step;
use super::ledger;
use super::row;
use super::session::Session;
use crate::ledger::entry::Entry;
use crate::store::decide::tokens::{self, Revocation};
use crate::store::{AccountToken, NewToken};

pub(super) async fn create(session: &Session, site: i32, token: &NewToken) -> Step<()> {
    let make = "INSERT INTO enrollment_token (id, secret_hash, site, created_at, expires_at, max_uses)
                VALUES ($1, $2, $3, $4, $5, $6)";
    let (created_at, expires_at) = (token.created_at.millis(), token.expires_at.millis());
    let (hash, most) = (token.secret_hash.as_slice(), token.max_uses.cast_signed());
    session.execute(make, &[&token.id.as_str(), &hash, &site, &created_at, &expires_at, &most]).await?;
    ledger::write(session, token.created_at, &tokens::created(token)).await
}

pub(super) async fn list(session: &Session) -> Step<Vec<TokenReport>> {
    let find = "SELECT t.id, s.text, t.created_at, t.expires_at, t.max_uses, t.uses, t.revoked_at
                FROM enrollment_token t JOIN site s ON s.no = t.site ORDER BY t.created_at DESC, t.id";
    let mut tokens = Vec::new();
    for found in session.query(find, &[]).await? {
        tokens.push(TokenReport {
            id: row::name("a token", &found, 0, TokenId::new)?,
            site: row::site(&found, 1)?,
            created_at: row::instant(&found, 2)?,
            expires_at: row::instant(&found, 3)?,
            max_uses: row::unsigned(&found, 4)?,
            uses: row::count(&found, 5)?,
            revoked_at: row::maybe_instant(&found, 6)?,
        });
    }
    Ok(tokens)
}

pub(super) async fn revoke(session: &Session, id: &TokenId, now: Timestamp) -> Step<bool> {
    // Locked, so that only the first of two revocations writes an entry.
    let find = "SELECT revoked_at IS NOT NULL FROM enrollment_token WHERE id = $1 FOR UPDATE";
    let found = session.query_first(find, &[&id.as_str()]).await?;
    let revocation = Revocation::of(found.map(|found| found.try_get(0)).transpose()?);
    if revocation == Revocation::Revoke {
        let revoke = "UPDATE enrollment_token SET revoked_at = $2 WHERE id = $1";
        session.execute(revoke, &[&id.as_str(), &now.millis()]).await?;
        ledger::write(session, now, &Entry::TokenRevoked { token: id.clone() }).await?;
    }
    Ok(revocation.is_known())
}

pub(super) async fn account_token_put(session: &Session, token: &AccountToken) -> Step<()> {
    let put = "INSERT INTO account_token (id, secret_hash, person, role, created_at, revoked_at)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (id) DO UPDATE SET secret_hash = excluded.secret_hash, person = excluded.person,
                   role = excluded.role, created_at = excluded.created_at, revoked_at = excluded.revoked_at";
    let (hash, role) = (token.secret_hash.as_slice(), token.role.name());
    let (created_at, revoked_at) = (token.created_at.millis(), token.revoked_at.map(Timestamp::millis));
    session.execute(put, &[&token.id.as_str(), &hash, &token.person, &role, &created_at, &revoked_at]).await?;
    let (at, entry) = tokens::account_token_put(token);
    ledger::write(session, at, &entry).await
}

pub(super) async fn account_token_get(session: &Session, id: &TokenId) -> Step<Option<AccountToken>> {
    let find = "SELECT secret_hash, person, role, created_at, revoked_at FROM account_token WHERE id = $1";
    let Some(found) = session.query_first(find, &[&id.as_str()]).await? else { return Ok(None) };
    Ok(Some(AccountToken {
        id: id.clone(),
        secret_hash: row::hash(&found, 0)?,
        person: found.try_get(1)?,
        role: row::name("an account token", &found, 2, |name| name.parse::<Role>())?,
        created_at: row::instant(&found, 3)?,
        revoked_at: row::maybe_instant(&found, 4)?,
    }))
}
