//! Enrollment tokens and operators' tokens. Secrets are known only as hashes.

use muster_proto::model::{Timestamp, TokenId, TokenReport};

use super::fault::{PostgresFault, Step};
use super::ledger;
use super::row;
use super::session::Session;
use crate::ledger::entry::Entry;
use crate::store::{AccountToken, NewToken, Role};

pub(super) async fn create(session: &Session, site: i32, token: &NewToken) -> Step<()> {
    let make = "INSERT INTO enrollment_token (id, secret_hash, site, created_at, expires_at, max_uses)
                VALUES ($1, $2, $3, $4, $5, $6)";
    let (created_at, expires_at) = (token.created_at.millis(), token.expires_at.millis());
    let (hash, most) = (token.secret_hash.as_slice(), token.max_uses.cast_signed());
    session.execute(make, &[&token.id.as_str(), &hash, &site, &created_at, &expires_at, &most]).await?;
    let entry = Entry::TokenMade {
        token: token.id.clone(),
        site: token.site.clone(),
        expires_at: token.expires_at,
        max_uses: token.max_uses,
    };
    ledger::write(session, token.created_at, &entry).await
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
    let find = "SELECT revoked_at FROM enrollment_token WHERE id = $1 FOR UPDATE";
    let Some(found) = session.query_first(find, &[&id.as_str()]).await? else { return Ok(false) };
    if row::maybe_instant(&found, 0)?.is_none() {
        let withdraw = "UPDATE enrollment_token SET revoked_at = $2 WHERE id = $1";
        session.execute(withdraw, &[&id.as_str(), &now.millis()]).await?;
        ledger::write(session, now, &Entry::TokenRevoked { token: id.clone() }).await?;
    }
    Ok(true)
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn role(name: &str) -> Step<Role> {
    [Role::Viewer, Role::Operator, Role::Admin]
        .into_iter()
        .find(|role| role_name(*role) == name)
        .ok_or_else(|| PostgresFault::damaged("an operator's token", format!("there is no role {name:?}")))
}

pub(super) async fn account_token_put(session: &Session, token: &AccountToken) -> Step<()> {
    let put = "INSERT INTO account_token (id, secret_hash, person, role, created_at, revoked_at)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (id) DO UPDATE SET secret_hash = excluded.secret_hash, person = excluded.person,
                   role = excluded.role, created_at = excluded.created_at, revoked_at = excluded.revoked_at";
    let (hash, role) = (token.secret_hash.as_slice(), role_name(token.role));
    let (created_at, revoked_at) = (token.created_at.millis(), token.revoked_at.map(Timestamp::millis));
    session.execute(put, &[&token.id.as_str(), &hash, &token.person, &role, &created_at, &revoked_at]).await?;
    let entry = Entry::AccountTokenPut {
        token: token.id.clone(),
        person: token.person.clone(),
        role: role.to_owned(),
        revoked_at: token.revoked_at,
    };
    ledger::write(session, token.revoked_at.unwrap_or(token.created_at), &entry).await
}

pub(super) async fn account_token_get(session: &Session, id: &TokenId) -> Step<Option<AccountToken>> {
    let find = "SELECT secret_hash, person, role, created_at, revoked_at FROM account_token WHERE id = $1";
    let Some(found) = session.query_first(find, &[&id.as_str()]).await? else { return Ok(None) };
    Ok(Some(AccountToken {
        id: id.clone(),
        secret_hash: row::hash(&found, 0)?,
        person: found.try_get(1)?,
        role: role(found.try_get(2)?)?,
        created_at: row::instant(&found, 3)?,
        revoked_at: row::maybe_instant(&found, 4)?,
    }))
}
