//! `check`: the way to the collector, step by step, and the rights of each source: what works, and what to do where it
//! does not. Ends with 1 when a step fails.

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
use crate::sources::places;
use crate::sources::root::Root;
use crate::uplink::{self, ConnectError, Target, Tls, Traffic};
use crate::watch::Watch;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How to print
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
    fn good(&mut self, step: &str, found: impl Into<String>) {
        self.0.push(Step { step: step.to_owned(), ok: true, found: found.into(), advice: String::new() });
    }

    /// Nothing is wrong, and there is something to do.
    fn open(&mut self, step: &str, found: impl Into<String>, advice: &str) {
        self.0.push(Step { step: step.to_owned(), ok: true, found: found.into(), advice: advice.to_owned() });
    }

    fn bad(&mut self, step: &str, found: impl Into<String>, advice: &str) {
        self.0.push(Step { step: step.to_owned(), ok: false, found: found.into(), advice: advice.to_owned() });
    }

    fn failed(&mut self, step: &str, error: &ConnectError) {
        self.bad(step, error_chain(error), error.advice());
    }
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags)?;
    let mut steps = Steps::default();
    app::block_on(way(&settings, &mut steps))?;
    watching(&settings, &mut steps)?;
    rights(&settings, &mut steps)?;
    let Steps(steps) = steps;
    let mut out = io::stdout().lock();
    match arguments.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&steps)?)?,
        Output::Ndjson => {
            for step in &steps {
                writeln!(out, "{}", serde_json::to_string(step)?)?;
            }
        }
        Output::Table => {
            for Step { step, ok, found, advice } in &steps {
                writeln!(out, "{} {step:<22} {found}", if *ok { "ok  " } else { "FAIL" })?;
                if !advice.is_empty() {
                    writeln!(out, "     {:<22} -> {advice}", "")?;
                }
            }
        }
    }
    Ok(if steps.iter().all(|step| step.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every step as far as the one before allows.
async fn way(settings: &Settings, steps: &mut Steps) {
    let identity = match app::identity_of(settings) {
        Ok(identity) => identity,
        Err(error) => {
            steps.bad(
                "identity",
                error_chain(&error),
                "enroll again, or give the agent the right to its state directory",
            );
            None
        }
    };
    let of_identity = identity.as_ref().map(|identity| identity.collector.clone());
    let Some(collector) = settings.collector.clone().or(of_identity) else {
        steps.bad("collector", "no collector is set", "enroll, or set `collector` in the configuration");
        return;
    };
    let target = match Target::parse(&collector) {
        Ok(target) => target.through(settings.proxy.as_ref()),
        Err(error) => return steps.failed("collector", &error),
    };
    steps.good("collector", collector);
    if let Some(proxy) = &target.proxy {
        steps.good("proxy", format!("{} by {}", proxy.shown(), proxy.origin));
    }
    let addresses = match uplink::resolve(&target).await {
        Ok(addresses) => addresses,
        Err(error) => return steps.failed("name", &error),
    };
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    steps.good("name", format!("{} is {}", target.first_hop().0, shown.join(", ")));
    let stream = match uplink::open_tcp(&target, &addresses).await {
        Ok(stream) => stream,
        Err(error) => return steps.failed("route and TCP", &error),
    };
    let from = stream.local_addr().map_or_else(|_| "?".to_owned(), |local| local.ip().to_string());
    let to = stream.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
    steps.good("route and TCP", format!("from {from} to {to}"));
    let line = match uplink::tunnel(&target, stream).await {
        Ok(line) => line,
        Err(error) => return steps.failed("way through the proxy", &error),
    };
    if target.proxy.is_some() {
        steps.good("way through the proxy", format!("CONNECT to {}:{} is granted", target.host, target.port));
    }
    let tls = match tls_of(settings, identity.as_ref()) {
        Ok(Some(tls)) => tls,
        Ok(None) => {
            return steps.bad(
                "TLS",
                "nobody to trust: not enrolled, and no token",
                "enroll with a token of the collector",
            );
        }
        Err(error) => return steps.bad("TLS", format!("{error:#}"), "enroll again with a token of the collector"),
    };
    match uplink::handshake(&target, line, &tls, &Arc::new(Traffic::default())).await {
        Ok((_, chain)) => {
            let end = chain.first().and_then(|certificate| uplink::certificate_end(certificate));
            let end = end.map_or_else(|| "?".to_owned(), |end| end.to_string());
            let pin = chain.get(1).and_then(|certificate| uplink::pin_of(certificate));
            let pin = pin.map_or_else(|| "none".to_owned(), |pin| pin.to_string());
            steps.good("TLS chain and pin", format!("TLS 1.3, valid until {end}, CA pin {pin}"));
        }
        Err(error) => {
            steps.failed("TLS chain and pin", &error);
            if let Some(issuer) = error.inspector() {
                steps.bad(
                    "TLS inspection",
                    format!("the chain shown is {issuer:?}'s and no collector's: somebody between opens TLS and closes it anew"),
                    "exempt the collector's name from TLS inspection; if its CA is your own and new, enroll again",
                );
            }
            return;
        }
    }
    enrollment(&target, identity, &tls, steps).await;
}

fn tls_of(settings: &Settings, identity: Option<&Identity>) -> anyhow::Result<Option<Tls>> {
    if let Some(identity) = identity {
        let key = IdentityStore::below(&settings.state_dir).key(identity.key)?;
        return Ok(Some(Tls::by_identity(identity, Some(&key))?));
    }
    let Some(path) = &settings.token_file else { return Ok(None) };
    Ok(Some(Tls::by_pin(app::read_token(path)?.ca_pin)?))
}

async fn enrollment(target: &Target, identity: Option<Identity>, tls: &Tls, steps: &mut Steps) {
    let probe = match uplink::probe(target, tls).await {
        Ok(probe) => probe,
        Err(error) => {
            return steps.bad(
                "enrollment",
                error_chain(&error),
                error.advice().unwrap_or("look at the collector's log"),
            );
        }
    };
    let ahead = app::now().millis().saturating_sub(probe.server_time.millis());
    let found =
        format!("this machine is {} ms {} the collector", ahead.abs(), if ahead < 0 { "behind" } else { "ahead of" });
    if ahead.abs() > 60_000 {
        steps.bad("clock", found, "set the clock of this machine, or of the collector");
    } else {
        steps.good("clock", found);
    }
    let Some(identity) = identity else {
        return steps.bad("enrollment", "this host is not enrolled", "run `muster-agent enroll`");
    };
    let verdict = match probe.class {
        Some(class @ (RefusalClass::Unknown | RefusalClass::Revoked | RefusalClass::ReKey)) => Some(class),
        Some(_) | None => None,
    };
    match verdict {
        Some(class) => steps.bad(
            "enrollment",
            format!("the collector refuses this host ({class})"),
            "enroll again with a new token",
        ),
        None if identity.expires <= app::now() => {
            steps.bad(
                "enrollment",
                format!("the certificate ended at {}", identity.expires),
                "run `muster-agent once`: it renews",
            );
        }
        None => steps
            .good("enrollment", format!("{} of site {}, until {}", identity.host_id, identity.site, identity.expires)),
    }
}

/// Whether somebody watches this machine, and of which places it can be done: tried anew, as the service does.
fn watching(settings: &Settings, steps: &mut Steps) -> anyhow::Result<()> {
    let dir = settings.state_dir.display();
    let running = app::at_work(&settings.state_dir)?;
    if running {
        steps.good("agent", format!("at work in {dir}"));
    } else {
        let advice = "start the service, or `muster-agent run`: until then nothing is looked at and nothing reported";
        steps.open("agent", format!("none is at work in {dir}"), advice);
    }
    let mut watch = Watch::new(Instant::now());
    watch.arm(&Root::running_system()?, &places::places(&app::watchlist_in_force(settings)));
    let summary = watch.summary();
    let directories = summary.directories;
    let watched = if running {
        format!("{directories} directories")
    } else {
        format!("{directories} directories can be watched, once an agent is at work")
    };
    if summary.is_complete() {
        steps.good("wakes on change", watched);
        return Ok(());
    }
    let found = format!("{watched}; not watched: {}", summary.unwatched.join("; "));
    steps.bad("wakes on change", found, "nothing is lost: changes there are seen at the collector's pace");
    Ok(())
}

fn rights(settings: &Settings, steps: &mut Steps) -> anyhow::Result<()> {
    let options = ScanOptions { watchlist: app::watchlist_in_force(settings), ..ScanOptions::default() };
    let taken = scan_root(Root::running_system()?, &options);
    for entry in taken.snapshot.entries() {
        let step = format!("source {}", entry.source);
        let found = format!("{} {}", entry.outcome, entry.reason);
        match entry.outcome {
            Outcome::Found | Outcome::Empty | Outcome::NotApplicable => steps.good(&step, found.trim_end()),
            Outcome::Denied => {
                steps.bad(&step, found, "run the agent as root, or give it the right to read this place")
            }
            Outcome::Partial | Outcome::Failed | Outcome::TimedOut => {
                steps.bad(
                    &step,
                    found.trim_end(),
                    "mend the place that the reason names; until then the verdict is unknown",
                );
            }
        }
    }
    Ok(())
}
