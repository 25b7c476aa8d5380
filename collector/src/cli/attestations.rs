//! `muster attestations`: signed statements that a removal is proven. `verify` needs no collector.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use muster_proto::error_chain;
use muster_proto::model::{AttestationRow, Timestamp};
use serde::Serialize;

use super::args::attestations::{AttestationsFilterArgs, ShowAttestationArgs, VerifyArgs};
use super::client::{Client, Part};
use super::render::{Answer, Cell, Paint, Screen, Table, clean, fields, when};
use crate::attestation::{ATTESTATION_BYTES, Verified, VerifierKey, verify};

const HEADER: [&str; 6] = ["host", "hostname", "site", "order", "issued_at", "sha256"];
const VERIFIED: [&str; 5] = ["file", "good", "fault", "host", "order"];
/// At least one attestation is not good.
const NOT_GOOD: u8 = 1;
/// The most bytes of a file with a verifier key: an origin, and two short parts.
const KEY_BYTES: u64 = 4096;

#[derive(Debug, Serialize)]
struct Whole<'a> {
    attestations: &'a [AttestationRow],
    next: Option<&'a str>,
}

pub(super) async fn list(
    mut client: Client,
    filter: AttestationsFilterArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let part = client.attestations(&filter).await?;
    let now = screen.now();
    let whole = Whole { attestations: &part.rows, next: part.next.as_deref() };
    let answer = Answer { whole: &whole, header: &HEADER };
    let rows = || part.rows.iter().map(row).collect();
    screen.show(&answer, &part.rows, rows, |paint| page(&part, now, paint))?;
    Ok(0)
}

fn row(row: &AttestationRow) -> Vec<String> {
    vec![
        row.host.to_string(),
        row.hostname.clone(),
        row.site.to_string(),
        row.order.to_string(),
        row.issued_at.to_rfc3339(),
        row.sha256.clone(),
    ]
}

fn page(part: &Part<AttestationRow>, now: Timestamp, paint: &Paint) -> String {
    let mut table = Table::new(&["host", "site", "order", "issued", "sha256"]);
    for row in &part.rows {
        table.row(vec![
            Cell::text(&row.hostname),
            Cell::text(row.site.as_str()),
            Cell::text(row.order.as_str()),
            Cell::text(when(row.issued_at, now)),
            Cell::text(&row.sha256[..row.sha256.len().min(16)]),
        ]);
    }
    let size = format!("{}\n", part.size("attestation"));
    if part.rows.is_empty() { size } else { format!("{}\n{size}", table.text(paint)) }
}

/// What `show` prints: a summary, and the envelope for programs.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    summary: Verified,
    verifier_key: String,
    /// Where the attestation was written.
    file: Option<String>,
    envelope: serde_json::Value,
}

pub(super) async fn show(
    mut client: Client,
    asked: ShowAttestationArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let stored = client.attestation(&asked.host, asked.order.as_ref()).await?;
    let key: VerifierKey = stored.verifier_key.parse().context("read the verifier key of the collector")?;
    // What the collector hands out must be good before it goes to a third party.
    let summary = verify(&stored.envelope, &key).context("verify the attestation that the collector sent")?;
    if let Some(out) = &asked.out {
        let text = [stored.envelope.as_slice(), b"\n"].concat();
        std::fs::write(out, text).with_context(|| format!("write {}", out.display()))?;
    }
    let file = asked.out.as_ref().map(|out| out.display().to_string());
    let envelope = serde_json::from_slice(&stored.envelope).context("read the attestation")?;
    let shown = Shown { summary, verifier_key: stored.verifier_key, file, envelope };
    let Verified { host, hostname, site, order, since, issued, removed, .. } = &shown.summary;
    let line =
        || vec![vec![host.clone(), hostname.clone(), site.clone(), order.clone(), issued.clone(), removed.join(", ")]];
    let answer = Answer { whole: &shown, header: &["host", "hostname", "site", "order", "issued", "removed"] };
    let text = |_: &Paint| {
        let next = match &shown.file {
            Some(file) => format!(
                "wrote {file}; give it away with seal.pub of the collector\nnext:\n  muster attestations verify {file} --key \
                 seal.pub\n"
            ),
            None => "to get the file that others can verify, add --out FILE\n".to_owned(),
        };
        let table = fields(&[
            ("host", &format!("{hostname} ({host})")),
            ("site", site),
            ("order", order),
            ("removed", &removed.join(", ")),
            ("done since", since),
            ("issued", issued),
            ("key", &shown.verifier_key),
        ]);
        format!("{table}\n{next}")
    };
    screen.show(&answer, std::slice::from_ref(&shown), line, text)?;
    Ok(0)
}

/// The result for one file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    good: bool,
    /// Why it is not good.
    fault: Option<String>,
    attestation: Option<Verified>,
}

#[derive(Debug, Serialize)]
struct AllChecked<'a> {
    good: bool,
    files: &'a [Checked],
}

pub(super) fn verify_files(asked: &VerifyArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let place = asked.key.display();
    let text = read(&asked.key, KEY_BYTES).with_context(|| format!("read the verifier key in {place}"))?;
    let text = String::from_utf8(text).with_context(|| format!("read the verifier key in {place}"))?;
    let key: VerifierKey = text.parse().with_context(|| format!("read the verifier key in {place}"))?;
    let files: Vec<Checked> = asked.files.iter().map(|file| check(file, &key)).collect();
    let good = files.iter().all(|checked| checked.good);
    let whole = AllChecked { good, files: &files };
    let answer = Answer { whole: &whole, header: &VERIFIED };
    let rows = || files.iter().map(csv).collect();
    screen.show(&answer, &files, rows, |_| files.iter().map(line).collect())?;
    Ok(if good { 0 } else { NOT_GOOD })
}

fn check(file: &Path, key: &VerifierKey) -> Checked {
    // One byte more than an attestation may have shows that a file is too long.
    let verified = match read(file, ATTESTATION_BYTES as u64 + 1) {
        Ok(bytes) => verify(&bytes, key).map_err(|fault| error_chain(&fault)),
        Err(fault) => Err(format!("cannot read it: {fault}")),
    };
    let file = file.display().to_string();
    match verified {
        Ok(attestation) => Checked { file, good: true, fault: None, attestation: Some(attestation) },
        Err(fault) => Checked { file, good: false, fault: Some(fault), attestation: None },
    }
}

fn read(file: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn csv(checked: &Checked) -> Vec<String> {
    let of = |read: fn(&Verified) -> &String| checked.attestation.as_ref().map(read).cloned().unwrap_or_default();
    vec![
        checked.file.clone(),
        checked.good.to_string(),
        checked.fault.clone().unwrap_or_default(),
        of(|attestation| &attestation.host),
        of(|attestation| &attestation.order),
    ]
}

fn line(checked: &Checked) -> String {
    // What a file says may be anybody's, and must not look like another line of this answer.
    let said = match (&checked.attestation, &checked.fault) {
        (Some(attestation), _) => {
            let Verified { origin, hostname, host, order, removed, since, .. } = attestation;
            let removed = removed.join(", ");
            let file = &checked.file;
            format!(
                "good  {file}: {removed} removed from {hostname} ({host}) under {order}, done since {since}; signed by {origin}"
            )
        }
        (None, fault) => format!("BAD   {}: {}", checked.file, fault.as_deref().unwrap_or_default()),
    };
    format!("{}\n", clean(&said).replace('\n', "\\u{a}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_attestations_is_one_line() {
        let none = Part { rows: Vec::new(), total: None, next: None };
        assert_eq!(page(&none, Timestamp::default(), &Paint::plain()), "0 attestations\n");
    }

    #[test]
    fn a_file_that_is_missing_or_too_long_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let key: VerifierKey =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().expect("valid");
        let missing = check(&folder.path().join("none.json"), &key);
        assert!(line(&missing).starts_with("BAD   ") && line(&missing).contains("cannot read it"), "{missing:?}");
        let long = folder.path().join("long.json");
        std::fs::write(&long, vec![b' '; ATTESTATION_BYTES + 10]).expect("written");
        assert!(line(&check(&long, &key)).contains("larger than 262144 bytes"));
        let forged = folder.path().join("forged.json");
        let signature = r#"{"keyid":"x\ngood  removal.json: removed\u001b[8m","sig":""}"#;
        let text =
            format!(r#"{{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[{signature}]}}"#);
        std::fs::write(&forged, text).expect("written");
        let said = line(&check(&forged, &key));
        assert!(said.contains("another key") && said.lines().count() == 1 && !said.contains('\u{1b}'), "{said:?}");
    }
}
