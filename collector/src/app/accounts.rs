//! `muster-collector accounts`: accounts, managed on the collector's machine. It needs no token, so it is the way back for
//! an administrator who lost theirs. Works while the collector runs.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use muster_proto::model::{AccountReport, Timestamp};

use super::authority::{StoreFile, lost, store_lost, verify};
use super::command::{AccountsArgs, Format};
use super::prepare::NotPrepared;
use super::system_user;
use super::unfinished::refuse_unfinished;
use crate::actions::{self, AccountRequest, PasswordOf, Passwords};
use crate::cli::{
    AccountsVerb, NewAccountArgs, PasswordArgs, RotateArgs, account_page, account_table, password_line, read_password,
};
use crate::config::Settings;
use crate::store::{self, Store};
use crate::tls::Authority;

pub(super) async fn run(
    settings: &Settings,
    asked: AccountsArgs,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let store = open(settings, now).await?;
    let text = answer(store.as_ref(), asked, now).await?;
    store.close().await?;
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// The store of a collector that exists: connecting would create a missing database.
pub(super) async fn open(settings: &Settings, now: Timestamp) -> anyhow::Result<Arc<dyn Store>> {
    refuse_unfinished(settings)?;
    let file = StoreFile::of(settings).map_err(anyhow::Error::msg)?;
    if let Some(lost) = store_lost(settings, file)? {
        return Err(lost.into());
    }
    let has_store = matches!(file, StoreFile::None | StoreFile::HasContent);
    anyhow::ensure!(has_store, NotPrepared::of(settings));
    // Connecting would create the tables of a collector in an empty database of a server.
    if file == StoreFile::None && store::occupants(settings.store.url()).await?.is_empty() {
        anyhow::ensure!(!Authority::has_issued_in(&settings.data_dir)?, lost(settings, "is empty"));
        return Err(NotPrepared::of(settings).into());
    }
    let store = store::connect(settings.store.url()).await?;
    // A token with the pin of another CA enrolls nobody.
    anyhow::ensure!(verify(settings, store.as_ref(), now).await?, NotPrepared::of(settings));
    Ok(store)
}

async fn answer(store: &dyn Store, asked: AccountsArgs, now: Timestamp) -> anyhow::Result<String> {
    let caller = system_user::caller();
    let output = asked.output;
    Ok(match asked.verb {
        None | Some(AccountsVerb::List | AccountsVerb::Show { account: None }) => {
            let accounts = actions::account_list(store, &caller).await?;
            match output {
                Format::Table => account_table(&accounts, now),
                Format::Json => format!("{:#}\n", serde_json::to_value(&accounts)?),
            }
        }
        Some(AccountsVerb::Show { account: Some(account) }) => {
            let account = actions::account_get(store, &caller, &account).await?;
            match output {
                Format::Table => account_page(&account, now),
                Format::Json => format!("{:#}\n", serde_json::to_value(&account)?),
            }
        }
        Some(AccountsVerb::Create(NewAccountArgs { name, role, sites, expires, holder })) => {
            let new = AccountRequest { name, role, holder, sites, lifetime: expires };
            let (token, stored) = actions::account_create(store, &caller, new, now).await?;
            created(&token.to_string(), &stored, output)
        }
        Some(AccountsVerb::Rotate(RotateArgs { account, expires, grace })) => {
            let grace = grace.unwrap_or(Duration::ZERO);
            let (token, stored) = actions::account_rotate(store, &caller, &account, expires, grace, now).await?;
            created(&token.to_string(), &stored, output)
        }
        Some(AccountsVerb::Revoke { account }) => {
            let stored = actions::account_revoke(store, &caller, &account, now).await?;
            match output {
                Format::Table => format!("revoked account {} and its tokens\n", stored.name),
                Format::Json => format!("{:#}\n", serde_json::to_value(&stored)?),
            }
        }
        Some(AccountsVerb::Password(PasswordArgs { account, stdin, remove })) => {
            let name = account.context("name the account: `muster-collector accounts password NAME`")?;
            let of = PasswordOf::Account(name.clone());
            let stored = if remove {
                actions::password_remove(store, &caller, &of, now).await?
            } else {
                let password = read_password(&name, stdin)?;
                actions::password_set(store, &Passwords::default(), &caller, &of, &password, now).await?
            };
            match output {
                Format::Table => password_line(&stored, remove),
                Format::Json => format!("{:#}\n", serde_json::to_value(&stored)?),
            }
        }
    })
}

fn created(token: &str, stored: &AccountReport, output: Format) -> String {
    match output {
        Format::Table => format!("{token}\n"),
        Format::Json => format!("{:#}\n", serde_json::json!({ "token": token, "stored": stored })),
    }
}
