//! `muster-collector check`: what is wrong and what to do about it. Changes nothing.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use muster_proto::error_chain;
use muster_proto::model::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::command::Format;
use super::prepare::{ADMIN_TOKEN, ForeignAuthority, how_to_init};
use super::rules;
use super::unfinished::refuse_unfinished;
use crate::config::Settings;
use crate::store::{self, Store};
use crate::tls::disk::open_to_others;
use crate::tls::{Authority, ca_pin};

/// What to do about a file that cannot be read.
const RIGHTS: &str = "run this as the owner of the data directory, or correct its permissions";

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
    certificates(settings, now, &mut findings)?;
    token(settings, &mut findings)?;
    rule_files(settings, &mut findings)?;
    database(settings, &mut findings).await?;
    findings.end()
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

fn certificates(settings: &Settings, now: Timestamp, findings: &mut Findings<'_>) -> io::Result<()> {
    let (certificate, key) = (settings.file("ca.pem"), settings.file("ca.key"));
    match is_there(&certificate).and_then(|there| Ok(there || is_there(&key)?)) {
        Ok(true) => {}
        Ok(false) => {
            return findings.fault("CA", &format!("{} is missing", certificate.display()), &how_to_init(settings));
        }
        Err(hidden) => return findings.fault("CA", &hidden, RIGHTS),
    }
    match Authority::load(&certificate, &key, now) {
        Ok(authority) => {
            let ends = authority.facts().map(|facts| facts.expires_at.to_rfc3339()).unwrap_or_default();
            findings.ok("CA", &format!("{}, pin {}, valid until {ends}", certificate.display(), authority.pin()))?;
        }
        Err(error) => findings.fault("CA", &error_chain(&error), error.advice())?,
    }
    let server = settings.file("server.pem");
    match open_to_others(&server) {
        Ok(0) => findings.ok("server certificate", &format!("{}; the collector renews it when due", server.display())),
        Ok(bits) => findings.fault(
            "server certificate",
            &format!("other users can read {} (mode bits {bits:03o})", server.display()),
            "remove it; the next start creates a new one",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            findings.ok("server certificate", "none yet; the next start creates it")
        }
        Err(error) => findings.fault("server certificate", &format!("{}: {error}", server.display()), RIGHTS),
    }
}

fn token(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let file = settings.file(ADMIN_TOKEN);
    match open_to_others(&file) {
        Ok(0) => findings.ok("admin token", &file.display().to_string()),
        Ok(bits) => findings.fault(
            "admin token",
            &format!("other users can read {} (mode bits {bits:03o})", file.display()),
            &format!("remove it and {}; the new token replaces this one", how_to_init(settings)),
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            findings.ok("admin token", "no file; `muster-collector init` creates a new token")
        }
        Err(error) => findings.fault("admin token", &format!("{}: {error}", file.display()), RIGHTS),
    }
}

fn rule_files(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    for stray in settings.rules.overlay.as_deref().map(crate::rules::strays).unwrap_or_default() {
        findings.fault("rules", &stray.to_string(), "rename it or move it out of rules.overlay")?;
    }
    match rules::load(&settings.rules) {
        Ok(set) => {
            let orders = set.active_orders().map(|order| order.id.to_string()).collect::<Vec<_>>().join(", ");
            let products = set.catalogue.products().len();
            findings.ok("rules", &format!("version {}, {products} products, active orders: {orders}", set.version))
        }
        Err(refused) => findings.fault("rules", &format!("{refused:#}"), "correct the files of rules.overlay"),
    }
}

/// Checks that a shared store belongs to our CA.
async fn authority(settings: &Settings, store: &dyn Store, findings: &mut Findings<'_>) -> io::Result<()> {
    let ours = std::fs::read(settings.file("ca.pem"))
        .ok()
        .and_then(|pem| CertificateDer::from_pem_slice(&pem).ok())
        .and_then(|der| ca_pin(&der).ok())
        .map(|pin| pin.to_string());
    match (store.authority_get().await, ours) {
        (Ok(Some(theirs)), Some(ours)) if theirs != ours => {
            let refused = ForeignAuthority { theirs, ours: Some(ours), directory: settings.data_dir.clone() };
            findings.fault("store", &refused.to_string(), ForeignAuthority::ADVICE)
        }
        // A CA that is missing here has its own fault, and a database without a pin accepts any CA.
        (Ok(_), _) => Ok(()),
        (Err(failed), _) => {
            findings.fault("store", &failed.to_string(), "check that the database is reachable, then try again")
        }
    }
}

async fn database(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let place = store::place(settings.store.url());
    match settings.store.file().map_or(Ok(true), is_there) {
        Ok(true) => {}
        Ok(false) => return findings.fault("store", &format!("{place} is missing"), &how_to_init(settings)),
        Err(hidden) => return findings.fault("store", &hidden, RIGHTS),
    }
    let advice = "stop the collector and restore the database from a backup; this check changed nothing";
    let store = match store::connect(settings.store.url()).await {
        Ok(store) => store,
        Err(refused) if settings.store.file().is_none() => {
            return findings.fault(
                "store",
                &refused.to_string(),
                "check that the database server runs and that store.url is right",
            );
        }
        Err(refused) => return findings.fault("store", &format!("{place}: {refused}"), advice),
    };
    authority(settings, store.as_ref(), findings).await?;
    let began = std::time::Instant::now();
    match store.check().await {
        Ok(found) if found.faults.is_empty() => {
            let took = began.elapsed().as_millis();
            let note = format!(
                "{place}: {} hosts, {} snapshots, {} sections; all records verified in {took} ms",
                found.hosts, found.snapshots, found.sections
            );
            findings.ok("store", &note)?;
        }
        Ok(found) => {
            for fault in &found.faults {
                findings.fault("store", &format!("{place}: {fault}"), advice)?;
            }
        }
        Err(refused) => findings.fault("store", &format!("{place}: {refused}"), advice)?,
    }
    if let Err(refused) = store.close().await {
        findings.fault("store", &format!("{place}: {refused}"), advice)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::app::command::TokensArgs;
    use crate::app::tokens;
    use crate::config::Flags;

    fn settings(data_dir: &Path, config: &Path) -> Settings {
        std::fs::write(config, "").expect("written");
        let data_dir = Some(data_dir.display().to_string());
        let flags = Flags { config: Some(config.to_owned()), data_dir, ..Flags::default() };
        Settings::load(&flags, Vec::new()).expect("valid")
    }

    async fn check(settings: &Settings) -> (bool, String) {
        let mut out = Vec::new();
        let good = run(settings, Timestamp::default(), Format::Table, &mut out).await.expect("written");
        (good, String::from_utf8(out).expect("text"))
    }

    async fn token(settings: &Settings) -> String {
        let asked = TokensArgs { verb: None, output: Format::Table };
        let refused = tokens::run(settings, asked, Timestamp::default(), &mut Vec::new()).await;
        let refused = refused.expect_err("there is no collector");
        let advice = refused.downcast_ref::<crate::app::prepare::NotPrepared>().map(|missing| missing.advice());
        format!("{refused}\n{}", advice.unwrap_or_default())
    }

    /// The data directory is a link to itself, which no user can read, not even root.
    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_not_called_missing() {
        let place = tempfile::tempdir().expect("a directory");
        let data = place.path().join("data");
        symlink(&data, &data).expect("linked");
        let settings = settings(&data, &place.path().join("collector.toml"));
        let (good, said) = check(&settings).await;
        assert!(!good);
        assert!(!said.contains("missing") && !said.contains("init"), "{said}");
        for file in ["ca.pem", "admin.token", "muster.db"] {
            let line = said.lines().find(|line| line.contains(&format!("{}/{file}: ", data.display())));
            assert!(line.is_some_and(|line| line.starts_with("FAULT") && line.contains("symbolic links")), "{said}");
        }
        let said = token(&settings).await;
        assert!(said.contains("ca.pem: ") && said.contains("symbolic links"), "{said}");
    }

    #[tokio::test]
    async fn the_advice_for_an_empty_directory_names_that_directory() {
        let place = tempfile::tempdir().expect("a directory");
        let data = place.path().join("data");
        let settings = settings(&data, &place.path().join("collector.toml"));
        let init = format!("run `muster-collector init --data-dir {}`", data.display());
        let (good, said) = check(&settings).await;
        assert!(!good);
        assert_eq!(said.matches(&init).count(), 3, "directory, CA and store: {said}");
        assert!(token(&settings).await.ends_with(&init));
    }
}
