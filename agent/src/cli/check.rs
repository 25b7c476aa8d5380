//! `check`: diagnoses the connection to the collector step by step, then the change watches and the access of each source.
//!
//! Each failed step comes with advice. The program exits with 1 when a step has failed.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use muster_proto::error_chain;
use muster_proto::model::{Outcome, RefusalClass};
use tokio::time::Instant;

use super::Output;
use crate::app;
use crate::config::{Flags, Settings};
use crate::identity::{Identity, IdentityStore};
use crate::scan::{ScanOptions, scan_root};
use crate::sources;
use crate::sources::root::Root;
use crate::uplink::{self, ConnectError, Target, Tls, Traffic};
use crate::watch::Watch;

/// A difference between the two clocks that is reported as a failure.
const CLOCK_DIFFERENCE_MS: u64 = 60_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, serde::Serialize)]
struct Step {
    step: String,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn ok(&mut self, step: &str, found: impl Into<String>) {
        self.ok_with_advice(step, found, "");
    }

    fn ok_with_advice(&mut self, step: &str, found: impl Into<String>, advice: &str) {
        self.0.push(Step { step: step.to_owned(), ok: true, found: found.into(), advice: advice.to_owned() });
    }

    fn failed(&mut self, step: &str, found: impl Into<String>, advice: &str) {
        self.0.push(Step { step: step.to_owned(), ok: false, found: found.into(), advice: advice.to_owned() });
    }

    fn not_connected(&mut self, step: &str, error: &ConnectError) {
        self.failed(step, error_chain(error), error.advice());
    }
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags)?;
    let mut steps = Steps::default();
    app::block_on(check_connection(&settings, &mut steps))?;
    check_watches(&settings, &mut steps)?;
    check_sources(&settings, &mut steps)?;
    let Steps(steps) = steps;
    let mut out = io::stdout().lock();
    match arguments.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&steps)?)?,
        Output::Ndjson => {
            for step in &steps {
                writeln!(out, "{}", serde_json::to_string(step)?)?;
            }
        }
        Output::Table => print_table(&mut out, &steps)?,
    }
    Ok(if steps.iter().all(|step| step.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_table(out: &mut impl Write, steps: &[Step]) -> io::Result<()> {
    let width = steps.iter().map(|step| step.step.len()).max().unwrap_or_default();
    for Step { step, ok, found, advice } in steps {
        writeln!(out, "{} {step:<width$}  {found}", if *ok { "ok  " } else { "FAIL" })?;
        if !advice.is_empty() {
            writeln!(out, "     {:<width$}  -> {advice}", "")?;
        }
    }
    Ok(())
}

/// Checks the connection until the first step that fails: the later ones depend on it.
async fn check_connection(settings: &Settings, steps: &mut Steps) {
    let identity = match app::load_identity(settings) {
        Ok(identity) => identity,
        Err(error) => {
            steps.failed("identity", error_chain(&error), "let the agent read its state directory, or enroll again");
            None
        }
    };
    let enrolled_with = identity.as_ref().map(|identity| identity.collector.clone());
    let Some(collector) = settings.collector.clone().or(enrolled_with) else {
        steps.failed("collector", "no collector is configured", "enroll, or set `collector` in the configuration");
        return;
    };
    let target = match Target::parse(&collector) {
        Ok(target) => target.through(settings.proxy.as_ref()),
        Err(error) => return steps.not_connected("collector", &error),
    };
    steps.ok("collector", collector);
    if let Some(proxy) = &target.proxy {
        steps.ok("proxy", format!("{} (from {})", proxy.shown(), proxy.origin));
    }
    let addresses = match uplink::resolve(&target).await {
        Ok(addresses) => addresses,
        Err(error) => return steps.not_connected("DNS", &error),
    };
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    steps.ok("DNS", format!("{} resolves to {}", target.first_hop().0, shown.join(", ")));
    let stream = match uplink::open_tcp(&target, &addresses).await {
        Ok(stream) => stream,
        Err(error) => return steps.not_connected("TCP connection", &error),
    };
    let from = stream.local_addr().map_or_else(|_| "?".to_owned(), |local| local.ip().to_string());
    let to = stream.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
    steps.ok("TCP connection", format!("from {from} to {to}"));
    let transport = match uplink::tunnel(&target, stream).await {
        Ok(transport) => transport,
        Err(error) => return steps.not_connected("proxy tunnel", &error),
    };
    if target.proxy.is_some() {
        steps.ok("proxy tunnel", format!("the proxy connects to {}:{}", target.host, target.port));
    }
    let tls = match tls_settings(settings, identity.as_ref()) {
        Ok(Some(tls)) => tls,
        Ok(None) => {
            let found = "no CA to trust: this host is not enrolled and no token is configured";
            return steps.failed("TLS", found, "enroll with a token of the collector");
        }
        Err(error) => return steps.failed("TLS", format!("{error:#}"), "enroll again with a token of the collector"),
    };
    match uplink::handshake(&target, transport, &tls, &Arc::new(Traffic::default())).await {
        Ok((_, chain)) => {
            let end = chain.first().and_then(|certificate| uplink::certificate_end(certificate));
            let end = end.map_or_else(|| "?".to_owned(), |end| end.to_string());
            let pin = chain.get(1).and_then(|certificate| uplink::pin_of(certificate));
            let pin = pin.map_or_else(|| "none".to_owned(), |pin| pin.to_string());
            steps.ok("TLS", format!("TLS 1.3, certificate valid until {end}, CA pin {pin}"));
        }
        Err(error) => {
            steps.not_connected("TLS", &error);
            if let Some(issuer) = error.inspector() {
                steps.failed(
                    "TLS inspection",
                    format!(
                        "the certificate was issued by {issuer:?}, not by a collector: a device on the way decrypts TLS"
                    ),
                    "exempt the collector's name from TLS inspection; if this is your own new CA, enroll again",
                );
            }
            return;
        }
    }
    check_enrollment(&target, identity, &tls, steps).await;
}

/// The TLS settings of this host, or those for enrolling with the configured token. `None` when there is neither.
fn tls_settings(settings: &Settings, identity: Option<&Identity>) -> anyhow::Result<Option<Tls>> {
    if let Some(identity) = identity {
        let key = IdentityStore::below(&settings.state_dir).key(identity.key)?;
        return Ok(Some(Tls::by_identity(identity, Some(&key))?));
    }
    let Some(path) = &settings.token_file else { return Ok(None) };
    Ok(Some(Tls::by_pin(app::read_token(path)?.ca_pin)?))
}

async fn check_enrollment(target: &Target, identity: Option<Identity>, tls: &Tls, steps: &mut Steps) {
    let probe = match uplink::probe(target, tls).await {
        Ok(probe) => probe,
        Err(error) => {
            let advice = error.advice().unwrap_or("check the collector's log at this time");
            return steps.failed("enrollment", error_chain(&error), advice);
        }
    };
    let ahead = app::now().millis().saturating_sub(probe.server_time.millis());
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let found = format!("this machine's clock is {} ms {direction} the collector's", ahead.abs());
    if ahead.unsigned_abs() > CLOCK_DIFFERENCE_MS {
        steps.failed("clock", found, "correct the clock of this machine or of the collector");
    } else {
        steps.ok("clock", found);
    }
    let Some(identity) = identity else {
        return steps.failed("enrollment", "this host is not enrolled", "run `muster-agent enroll`");
    };
    match probe.class {
        Some(class @ (RefusalClass::Unknown | RefusalClass::Revoked | RefusalClass::ReKey)) => steps.failed(
            "enrollment",
            format!("the collector refuses this host ({class})"),
            "enroll again with a new token",
        ),
        // Any other refusal is the expected answer to the empty check-in.
        Some(_) | None if identity.expires <= app::now() => steps.failed(
            "enrollment",
            format!("the certificate expired at {}", identity.expires),
            "run `muster-agent once` to renew it",
        ),
        Some(_) | None => steps.ok(
            "enrollment",
            format!(
                "host {} in site {}, certificate valid until {}",
                identity.host_id, identity.site, identity.expires
            ),
        ),
    }
}

/// Whether an agent is running, and which places it can watch for changes. The watches are set up here as the service
/// does it, and released again.
fn check_watches(settings: &Settings, steps: &mut Steps) -> anyhow::Result<()> {
    let dir = settings.state_dir.display();
    let running = app::is_running(&settings.state_dir)?;
    if running {
        steps.ok("agent", format!("running in {dir}"));
    } else {
        let advice = "start the service or `muster-agent run`: without it nothing is scanned or reported";
        steps.ok_with_advice("agent", format!("no agent is running in {dir}"), advice);
    }
    let mut watch = Watch::new(Instant::now());
    watch.arm(&Root::running_system()?, &sources::watch_places(&app::current_watchlist(settings)));
    let summary = watch.summary();
    let verb = if running { "watching" } else { "can watch" };
    let watched = format!("{verb} {} directories", summary.directories);
    if summary.is_complete() {
        steps.ok("change watches", watched);
        return Ok(());
    }
    let found = format!("{watched}; not watched: {}", summary.unwatched.join("; "));
    steps.failed("change watches", found, "nothing is lost: changes there are found at the next scheduled scan");
    Ok(())
}

fn check_sources(settings: &Settings, steps: &mut Steps) -> anyhow::Result<()> {
    let options = ScanOptions { watchlist: app::current_watchlist(settings), ..ScanOptions::default() };
    let scan = scan_root(Root::running_system()?, &options);
    for entry in scan.snapshot.entries() {
        let step = format!("source {}", entry.source);
        let separator = if entry.reason.is_empty() { "" } else { ": " };
        let found = format!("{}{separator}{}", entry.outcome, entry.reason);
        match entry.outcome {
            Outcome::Found | Outcome::Empty | Outcome::NotApplicable => steps.ok(&step, found),
            Outcome::Denied | Outcome::Partial | Outcome::Failed | Outcome::TimedOut => {
                steps.failed(&step, found, sources::advice(entry.source, entry.outcome).unwrap_or_default());
            }
        }
    }
    Ok(())
}
