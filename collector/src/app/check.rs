//! `muster-collector check`: what is wrong and what to do about it. Changes nothing.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use muster_proto::error_chain;
use muster_proto::model::{Timestamp, Token};
use muster_proto::terminal::Progress;
use serde_json::{Value, json};

use super::authority::{CaLost, ForeignAuthority, StoreFile, mismatch, store_lost};
use super::command::Format;
use super::prepare::{ADMIN_TOKEN, ANOTHER_ADMIN, how_to_init};
use super::present::is_present;
use super::rules;
use super::seal::{self, SealError};
use super::unfinished::refuse_unfinished;
use crate::cli::counted;
use crate::config::Settings;
use crate::store::{self, Inspection, StoreError};
use crate::tls::disk::open_to_others;
use crate::tls::{Authority, CaError, CompanyCertificate};

/// What to do about a file that cannot be read.
const RIGHTS: &str = "run this as the owner of the data directory, or correct its permissions";

/// What to do about a damaged database.
const DAMAGE: &str = "stop the collector and restore the database from a backup; this check changed nothing";
/// What to do about a database server that does not answer.
const SERVER: &str = "check that the database server runs and that store.url is right";

struct Findings<'w> {
    out: &'w mut dyn Write,
    good: bool,
    format: Format,
    /// What was found, for JSON.
    records: Vec<Value>,
}

impl Findings<'_> {
    fn ok(&mut self, what: &str, note: &str) -> io::Result<()> {
        match self.format {
            Format::Table => writeln!(self.out, "ok    {what}: {note}")?,
            Format::Json => self.records.push(json!({ "check": what, "ok": true, "found": note })),
        }
        Ok(())
    }

    fn fault(&mut self, what: &str, note: &str, advice: &str) -> io::Result<()> {
        self.good = false;
        match self.format {
            Format::Table => writeln!(self.out, "FAULT {what}: {note}\n      {advice}")?,
            Format::Json => {
                self.records.push(json!({ "check": what, "ok": false, "found": note, "advice": advice }));
            }
        }
        Ok(())
    }

    /// Prints what was not printed yet. Returns whether everything is in order.
    fn end(self) -> io::Result<bool> {
        if self.format == Format::Json {
            writeln!(self.out, "{:#}", json!({ "ok": self.good, "findings": self.records }))?;
        }
        Ok(self.good)
    }
}

/// Reports settings that cannot be used. Nothing else can be checked with them.
pub(super) fn faulty_settings(
    faults: &dyn std::fmt::Display,
    advice: &str,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut findings = Findings { out, good: true, format, records: Vec::new() };
    findings.fault("settings", &faults.to_string(), advice)?;
    findings.end().map(drop)
}

/// Returns whether everything is in order.
pub(super) async fn run(settings: &Settings, now: Timestamp, format: Format, out: &mut dyn Write) -> io::Result<bool> {
    let mut findings = Findings { out, good: true, format, records: Vec::new() };
    // Faulty settings are reported before, because nothing else can be checked with them.
    findings.ok("settings", "valid")?;
    if let Err(refused) = refuse_unfinished(settings) {
        findings.fault("data directory", &refused.to_string(), &refused.advice())?;
    }
    directory(settings, &mut findings)?;
    // Before the CA, because the store knows whether a missing CA was never created or is lost.
    let began = std::time::Instant::now();
    let inspected = inspected(settings).await;
    let took = began.elapsed();
    certificates(settings, now, inspected.as_ref().ok(), &mut findings)?;
    company_certificate(settings, now, &mut findings)?;
    seal_key(settings, inspected.as_ref().ok(), &mut findings)?;
    token(settings, now, inspected.as_ref().ok(), &mut findings)?;
    rule_files(settings, &mut findings)?;
    database(settings, inspected, took, &mut findings)?;
    findings.end()
}

fn company_certificate(settings: &Settings, now: Timestamp, findings: &mut Findings<'_>) -> io::Result<()> {
    let Some((certificate, key)) = settings.operators.company_certificate() else { return Ok(()) };
    match CompanyCertificate::open(certificate, key, now) {
        Ok(found) => {
            let note = format!("{}, valid until {}", certificate.display(), found.until().to_rfc3339());
            findings.ok("operators.certificate", &note)
        }
        Err(refused) => findings.fault("operators.certificate", &error_chain(&refused), &refused.advice()),
    }
}

/// Whether the file exists. A file that cannot be read is an error: it is neither missing nor damaged.
pub(super) fn is_there(file: &Path) -> Result<bool, String> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn directory(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let place = settings.data_dir.display().to_string();
    // The mode can be read even where the directory cannot be entered, so both are tried.
    match open_to_others(&settings.data_dir).and_then(|bits| std::fs::read_dir(&settings.data_dir).map(|_| bits)) {
        Ok(0) => findings.ok("data directory", &place),
        Ok(bits) => findings.fault(
            "data directory",
            &format!("other users can enter {place} (mode bits {bits:03o})"),
            &format!("run `chmod 700 {place}`"),
        ),
        Err(error) => {
            let init = how_to_init(settings);
            let advice = if error.kind() == ErrorKind::NotFound { &init } else { RIGHTS };
            findings.fault("data directory", &format!("{place}: {error}"), advice)
        }
    }
}

fn certificates(
    settings: &Settings,
    now: Timestamp,
    inspected: Option<&Inspection>,
    findings: &mut Findings<'_>,
) -> io::Result<()> {
    let certificate = settings.file("ca.pem");
    let (theirs, hosts) = inspected.map(|found| (found.authority.clone(), found.check.hosts)).unwrap_or_default();
    let found = match Authority::open(&settings.data_dir, now) {
        Ok(found) => found,
        Err(error) => {
            findings.fault("CA", &error_chain(&error), &error.advice())?;
            return server_certificate(settings, findings);
        }
    };
    match (mismatch(settings, found.as_ref(), theirs, hosts), found) {
        (Err(refused), _) => {
            let of_ca = refused.downcast_ref::<CaError>().map(CaError::advice);
            let of_pin = refused.downcast_ref::<ForeignAuthority>().map(ForeignAuthority::advice);
            let advice = refused.downcast_ref::<CaLost>().map(CaLost::advice).or(of_pin).or(of_ca);
            findings.fault("CA", &format!("{refused:#}"), &advice.unwrap_or_default())?;
        }
        (Ok(()), Some(authority)) => {
            let ends = authority.facts().map(|facts| facts.expires_at.to_rfc3339()).unwrap_or_default();
            findings.ok("CA", &format!("{}, pin {}, valid until {ends}", certificate.display(), authority.pin()))?;
        }
        (Ok(()), None) => {
            findings.fault("CA", &format!("{} is missing", certificate.display()), &how_to_init(settings))?;
            // Without a CA there is no server certificate yet.
            return Ok(());
        }
    }
    server_certificate(settings, findings)
}

fn server_certificate(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let server = settings.file("server.pem");
    match open_to_others(&server) {
        Ok(0) => findings.ok("server certificate", &format!("{}; the collector renews it when due", server.display())),
        Ok(bits) => findings.fault(
            "server certificate",
            &format!("other users can read {} (mode bits {bits:03o})", server.display()),
            "remove it; the next start creates a new one",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => match Authority::has_issued_in(&settings.data_dir) {
            Ok(true) => findings.fault(
                "server certificate",
                &format!("{} is missing", server.display()),
                "the next start creates a new key; find out who removed it: the old key may be in other hands",
            ),
            _ => findings.ok("server certificate", "none yet; the next start creates it"),
        },
        Err(error) => findings.fault("server certificate", &format!("{}: {error}", server.display()), RIGHTS),
    }
}

fn seal_key(settings: &Settings, inspected: Option<&Inspection>, findings: &mut Findings<'_>) -> io::Result<()> {
    let theirs = inspected.and_then(|found| found.seal.as_deref());
    match seal::verify(settings, theirs) {
        Ok(Some(key)) => {
            findings.ok("seal key", &format!("{}, verifier key {key}", settings.file(seal::SEAL_KEY).display()))
        }
        Ok(None) => findings.ok("seal key", "none yet; the next start creates it"),
        Err(refused) => {
            let advice = refused.downcast_ref::<SealError>().map(SealError::advice);
            findings.fault("seal key", &format!("{refused:#}"), &advice.unwrap_or_else(|| RIGHTS.to_owned()))
        }
    }
}

fn token(
    settings: &Settings,
    now: Timestamp,
    inspected: Option<&Inspection>,
    findings: &mut Findings<'_>,
) -> io::Result<()> {
    let file = settings.file(ADMIN_TOKEN);
    match is_present(&file) {
        Ok(true) => {}
        Ok(false) => return lost_token(settings, &file, now, inspected, findings),
        Err(error) => return findings.fault("admin token", &format!("{error:#}"), RIGHTS),
    }
    match open_to_others(&file) {
        Ok(0) => match std::fs::read_to_string(&file).map(|text| text.parse::<Token>()) {
            Ok(Ok(_)) => findings.ok("admin token", &file.display().to_string()),
            // A start refuses it, too.
            Ok(Err(error)) => findings.fault(
                "admin token",
                &format!("{} has no token: {error}", file.display()),
                &format!("remove it and {}; the new token replaces this one", how_to_init(settings)),
            ),
            Err(error) => findings.fault("admin token", &format!("{}: {error}", file.display()), RIGHTS),
        },
        Ok(bits) => findings.fault(
            "admin token",
            &format!("other users can read {} (mode bits {bits:03o})", file.display()),
            &format!("remove it and {}; the new token replaces this one", how_to_init(settings)),
        ),
        Err(error) => findings.fault("admin token", &format!("{}: {error}", file.display()), RIGHTS),
    }
}

fn lost_token(
    settings: &Settings,
    file: &Path,
    now: Timestamp,
    inspected: Option<&Inspection>,
    findings: &mut Findings<'_>,
) -> io::Result<()> {
    let Some(found) = inspected.filter(|found| found.authority.is_some()) else {
        return findings.ok("admin token", "no file yet; `muster-collector init` creates it with the first account");
    };
    if found.first_account_until.is_none_or(|end| end <= now) {
        return findings.ok("admin token", &format!("no file, and account \"admin\" is not in use; {ANOTHER_ADMIN}"));
    }
    if settings.store.file().is_none() {
        return findings.ok("admin token", "no file; the collector that created it has one to copy");
    }
    findings.fault(
        "admin token",
        &format!("{} is missing, and account \"admin\" is in use", file.display()),
        "the next start creates a new token, and the previous one ends; find out who removed the file: the token may be in \
         other hands",
    )
}

fn rule_files(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let overlay = match rules::read(&settings.rules) {
        Ok(read) => read.overlay,
        Err(refused) => return findings.fault("rules", &refused.to_string(), "correct the files of rules.overlay"),
    };
    for stray in &overlay.strays {
        findings.fault("rules", &stray.to_string(), "rename it or move it out of rules.overlay")?;
    }
    match rules::compile(&settings.rules, overlay) {
        Ok(set) => {
            let orders = set.active_orders().map(|order| order.id.to_string()).collect::<Vec<_>>().join(", ");
            let products = set.catalogue.products().len();
            findings.ok("rules", &format!("version {}, {products} products, active orders: {orders}", set.version))
        }
        Err(refused) => findings.fault("rules", &format!("{refused:#}"), "correct the files of rules.overlay"),
    }
}

/// What the store says, or why it cannot be checked: the fault and the advice.
async fn inspected(settings: &Settings) -> Result<Inspection, (String, String)> {
    let place = store::place(settings.store.url());
    let of_ca = |error: CaError| (error_chain(&error), error.advice());
    let file = StoreFile::of(settings).map_err(|hidden| (hidden, RIGHTS.to_owned()))?;
    if let Some(lost) = store_lost(settings, file).map_err(of_ca)? {
        return Err((lost.to_string(), lost.advice()));
    }
    match file {
        StoreFile::Missing => return Err((format!("{place} is missing"), how_to_init(settings))),
        StoreFile::Empty => return Err((format!("{place} is an empty file"), how_to_init(settings))),
        StoreFile::None | StoreFile::HasContent => {}
    }
    let progress = Progress::default();
    let shown = progress.show("checking the store");
    let inspected = store::inspect(settings.store.url(), &progress).await;
    drop(shown);
    inspected.map_err(|refused| {
        let advice = match (&refused, refused.advice()) {
            (StoreError::Empty { .. }, _) => how_to_init(settings),
            (_, Some(advice)) => advice.to_owned(),
            (StoreError::Open { .. }, None) if settings.store.file().is_none() => SERVER.to_owned(),
            (_, None) => DAMAGE.to_owned(),
        };
        (refused.to_string(), advice)
    })
}

fn database(
    settings: &Settings,
    inspected: Result<Inspection, (String, String)>,
    took: Duration,
    findings: &mut Findings<'_>,
) -> io::Result<()> {
    let place = store::place(settings.store.url());
    match inspected {
        Ok(Inspection { check: found, .. }) if found.faults.is_empty() => {
            let records = format!(
                "{}, {}, {}",
                counted(found.hosts, "host"),
                counted(found.snapshots, "snapshot"),
                counted(found.sections, "section")
            );
            let free = match found.unreferenced.rows() {
                0 => "nothing is unreferenced".to_owned(),
                rows => format!("{} unreferenced", counted(rows, "row")),
            };
            let note = format!("{place}: {records}; {free}; all records verified in {} ms", took.as_millis());
            findings.ok("store", &note)
        }
        Ok(Inspection { check: found, .. }) => {
            found.faults.iter().try_for_each(|fault| findings.fault("store", &format!("{place}: {fault}"), DAMAGE))
        }
        Err((fault, advice)) => findings.fault("store", &fault, &advice),
    }
}

#[cfg(test)]
mod tests;
