//! Creates what is missing: data directory, CA, database, admin token, server certificate. Idempotent; reports what it did.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use muster_proto::model::{Timestamp, Token};

use super::command::Format;
use super::unfinished::refuse_unfinished;
use super::{lock, system_user};
use crate::actions;
use crate::config::{Flags, Settings};
use crate::store::{self, Store};
use crate::tls::disk::{OWNER_ONLY, open_to_others, private_directory, write_atomically};
use crate::tls::{Authority, ServerCertificate};

pub(super) const ADMIN_TOKEN: &str = "admin.token";

/// What serving needs.
pub(super) struct Prepared {
    pub(super) store: Arc<dyn Store>,
    pub(super) authority: Arc<Authority>,
    pub(super) certificate: Arc<ServerCertificate>,
    /// What was created and what was found, one line each.
    pub(super) notes: Vec<String>,
}

/// `muster-collector init`.
pub(super) async fn init(
    settings: &Settings,
    flags: &Flags,
    now: Timestamp,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let prepared = prepare(settings, now).await?;
    prepared.store.close().await?;
    let options = options_again(flags);
    let next =
        [format!("muster-collector serve{options}"), format!("muster-collector tokens create --site NAME{options}")];
    let notes = &prepared.notes;
    match format {
        Format::Json => writeln!(out, "{:#}", serde_json::json!({ "done": notes, "next": next }))?,
        Format::Table => {
            let [serve, create] = next;
            writeln!(out, "{}\n\nnext:\n  {serve}\n  {create}   # then enroll the first agents", notes.join("\n"))?;
        }
    }
    Ok(())
}

/// The options that the next commands need too: they find the same settings, directory and database with them.
fn options_again(flags: &Flags) -> String {
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

/// Creates what is missing and opens everything.
pub(super) async fn prepare(settings: &Settings, now: Timestamp) -> anyhow::Result<Prepared> {
    let directory = &settings.data_dir;
    let mut notes = Vec::new();
    refuse_unfinished(settings)?;
    let made = private_directory(directory)
        .with_context(|| format!("cannot create the data directory {}", directory.display()))?;
    notes.push(format!("{} data directory {}", if made { "created" } else { "found" }, directory.display()));
    // Held until this function returns, because it asks for each file before it creates it.
    let _alone = lock::exclusive(directory)?;
    let database = store::place(settings.store.url());
    // Connecting creates the file, so ask before. The database of a server counts as found.
    let had = settings.store.file().is_none_or(Path::exists);
    let (store, authority, made) = if settings.store.file().is_some() {
        let (authority, made) = Authority::open_or_create(directory, now)?;
        (store::connect(settings.store.url()).await?, authority, made)
    } else {
        // Ask a shared store first: if it knows a CA, no other one is created.
        let store = store::connect(settings.store.url()).await?;
        let (authority, made) = shared_authority(settings, store.as_ref(), now).await?;
        (store, authority, made)
    };
    let place = directory.join("ca.pem");
    notes.push(format!("{} CA {}, pin {}", if made { "created" } else { "found" }, place.display(), authority.pin()));
    notes.push(format!("{} database {database}", if had { "found" } else { "created" }));
    notes.push(admin_token(settings, store.as_ref(), now).await?);
    // The next call creates the file, so ask before.
    let had_certificate = directory.join("server.pem").exists();
    let certificate = ServerCertificate::open_or_issue(&authority, directory, &public_names(settings), now)?;
    let names: Vec<&str> = certificate.names().iter().map(String::as_str).collect();
    notes.push(format!(
        "{} server certificate for {}",
        if had_certificate { "found" } else { "created" },
        names.join(", ")
    ));
    Ok(Prepared { store, authority: Arc::new(authority), certificate, notes })
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

/// The database belongs to collectors with another CA.
#[derive(Debug, thiserror::Error)]
#[error("the database belongs to the CA with pin {theirs}; {} has {}", .directory.display(),
    .ours.as_ref().map_or_else(|| "no CA".to_owned(), |pin| format!("the CA with pin {pin}")))]
pub(super) struct ForeignAuthority {
    pub(super) theirs: String,
    pub(super) ours: Option<String>,
    pub(super) directory: PathBuf,
}

impl ForeignAuthority {
    /// What to do about it.
    pub(super) const ADVICE: &str = "copy ca.pem and ca.key from the data directory of a collector that uses this \
                                     database, readable by the owner only, then start again";
}

/// The CA that all collectors on one database share. Each has a copy of the two files; the database stores the pin, so that
/// no collector enrolls hosts that the others would refuse.
async fn shared_authority(settings: &Settings, store: &dyn Store, now: Timestamp) -> anyhow::Result<(Authority, bool)> {
    let directory = &settings.data_dir;
    let foreign = |theirs, ours| ForeignAuthority { theirs, ours, directory: directory.clone() };
    // Without this check a new data directory would get a CA that the claim below refuses, and keep it.
    if !directory.join("ca.pem").exists()
        && let Some(theirs) = store.authority_get().await?
    {
        return Err(foreign(theirs, None).into());
    }
    let (authority, made) = Authority::open_or_create(directory, now)?;
    let ours = authority.pin().to_string();
    // Two first starts may both get here. The store keeps one pin, and the other collector stops.
    let theirs = store.authority_claim(&ours).await?;
    anyhow::ensure!(theirs == ours, foreign(theirs, Some(ours)));
    Ok((authority, made))
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
async fn admin_token(settings: &Settings, store: &dyn Store, now: Timestamp) -> anyhow::Result<String> {
    let caller = system_user::caller();
    let file = settings.file(ADMIN_TOKEN);
    let place = file.display().to_string();
    if file.exists() {
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
            return Ok(format!(
                "found admin token {place}, which is not accepted any more; `muster-collector accounts create NAME` makes another one"
            ));
        }
        return Ok(format!("found admin token {place}"));
    }
    let accounts = actions::account_list(store, &caller).await?;
    let had = !accounts.is_empty();
    if had && settings.store.file().is_none() {
        // Another collector created it. A second one would replace the token that its operators use.
        return Ok(format!(
            "the database has an admin token already; copy its file to {place} from the collector that created it"
        ));
    }
    // After a crash between these steps a database file has a token without a secret; the next start replaces it.
    let (token, _) = actions::first_account_create(store, &caller, now).await?;
    write_atomically(&file, format!("{token}\n").as_bytes(), OWNER_ONLY).with_context(|| format!("write {place}"))?;
    let ended = if had { "; the previous one no longer works" } else { "" };
    Ok(format!("created admin token {place}, readable by you only{ended}"))
}
