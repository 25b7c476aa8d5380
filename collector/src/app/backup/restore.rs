//! `muster-collector restore DIR`: puts a backup into an empty data directory and an empty store.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use muster_proto::model::Timestamp;
use muster_proto::terminal::Progress;

use super::manifest::Manifest;
use super::{COLLECTOR, DATA_FILES, RULES, Refused, SETTINGS, STORE, files};
use crate::actions;
use crate::app::lock::{self, Lock};
use crate::app::prepare::options_again;
use crate::app::system_user;
use crate::app::unfinished::{marker, refuse_unfinished};
use crate::config::{Flags, Settings};
use crate::store::{self, Restoration, StoreKind};
use crate::tls::disk::private_directory;

pub(in crate::app) async fn restore(
    settings: &Settings,
    folder: &Path,
    now: Timestamp,
    flags: &Flags,
    out: &mut dyn Write,
) -> anyhow::Result<io::Result<()>> {
    let manifest = Manifest::read(folder)?;
    let (theirs, ours) = (manifest.store, StoreKind::of(settings.store.url()));
    if theirs != ours {
        let what = format!(
            "the backup is of {} store, but store.url names {} store",
            with_article(theirs),
            with_article(ours)
        );
        return Err(Refused::new(what, "set store.url (--store-url) to a store of the same kind").into());
    }
    refuse_unfinished(settings)?;
    refuse_running(settings)?;
    refuse_occupied(settings).await?;
    let progress = Progress::default();
    let shown = progress.show("restoring");
    // Each byte is read for its digest and then copied.
    progress.expect(manifest.bytes() * 2);
    let faults = manifest.faults(folder, &progress);
    if let Some(first) = faults.first() {
        let more = faults.len() - 1;
        let rest = if more == 0 { String::new() } else { format!(" and {more} more faults") };
        let what = format!("the backup is damaged: {first}{rest}");
        return Err(Refused::new(what, "use another backup; nothing was changed").into());
    }
    let restored = Restoration { backup_at: manifest.created_at, restored_at: now };
    put(settings, folder, &manifest, restored, &progress).await?;
    drop(shown);
    let mut text = format!(
        "restored {} from the backup of {}, CA pin {}\n",
        settings.data_dir.display(),
        manifest.created_at,
        manifest.ca_pin
    );
    text.push_str(&rules_note(settings, folder));
    text.push_str(&format!(
        "settings files are not restored: compare yours with {}\n\
         tokens, accounts and revocations that are newer than the backup are lost: make them again\n\n\
         next:\n  muster-collector check{options}\n  muster-collector serve{options}\n",
        folder.join(SETTINGS).display(),
        options = options_again(flags)
    ));
    Ok(out.write_all(text.as_bytes()))
}

const fn with_article(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Sqlite => "an SQLite",
        StoreKind::Postgresql => "a PostgreSQL",
    }
}

/// Refuses if a collector uses the data directory.
fn refuse_running(settings: &Settings) -> anyhow::Result<()> {
    // Without the directory there is no collector, and taking the lock would create a file.
    if settings.file("collector.lock").exists() { Lock::take(&settings.data_dir).map(drop) } else { Ok(()) }
}

/// Refuses a target that has anything which the restore would overwrite.
async fn refuse_occupied(settings: &Settings) -> anyhow::Result<()> {
    let files = DATA_FILES.iter().map(|(name, _)| settings.file(name)).filter(|file| file.symlink_metadata().is_ok());
    let mut found: Vec<String> = files.map(|file| file.display().to_string()).collect();
    found.extend(store::occupants(settings.store.url()).await?);
    if found.is_empty() {
        return Ok(());
    }
    let what = format!("the target is not empty; in the way: {}", found.join(", "));
    let advice = "move these away, or name another --data-dir or --store-url: a restore overwrites nothing";
    Err(Refused::new(what, advice).into())
}

async fn put(
    settings: &Settings,
    folder: &Path,
    manifest: &Manifest,
    restored: Restoration,
    progress: &Progress,
) -> anyhow::Result<()> {
    let directory = &settings.data_dir;
    private_directory(directory).with_context(|| format!("create {}", directory.display()))?;
    // No collector serves, and no `init` creates files, until the restore has ended.
    let (_lock, _alone) = (Lock::take(directory)?, lock::exclusive(directory)?);
    // Again, because reading all digests takes minutes.
    refuse_unfinished(settings)?;
    refuse_occupied(settings).await?;
    let marker = marker(settings);
    let note = format!("restoring the backup of {} since {}\n", manifest.created_at, restored.restored_at);
    files::write(&marker, note.as_bytes())?;
    let mut made = Undo(vec![marker.clone()]);
    // The marker must be on disk before the first file that it is about.
    files::sync_directory(directory)?;
    for (name, is_needed) in DATA_FILES {
        let source = folder.join(COLLECTOR).join(name);
        if is_needed || files::exists(&source)? {
            let target = settings.file(name);
            files::copy(&source, &target)?;
            // Only now: a file that was there before the copy is not ours to delete.
            made.0.push(target);
        }
    }
    files::sync_directory(directory)?;
    store::copy_in(settings.store.url(), &folder.join(STORE), manifest.schema, restored, progress).await?;
    // The store is complete: from here on nothing is undone.
    made.0.clear();
    let store = store::connect(settings.store.url()).await?;
    actions::restore_record(store.as_ref(), &system_user::caller(), restored.backup_at, restored.restored_at).await?;
    store.close().await?;
    std::fs::remove_file(&marker).with_context(|| format!("remove {}", marker.display()))?;
    files::sync_directory(directory)
}

/// Files to delete again if the restore fails. The marker comes first in the list and is deleted last.
struct Undo(Vec<PathBuf>);

impl Drop for Undo {
    fn drop(&mut self) {
        for file in self.0.iter().rev() {
            // The error of the restore is the one to report; a file that is left is named by the next attempt.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Puts the rules into an empty or missing `rules.overlay`, or says where they are.
fn rules_note(settings: &Settings, folder: &Path) -> String {
    let source = folder.join(RULES);
    if !source.is_dir() {
        return String::new();
    }
    let place = source.display();
    let Some(overlay) = &settings.rules.overlay else {
        return format!("the backup has rules in {place}, but rules.overlay is not set, so they are not in force\n");
    };
    let is_free = std::fs::read_dir(overlay).map_or(true, |mut entries| entries.next().is_none());
    if !is_free {
        return format!(
            "{} has files and was left as it is; the rules of the backup are in {place}\n",
            overlay.display()
        );
    }
    match super::create::tree(&source, overlay) {
        Ok(()) => format!("restored the rules into {}\n", overlay.display()),
        Err(failed) => format!("the rules were not restored ({failed:#}); copy them from {place}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::test_kit::settings_in;

    #[test]
    fn a_restore_deletes_nothing_that_an_init_created_while_the_digests_were_read() {
        let place = tempfile::tempdir().expect("a directory");
        let (data, folder) = (place.path().join("data"), place.path().join("backup"));
        let settings = settings_in(place.path());
        files::directory(&folder.join(COLLECTOR)).expect("made");
        for (name, _) in DATA_FILES {
            files::write(&folder.join(COLLECTOR).join(name), b"of the backup").expect("written");
        }
        private_directory(&data).expect("made");
        let init = lock::exclusive(&data).expect("locked");
        let (theirs, target) = (data.join("admin.token"), settings.clone());
        let restoring = std::thread::spawn(move || {
            let now = Timestamp::default();
            let manifest = Manifest::new(now, StoreKind::Sqlite, 1, "pin".to_owned());
            let restored = Restoration { backup_at: now, restored_at: now };
            let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
            runtime.block_on(put(&target, &folder, &manifest, restored, &Progress::default()))
        });
        files::write(&theirs, b"of init").expect("written");
        drop(init);
        let refused = restoring.join().expect("ended").expect_err("occupied");
        assert!(refused.downcast_ref::<Refused>().is_some(), "{refused:#}");
        assert_eq!(std::fs::read(&theirs).expect("still there"), b"of init");
        assert!(!data.join("ca.pem").exists() && !marker(&settings).exists());
    }
}
