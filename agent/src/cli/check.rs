//! `check`: diagnoses the connection to the collector step by step, then the change watches and whether each source can be
//! read.
//!
//! Each failed step comes with advice. The program exits with 1 when a step has failed.

use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use muster_proto::error_chain;
use muster_proto::model::{Outcome, RefusalClass};
use tokio::time::Instant;

use super::Output;
use crate::app;
use crate::config::{Flags, Settings, SettingsError};
use crate::identity::{Identity, IdentityStore};
use crate::scan::{ScanOptions, scan_root};
use crate::sources;
use crate::sources::root::Root;
use crate::telemetry;
use crate::uplink::{self, ConnectError, Probe, Target, Tls, Traffic, Transport};
use crate::watch::Watch;

/// A difference between the two clocks that is reported as a failure.
const CLOCK_DIFFERENCE_MS: u64 = 60_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warning,
    Failed,
    /// It needs a step that has failed.
    Skipped,
}

impl Status {
    const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "WARN",
            Self::Failed => "FAIL",
            Self::Skipped => "skip",
        }
    }
}

#[derive(Debug, serde::Serialize)]
struct Step {
    step: String,
    ok: bool,
    status: Status,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn ok(&mut self, step: &str, found: impl Into<String>) {
        self.add(step, Status::Ok, found, "");
    }

    fn warning(&mut self, step: &str, found: impl Into<String>, advice: &str) {
        self.add(step, Status::Warning, found, advice);
    }

    fn failed(&mut self, step: &str, found: impl Into<String>, advice: &str) {
        self.add(step, Status::Failed, found, advice);
    }

    fn add(&mut self, step: &str, status: Status, found: impl Into<String>, advice: &str) {
        let (step, advice) = (step.to_owned(), advice.to_owned());
        self.0.push(Step { step, ok: status != Status::Failed, status, found: found.into(), advice });
    }

    fn has(&self, step: &str) -> bool {
        self.0.iter().any(|done| done.step == step)
    }

    fn not_connected(&mut self, step: &str, error: &ConnectError) {
        self.failed(step, error_chain(error), error.advice());
    }
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags, telemetry::COMMAND_LEVEL)?;
    let mut steps = Steps::default();
    check_settings(flags, &mut steps);
    app::block_on(check_connection(&settings, &mut steps))?;
    check_watches(&settings, &mut steps)?;
    check_sources(&settings, &mut steps)?;
    let Steps(steps) = steps;
    let mut out = super::output(arguments.output, false);
    match arguments.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&steps)?)?,
        Output::Ndjson => {
            for step in &steps {
                writeln!(out, "{}", serde_json::to_string(step)?)?;
            }
        }
        Output::Table => print_table(&mut out, &steps)?,
    }
    out.flush()?;
    Ok(if steps.iter().all(|step| step.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_table(out: &mut impl Write, steps: &[Step]) -> std::io::Result<()> {
    let width = steps.iter().map(|step| step.step.len()).max().unwrap_or_default();
    for Step { step, status, found, advice, .. } in steps {
        writeln!(out, "{:<4} {step:<width$}  {found}", status.label())?;
        if !advice.is_empty() {
            writeln!(out, "     {:<width$}  -> {advice}", "")?;
        }
    }
    Ok(())
}

/// The service refuses settings that others can change. Where nobody can, there is nothing to say.
fn check_settings(flags: &Flags, steps: &mut Steps) {
    if let Err(error @ SettingsError::Access(_)) = super::read_safe_settings(flags) {
        steps.failed("settings", error_chain(&error), &error.advice().unwrap_or_default());
    }
}

async fn check_connection(settings: &Settings, steps: &mut Steps) {
    let identity = match app::load_identity(settings) {
        Ok(identity) => identity,
        Err(error) => {
            steps.failed("identity", error_chain(&error), "let the agent read its state directory, or enroll again");
            None
        }
    };
    let probe = reach_collector(settings, identity.as_ref(), steps).await;
    for step in ["DNS", "TCP connection", "TLS", "clock"] {
        if !steps.has(step) {
            steps.add(step, Status::Skipped, "an earlier step has failed", "");
        }
    }
    // A failed probe or an unreadable identity has already said what is wrong.
    if !steps.has("identity") && !steps.has("enrollment") {
        check_enrollment(settings, identity, probe, steps);
    }
}

/// Checks the connection until the first step that fails, because the later ones depend on it. Returns the collector's
/// answer to an empty check-in; `None` when a step has failed.
async fn reach_collector(settings: &Settings, identity: Option<&Identity>, steps: &mut Steps) -> Option<Probe> {
    let enrolled_with = identity.map(|identity| identity.collector.clone());
    let Some(collector) = settings.collector.clone().or(enrolled_with) else {
        let advice = "enroll, or set `collector` in the configuration file";
        steps.failed("collector", "no collector is configured", advice);
        return None;
    };
    let target = match Target::parse(&collector) {
        Ok(target) => target.through(settings.proxy.as_ref()),
        Err(error) => {
            steps.not_connected("collector", &error);
            return None;
        }
    };
    steps.ok("collector", collector);
    let transport = open_transport(&target, steps).await?;
    let tls = match tls_settings(settings, identity) {
        Ok(Some(tls)) => tls,
        Ok(None) => {
            let found = "no CA to trust: this host is not enrolled and no token is configured";
            steps.failed("TLS", found, "enroll with a token of the collector");
            return None;
        }
        Err(error) => {
            steps.failed("TLS", format!("{error:#}"), "enroll again with a token of the collector");
            return None;
        }
    };
    check_tls(&target, transport, &tls, steps).await?;
    let probe = match uplink::probe(&target, &tls).await {
        Ok(probe) => probe,
        Err(error) => {
            let advice = error.advice().unwrap_or("check the collector's log at this time");
            steps.failed("enrollment", error_chain(&error), advice);
            return None;
        }
    };
    check_clock(&probe, steps);
    Some(probe)
}

/// Opens the connection below TLS: to the collector, or through the proxy.
async fn open_transport(target: &Target, steps: &mut Steps) -> Option<Transport> {
    if let Some(proxy) = &target.proxy {
        steps.ok("proxy", format!("{} (from {})", proxy.shown(), proxy.origin));
    }
    let addresses = match uplink::resolve(target).await {
        Ok(addresses) => addresses,
        Err(error) => {
            steps.not_connected("DNS", &error);
            return None;
        }
    };
    let (host, _) = target.first_hop();
    // `resolve` also returns an address that is given as such, without asking a name server.
    if host.parse::<IpAddr>().is_ok() {
        steps.ok("DNS", format!("not needed: {host} is an IP address"));
    } else {
        let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        steps.ok("DNS", format!("{host} resolves to {}", shown.join(", ")));
    }
    let stream = match uplink::open_tcp(target, &addresses).await {
        Ok(stream) => stream,
        Err(error) => {
            steps.not_connected("TCP connection", &error);
            return None;
        }
    };
    let from = stream.local_addr().map_or_else(|_| "?".to_owned(), |local| local.ip().to_string());
    let to = stream.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
    steps.ok("TCP connection", format!("from {from} to {to}"));
    match uplink::tunnel(target, stream).await {
        Ok(transport) => {
            if target.proxy.is_some() {
                steps.ok("proxy tunnel", format!("the proxy connects to {}:{}", target.host, target.port));
            }
            Some(transport)
        }
        Err(error) => {
            steps.not_connected("proxy tunnel", &error);
            None
        }
    }
}

async fn check_tls(target: &Target, transport: Transport, tls: &Tls, steps: &mut Steps) -> Option<()> {
    match uplink::handshake(target, transport, tls, &Arc::new(Traffic::default())).await {
        Ok((_, chain)) => {
            let end = chain.first().and_then(|certificate| uplink::certificate_end(certificate));
            let end = end.map_or_else(|| "?".to_owned(), |end| end.to_string());
            // The certificate behind the server's own is its CA, which the pin of a token names.
            let pin = chain.get(1).and_then(|certificate| uplink::pin_of(certificate));
            let pin = pin.map_or_else(|| "none".to_owned(), |pin| pin.to_string());
            steps.ok("TLS", format!("TLS 1.3, server certificate valid until {end}, CA pin {pin}"));
            Some(())
        }
        Err(error) => {
            steps.not_connected("TLS", &error);
            // The TLS error alone does not say that a device on the way has replaced the certificate.
            if let Some(issuer) = error.inspector() {
                steps.failed(
                    "TLS inspection",
                    format!(
                        "the certificate was issued by {issuer:?}, not by a collector: a device on the way decrypts TLS"
                    ),
                    "exempt the collector's name from TLS inspection; if this is your own new CA, enroll again",
                );
            }
            None
        }
    }
}

/// The TLS settings of this host, or those for enrolling with the configured token. `None` when there is neither.
fn tls_settings(settings: &Settings, identity: Option<&Identity>) -> anyhow::Result<Option<Tls>> {
    if let Some(identity) = identity {
        let key = IdentityStore::below(&settings.state_dir).key(identity.key)?;
        return Ok(Some(Tls::by_identity(identity, Some(&key))?));
    }
    let Some(path) = app::token_file(settings) else { return Ok(None) };
    Ok(Some(Tls::by_pin(app::read_token(&path)?.ca_pin)?))
}

fn check_clock(probe: &Probe, steps: &mut Steps) {
    let ahead = app::now().millis().saturating_sub(probe.server_time.millis());
    let found = match ahead.unsigned_abs() / 1000 {
        0 => "this machine's clock agrees with the collector's".to_owned(),
        seconds => {
            let direction = if ahead < 0 { "behind" } else { "ahead of" };
            format!("this machine's clock is {seconds} s {direction} the collector's")
        }
    };
    if ahead.unsigned_abs() > CLOCK_DIFFERENCE_MS {
        steps.failed("clock", found, "correct the clock of this machine or of the collector");
    } else {
        steps.ok("clock", found);
    }
}

/// Shows the local identity. `probe` is what the collector thinks of it; `None` when it could not be asked.
fn check_enrollment(settings: &Settings, identity: Option<Identity>, probe: Option<Probe>, steps: &mut Steps) {
    let Some(identity) = identity else {
        let dir = settings.state_dir.display();
        let found = format!("this host is not enrolled (no identity in {dir})");
        return steps.failed("enrollment", found, &app::enroll_command(&settings.state_dir));
    };
    let refusal = probe.and_then(|probe| probe.class);
    if let Some(class @ (RefusalClass::Unknown | RefusalClass::Revoked)) = refusal {
        let found = format!("the collector refuses this host ({class})");
        return steps.failed("enrollment", found, "enroll again with a new token");
    }
    // Any other refusal is the expected answer to the empty check-in. A key that must be renewed needs no token.
    if refusal == Some(RefusalClass::ReKey) && identity.expires > app::now() {
        return steps.failed("enrollment", "the collector wants a new key", "run `muster-agent once` to renew it");
    }
    if identity.expires <= app::now() {
        let found = format!("the certificate expired at {}", identity.expires);
        return steps.failed("enrollment", found, "run `muster-agent once` to renew it");
    }
    let Identity { host_id, site, expires, .. } = identity;
    let confirmed = if probe.is_some() { "" } else { "; the collector could not be asked" };
    steps.ok("enrollment", format!("host {host_id} in site {site}, certificate valid until {expires}{confirmed}"));
}

/// Whether an agent is running, and which places it can watch for changes. The watches are set up here as the service
/// does it, and released again.
fn check_watches(settings: &Settings, steps: &mut Steps) -> anyhow::Result<()> {
    let dir = settings.state_dir.display();
    let running = app::is_running(&settings.state_dir)?;
    if running {
        steps.ok("agent", format!("running with state directory {dir}"));
    } else {
        let advice = "start the service, or run `muster-agent run`; until then nothing is scanned or reported";
        steps.warning("agent", format!("no agent is running with state directory {dir}"), advice);
    }
    let mut watch = Watch::new(Instant::now());
    // Tried here, because only arming shows what the limits of this machine allow.
    let root = Root::running_system()?;
    let places = sources::watch_places(&root, &app::current_watchlist(settings, root.platform()));
    watch.arm(root, &places);
    let summary = watch.summary();
    let verb = if running { "watching" } else { "can watch" };
    let watched = format!("{verb} {}", summary.counted());
    if summary.is_complete() {
        steps.ok("change watches", watched);
        return Ok(());
    }
    let found = format!("{watched}; not watched: {}", summary.unwatched.join("; "));
    steps.warning("change watches", found, "nothing is lost: changes there are found at the next scheduled scan");
    Ok(())
}

fn check_sources(settings: &Settings, steps: &mut Steps) -> anyhow::Result<()> {
    let root = Root::running_system()?;
    let platform = root.platform();
    let watchlist = Some(app::current_watchlist(settings, platform));
    let options = ScanOptions { watchlist, ..ScanOptions::default() };
    let shown = options.progress.show("reading the sources");
    let scan = scan_root(root, &options);
    drop(shown);
    for entry in scan.snapshot.entries() {
        let step = format!("source {}", entry.source);
        let separator = if entry.reason.is_empty() { "" } else { ": " };
        let found = format!("{}{separator}{}", entry.outcome, entry.reason);
        match entry.outcome {
            Outcome::Found | Outcome::Empty | Outcome::NotApplicable => steps.ok(&step, found),
            Outcome::Denied | Outcome::Partial | Outcome::Failed | Outcome::TimedOut => {
                let advice = sources::advice(platform, entry.source, entry.outcome);
                steps.failed(&step, found, advice.unwrap_or_default());
            }
        }
    }
    Ok(())
}
