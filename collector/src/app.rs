//! The only wiring: opens the store, loads the rules, starts listeners and loops, owns shutdown.
//!
//! ```text
//!  settings ─► prepare (directory, CA, database, admin token) ─► serve: rules, judge queue, doors, admin ─► stop, drain, close
//! ```
//!
//! Nothing else reads the system's clock. `token` works beside a running collector: it opens the same database itself.

mod check;
mod command;
mod index;
mod lock;
mod prepare;
mod rules;
mod serve;
mod token;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory, FromArgMatches};

use crate::clock;
use crate::config::{ConfigFaults, Layers, Settings};
use crate::telemetry;
use crate::tls::CaError;
use command::{Command, Verb};

/// Runs `muster-collector` and says with which code to exit: 0, 1 for an error, 2 for wrong usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Vec<(String, String)>) -> u8 {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let parsed = Command::command().try_get_matches_from(arguments).and_then(|found| Command::from_arg_matches(&found));
    let command = match parsed {
        Ok(command) => command,
        Err(refused) if refused.use_stderr() => {
            let _ = write!(err, "{}", refused.render());
            return 2;
        }
        Err(answer) => {
            let _ = write!(out, "{}", answer.render());
            return 0;
        }
    };
    match execute(command, environment, &mut out) {
        Ok(code) => code,
        Err(failed) => {
            let _ = out.flush();
            report(&failed, &mut err);
            1
        }
    }
}

fn execute(command: Command, environment: Vec<(String, String)>, out: &mut dyn Write) -> anyhow::Result<u8> {
    if matches!(command.verb, Verb::Version) {
        return said(writeln!(out, "muster-collector {}", env!("CARGO_PKG_VERSION")));
    }
    let settings = Settings::load(&Layers { flags: command.flags, environment });
    if let (Verb::Check, Err(faults)) = (&command.verb, &settings) {
        writeln!(
            out,
            "FAULT settings: {faults}\n      correct them; every key is explained in deploy/config/collector.toml"
        )?;
        return Ok(1);
    }
    let settings = settings?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command.verb {
        Verb::Serve => {
            telemetry::start_log(&settings.log)?;
            let served = runtime.block_on(serve::serve(settings, clock::system()));
            // A handshake or a call that has not ended by now has had its deadline.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            served.map(|()| 0)
        }
        Verb::Init => said(runtime.block_on(prepare::init(&settings, clock::system_now(), out))?),
        Verb::Token(verb) => said(runtime.block_on(token::run(&settings, verb, clock::system_now(), out))?),
        Verb::Check => {
            let good = runtime.block_on(check::run(&settings, clock::system_now(), out))?;
            Ok(if good { 0 } else { 1 })
        }
        Verb::Version => Ok(0),
    }
}

/// Who stops reading has what they wanted.
fn said(written: io::Result<()>) -> anyhow::Result<u8> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(0),
    }
}

/// The chain of the error, then what to do about it.
fn report(failed: &anyhow::Error, err: &mut dyn Write) {
    let mut chain: Vec<String> = Vec::new();
    for cause in failed.chain().map(ToString::to_string) {
        if !chain.iter().any(|before| before.contains(&cause)) {
            chain.push(cause);
        }
    }
    let _ = writeln!(err, "error: {}", chain.join(": "));
    let advice = failed.chain().find_map(|cause| {
        let of_ca = cause.downcast_ref::<CaError>().map(CaError::advice);
        let of_settings =
            cause.downcast_ref::<ConfigFaults>().map(|_| "every key is explained in deploy/config/collector.toml");
        let of_lock = cause.downcast_ref::<lock::Locked>().map(|_| "stop it first, or name another --data-dir");
        let of_database = cause.downcast_ref::<prepare::ForeignAuthority>().map(|_| prepare::ForeignAuthority::ADVICE);
        of_ca.or(of_settings).or(of_lock).or(of_database)
    });
    if let Some(advice) = advice {
        let _ = writeln!(err, "\n  {advice}");
    }
}
