//! `muster-collector check`: what is wrong, and what to do about it. Changes nothing.

use std::io::{self, Write};

use muster_proto::model::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::prepare::{ADMIN_TOKEN, ForeignAuthority};
use super::rules;
use crate::config::{Settings, format_span};
use crate::store::{self, Store};
use crate::tls::disk::open_to_others;
use crate::tls::{Authority, CaError, ca_pin};

struct Findings<'w> {
    out: &'w mut dyn Write,
    good: bool,
}

impl Findings<'_> {
    fn ok(&mut self, what: &str, note: &str) -> io::Result<()> {
        writeln!(self.out, "ok    {what}: {note}")
    }

    fn fault(&mut self, what: &str, note: &str, advice: &str) -> io::Result<()> {
        self.good = false;
        writeln!(self.out, "FAULT {what}: {note}\n      {advice}")
    }
}

/// Says whether everything is good.
pub(super) async fn run(settings: &Settings, now: Timestamp, out: &mut dyn Write) -> io::Result<bool> {
    let mut findings = Findings { out, good: true };
    findings.ok("settings", "every layer is valid")?;
    directory(settings, &mut findings)?;
    certificates(settings, now, &mut findings)?;
    token(settings, &mut findings)?;
    rule_files(settings, &mut findings)?;
    database(settings, &mut findings).await?;
    Ok(findings.good)
}

fn directory(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let place = settings.data_dir.display().to_string();
    match open_to_others(&settings.data_dir) {
        Ok(0) => findings.ok("data directory", &place),
        Ok(bits) => findings.fault(
            "data directory",
            &format!("{place} may be entered by others than its owner (mode bits {bits:03o})"),
            "run chmod 700 on it",
        ),
        Err(error) => findings.fault("data directory", &format!("{place}: {error}"), "run muster-collector init"),
    }
}

fn certificates(settings: &Settings, now: Timestamp, findings: &mut Findings<'_>) -> io::Result<()> {
    let (certificate, key) = (settings.file("ca.pem"), settings.file("ca.key"));
    let chain = |error: &CaError| match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    if !certificate.exists() && !key.exists() {
        return findings.fault("CA", &format!("{} is not there", certificate.display()), "run muster-collector init");
    }
    match Authority::load(&certificate, &key, now) {
        Ok(authority) => {
            let ends = authority.facts().map(|facts| facts.expires_at.to_rfc3339()).unwrap_or_default();
            findings.ok("CA", &format!("{}, pin {}, until {ends}", certificate.display(), authority.pin()))?;
        }
        Err(error) => findings.fault("CA", &chain(&error), error.advice())?,
    }
    let server = settings.file("server.pem");
    match open_to_others(&server) {
        Ok(0) => findings
            .ok("server certificate", &format!("{}; it is renewed at start and while running", server.display())),
        Ok(bits) => findings.fault(
            "server certificate",
            &format!("{} may be read by others than its owner (mode bits {bits:03o})", server.display()),
            "remove it: the next start makes another",
        ),
        Err(_) => findings.ok("server certificate", "not there yet; the next start makes it"),
    }
}

fn token(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let file = settings.file(ADMIN_TOKEN);
    match open_to_others(&file) {
        Ok(0) => findings.ok("admin token", &file.display().to_string()),
        Ok(bits) => findings.fault(
            "admin token",
            &format!("{} may be read by others than its owner (mode bits {bits:03o})", file.display()),
            "remove it and run muster-collector init: that makes another token and ends this one",
        ),
        Err(_) => findings.ok("admin token", "its file is not there; muster-collector init makes another"),
    }
}

fn rule_files(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    match rules::load(&settings.rules) {
        Ok(set) => {
            let orders = set.active_orders().map(|order| order.id.to_string()).collect::<Vec<_>>().join(", ");
            let products = set.catalogue.products().len();
            findings.ok("rules", &format!("version {}, {products} products, judging under {orders}", set.version))
        }
        Err(refused) => findings.fault("rules", &format!("{refused:#}"), "correct the files of rules.overlay"),
    }
}

/// A store that is shared holds the hosts of one CA.
async fn authority(settings: &Settings, store: &dyn Store, findings: &mut Findings<'_>) -> io::Result<()> {
    let ours = std::fs::read(settings.file("ca.pem"))
        .ok()
        .and_then(|pem| CertificateDer::from_pem_slice(&pem).ok())
        .and_then(|der| ca_pin(&der).ok());
    match (store.authority_get().await, ours) {
        (Ok(Some(theirs)), Some(ours)) if theirs != ours => {
            let refused = ForeignAuthority { theirs, ours: Some(ours), directory: settings.data_dir.clone() };
            findings.fault("store", &refused.to_string(), ForeignAuthority::ADVICE)
        }
        (Ok(_), _) => Ok(()),
        (Err(failed), _) => findings.fault("store", &failed.to_string(), "try again when the database is reachable"),
    }
}

async fn database(settings: &Settings, findings: &mut Findings<'_>) -> io::Result<()> {
    let place = store::place(settings.store.url());
    if settings.store.file().is_some_and(|file| !file.exists()) {
        return findings.fault("store", &format!("{place} is not there"), "run muster-collector init");
    }
    let advice = "stop the collector and restore the database from a backup; nothing was changed";
    let store = match store::connect(settings.store.url()).await {
        Ok(store) => store,
        Err(refused) if settings.store.file().is_none() => {
            return findings.fault(
                "store",
                &refused.to_string(),
                "see that the server runs, and that store.url is right",
            );
        }
        Err(refused) => return findings.fault("store", &format!("{place}: {refused}"), advice),
    };
    authority(settings, store.as_ref(), findings).await?;
    let began = std::time::Instant::now();
    match store.check().await {
        Ok(found) if found.faults.is_empty() => {
            let took = format_span(began.elapsed());
            let note = format!(
                "{place}: {} hosts, {} looks, {} sections, each rebuilt and hashed in {took}",
                found.hosts, found.looks, found.sections
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
