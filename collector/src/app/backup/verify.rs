//! `muster-collector backup verify DIR`: digests, manifest and every record of the copy. Writes nothing.

use std::io::{self, Write};
use std::path::Path;

use muster_proto::terminal::Progress;

use super::manifest::{self, Manifest};
use super::{STORE, files};
use crate::cli::counted;
use crate::store::{self, CopyCheck};
use crate::tls::disk::open_to_others;

/// What to do about a damaged backup.
const ADVICE: &str = "use another backup, and find out what has changed this one";

/// Returns whether the backup is complete and undamaged.
pub(in crate::app) fn verify(folder: &Path, out: &mut dyn Write) -> anyhow::Result<bool> {
    let manifest = Manifest::read(folder)?;
    let mut good = true;
    let Manifest { program_version, created_at, store, schema, ca_pin, files, .. } = &manifest;
    writeln!(
        out,
        "ok    manifest: begun at {created_at} by version {program_version}, {} store with schema {schema}, CA pin {ca_pin}",
        store.name()
    )?;
    let mut fault = |out: &mut dyn Write, what: &str, note: &str, advice: &str| {
        good = false;
        writeln!(out, "FAULT {what}: {note}\n      {advice}")
    };
    let progress = Progress::default();
    progress.expect(manifest.bytes());
    let shown = progress.show("comparing digests");
    let faults = manifest.faults(folder, &progress);
    drop(shown);
    if faults.is_empty() {
        let (files, bytes) = (counted(files.len(), "file"), manifest.bytes());
        writeln!(out, "ok    files: {files}, {bytes} bytes, all digests match")?;
    }
    for found in &faults {
        fault(out, "files", found, ADVICE)?;
    }
    match open_to_others(folder) {
        Ok(0) => {}
        Ok(bits) => fault(
            out,
            "permissions",
            &format!("other users can enter {} (mode bits {bits:03o}), which holds the CA's key", folder.display()),
            &format!("run `chmod 700 {}`", folder.display()),
        )?,
        Err(error) => fault(out, "permissions", &format!("{}: {error}", folder.display()), ADVICE)?,
    }
    for stray in strays(folder, &manifest)? {
        writeln!(out, "note  files: {stray} is not part of the backup")?;
    }
    // A database that differs from its digest is damaged whatever its own check says.
    if faults.is_empty() {
        records(folder, &manifest, out, &mut fault)?;
    }
    Ok(good)
}

type Fault<'a> = &'a mut dyn FnMut(&mut dyn Write, &str, &str, &str) -> io::Result<()>;

fn records(folder: &Path, manifest: &Manifest, out: &mut dyn Write, fault: Fault<'_>) -> io::Result<()> {
    let shown = Progress::default().show("checking the store");
    let checked = store::copy_check(manifest.store, &folder.join(STORE), manifest.schema);
    drop(shown);
    match checked {
        Ok(CopyCheck::Records(found)) if found.faults.is_empty() => writeln!(
            out,
            "ok    store: {}, {}, {}; all records verified",
            counted(found.hosts, "host"),
            counted(found.snapshots, "snapshot"),
            counted(found.sections, "section")
        ),
        Ok(CopyCheck::Records(found)) => found.faults.iter().try_for_each(|text| {
            fault(out, "store", text, "the store had this fault when it was backed up; see `muster-collector check`")
        }),
        Ok(CopyCheck::Form(reason)) => writeln!(out, "ok    store: the files are complete; {reason}"),
        Err(failed) => fault(out, "store", &failed.to_string(), ADVICE),
    }
}

/// Files that the manifest does not name.
fn strays(folder: &Path, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let own = [manifest::FILE, manifest::DIGEST_FILE];
    let is_named = |path: &str| own.contains(&path) || manifest.files.iter().any(|file| file.path == path);
    let paths = files::below(folder)?.0.into_iter().map(|path| path.to_string_lossy().into_owned());
    Ok(paths.filter(|path| !is_named(path)).collect())
}
