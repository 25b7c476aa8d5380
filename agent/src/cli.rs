//! The command line, one file per verb. Exit codes: 0 for success, 1 for an error, 2 for wrong usage.
//!
//! Results go to standard output, errors and the log to standard error. Everything is escaped, because names on a machine may
//! have characters that control a terminal. A closed pipe is no error and changes no exit code.

mod check;
mod completions;
mod enroll;
mod once;
mod run;
mod scan;
mod service;
mod status;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use muster_proto::error_chain;
use muster_proto::terminal::{Escaping, PipeSafe, printable};

use crate::app::{AppError, EnrollError, OwnFilesError};
use crate::config::{self, ConfigFault, ConfigFaults, Flags, Settings, SettingsError};
use crate::deadline::{self, StuckWork};
use crate::os;
use crate::os::service::ServiceError;
use crate::telemetry;
use crate::uplink::UplinkError;

/// Inventory agent: finds the security software on this machine and reports it to a Muster collector
#[derive(Debug, Parser)]
#[command(name = "muster-agent", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    /// Configuration file [default: /etc/muster/agent.toml if it exists; on Windows C:\ProgramData\Muster\agent.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<PathBuf>,
    /// Directory for the key, identity and spool [default: /var/lib/muster-agent for root, otherwise
    /// ~/.local/state/muster-agent; on Windows C:\ProgramData\Muster\agent]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    state_dir: Option<PathBuf>,
    /// Log more; repeat for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Scan this machine and print the result; sends nothing and needs no collector
    Scan(scan::Arguments),
    /// Enroll this host with a collector
    Enroll(enroll::Arguments),
    /// Run as a service; scan and report on the collector's schedule
    Run(run::Arguments),
    /// Scan and report once; exit with 0 once the collector has acknowledged the snapshot
    Once(once::Arguments),
    /// Show the state of this agent: enrollment, spool, watches
    Status(status::Arguments),
    /// Diagnose the connection to the collector, and check whether each source can be read
    Check(check::Arguments),
    /// Install, remove, start, stop or inspect the system service
    Service(service::Arguments),
    /// Print a shell completion script
    #[command(alias = "completion")]
    Completions(completions::Arguments),
    /// Print the version of this program
    Version {
        /// Output format
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
        output: Output,
    },
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned text
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Ndjson,
}

/// Runs the program with these arguments and returns its exit code.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // If even the usage cannot be printed, there is nothing left to try.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    os::memory::keep_few_heaps(crate::memory::HEAP_BLOCK_BYTES);
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // The only place that prints an error with its causes.
            let _ = writeln!(io::stderr(), "error: {}", printable(&error_chain(error.as_ref())));
            for line in advice(&error) {
                let _ = writeln!(io::stderr(), "  {}", printable(&line));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { config, state_dir, verbose, verb } = arguments;
    let flags = Flags { config, state_dir, collector: None, verbose };
    match verb {
        Verb::Scan(arguments) => {
            // The log settings are for the service; a person at a terminal wants warnings only.
            telemetry::start(if verbose > 0 { "debug" } else { telemetry::COMMAND_LEVEL }, config::LogFormat::Auto)?;
            scan::run(&arguments, &flags)
        }
        Verb::Enroll(arguments) => enroll::run(arguments, flags),
        Verb::Run(arguments) => run::run(arguments, flags),
        Verb::Once(arguments) => once::run(&arguments, &flags),
        Verb::Status(arguments) => status::run(&arguments, &flags),
        Verb::Check(arguments) => check::run(&arguments, &flags),
        Verb::Service(arguments) => service::run(&arguments, flags),
        Verb::Completions(arguments) => completions::run(&arguments, Arguments::command()),
        Verb::Version { output } => {
            let version = env!("CARGO_PKG_VERSION");
            let record = serde_json::json!({ "program": "muster-agent", "version": version });
            print(output, &record, || format!("muster-agent {version}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What to do about the error, as far as its type says, and what has become of the snapshot.
fn advice(error: &anyhow::Error) -> impl Iterator<Item = String> {
    let action = error.chain().find_map(|cause| {
        let app = cause.downcast_ref::<AppError>().and_then(AppError::advice);
        let enroll = || cause.downcast_ref::<EnrollError>().and_then(EnrollError::advice);
        let uplink = || cause.downcast_ref::<UplinkError>().and_then(UplinkError::advice);
        let own = || cause.downcast_ref::<OwnFilesError>().and_then(OwnFilesError::advice).map(Cow::Owned);
        let settings = || cause.downcast_ref::<SettingsError>().and_then(SettingsError::advice).map(Cow::Owned);
        let service = || cause.downcast_ref::<ServiceError>().and_then(ServiceError::advice);
        let uplink = || uplink().map(Cow::Borrowed);
        app.or_else(enroll).or_else(own).or_else(settings).or_else(service).or_else(uplink).map(Cow::into_owned)
    });
    let consequence = error.downcast_ref::<once::Undelivered>().map(once::Undelivered::consequence);
    action.into_iter().chain(consequence)
}

/// Standard output, for text or for JSON.
fn output(form: Output, colours: bool) -> Escaping<BufWriter<PipeSafe<Stdout>>> {
    let out = BufWriter::new(PipeSafe::stdout());
    match form {
        Output::Table => Escaping::text(out, colours),
        Output::Json | Output::Ndjson => Escaping::json(out),
    }
}

/// Prints one result: a line of JSON, or text.
fn print(form: Output, record: &impl serde::Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let mut out = output(form, false);
    match form {
        Output::Table => out.write_all(text().as_bytes())?,
        Output::Json | Output::Ndjson => {
            serde_json::to_writer(&mut out, record)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

/// Accepts one of these names. Help, completions and the hints for mistyped names list them.
fn one_of<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}

/// The settings, for what only shows them.
fn read_settings(flags: &Flags) -> Result<Settings, ConfigFaults> {
    read_settings_by(flags, config::load)
}

/// The settings, if nobody but an administrator can change them.
fn read_safe_settings(flags: &Flags) -> Result<Settings, SettingsError> {
    read_settings_by(flags, config::load_safe)
}

type Load<E> = fn(&Flags, BTreeMap<String, String>) -> Result<Settings, E>;

fn read_settings_by<E: From<ConfigFaults> + Send + 'static>(flags: &Flags, load: Load<E>) -> Result<Settings, E> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let own = flags.clone();
    let file = flags.config.clone().unwrap_or_else(os::default_config_file);
    let place = file.display().to_string();
    let noted = place.clone();
    let read = move || {
        deadline::reading(&noted);
        load(&own, environment)
    };
    deadline::run("settings", deadline::OWN_FILES, &SETTINGS, read).unwrap_or_else(|unfinished| {
        let reason = format!("read the file: {unfinished}");
        Err(ConfigFaults(vec![ConfigFault { place, key: String::new(), reason }]).into())
    })
}

/// A reading of the settings that hangs. The service reads them again at each SIGHUP.
static SETTINGS: LazyLock<StuckWork> = LazyLock::new(StuckWork::default);

/// Reads the settings and starts the log, at `level` unless the settings or `-v` ask for another.
fn settings(flags: &Flags, level: &str) -> anyhow::Result<Settings> {
    started(read_settings(flags)?, level)
}

/// As [`settings`], if nobody but an administrator can change them.
fn safe_settings(flags: &Flags, level: &str) -> anyhow::Result<Settings> {
    started(read_safe_settings(flags)?, level)
}

fn started(settings: Settings, level: &str) -> anyhow::Result<Settings> {
    telemetry::start(settings.log_level.as_deref().unwrap_or(level), settings.log_format)?;
    Ok(settings)
}
