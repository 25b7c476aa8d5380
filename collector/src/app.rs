//! The wiring: opens the store, loads the rules, starts listeners and background tasks, and owns shutdown.
//!
//! ```text
//!  settings ─► prepare (directory, CA, database, seal key, admin token) ─► serve: rules, judge queue, listeners ─► stop, drain, close
//! ```
//!
//! `tokens` and `backup` work beside a running collector: they open the same database themselves.

mod accounts;
mod applied;
mod authority;
mod backup;
mod bulk;
mod check;
mod command;
mod decisions;
mod descriptors;
mod duties;
mod editions;
mod index;
mod lock;
mod marks;
mod prepare;
mod present;
mod retention;
mod roster;
mod rules;
mod seal;
mod sealing;
mod serve;
mod store_size;
mod store_watch;
mod system_user;
#[cfg(test)]
mod test_kit;
mod throttled;
mod tokens;
mod unfinished;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory, FromArgMatches};
use muster_proto::error_chain;
use muster_proto::terminal::{Escaping, PipeSafe, printable};
use serde_json::json;

use crate::clock::{self, Clock};
use crate::config::{ConfigFaults, Settings};
use crate::store::StoreError;
use crate::telemetry;
use crate::tls::{CaError, CompanyCertificateError};
use authority::{CaLost, ForeignAuthority, StoreLost};
use command::{BackupArgs, BackupVerb, Command, Format, InitArgs, ServeArgs, Verb};
use prepare::{Asked, ExposedAdminToken, NotPrepared};
use seal::SealError;
use unfinished::UnfinishedRestore;

/// What to do about faulty settings.
const SETTINGS_ADVICE: &str = "the example collector.toml that comes with Muster explains every key";

/// Runs `muster-collector` and returns the exit code: 0, 1 for an error, 2 for wrong usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Vec<(String, String)>) -> u8 {
    run_at(arguments, environment, clock::system())
}

/// The same with another clock, for tests in which days pass.
pub fn run_at(arguments: impl IntoIterator<Item = OsString>, environment: Vec<(String, String)>, clock: Clock) -> u8 {
    // A closed pipe is no error: the exit code is the same whether anybody reads the output.
    let (mut out, mut err) = (PipeSafe::stdout(), io::stderr());
    let parsed = Command::command().try_get_matches_from(arguments).and_then(|found| Command::from_arg_matches(&found));
    let command = match parsed {
        Ok(command) => command,
        Err(refused) if refused.use_stderr() => {
            // Nothing can be done if standard error is closed.
            let _ = write!(err, "{}", refused.render());
            return 2;
        }
        Err(answer) => {
            let _ = write!(out, "{}", answer.render());
            return 0;
        }
    };
    let mut out = match command.verb.format() {
        Format::Table => Escaping::text(out, false),
        Format::Json => Escaping::json(out),
    };
    let done = execute(command, environment, clock, &mut out);
    // Flush first, so that an error comes after everything that was printed.
    let flushed = out.flush();
    done.and_then(|code| flushed.map(|()| code).map_err(Into::into)).unwrap_or_else(|failed| {
        report(&failed, &mut err);
        1
    })
}

fn execute(
    command: Command,
    environment: Vec<(String, String)>,
    clock: Clock,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    // The version must be printed even if the settings are faulty.
    let format = command.verb.format();
    if let Verb::Version(_) = command.verb {
        let version = env!("CARGO_PKG_VERSION");
        match format {
            Format::Table => writeln!(out, "muster-collector {version}")?,
            Format::Json => writeln!(out, "{:#}", json!({ "program": "muster-collector", "version": version }))?,
        }
        return Ok(0);
    }
    if let Verb::Completions { shell } = command.verb {
        // `generate` panics if it cannot write, for example to a full disk.
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Command::command(), "muster-collector", &mut text);
        out.write_all(&text)?;
        return Ok(0);
    }
    let given = backup::Given::of(&command.flags, &environment);
    let settings = Settings::load(&command.flags, environment);
    // For `check` a faulty setting is a finding like others, so it goes to standard output.
    if let (Verb::Check(_), Err(faults)) = (&command.verb, &settings) {
        check::faulty_settings(faults, SETTINGS_ADVICE, format, out)?;
        return Ok(1);
    }
    let settings = settings?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command.verb {
        Verb::Serve(ServeArgs { new_store }) => {
            telemetry::start_log(&settings.log)?;
            let served = runtime.block_on(serve::serve(settings, new_store, clock));
            // Handshakes and calls that are still open had their deadline in `serve`.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            served.map(|()| 0)
        }
        Verb::Init(InitArgs { new_store, origin, .. }) => {
            let asked = Asked { new_store, origin: origin.as_ref() };
            runtime.block_on(prepare::init(&settings, &command.flags, asked, clock(), format, out))?;
            Ok(0)
        }
        Verb::Tokens(asked) => {
            runtime.block_on(tokens::run(&settings, asked, clock(), out))?;
            Ok(0)
        }
        Verb::Accounts(asked) => {
            runtime.block_on(accounts::run(&settings, asked, clock(), out))?;
            Ok(0)
        }
        Verb::Check(_) => {
            let good = runtime.block_on(check::run(&settings, clock(), format, out))?;
            Ok(if good { 0 } else { 1 })
        }
        Verb::Backup(BackupArgs { verb: Some(BackupVerb::Verify { directory }), .. }) => {
            let good = backup::verify(&directory, out)?;
            Ok(if good { 0 } else { 1 })
        }
        Verb::Backup(BackupArgs { to, .. }) => {
            // `clap` demands it.
            let to = to.unwrap_or_default();
            runtime.block_on(backup::create(&settings, &given, &to, clock(), out))??;
            Ok(0)
        }
        Verb::Restore { directory } => {
            runtime.block_on(backup::restore(&settings, &directory, clock(), &command.flags, out))??;
            Ok(0)
        }
        // Answered above.
        Verb::Version(_) | Verb::Completions { .. } => Ok(0),
    }
}

/// Prints the error with its causes, then the advice.
fn report(failed: &anyhow::Error, err: &mut dyn Write) {
    let _ = writeln!(err, "error: {}", printable(&error_chain(failed.as_ref())));
    let advice = failed.chain().find_map(|cause| {
        let of_ca = cause.downcast_ref::<CaError>().map(CaError::advice);
        let of_company = cause.downcast_ref::<CompanyCertificateError>().map(CompanyCertificateError::advice);
        let of_settings = cause.downcast_ref::<ConfigFaults>().map(|_| SETTINGS_ADVICE.to_owned());
        let of_lock = cause.downcast_ref::<lock::Locked>().map(|_| lock::Locked::ADVICE.to_owned());
        let of_database = cause.downcast_ref::<ForeignAuthority>().map(ForeignAuthority::advice);
        let of_lost_ca = cause.downcast_ref::<CaLost>().map(CaLost::advice);
        let of_lost_store = cause.downcast_ref::<StoreLost>().map(StoreLost::advice);
        let of_directory = cause.downcast_ref::<NotPrepared>().map(NotPrepared::advice);
        let of_token = cause.downcast_ref::<ExposedAdminToken>().map(|_| ExposedAdminToken::ADVICE.to_owned());
        let of_store = || cause.downcast_ref::<StoreError>().and_then(StoreError::advice).map(str::to_owned);
        let of_port = cause.downcast_ref::<serve::CannotListen>().map(serve::CannotListen::advice);
        let of_backup = cause.downcast_ref::<backup::Refused>().map(backup::Refused::advice);
        let of_seal = cause.downcast_ref::<SealError>().map(SealError::advice);
        let of_restore = cause.downcast_ref::<UnfinishedRestore>().map(UnfinishedRestore::advice);
        of_backup
            .or(of_restore)
            .or(of_seal)
            .or(of_port)
            .or(of_ca)
            .or(of_company)
            .or(of_settings)
            .or(of_lock)
            .or(of_database)
            .or(of_lost_ca)
            .or(of_lost_store)
            .or(of_directory)
            .or(of_token)
            .or_else(of_store)
    });
    if let Some(advice) = advice {
        let _ = writeln!(err, "  {}", printable(&advice));
    }
}
