//! `muster`, the operators' program: one file a noun. A client of FleetService, never of the database; `catalogue match`
//! and `catalogue check` need no server at all.
//!
//! ```text
//!  args ─► profile ─► client (wire to model) ─► noun ─► render (table, json, ndjson, csv) ─► exit code
//! ```

mod args;
mod board;
mod catalogue;
mod client;
mod exit;
mod explain;
mod findings;
mod host;
mod hosts;
mod orders;
mod profile;
mod render;
mod software;
mod status;
mod tokens;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory, FromArgMatches};
use muster_proto::model::Timestamp;

use args::{Cli, Verb};
use client::Client;
use render::Screen;

pub use exit::{of_boards, of_verdicts};

/// What the runner is given by its program, or by a test.
pub struct World<'w> {
    /// Where answers go.
    pub out: &'w mut (dyn Write + Send),
    /// Where errors go.
    pub err: &'w mut (dyn Write + Send),
    /// Where `catalogue match` reads when no file is named.
    pub input: &'w mut (dyn io::BufRead + Send),
    /// Whether answers are coloured.
    pub colour: bool,
    /// Now.
    pub now: Timestamp,
    /// The home directory, for profiles.
    pub home: Option<std::path::PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<std::path::PathBuf>,
}

/// Runs one command and says with which code to exit.
pub async fn run(arguments: impl IntoIterator<Item = OsString>, world: World<'_>) -> u8 {
    let World { out, err, input, colour, now, home, config_home } = world;
    let parsed = Cli::command().try_get_matches_from(arguments).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(refused) => return usage(&refused, out, err),
    };
    let mut screen = Screen::new(out, cli.output, colour, now);
    let places = profile::Places { home, config_home };
    let done = match execute(cli, &mut screen, input, &places).await {
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
        Verb::Hosts(asked) => hosts::run(connect().await?, asked, screen).await,
        Verb::Software(asked) => software::run(connect().await?, asked, screen).await,
        Verb::Host(asked) => host::run(connect().await?, asked, screen).await,
        Verb::Explain(asked) => explain::run(connect().await?, asked, screen).await,
        Verb::Findings(asked) => findings::run(connect().await?, asked, screen).await,
        Verb::Orders(asked) => orders::run(connect().await?, asked, screen).await,
        Verb::Tokens(asked) => tokens::run(connect().await?, asked, screen).await,
        Verb::Status => status::run(connect().await?, screen).await,
        Verb::Catalogue(args::CatalogueVerb::List) => catalogue::list(connect().await?, screen).await,
        Verb::Catalogue(args::CatalogueVerb::Show(asked)) => catalogue::show(connect().await?, asked, screen).await,
        Verb::Catalogue(args::CatalogueVerb::Match(asked)) => catalogue::match_lines(&asked, input, screen),
        Verb::Catalogue(args::CatalogueVerb::Check(asked)) => catalogue::check(&asked, screen),
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "muster", &mut text);
            screen.raw(&text)?;
            Ok(0)
        }
        Verb::Version => {
            screen.raw(format!("muster {}\n", env!("CARGO_PKG_VERSION")).as_bytes())?;
            Ok(0)
        }
    }
}

/// Help and version are answers; everything else that clap says is wrong usage.
fn usage(refused: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let text = refused.render();
    if refused.use_stderr() {
        let _ = write!(err, "{text}");
        2
    } else {
        let _ = write!(out, "{text}").and_then(|()| out.flush());
        0
    }
}

/// The chain of an error, then what to do about it. Who stops reading has what they wanted.
fn report(failed: &anyhow::Error, err: &mut dyn Write) -> u8 {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if failed.chain().any(broken_pipe) && failed.downcast_ref::<client::Unreachable>().is_none() {
        return 0;
    }
    if let Some(wrong) = failed.downcast_ref::<args::WrongUsage>() {
        let _ = writeln!(err, "error: {wrong}");
        return 2;
    }
    let chain: Vec<String> = failed.chain().map(|cause| render::clean(&cause.to_string())).collect();
    let _ = writeln!(err, "error: {}", without_repeats(chain).join(": "));
    if let Some(advice) = client::advice(failed) {
        let _ = writeln!(err, "\n  {advice}");
    }
    1
}

/// Libraries repeat their source in their own text; people need it once.
fn without_repeats(chain: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in chain {
        if !kept.iter().any(|before| before.contains(&text)) {
            kept.push(text);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
