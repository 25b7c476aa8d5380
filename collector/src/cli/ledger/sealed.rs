//! `muster ledger checkpoint`, `verify` and `export`: the ledger as a transparency log.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use crate::attestation::VerifierKey;
use crate::cli::args::ledger::{ExportArgs, VerifyLedgerArgs};
use crate::cli::client::Client;
use crate::cli::render::{Answer, Screen, counted, fields, when};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::NOTE_BYTES;
use crate::ledger::tiles::{Export, TileWriter};
use crate::ledger::tree::Hash;
use crate::ledger::verify::{EarlierExport, Fault, Report, Verifier};

const CHECKPOINT: [&str; 4] = ["size", "sealed_at", "verifier_key", "note"];
const VERIFIED: [&str; 6] = ["entries", "sealed", "covered", "checkpoints", "root", "faults"];
const EXPORTED: [&str; 3] = ["directory", "added", "size"];
/// Something of the ledger is not as it was sealed.
const NOT_GOOD: u8 = 1;
/// The most bytes of a file with a verifier key.
const KEY_BYTES: usize = 4096;

/// Nothing is sealed yet.
#[derive(Debug, thiserror::Error)]
#[error("no entry of the ledger is sealed yet; the collector seals new ones every ten seconds")]
struct NothingSealed;

/// Prints the newest checkpoint as it is to be kept in a file.
pub(in crate::cli) async fn checkpoint(mut client: Client, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let newest = client.checkpoint().await?;
    if newest.note.is_empty() {
        return Err(NothingSealed.into());
    }
    let whole = json!({
        "size": newest.size, "sealed_at": newest.sealed, "verifier_key": newest.verifier_key, "note": newest.note,
    });
    let answer = Answer { whole: &whole, header: &CHECKPOINT };
    let row = || {
        vec![vec![
            newest.size.to_string(),
            newest.sealed.to_rfc3339(),
            newest.verifier_key.clone(),
            newest.note.clone(),
        ]]
    };
    screen.show(&answer, std::slice::from_ref(&whole), row, |_| newest.note.clone())?;
    Ok(0)
}

/// Verifies every entry against its sealed hash, against checkpoints, and against an earlier export.
pub(in crate::cli) async fn verify(
    mut client: Client,
    asked: VerifyLedgerArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let newest = client.checkpoint().await?;
    let key = key(asked.key.as_deref(), &newest.verifier_key)?;
    let mut checkpoints = Vec::new();
    if !newest.note.is_empty() {
        checkpoints
            .push(Checkpoint::open(newest.note.as_bytes(), &key).context("read the checkpoint of the collector")?);
    }
    for place in &asked.checkpoint {
        let note = read(place, NOTE_BYTES)?;
        let opened = Checkpoint::open(&note, &key);
        checkpoints.push(opened.with_context(|| format!("read the checkpoint {}", place.display()))?);
    }
    let against = asked.against.as_deref().map(|place| Export::open(place, &key)).transpose()?;
    let (mut verifier, mut earlier) = (Verifier::new(checkpoints), against.map(EarlierExport::new));
    let (mut after, mut is_whole, mut unreadable, mut is_unsigned) = (0, true, None, false);
    'reading: loop {
        let leaves = client.leaves(after).await?;
        let Some(last) = leaves.last() else { break };
        after = last.number;
        for leaf in &leaves {
            if let Some(export) = &mut earlier
                && let Err(failed) = export.feed(&leaf.line)
            {
                (unreadable, earlier) = (Some(failed), None);
            }
            is_unsigned |= newest.size == 0 && leaf.hash.is_some();
            // What is sealed while this reads is beyond the checkpoint.
            let hash = leaf.hash.filter(|_| leaf.number <= newest.size).map(Hash);
            if verifier.feed(leaf.number, &leaf.line, hash.as_ref()).is_break() {
                is_whole = false;
                break 'reading;
            }
        }
    }
    let report = verifier.finish();
    let mut faults = report.faults.clone();
    match earlier.map(EarlierExport::finish).transpose() {
        Ok(compared) => faults.extend(compared.into_iter().flat_map(|compared| compared.faults)),
        Err(failed) => unreadable = Some(failed),
    }
    // Entries that were not read are not missing.
    faults.retain(|fault| is_whole || !matches!(fault, Fault::ShorterThanExport { .. }));
    let mut told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    if is_unsigned {
        told.push("entries are sealed, and the checkpoint that signs them is gone".to_owned());
    }
    let whole = json!({
        "entries": report.entries, "sealed": report.sealed, "covered": report.covered,
        "checkpoints": report.checkpoints, "root": report.root.to_string(), "faults": told,
    });
    let answer = Answer { whole: &whole, header: &VERIFIED };
    let row = || {
        let numbers = [report.entries, report.sealed, report.covered, report.checkpoints];
        let mut row: Vec<String> = numbers.iter().map(u64::to_string).collect();
        row.extend([report.root.to_string(), told.join("; ")]);
        vec![row]
    };
    screen.show(&answer, std::slice::from_ref(&whole), row, |_| {
        page(&report, &faults, &told, asked.key.is_none(), &key)
    })?;
    // After what was found, so that a damaged export hides nothing.
    if let Some(failed) = unreadable {
        return Err(failed).context("compare with the earlier export");
    }
    Ok(if told.is_empty() { 0 } else { NOT_GOOD })
}

fn page(report: &Report, faults: &[Fault], told: &[String], is_their_key: bool, key: &VerifierKey) -> String {
    let mut text = if told.is_empty() {
        let newer = report.entries - report.covered.min(report.entries);
        format!("good: {} as they were sealed; {newer} newer not signed yet\n", counted_entries(report.covered))
    } else {
        "NOT GOOD\n".to_owned()
    };
    for line in told {
        text.push_str(&format!("  {line}\n"));
        let of_line = faults.iter().find(|fault| fault.to_string() == *line);
        let advice = of_line.map_or("find out who has changed the store", Fault::advice);
        text.push_str(&format!("    {advice}\n"));
    }
    text.push_str(&fields(&[
        ("sealed", &report.sealed.to_string()),
        ("signed", &format!("up to entry {}, by {}", report.covered, counted(report.checkpoints, "checkpoint"))),
        ("root", &report.root.to_string()),
    ]));
    if is_their_key {
        text.push_str(&format!(
            "  the key {key} came from the collector itself; give the seal.pub that you keep with --key\n"
        ));
    }
    text
}

fn counted_entries(entries: u64) -> String {
    if entries == 1 { "1 entry is".to_owned() } else { format!("{entries} entries are") }
}

/// Writes the sealed entries as the tiles of a transparency log, or continues such a directory.
pub(in crate::cli) async fn export(
    mut client: Client,
    asked: ExportArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let newest = client.checkpoint().await?;
    if newest.note.is_empty() {
        return Err(NothingSealed.into());
    }
    let key = key(asked.key.as_deref(), &newest.verifier_key)?;
    let mut writer = TileWriter::open(&asked.directory, &key, newest.note.as_bytes())?;
    let mut after = writer.size();
    while after < newest.size {
        let leaves = match client.leaves(after).await {
            Ok(leaves) if leaves.is_empty() => break,
            Ok(leaves) => leaves,
            Err(failed) => {
                writer.discard();
                return Err(failed);
            }
        };
        for leaf in leaves.iter().filter(|leaf| leaf.number <= newest.size) {
            if let Err(failed) = writer.append(&leaf.line) {
                writer.discard();
                return Err(failed.into());
            }
        }
        after = leaves.last().map_or(newest.size, |leaf| leaf.number);
    }
    let written = writer.finish()?;
    let now = screen.now();
    let directory = asked.directory.display().to_string();
    let added = written.size - written.from;
    let whole = json!({ "directory": directory, "added": added, "size": written.size });
    let answer = Answer { whole: &whole, header: &EXPORTED };
    let row = || vec![vec![directory.clone(), added.to_string(), written.size.to_string()]];
    screen.show(&answer, std::slice::from_ref(&whole), row, |_| {
        format!(
            "{directory}: {} of {}, sealed {}\n",
            counted(added, "new entry").replace("entrys", "entries"),
            written.size,
            when(newest.sealed, now)
        )
    })?;
    Ok(0)
}

/// The key of a file, else the one that the collector says.
fn key(place: Option<&Path>, theirs: &str) -> anyhow::Result<VerifierKey> {
    let Some(place) = place else {
        return theirs.parse().context("read the verifier key of the collector");
    };
    let text = read(place, KEY_BYTES)?;
    let text = String::from_utf8(text).ok().with_context(|| format!("{} is not UTF-8", place.display()))?;
    text.trim_end().parse().with_context(|| format!("read the verifier key in {}", place.display()))
}

fn read(place: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    let open = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(place)?.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open().with_context(|| format!("cannot read {}", place.display()))?;
    if bytes.len() > most {
        return Err(TooLong { place: place.to_owned(), most }.into());
    }
    Ok(bytes)
}

/// A file that is longer than what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{} has more than {most} bytes", place.display())]
struct TooLong {
    place: PathBuf,
    most: usize,
}
