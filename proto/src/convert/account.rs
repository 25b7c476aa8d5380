//! Accounts and ledger entries.

use super::{ConvertError, code, id, instant};
use crate::model::{
    AccountId, AccountName, AccountReport, AccountTokenReport, EntryKind, Holder, LedgerEntry, Role, SiteId, Timestamp,
    TokenId,
};
use crate::wire;

impl From<AccountReport> for wire::Account {
    fn from(account: AccountReport) -> Self {
        Self {
            id: account.id.to_string(),
            name: account.name.to_string(),
            role: account.role.code().into(),
            holder: account.holder.code().into(),
            sites: account.sites.iter().map(SiteId::to_string).collect(),
            created_at_ms: account.created_at.millis(),
            revoked_at_ms: account.revoked_at.map(Timestamp::millis),
            password_set_at_ms: account.password_set_at.map(Timestamp::millis),
            tokens: account.tokens.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::Account> for AccountReport {
    type Error = ConvertError;
    fn try_from(account: wire::Account) -> Result<Self, ConvertError> {
        let site = |site: String| id("Account.sites", SiteId::new(site));
        Ok(Self {
            id: id("Account.id", AccountId::new(account.id))?,
            name: id("Account.name", AccountName::new(account.name))?,
            role: code("Account.role", account.role, Role::from_code)?,
            holder: code("Account.holder", account.holder, Holder::from_code)?,
            sites: account.sites.into_iter().map(site).collect::<Result<_, _>>()?,
            created_at: Timestamp::from_millis(account.created_at_ms),
            revoked_at: instant(account.revoked_at_ms),
            password_set_at: instant(account.password_set_at_ms),
            tokens: account.tokens.into_iter().map(TryFrom::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<AccountTokenReport> for wire::AccountToken {
    fn from(token: AccountTokenReport) -> Self {
        Self {
            id: token.id.to_string(),
            created_at_ms: token.created_at.millis(),
            expires_at_ms: token.expires_at.map(Timestamp::millis),
            revoked_at_ms: token.revoked_at.map(Timestamp::millis),
        }
    }
}

impl TryFrom<wire::AccountToken> for AccountTokenReport {
    type Error = ConvertError;
    fn try_from(token: wire::AccountToken) -> Result<Self, ConvertError> {
        Ok(Self {
            id: id("AccountToken.id", TokenId::new(token.id))?,
            created_at: Timestamp::from_millis(token.created_at_ms),
            expires_at: instant(token.expires_at_ms),
            revoked_at: instant(token.revoked_at_ms),
        })
    }
}

impl From<LedgerEntry> for wire::LedgerEntry {
    fn from(entry: LedgerEntry) -> Self {
        let LedgerEntry { number, at, kind, actor, account, text, entry } = entry;
        Self { number, at_ms: at.millis(), kind: kind.code().into(), actor, account, text, entry }
    }
}

impl TryFrom<wire::LedgerEntry> for LedgerEntry {
    type Error = ConvertError;
    fn try_from(entry: wire::LedgerEntry) -> Result<Self, ConvertError> {
        let wire::LedgerEntry { number, at_ms, kind, actor, account, text, entry } = entry;
        let kind = code("LedgerEntry.kind", kind, EntryKind::from_code)?;
        Ok(Self { number, at: Timestamp::from_millis(at_ms), kind, actor, account, text, entry })
    }
}
