//! Creates what is missing: data directory, CA, database, seal key, admin token, server certificate. Idempotent; reports what it did.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use muster_proto::model::{Timestamp, Token};

use super::authority::{self, Opened};
use super::command::Format;
use super::present::is_present;
use super::unfinished::refuse_unfinished;
use super::{lock, seal, system_user};
use crate::actions::{self, FirstAccount};
use crate::attestation::{Origin, SealKey};
use crate::config::{Flags, Settings};
use crate::store::{self, SiteScope, Store};
use crate::tls::disk::{OWNER_ONLY, open_to_others, private_directory, write_atomically};
use crate::tls::{Authority, ServerCertificate, ServerKeyOrigin};

pub(super) const ADMIN_TOKEN: &str = "admin.token";

/// What to do if the token of the first account does not work any more.
pub(super) const ANOTHER_ADMIN: &str = "`muster-collector accounts create NAME --role admin` makes one";

/// What serving needs.
pub(super) struct Prepared {
    pub(super) store: Arc<dyn Store>,
    pub(super) authority: Arc<Authority>,
    pub(super) certificate: Arc<ServerCertificate>,
    /// Signs attestations.
    pub(super) seal: Arc<SealKey>,
    /// What was created and what was found, one line each.
    pub(super) notes: Vec<String>,
    /// What was lost and made anew, with what the operator must do.
    pub(super) warnings: Vec<String>,
}

/// `muster-collector init`.
pub(super) async fn init(
    settings: &Settings,
    flags: &Flags,
    asked: Asked<'_>,
    now: Timestamp,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let prepared = prepare(settings, asked, now).await?;
    prepared.store.close().await?;
    let options = options_again(flags);
    let next =
        [format!("muster-collector serve{options}"), format!("muster-collector tokens create --site NAME{options}")];
    let (notes, warnings) = (&prepared.notes, &prepared.warnings);
    match format {
        Format::Json => {
            let done = serde_json::json!({
                "done": notes,
                "warnings": warnings,
                "next": next,
                "verifier_key": prepared.seal.verifier().to_string(),
            });
            writeln!(out, "{done:#}")?;
        }
        Format::Table => {
            let [serve, create] = next;
            let warnings = warnings.iter().map(|warning| format!("\nWARNING: {warning}")).collect::<String>();
            writeln!(
                out,
                "{}{warnings}\n\nnext:\n  {serve}\n  {create}   # then enroll the first agents",
                notes.join("\n")
            )?;
        }
    }
    Ok(())
}

/// The options that the next commands need too: they find the same settings, directory and database with them.
pub(super) fn options_again(flags: &Flags) -> String {
    let Flags { config, data_dir, store_url, .. } = flags;
    let config = config.as_ref().map(|file| file.display().to_string());
    [("--config", config), ("--data-dir", data_dir.clone()), ("--store-url", store_url.clone())]
        .into_iter()
        .filter_map(|(option, value)| Some(format!(" {option} {}", value?)))
        .collect()
}

/// How to create what is missing, with the data directory that was given.
pub(super) fn how_to_init(settings: &Settings) -> String {
    format!("run `muster-collector init --data-dir {}`", settings.data_dir.display())
}

/// What an operator asks for beside the settings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    /// Begin with an empty store although the CA has signed for hosts.
    pub(super) new_store: bool,
    /// The origin of the seal key.
    pub(super) origin: Option<&'a Origin>,
}

/// Creates what is missing and opens everything.
pub(super) async fn prepare(settings: &Settings, asked: Asked<'_>, now: Timestamp) -> anyhow::Result<Prepared> {
    let directory = &settings.data_dir;
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    refuse_unfinished(settings)?;
    let made = private_directory(directory)
        .with_context(|| format!("cannot create the data directory {}", directory.display()))?;
    notes.push(format!("{} data directory {}", made_or_found(made), directory.display()));
    // Held until this function returns, because it asks for each file before it creates it.
    let _alone = lock::exclusive(directory)?;
    let database = store::place(settings.store.url());
    let Opened { store, authority, created_authority, created_store } =
        authority::open(settings, now, asked.new_store).await?;
    let (place, pin) = (directory.join("ca.pem"), authority.pin());
    notes.push(format!("{} CA {}, pin {pin}", made_or_found(created_authority), place.display()));
    notes.push(format!("{} database {database}", made_or_found(created_store)));
    let (seal, note) = seal::open(settings, store.as_ref(), asked.origin, now).await?;
    notes.push(note);
    notes.push(admin_token(settings, store.as_ref(), &mut warnings, now).await?);
    let (certificate, origin) = ServerCertificate::open_or_issue(&authority, directory, &public_names(settings), now)?;
    let names = certificate.names().iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    notes.push(format!("{} server certificate for {names}", made_or_found(origin != ServerKeyOrigin::Loaded)));
    if let ServerKeyOrigin::Lost { how } = origin {
        actions::server_key_renewed(store.as_ref(), &system_user::caller(), now).await?;
        warnings.push(server_key_warning(&directory.join("server.pem"), &how));
    }
    // After the server certificate, whose first creation in this directory is no loss. A restored backup and a second
    // collector on a database have the CA and hosts, but not this record yet.
    if store.host_count(&SiteScope::All).await? > 0 {
        authority.record_issue(now).context("record that the CA has signed certificates of hosts")?;
    }
    Ok(Prepared { store, authority: Arc::new(authority), certificate, seal: Arc::new(seal), notes, warnings })
}

const fn made_or_found(made: bool) -> &'static str {
    if made { "created" } else { "found" }
}

fn server_key_warning(file: &Path, how: &str) -> String {
    let file = file.display();
    format!(
        "the server key is lost: {file} {how}; created a new key and certificate, signed by the same CA, so agents and \
         operators need not do anything; if nobody here removed or changed the file, find out who did: until its \
         certificate ends, at most 30 days from now, the old key can be used to pose as this collector"
    )
}

/// Nothing was created yet.
#[derive(Debug, thiserror::Error)]
#[error("{} has no collector yet", .data_dir.display())]
pub(super) struct NotPrepared {
    data_dir: PathBuf,
    advice: String,
}

impl NotPrepared {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { data_dir: settings.data_dir.clone(), advice: how_to_init(settings) }
    }

    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        self.advice.clone()
    }
}

/// Other users can read the file of the admin token.
#[derive(Debug, thiserror::Error)]
#[error("other users can read the admin token {place} (mode bits {bits:03o})")]
pub(super) struct ExposedAdminToken {
    place: String,
    bits: u32,
}

impl ExposedAdminToken {
    /// What to do about it.
    pub(super) const ADVICE: &str = "remove the file and run `muster-collector init`; the new token replaces this one";
}

/// The public names of the settings, and the listen addresses unless they are wildcards.
fn public_names(settings: &Settings) -> Vec<String> {
    let mut names = settings.agents.public_names.clone();
    for listen in [settings.agents.listen, settings.operators.listen] {
        if !listen.ip().is_unspecified() {
            names.push(listen.ip().to_string());
        }
    }
    names
}

/// The first admin's token. Its file is the only place that holds the secret.
async fn admin_token(
    settings: &Settings,
    store: &dyn Store,
    warnings: &mut Vec<String>,
    now: Timestamp,
) -> anyhow::Result<String> {
    let caller = system_user::caller();
    let file = settings.file(ADMIN_TOKEN);
    let place = file.display().to_string();
    if is_present(&file)? {
        let bits = open_to_others(&file).with_context(|| format!("read {place}"))?;
        anyhow::ensure!(bits == 0, ExposedAdminToken { place, bits });
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {place}"))?;
        let token: Token = text.parse().with_context(|| format!("read the admin token in {place}"))?;
        // The database may be newer than the file, and then it has no account yet.
        if actions::first_token_keep(store, &caller, &token, now).await? {
            return Ok(format!("found admin token {place}; added it to the database"));
        }
        if actions::account_by_token(store, &token, now).await?.is_none() {
            tracing::warn!(file = %place, "the admin token in this file is not accepted any more");
            return Ok(format!("found admin token {place}, which is no longer accepted; {ANOTHER_ADMIN}"));
        }
        return Ok(format!("found admin token {place}"));
    }
    let elsewhere =
        format!("the database has an admin token already; copy its file to {place} from the collector that created it");
    // After a crash between these steps a database file has a token without a secret; the next start replaces it.
    let (token, is_renewed) = match actions::first_account_find(store, &caller, now).await? {
        FirstAccount::None => match actions::first_account_create(store, &caller, now).await? {
            Some(token) => (token, false),
            None => return Ok(elsewhere),
        },
        // Another collector created it. A new token would replace the one that its operators use.
        FirstAccount::InUse(_) if settings.store.file().is_none() => return Ok(elsewhere),
        FirstAccount::InUse(account) => {
            let rotated = actions::account_rotate(store, &caller, account.as_str(), None, Duration::ZERO, now).await?;
            (rotated.0, true)
        }
        // Otherwise an administrator that was revoked would be back after a restart.
        FirstAccount::Ended => return Ok(format!("no file with a token at {place}; {ANOTHER_ADMIN}")),
    };
    write_atomically(&file, format!("{token}\n").as_bytes(), OWNER_ONLY).with_context(|| format!("write {place}"))?;
    if is_renewed {
        actions::admin_token_renewed(store, &caller, token.id, now).await?;
        warnings.push(format!(
            "the admin token is lost: {place} was missing; created a new token, and the previous one no longer works: give \
             the new file to the operators who used the old one, and find out who removed it"
        ));
    }
    Ok(format!("created admin token {place}, readable by you only"))
}
