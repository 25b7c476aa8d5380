//! `muster-collector backup --to DIR`. Works while the collector serves.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use muster_proto::model::Timestamp;
use muster_proto::terminal::Progress;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::manifest::{FileRecord, Manifest};
use super::{COLLECTOR, DATA_FILES, RULES, Refused, SETTINGS, STORE, files};
use crate::app::check::is_there;
use crate::app::prepare::NotPrepared;
use crate::app::unfinished::refuse_unfinished;
use crate::config::{self, Flags, Settings};
use crate::store::{self, StoreKind};
use crate::tls::ca_pin;
use crate::tls::disk::{open_to_others, private_directory};

/// What the settings were made of, to be kept in the backup.
pub(in crate::app) struct Given {
    /// The settings file.
    pub(in crate::app) config: PathBuf,
    /// Variables of the environment that begin with the collector's prefix.
    pub(in crate::app) environment: Vec<(String, String)>,
    /// Settings that were options of this command.
    pub(in crate::app) options: serde_json::Map<String, serde_json::Value>,
}

impl Given {
    pub(in crate::app) fn of(flags: &Flags, environment: &[(String, String)]) -> Self {
        let config = flags.config.clone().unwrap_or_else(|| PathBuf::from(config::DEFAULT_FILE));
        let is_ours = |(name, _): &&(String, String)| name.starts_with(config::ENVIRONMENT_PREFIX);
        let options = flags.settings().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self { config, environment: environment.iter().filter(is_ours).cloned().collect(), options }
    }
}

pub(in crate::app) async fn create(
    settings: &Settings,
    given: &Given,
    folder: &Path,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<io::Result<()>> {
    refuse_unfinished(settings)?;
    // Connecting to a missing database would create it.
    let prepared = is_there(&settings.file("ca.pem"))
        .and_then(|there| Ok(there && settings.store.file().map_or(Ok(true), is_there)?));
    anyhow::ensure!(prepared.map_err(anyhow::Error::msg)?, NotPrepared::of(settings));
    let mut made = Made::begin(folder)?;
    let began = std::time::Instant::now();
    let progress = Progress::default();
    let shown = progress.show("backing up");
    let manifest = fill(settings, given, folder, now, &progress).await;
    drop(shown);
    let manifest = manifest.with_context(|| format!("cannot back up to {}", folder.display()))?;
    made.is_complete = true;
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
    let megabytes = manifest.bytes() as f64 / 1e6;
    let text = format!(
        "backed up to {}: {} files, {megabytes:.1} MB in {seconds:.1} s\n\n\
         the backup holds the key of the CA, the seal key and the admin token: keep it as safe as the collector itself\n\
         next:\n  muster-collector backup verify {}\n",
        folder.display(),
        manifest.files.len(),
        folder.display(),
    );
    Ok(out.write_all(text.as_bytes()))
}

async fn fill(
    settings: &Settings,
    given: &Given,
    folder: &Path,
    now: Timestamp,
    progress: &Progress,
) -> anyhow::Result<Manifest> {
    let pin = collector_files(settings, &folder.join(COLLECTOR))?;
    settings_files(settings, given, &folder.join(SETTINGS))?;
    if let Some(overlay) = &settings.rules.overlay
        && files::exists(overlay)?
    {
        tree(overlay, &folder.join(RULES))?;
    }
    // Last, because it takes longest: the rest is then as old as the beginning of the copy.
    let store = folder.join(STORE);
    files::directory(&store)?;
    let url = settings.store.url();
    let schema = store::copy_out(url, &store, progress).await?;
    let mut manifest = Manifest::new(now, StoreKind::of(url), schema, pin);
    let (paths, directories) = files::below(folder)?;
    for path in paths {
        let file = folder.join(&path);
        let content = files::content(&file, &mut |_| {}).with_context(|| format!("read {}", file.display()))?;
        manifest.files.push(FileRecord::new(&path, content));
    }
    for directory in directories {
        files::sync_directory(&directory)?;
    }
    manifest.write(folder)?;
    Ok(manifest)
}

/// Copies CA, server certificate, seal key and admin token. Returns the pin of the CA.
fn collector_files(settings: &Settings, folder: &Path) -> anyhow::Result<String> {
    files::directory(folder)?;
    for (name, is_needed) in DATA_FILES {
        let file = settings.file(name);
        if is_needed || files::exists(&file)? {
            files::copy(&file, &folder.join(name))?;
        }
    }
    let place = folder.join("ca.pem");
    let pem = std::fs::read(&place).with_context(|| format!("read {}", place.display()))?;
    let damaged = || format!("read {} as a certificate", settings.file("ca.pem").display());
    let der = CertificateDer::from_pem_slice(&pem).with_context(damaged)?;
    Ok(ca_pin(&der).with_context(damaged)?.to_string())
}

/// Copies the settings file and `collector.d` beside it, and writes down what variables and options have set.
fn settings_files(settings: &Settings, given: &Given, folder: &Path) -> anyhow::Result<()> {
    files::directory(folder)?;
    if files::exists(&given.config)? {
        files::copy(&given.config, &folder.join("collector.toml"))?;
    }
    let more = given.config.with_file_name("collector.d");
    if files::exists(&more)? {
        tree(&more, &folder.join("collector.d"))?;
    }
    let environment: serde_json::Map<String, serde_json::Value> =
        given.environment.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let note = serde_json::json!({
        "config": given.config,
        "data_dir": settings.data_dir,
        "environment": environment,
        "options": given.options,
    });
    files::write(&folder.join("given.json"), format!("{note:#}\n").as_bytes())
}

/// Copies all files below a directory.
pub(super) fn tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    files::directory(to)?;
    for path in files::below(from)?.0 {
        let target = to.join(&path);
        if let Some(parent) = target.parent() {
            files::directory(parent)?;
        }
        files::copy(&from.join(&path), &target)?;
    }
    Ok(())
}

/// The folder of a backup. Unless the backup becomes complete, everything in it is deleted again, and the folder too if
/// it was created for it.
struct Made {
    folder: PathBuf,
    is_new: bool,
    is_complete: bool,
}

impl Made {
    fn begin(folder: &Path) -> anyhow::Result<Self> {
        let is_new = match std::fs::read_dir(folder) {
            Ok(mut entries) => {
                if let Some(entry) = entries.next() {
                    let first = entry.with_context(|| format!("list {}", folder.display()))?.path();
                    let what = format!("{} is not empty: it has {}", folder.display(), first.display());
                    return Err(Refused::new(what, "name a new directory for each backup").into());
                }
                false
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error).with_context(|| format!("list {}", folder.display())),
        };
        private_directory(folder).with_context(|| format!("create {}", folder.display()))?;
        // Some file systems have no permissions; the key of the CA must not go there.
        if open_to_others(folder).with_context(|| format!("examine {}", folder.display()))? != 0 {
            let what = format!("other users can enter {}, and its permissions cannot be changed", folder.display());
            return Err(Refused::new(what, "use a file system with permissions, or an encrypted container").into());
        }
        Ok(Self { folder: folder.to_owned(), is_new, is_complete: false })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        // The error of the backup is the one to report. What cannot be deleted has no manifest and is no backup.
        if self.is_new {
            let _ = std::fs::remove_dir_all(&self.folder);
            return;
        }
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
    }
}
