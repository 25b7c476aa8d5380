//! The command line of `muster`: verbs, options and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use muster_proto::model::{Lane, OrderId, ProductId, SiteId, TokenId};

/// Query a Muster collector
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes of board, findings, host, hosts show and explain: the worst active order decides.\n  \
                  0  finished\n  \
                  3  work is left\n  \
                  4  some hosts could not be judged\n  \
                  5  hosts are past the due date\n\
                  Other commands: 0 success. All commands: 1 error, 2 wrong usage."
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Output format [default: table]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", help_heading = "Global options")]
    pub(super) output: Option<Output>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// The collector and the account to use.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Connection {
    /// Address of the collector's operators' port: https://HOST:PORT
    #[arg(long, global = true, env = "MUSTER_SERVER", hide_env_values = true, value_name = "URL")]
    pub(super) server: Option<String>,
    /// The collector's CA certificate (ca.pem in its data directory)
    #[arg(long, global = true, env = "MUSTER_CA_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// File with your token; only you may be able to read it (chmod 600)
    #[arg(long, global = true, env = "MUSTER_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Profile in ~/.config/muster/profiles.toml [default: default]
    #[arg(long, global = true, env = "MUSTER_PROFILE", hide_env_values = true, value_name = "NAME")]
    pub(super) profile: Option<String>,
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Aligned text for people
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Ndjson,
    /// Comma-separated values with a header
    Csv,
}

/// The commands, from the overview to the details, then administration.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show how many hosts are in each lane
    Board(BoardArgs),
    /// List unfinished hosts, the worst first
    Findings(FindingsArgs),
    /// List hosts with their lanes, or show one host
    Hosts(HostsArgs),
    /// Show one host (short form of `hosts show`)
    Host(HostArgs),
    /// Explain why a host is in its lane and what would clear it
    Explain(ExplainArgs),
    /// Count the hosts that have a software, or list them
    Software(SoftwareArgs),
    /// List the orders that hosts are judged under, or show one order
    Orders(OrdersArgs),
    /// Inspect and test how products are recognised
    #[command(subcommand)]
    Catalogue(CatalogueVerb),
    /// List, create and revoke enrollment tokens
    Tokens(TokensArgs),
    /// Show the state of the collector
    Status,
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version of this program
    Version,
}

#[derive(Debug, Args)]
pub(super) struct BoardArgs {
    /// Show only this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
}

#[derive(Debug, Args)]
pub(super) struct HostsArgs {
    #[command(subcommand)]
    pub(super) verb: Option<HostsVerb>,
    #[command(flatten)]
    pub(super) filter: HostsFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum HostsVerb {
    /// Show one host: facts, lanes, products and sources
    Show(HostArgs),
}

#[derive(Debug, PartialEq, Eq, Default, Args)]
pub(super) struct HostsFilterArgs {
    /// Show only hosts in the scope of this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Show only hosts in this lane; can be repeated
    #[arg(long = "lane", value_name = "LANE", value_parser = lane())]
    pub(super) lanes: Vec<Lane>,
    /// Show only hosts of this site
    #[arg(long, value_name = "SITE")]
    pub(super) site: Option<SiteId>,
    /// Show only hosts whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) name: String,
    /// Show at most this many hosts [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct SoftwareArgs {
    /// Part of the software's name or vendor, at least two characters; case does not matter
    #[arg(value_name = "TEXT")]
    pub(super) text: String,
    /// Count only versions that start with this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) version: String,
    /// List the hosts
    #[arg(long)]
    pub(super) hosts: bool,
    /// List at most this many hosts [default: all]
    #[arg(long, value_name = "COUNT", requires = "hosts")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct HostArgs {
    /// Host name, id, or the first 8 or more characters of the id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) host: String,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Host name, id, or the first 8 or more characters of the id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) host: String,
    /// Explain only this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
}

#[derive(Debug, Args)]
pub(super) struct FindingsArgs {
    /// Show only this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Show only this lane; can be repeated
    #[arg(long = "lane", value_name = "LANE", value_parser = lane())]
    pub(super) lanes: Vec<Lane>,
    /// Show at most this many findings [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct OrdersArgs {
    #[command(subcommand)]
    pub(super) verb: Option<OrdersVerb>,
    /// Include orders that are not active
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum OrdersVerb {
    /// Show one order: issuer, due date, milestones and sources
    Show {
        /// The order's id
        id: OrderId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CatalogueVerb {
    /// List the products that the collector recognises
    List,
    /// Show one product and its recognisers
    Show(ShowArgs),
    /// Classify each line; works without a collector
    Match(MatchArgs),
    /// Check rule files and their scenarios; works without a collector
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The product's id
    pub(super) product: ProductId,
}

#[derive(Debug, Args)]
pub(super) struct MatchArgs {
    /// JSON lines as `muster-agent scan -o ndjson` writes them; `-` reads standard input
    #[arg(default_value = "-")]
    pub(super) file: PathBuf,
    /// Call products prohibited that this order prohibits [default: the active orders]
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Directory of rule files that extend or replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(super) overlay: Option<PathBuf>,
    /// Print a table of recall and false accusations instead of the lines; needs the field `expect` in each line
    #[arg(long)]
    pub(super) table: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Directory of rule files to check together with the built-in ones [default: only the built-in ones]
    pub(super) directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TokensArgs {
    #[command(subcommand)]
    pub(super) verb: Option<TokensVerb>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokensVerb {
    /// Create an enrollment token; its secret is shown only once
    Create(NewTokenArgs),
    /// Revoke an enrollment token; enrolled hosts stay enrolled
    Revoke {
        /// The token's id: the part before the first dot
        id: TokenId,
    },
}

/// What a new enrollment token is for; `muster-collector tokens create` takes the same options.
#[derive(Debug, Args)]
pub(crate) struct NewTokenArgs {
    /// The site of the hosts that enroll with it
    #[arg(long)]
    pub(crate) site: SiteId,
    /// How many hosts may enroll with it; 0 means any number
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) uses: u64,
    /// How long it is valid, up to 366d: 90s, 12h, 7d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lifetime)]
    pub(crate) expires: Duration,
}

/// In the request, 0 means the collector's default; a person who types it does not mean a day.
fn lifetime(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|_| "expected a duration such as 90s, 12h or 7d".to_owned())?;
    if span.is_zero() { Err("an enrollment token must be valid for at least 1s".to_owned()) } else { Ok(span) }
}

fn lane() -> impl TypedValueParser<Value = Lane> {
    PossibleValuesParser::new(Lane::ALL.iter().map(|lane| lane.name())).try_map(|name| name.parse::<Lane>())
}

/// Arguments that are valid one by one but not together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);
