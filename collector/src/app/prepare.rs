//! Makes what is missing: data directory, CA, database, admin token, server certificate. Idempotent; says what it did.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use muster_proto::model::{Timestamp, TokenId};

use super::lock;
use crate::config::Settings;
use crate::deeds;
use crate::store::{self, Role, Store};
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

/// Makes what is missing and opens everything.
pub(super) async fn prepare(settings: &Settings, now: Timestamp) -> anyhow::Result<Prepared> {
    let directory = &settings.data_dir;
    let mut notes = Vec::new();
    let made =
        private_directory(directory).with_context(|| format!("make the data directory {}", directory.display()))?;
    notes.push(format!("{} {}", if made { "made the data directory" } else { "data directory" }, directory.display()));
    let _alone = lock::exclusive(directory)?;
    let (authority, made) = Authority::open_or_create(directory, now)?;
    let place = directory.join("ca.pem");
    notes.push(format!("{} {}, pin {}", if made { "made the CA" } else { "CA" }, place.display(), authority.pin()));
    let database = settings.database();
    let had = database.exists();
    let store = store::open(&database.to_string_lossy())?;
    notes.push(format!("{} {}", if had { "database" } else { "made the database" }, database.display()));
    notes.push(admin_token(settings, store.as_ref(), now).await?);
    let certificate = ServerCertificate::open_or_issue(&authority, directory, &public_names(settings), now)?;
    let names: Vec<&str> = certificate.names().iter().map(String::as_str).collect();
    notes.push(format!("server certificate for {}", names.join(", ")));
    Ok(Prepared { store, authority: Arc::new(authority), certificate, notes })
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
        let new = deeds::operator_token_keep(store, &text, &place, ADMIN, Role::Admin, now).await?;
        return Ok(format!("{} {place}", if new { "made the database know the admin token" } else { "admin token" }));
    }
    let id = TokenId::new(ADMIN).context("the admin's token id")?;
    let had = store.operator_get(&id).await?.is_some();
    let secret = deeds::operator_token_create(store, ADMIN, ADMIN, Role::Admin, now).await?;
    write_atomically(&file, format!("{}\n", secret.text).as_bytes(), OWNER_ONLY)
        .with_context(|| format!("write {place}"))?;
    let ended = if had { "; the one before no longer works" } else { "" };
    Ok(format!("made the admin token {place}, which only you may read{ended}"))
}
