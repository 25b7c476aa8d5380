//! Makes what is missing: data directory, CA, database, admin token, server certificate. Idempotent; says what it did.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use muster_proto::model::{Role, Timestamp, Token, TokenId};

use super::lock;
use crate::actions;
use crate::config::Settings;
use crate::store::{self, Store};
use crate::tls::disk::{OWNER_ONLY, open_to_others, private_directory, write_atomically};
use crate::tls::{Authority, ServerCertificate};

pub(super) const ADMIN_TOKEN: &str = "admin.token";
const ADMIN: &str = "admin";

/// Everything that serving stands on.
pub(super) struct Prepared {
    pub(super) store: Arc<dyn Store>,
    pub(super) authority: Arc<Authority>,
    pub(super) certificate: Arc<ServerCertificate>,
    /// What was made, and what was found.
    pub(super) notes: Vec<String>,
}

/// `muster-collector init`.
pub(super) async fn init(settings: &Settings, now: Timestamp, out: &mut dyn Write) -> anyhow::Result<io::Result<()>> {
    let prepared = prepare(settings, now).await?;
    prepared.store.close().await?;
    let mut text = prepared.notes.join("\n");
    text.push_str(
        "\n\nnext: muster-collector serve, and muster-collector token create --site NAME for the first agents\n",
    );
    Ok(out.write_all(text.as_bytes()))
}

/// The advice where nothing was made yet: with the directory that was asked about, not the default one.
pub(super) fn how_to_init(settings: &Settings) -> String {
    format!("run muster-collector init --data-dir {}", settings.data_dir.display())
}

/// Makes what is missing and opens everything.
pub(super) async fn prepare(settings: &Settings, now: Timestamp) -> anyhow::Result<Prepared> {
    let directory = &settings.data_dir;
    let mut notes = Vec::new();
    let made =
        private_directory(directory).with_context(|| format!("make the data directory {}", directory.display()))?;
    notes.push(format!("{} {}", if made { "made the data directory" } else { "data directory" }, directory.display()));
    let _alone = lock::exclusive(directory)?;
    let database = store::place(settings.store.url());
    let had = settings.store.file().is_none_or(Path::exists);
    let (store, authority, made) = if settings.store.file().is_some() {
        let (authority, made) = Authority::open_or_create(directory, now)?;
        (store::connect(settings.store.url()).await?, authority, made)
    } else {
        // A shared store is asked first: where it knows a CA, no other is made.
        let store = store::connect(settings.store.url()).await?;
        let (authority, made) = shared_authority(settings, store.as_ref(), now).await?;
        (store, authority, made)
    };
    let place = directory.join("ca.pem");
    notes.push(format!("{} {}, pin {}", if made { "made the CA" } else { "CA" }, place.display(), authority.pin()));
    notes.push(format!("{} {database}", if had { "database" } else { "made the database" }));
    notes.push(admin_token(settings, store.as_ref(), now).await?);
    let certificate = ServerCertificate::open_or_issue(&authority, directory, &public_names(settings), now)?;
    let names: Vec<&str> = certificate.names().iter().map(String::as_str).collect();
    notes.push(format!("server certificate for {}", names.join(", ")));
    Ok(Prepared { store, authority: Arc::new(authority), certificate, notes })
}

/// The database holds the hosts of another CA.
#[derive(Debug, thiserror::Error)]
#[error("the hosts of this database belong to the CA with the pin {theirs}, and {} has {}", .directory.display(),
    .ours.as_ref().map_or_else(|| "none".to_owned(), |pin| format!("the one with the pin {pin}")))]
pub(super) struct ForeignAuthority {
    pub(super) theirs: String,
    pub(super) ours: Option<String>,
    pub(super) directory: PathBuf,
}

impl ForeignAuthority {
    /// What to do about it.
    pub(super) const ADVICE: &str = "copy ca.pem and ca.key from the data directory of a collector that is on this \
                                     database already, owner-only, and start again";
}

/// The CA between all collectors on one database: each is given the same two files, and the database remembers their
/// pin, so that none enrolls hosts that the others would turn away.
async fn shared_authority(settings: &Settings, store: &dyn Store, now: Timestamp) -> anyhow::Result<(Authority, bool)> {
    let directory = &settings.data_dir;
    let foreign = |theirs, ours| ForeignAuthority { theirs, ours, directory: directory.clone() };
    if !directory.join("ca.pem").exists()
        && let Some(theirs) = store.authority_get().await?
    {
        return Err(foreign(theirs, None).into());
    }
    let (authority, made) = Authority::open_or_create(directory, now)?;
    let ours = authority.pin().to_string();
    let theirs = store.authority_claim(&ours).await?;
    anyhow::ensure!(theirs == ours, foreign(theirs, Some(ours)));
    Ok((authority, made))
}

/// The names of the settings, and the addresses that are listened on when they are particular ones.
fn public_names(settings: &Settings) -> Vec<String> {
    let mut names = settings.agents.public_names.clone();
    for listen in [settings.agents.listen, settings.operators.listen] {
        if !listen.ip().is_unspecified() {
            names.push(listen.ip().to_string());
        }
    }
    names
}

/// The first admin's token: its file is the only place where the secret is.
async fn admin_token(settings: &Settings, store: &dyn Store, now: Timestamp) -> anyhow::Result<String> {
    let file = settings.file(ADMIN_TOKEN);
    let place = file.display().to_string();
    if file.exists() {
        let bits = open_to_others(&file).with_context(|| format!("read {place}"))?;
        anyhow::ensure!(
            bits == 0,
            "{place} may be read by others than its owner (mode bits {bits:03o}): remove it and run init again, which makes \
             another token and ends this one"
        );
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {place}"))?;
        let token: Token = text.parse().with_context(|| format!("read the admin token in {place}"))?;
        let new = actions::account_token_keep(store, &token, ADMIN, Role::Admin, now).await?;
        return Ok(format!("{} {place}", if new { "made the database know the admin token" } else { "admin token" }));
    }
    let id = TokenId::new(ADMIN).context("the id of the admin token")?;
    let had = store.account_token_get(&id).await?.is_some();
    if had && settings.store.file().is_none() {
        // Another collector has made it: making another would end the one that its people use.
        return Ok(format!("the database has an admin token already: copy it to {place} from where it was made"));
    }
    let token = actions::account_token_create(store, id, ADMIN, Role::Admin, now).await?;
    write_atomically(&file, format!("{token}\n").as_bytes(), OWNER_ONLY).with_context(|| format!("write {place}"))?;
    let ended = if had { "; the one before no longer works" } else { "" };
    Ok(format!("made the admin token {place}, which only you may read{ended}"))
}
