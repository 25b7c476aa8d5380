//! The `muster` program: one file per noun. It is a client of FleetService and never opens the database; `catalogue match`,
//! `catalogue check`, `orders new` and `orders check` work without a collector.
//!
//! ```text
//!  args ─► profile ─► client (wire to model) ─► noun ─► render (table, json, ndjson, csv) ─► exit code
//! ```

mod accounts;
mod args;
mod attestations;
mod board;
mod bulk;
mod catalogue;
mod changes;
mod client;
mod decided;
mod dispositions;
mod due;
mod duties;
mod exit;
mod explain;
mod faults;
mod findings;
mod forecast;
mod host;
mod host_actions;
mod hosts;
mod ledger;
mod line_diff;
mod login_link;
mod order_changes;
mod order_files;
mod orders;
mod password;
mod past;
mod profile;
mod render;
mod roster;
mod selection;
mod software;
mod status;
mod timeline;
mod tokens;
mod waivers;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory, FromArgMatches};
use muster_proto::error_chain;
use muster_proto::model::{BulkKind, HostActionKind, Timestamp};
use muster_proto::terminal::{Paint, printable};
use muster_proto::wire::OrderSwitch;

use crate::ledger::tiles::ExportError;
use args::attestations::{AttestationsArgs, AttestationsVerb};
use args::ledger::{LedgerArgs, LedgerVerb};
use args::orders::{OrdersArgs, OrdersVerb};
use args::{Cli, HostsArgs, HostsVerb, Verb};
use client::Client;
use render::Screen;

pub(crate) use accounts::{password_line, plain_page as account_page, plain_table as account_table};
pub(crate) use args::NewTokenArgs;
pub(crate) use args::accounts::{AccountsVerb, NewAccountArgs, PasswordArgs, RotateArgs};
pub use exit::{of_boards, of_verdicts};
pub(crate) use password::read_password;
pub(crate) use render::counted;
pub(crate) use tokens::plain_table as token_table;

/// The surroundings of one run, given by the program or by a test.
pub struct World<'w> {
    /// Standard output.
    pub out: &'w mut (dyn Write + Send),
    /// Standard error.
    pub err: &'w mut (dyn Write + Send),
    /// Standard input, for `catalogue match`.
    pub input: &'w mut (dyn io::BufRead + Send),
    /// Colours and width for standard output.
    pub paint: Paint,
    /// The current time.
    pub now: Timestamp,
    /// The home directory, for profiles.
    pub home: Option<std::path::PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<std::path::PathBuf>,
}

/// Runs one command and returns the exit code.
pub async fn run(arguments: impl IntoIterator<Item = OsString>, world: World<'_>) -> u8 {
    let World { out, err, input, paint, now, home, config_home } = world;
    let parsed = Cli::command().try_get_matches_from(arguments).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(refused) => return usage(&refused, out, err),
    };
    let mut screen = Screen::new(out, cli.output, paint, now);
    let places = profile::Places { home, config_home };
    let done = match execute(cli, &mut screen, input, &places).await {
        // Flush here, so that output that fails at the very end changes the exit code, too.
        Ok(code) => screen.flush().map(|()| code).map_err(anyhow::Error::from),
        Err(failed) => Err(failed),
    };
    done.unwrap_or_else(|failed| report(&failed, err))
}

async fn execute(
    cli: Cli,
    screen: &mut Screen<'_>,
    input: &mut (dyn io::BufRead + Send),
    places: &profile::Places,
) -> anyhow::Result<u8> {
    let connect = async || Client::connect(&profile::resolve(&cli.connection, places)?).await;
    match cli.verb {
        Verb::Board(asked) => board::run(connect().await?, asked, screen).await,
        Verb::Hosts(asked) => match *asked {
            HostsArgs { verb: None, filter } => hosts::run(connect().await?, filter, screen).await,
            HostsArgs { verb: Some(HostsVerb::List(inner)), filter } => {
                let filter = list_options(filter, inner)?;
                hosts::run(connect().await?, filter, screen).await
            }
            HostsArgs { verb: Some(verb), filter } => {
                no_list_options(filter == args::HostsFilterArgs::default())?;
                hosts_verb(connect().await?, verb, screen).await
            }
        },
        Verb::Software(asked) => software::run(connect().await?, asked, screen).await,
        Verb::Host(asked) => host::run(connect().await?, asked, screen).await,
        Verb::Explain(asked) => explain::run(connect().await?, asked, screen).await,
        Verb::Findings(asked) => findings::run(connect().await?, asked, screen).await,
        Verb::Changes(asked) => changes::run(connect().await?, asked, screen).await,
        Verb::Timeline(asked) => timeline::run(connect().await?, asked, screen).await,
        Verb::Forecast(asked) => forecast::run(connect().await?, asked, screen).await,
        Verb::Orders(OrdersArgs { verb: None, all }) => orders::list(connect().await?, all, screen).await,
        // People write `--all` before or after the verb.
        Verb::Orders(OrdersArgs { verb: Some(OrdersVerb::List { all: inner }), all }) => {
            orders::list(connect().await?, all || inner, screen).await
        }
        Verb::Orders(OrdersArgs { verb: Some(verb), all }) => {
            no_list_options(!all)?;
            match verb {
                OrdersVerb::List { all } => orders::list(connect().await?, all, screen).await,
                OrdersVerb::Show(asked) if asked.file => {
                    order_changes::show_files(connect().await?, &asked, screen).await
                }
                OrdersVerb::Show(asked) => orders::show(connect().await?, &asked.id, screen).await,
                OrdersVerb::Diff { file } => order_changes::diff(connect, &file, screen).await,
                OrdersVerb::Apply(asked) => order_changes::apply(connect, &asked, screen).await,
                OrdersVerb::Activate(asked) => {
                    order_changes::switch(connect().await?, OrderSwitch::Activate, &asked, screen).await
                }
                OrdersVerb::Deactivate(asked) => {
                    order_changes::switch(connect().await?, OrderSwitch::Deactivate, &asked, screen).await
                }
                OrdersVerb::Remove(asked) => {
                    order_changes::switch(connect().await?, OrderSwitch::Remove, &asked, screen).await
                }
                OrdersVerb::New(asked) => order_files::new(&asked, screen),
                OrdersVerb::Check(asked) => order_files::check(&asked, screen),
            }
        }
        Verb::Roster(asked) => roster::run(connect().await?, asked, screen).await,
        Verb::Waivers(asked) => waivers::run(connect().await?, asked, screen).await,
        Verb::Dispositions(asked) => dispositions::run(connect().await?, asked, screen).await,
        Verb::Duties(asked) => duties::run(connect().await?, asked, screen).await,
        Verb::Accounts(asked) => accounts::run(connect().await?, asked, screen).await,
        Verb::LoginLink => {
            let target = profile::resolve(&cli.connection, places)?;
            login_link::run(Client::connect(&target).await?, &target.server, screen).await
        }
        Verb::Attestations(AttestationsArgs { verb: None, filter }) => {
            attestations::list(connect().await?, filter, screen).await
        }
        Verb::Attestations(AttestationsArgs { verb: Some(AttestationsVerb::List(inner)), filter }) => {
            let filter = list_options(filter, inner)?;
            attestations::list(connect().await?, filter, screen).await
        }
        Verb::Attestations(AttestationsArgs { verb: Some(AttestationsVerb::Show(asked)), filter }) => {
            no_list_options(filter == args::attestations::AttestationsFilterArgs::default())?;
            attestations::show(connect().await?, asked, screen).await
        }
        Verb::Attestations(AttestationsArgs { verb: Some(AttestationsVerb::Verify(asked)), filter }) => {
            no_list_options(filter == args::attestations::AttestationsFilterArgs::default())?;
            attestations::verify_files(&asked, screen)
        }
        Verb::Ledger(LedgerArgs { verb: None, filter }) => ledger::list(connect().await?, filter, screen).await,
        Verb::Ledger(LedgerArgs { verb: Some(LedgerVerb::List(inner)), filter }) => {
            let filter = list_options(filter, inner)?;
            ledger::list(connect().await?, filter, screen).await
        }
        Verb::Ledger(LedgerArgs { verb: Some(LedgerVerb::Show { number }), filter }) => {
            no_list_options(filter == args::ledger::LedgerFilterArgs::default())?;
            ledger::show(connect().await?, number, screen).await
        }
        Verb::Ledger(LedgerArgs { verb: Some(LedgerVerb::Checkpoint), filter }) => {
            no_list_options(filter == args::ledger::LedgerFilterArgs::default())?;
            ledger::checkpoint(connect().await?, screen).await
        }
        Verb::Ledger(LedgerArgs { verb: Some(LedgerVerb::Verify(asked)), filter }) => {
            no_list_options(filter == args::ledger::LedgerFilterArgs::default())?;
            ledger::verify(connect().await?, asked, screen).await
        }
        Verb::Ledger(LedgerArgs { verb: Some(LedgerVerb::Export(asked)), filter }) => {
            no_list_options(filter == args::ledger::LedgerFilterArgs::default())?;
            ledger::export(connect().await?, asked, screen).await
        }
        Verb::Tokens(asked) => tokens::run(connect().await?, asked, screen).await,
        Verb::Status => status::run(connect().await?, screen).await,
        Verb::Catalogue(args::CatalogueVerb::List) => catalogue::list(connect().await?, screen).await,
        Verb::Catalogue(args::CatalogueVerb::Show(asked)) => catalogue::show(connect().await?, asked, screen).await,
        Verb::Catalogue(args::CatalogueVerb::Match(asked)) => catalogue::match_lines(&asked, input, screen),
        Verb::Catalogue(args::CatalogueVerb::Check(asked)) => catalogue::check(&asked, screen),
        Verb::Completions { shell } => {
            // A script has one form only.
            if cli.output.is_some() {
                return Err(args::WrongUsage("`completions` prints a script and takes no -o".to_owned()).into());
            }
            // `generate` panics if it cannot write, for example to a full disk.
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "muster", &mut text);
            screen.raw(&text)?;
            Ok(0)
        }
        Verb::Version => {
            let version = env!("CARGO_PKG_VERSION");
            let whole = serde_json::json!({ "program": "muster", "version": version });
            let answer = render::Answer { whole: &whole, header: &["program", "version"] };
            let row = || vec![vec!["muster".to_owned(), version.to_owned()]];
            screen.show(&answer, std::slice::from_ref(&whole), row, |_| format!("muster {version}\n"))?;
            Ok(0)
        }
    }
}

/// The options of a list, which may come before or after `list`. If they are mixed, one half would be dropped in silence.
fn list_options<O: Default + PartialEq>(before: O, after: O) -> Result<O, args::WrongUsage> {
    let none = O::default();
    match (before == none, after == none) {
        (false, false) => Err(args::WrongUsage("give the options of the list after `list`".to_owned())),
        (_, true) => Ok(before),
        (true, false) => Ok(after),
    }
}

/// What a verb does to hosts.
async fn hosts_verb(client: Client, verb: HostsVerb, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let (change, selection) = match verb {
        // The caller has it.
        HostsVerb::List(filter) => return hosts::run(client, filter, screen).await,
        HostsVerb::Show(asked) => return host::run(client, asked, screen).await,
        HostsVerb::Revoke(asked) => return host_actions::run(client, HostActionKind::Revoke, asked, screen).await,
        HostsVerb::Release(asked) => return host_actions::run(client, HostActionKind::Release, asked, screen).await,
        HostsVerb::Review(asked) => return host_actions::run(client, HostActionKind::Review, asked, screen).await,
        HostsVerb::Purge(asked) => return host_actions::run(client, HostActionKind::Purge, asked, screen).await,
        HostsVerb::Retire(asked) => return dispositions::retire(client, asked, screen).await,
        HostsVerb::Unretire(asked) => return dispositions::unretire(client, asked, screen).await,
        HostsVerb::Bulk(asked) => return bulk::list(client, asked.number, screen).await,
        HostsVerb::Label(asked) => ((BulkKind::Label, asked.label.to_string()), asked.selection),
        HostsVerb::Unlabel(asked) => ((BulkKind::Unlabel, asked.label.to_string()), asked.selection),
        HostsVerb::Own(asked) => ((BulkKind::Own, asked.owner), asked.selection),
        HostsVerb::Note(asked) => ((BulkKind::Note, asked.text), asked.selection),
        HostsVerb::Move(asked) => ((BulkKind::Move, asked.site.to_string()), asked.selection),
    };
    bulk::run(client, change, selection, screen).await
}

/// Options of a list mean nothing to the other verbs. clap could refuse them, but it would refuse the global options too.
fn no_list_options(none: bool) -> Result<(), args::WrongUsage> {
    let refused = || {
        args::WrongUsage(
            "this command does not take the options of the list; give its own options after its name".to_owned(),
        )
    };
    if none { Ok(()) } else { Err(refused()) }
}

/// Prints what clap has to say: help and version are answers, anything else is wrong usage.
fn usage(refused: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let text = refused.render();
    if refused.use_stderr() {
        // If standard error is closed, the exit code still reports the wrong usage.
        let _ = write!(err, "{text}");
        2
    } else {
        let _ = write!(out, "{text}").and_then(|()| out.flush());
        0
    }
}

/// Prints an error with its causes, then the advice.
fn report(failed: &anyhow::Error, err: &mut dyn Write) -> u8 {
    if let Some(wrong) = failed.downcast_ref::<args::WrongUsage>() {
        let _ = writeln!(err, "error: {wrong}");
        return 2;
    }
    let _ = writeln!(err, "error: {}", printable(&error_chain(failed.as_ref())));
    let of_list = failed.downcast_ref::<roster::NotImported>().and_then(roster::NotImported::advice);
    let of_list = of_list.or_else(|| failed.downcast_ref::<bulk::NotChanged>().and_then(bulk::NotChanged::advice));
    let is_no_file = failed.is::<dispositions::NoSuchFile>();
    let of_list = of_list.or_else(|| is_no_file.then(|| dispositions::NoSuchFile::ADVICE.to_owned()));
    let of_export = || failed.downcast_ref::<ExportError>().and_then(ExportError::advice).map(ToOwned::to_owned);
    if let Some(advice) = of_list.or_else(of_export).or_else(|| client::advice(failed)) {
        let _ = writeln!(err, "  {}", printable(&advice));
    }
    1
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wording_tests;
