//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use muster_proto::model::{Lane, OrderId, ProductId, SiteId, TokenId};

use crate::config::parse_span;

/// Asks a Muster collector: who still has it, who is exposed, will we be done in time, and why.
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    disable_help_subcommand = true,
    after_help = "board, findings, host and explain exit by the worst active order: 5 past its due date, 3 findings open, \
                  4 coverage incomplete, 0 finished. Every other verb exits with 0; 1 is an error, 2 wrong usage."
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// How the answer looks
    #[arg(short, long, global = true, value_enum, value_name = "FORM")]
    pub(super) output: Option<Output>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Where the collector is, and who asks.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Connection {
    /// The operators' listener: https://HOST:PORT
    #[arg(long, global = true, env = "MUSTER_SERVER", value_name = "URL")]
    pub(super) server: Option<String>,
    /// The collector's CA certificate (ca.pem of its data directory)
    #[arg(long, global = true, env = "MUSTER_CA_FILE", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// The operator's token, in a file that only its owner may read
    #[arg(long, global = true, env = "MUSTER_TOKEN_FILE", value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// A profile of ~/.config/muster/profiles.toml [default: default]
    #[arg(long, global = true, env = "MUSTER_PROFILE", value_name = "NAME")]
    pub(super) profile: Option<String>,
}

/// How the answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// One document
    Json,
    /// One object a line
    Ndjson,
    /// With a header
    Csv,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// How many hosts stand in which lane
    Board(BoardArgs),
    /// Hosts, with their lane under each order
    Hosts(HostsArgs),
    /// How many hosts have a software of whatever kind, by edition; with --hosts, which
    Software(SoftwareArgs),
    /// One host: what was looked at, what was found, where it stands
    Host(HostArgs),
    /// Why a host stands where it stands, and what would clear it
    Explain(ExplainArgs),
    /// Unfinished hosts, worst first
    Findings(FindingsArgs),
    /// The orders under which hosts are judged
    Orders(OrdersArgs),
    /// How products are recognised
    #[command(subcommand)]
    Catalogue(CatalogueVerb),
    /// Enrollment tokens
    #[command(subcommand)]
    Tokens(TokensVerb),
    /// How the collector is
    Status,
    /// A completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// The version of this program
    Version,
}

#[derive(Debug, Args)]
pub(super) struct BoardArgs {
    /// Only this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
}

#[derive(Debug, Args)]
pub(super) struct HostsArgs {
    /// Only hosts that this order binds
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Only hosts in this lane; may be repeated
    #[arg(long = "lane", value_name = "LANE")]
    pub(super) lanes: Vec<Lane>,
    /// Only hosts of this site
    #[arg(long, value_name = "SITE")]
    pub(super) site: Option<SiteId>,
    /// Only hosts whose name contains this
    #[arg(long, value_name = "PART", default_value = "")]
    pub(super) name: String,
    /// At most this many [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct SoftwareArgs {
    /// Part of its name or of its vendor, without regard to case; at least two characters
    #[arg(value_name = "PART")]
    pub(super) text: String,
    /// Only versions that begin with this
    #[arg(long, value_name = "BEGINNING", default_value = "")]
    pub(super) version: String,
    /// List the hosts, and not only how many there are
    #[arg(long)]
    pub(super) hosts: bool,
    /// At most this many hosts [default: all]
    #[arg(long, value_name = "COUNT", requires = "hosts")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct HostArgs {
    /// Name or id, or at least the first eight characters of the id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) host: String,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Name or id, or at least the first eight characters of the id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) host: String,
    /// Only under this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
}

#[derive(Debug, Args)]
pub(super) struct FindingsArgs {
    /// Only under this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Only in this lane; may be repeated
    #[arg(long = "lane", value_name = "LANE")]
    pub(super) lanes: Vec<Lane>,
    /// At most this many [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct OrdersArgs {
    /// Also those under which nobody is judged
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum CatalogueVerb {
    /// The products that the collector recognises
    List,
    /// One product with its recognisers
    Show(ShowArgs),
    /// Says of each line what it is; needs no server
    Match(MatchArgs),
    /// Checks rule files, and the scenarios beside them; needs no server
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The product's id
    pub(super) product: ProductId,
}

#[derive(Debug, Args)]
pub(super) struct MatchArgs {
    /// Lines of JSON, as `muster-agent scan -o ndjson` writes them; `-` is standard input
    #[arg(default_value = "-")]
    pub(super) file: PathBuf,
    /// Prohibited is what this order prohibits [default: the active orders]
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Rule files over the embedded ones
    #[arg(long, value_name = "DIR")]
    pub(super) overlay: Option<PathBuf>,
    /// Instead of the lines, how good the answers are: every record says in `expect` what it is
    #[arg(long)]
    pub(super) table: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A directory of rule files over the embedded ones [default: the embedded ones alone]
    pub(super) directory: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokensVerb {
    /// Makes an enrollment token; it is shown once
    Create {
        /// For which site
        #[arg(long)]
        site: SiteId,
        /// How often it may be used; 0 is without limit
        #[arg(long, default_value_t = 1)]
        uses: u64,
        /// How long it lives: 90s, 12h, 7d
        #[arg(long, default_value = "24h", value_parser = lifetime)]
        expires: Duration,
    },
    /// All enrollment tokens, without their secrets
    List,
    /// Withdraws an enrollment token
    Revoke {
        /// The token's public half
        id: TokenId,
    },
}

/// On the wire 0 is the collector's default, and nobody who types it means a day.
fn lifetime(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("an enrollment token lives at least one second".to_owned()) } else { Ok(span) }
}

/// Arguments that are well formed one by one and make no sense together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);
