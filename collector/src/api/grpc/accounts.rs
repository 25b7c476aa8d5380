//! The methods of FleetService that administer: accounts and the ledger.

use std::time::Duration;

use muster_proto::convert::ConvertError;
use muster_proto::model::{AccountName, EntryKind, Holder, Role, Timestamp};
use muster_proto::wire;
use tonic::{Response, Status};

use super::fleet::{Answer, Fleet, into_all, required, rows, short, sites};
use crate::actions::{self, AccountRequest, Caller, PasswordOf};
use crate::api::access::may;
use crate::api::methods::{LOGIN_LINK, rule_of_method};
use crate::api::status;
use crate::ledger::actor::Actor;
use crate::reports::LedgerAsked;

impl Fleet {
    pub(super) async fn caller_get(&self, caller: &Caller) -> Answer<wire::GetCallerResponse> {
        let Actor::Account { account, .. } = &caller.actor else {
            return Err(Status::internal("the caller is not an account"));
        };
        let found = self.or_refused(actions::account_of_caller(self.store.as_ref(), account).await)?;
        Ok(Response::new(wire::GetCallerResponse { account: found.map(Into::into) }))
    }

    pub(super) async fn login_link_create(&self, caller: &Caller) -> Answer<wire::CreateLoginLinkResponse> {
        let made = actions::login_link_create(self.store.as_ref(), caller, (self.clock)()).await;
        let (token, expires_at) = self.or_refused(made)?;
        tracing::info!(link.id = %token.id, account = %caller.name, "made a login link");
        let path = format!("{LOGIN_LINK}?token={token}");
        Ok(Response::new(wire::CreateLoginLinkResponse {
            path,
            expires_at_ms: expires_at.millis(),
            public_url: self.public_url.clone().unwrap_or_default(),
        }))
    }

    pub(super) async fn account_list(&self, caller: &Caller) -> Answer<wire::ListAccountsResponse> {
        let accounts = self.or_refused(actions::account_list(self.store.as_ref(), caller).await)?;
        Ok(Response::new(wire::ListAccountsResponse { accounts: into_all(accounts) }))
    }

    pub(super) async fn account_get(
        &self,
        caller: &Caller,
        request: wire::GetAccountRequest,
    ) -> Answer<wire::GetAccountResponse> {
        let asked = short("GetAccountRequest.account", request.account)?;
        let found = actions::account_get(self.store.as_ref(), caller, &asked).await;
        Ok(Response::new(wire::GetAccountResponse { account: Some(self.or_refused(found)?.into()) }))
    }

    pub(super) async fn account_create(
        &self,
        caller: &Caller,
        request: wire::CreateAccountRequest,
    ) -> Answer<wire::CreateAccountResponse> {
        let new = AccountRequest {
            name: required("CreateAccountRequest.name", request.name, AccountName::new)?,
            role: code("CreateAccountRequest.role", request.role, Role::from_code)?,
            holder: code("CreateAccountRequest.holder", request.holder, Holder::from_code)?,
            sites: sites("CreateAccountRequest.sites", request.sites)?,
            lifetime: span(request.lifetime_ms),
        };
        if new.holder == Holder::ProviderPerson {
            return Err(Status::invalid_argument(
                "accounts of people of the identity provider are made when they log in",
            ));
        }
        let created = actions::account_create(self.store.as_ref(), caller, new, (self.clock)()).await;
        let (token, stored) = self.or_refused(created)?;
        tracing::info!(account.id = %stored.id, by = %caller.name, "created an account");
        Ok(Response::new(wire::CreateAccountResponse { token: token.to_string(), stored: Some(stored.into()) }))
    }

    pub(super) async fn account_rotate(
        &self,
        caller: &Caller,
        request: wire::RotateAccountRequest,
    ) -> Answer<wire::RotateAccountResponse> {
        let asked = short("RotateAccountRequest.account", request.account)?;
        let (lifetime, grace) = (span(request.lifetime_ms), Duration::from_millis(request.grace_ms));
        let store = self.store.as_ref();
        let rotated = actions::account_rotate(store, caller, &asked, lifetime, grace, (self.clock)()).await;
        let (token, stored) = self.or_refused(rotated)?;
        tracing::info!(account.id = %stored.id, by = %caller.name, "gave an account a new token");
        Ok(Response::new(wire::RotateAccountResponse { token: token.to_string(), stored: Some(stored.into()) }))
    }

    pub(super) async fn account_revoke(
        &self,
        caller: &Caller,
        request: wire::RevokeAccountRequest,
    ) -> Answer<wire::RevokeAccountResponse> {
        let asked = short("RevokeAccountRequest.account", request.account)?;
        let revoked = actions::account_revoke(self.store.as_ref(), caller, &asked, (self.clock)()).await;
        let stored = self.or_refused(revoked)?;
        tracing::info!(account.id = %stored.id, by = %caller.name, "revoked an account");
        Ok(Response::new(wire::RevokeAccountResponse { stored: Some(stored.into()) }))
    }

    pub(super) async fn password_set(
        &self,
        caller: &Caller,
        request: wire::SetPasswordRequest,
    ) -> Answer<wire::SetPasswordResponse> {
        let asked = short("SetPasswordRequest.account", request.account)?;
        let own = caller.actor.account().is_some_and(|own| asked.is_empty() || *own.as_str() == asked);
        let of = if own || asked == caller.name {
            PasswordOf::Own
        } else {
            may(caller, rule_of_method("RevokeAccount"))?;
            PasswordOf::Account(asked)
        };
        let (store, now) = (self.store.as_ref(), (self.clock)());
        let stored = match request.password {
            Some(password) => {
                let set = actions::password_set(store, &self.passwords, caller, &of, &password, now).await;
                let stored = self.or_refused(set)?;
                tracing::info!(account.id = %stored.id, by = %caller.name, "set the password of an account");
                stored
            }
            None => {
                let stored = self.or_refused(actions::password_remove(store, caller, &of, now).await)?;
                tracing::info!(account.id = %stored.id, by = %caller.name, "removed the password of an account");
                stored
            }
        };
        Ok(Response::new(wire::SetPasswordResponse { stored: Some(stored.into()) }))
    }

    pub(super) async fn ledger_list(
        &self,
        caller: &Caller,
        request: wire::ListLedgerRequest,
    ) -> Answer<wire::ListLedgerResponse> {
        let kind = match request.kind {
            0 => None,
            kind => Some(code("ListLedgerRequest.kind", kind, EntryKind::from_code)?),
        };
        let asked = LedgerAsked {
            since: request.since_ms.map(Timestamp::from_millis),
            kind,
            by: short("ListLedgerRequest.by", request.by)?,
            host: short("ListLedgerRequest.host", request.host)?,
            rows: rows(request.page_rows)?,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let page = self.or_status(self.context(caller).ledger(asked).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListLedgerResponse { entries: into_all(page.rows), next_page_token }))
    }
}

fn code<T>(field: &'static str, code: u32, from_code: impl Fn(u8) -> Option<T>) -> Result<T, Status> {
    let found = u8::try_from(code).ok().and_then(from_code);
    found.ok_or_else(|| status::malformed(&ConvertError::Code { field, code }))
}

/// Zero means none.
fn span(millis: u64) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis))
}
