//! The command line of `muster`: verbs, options and their help.

pub(super) mod accounts;
pub(super) mod attestations;
pub(super) mod bulk;
pub(super) mod dispositions;
pub(super) mod duties;
pub(super) mod host_actions;
pub(super) mod instants;
pub(super) mod ledger;
pub(super) mod orders;
pub(super) mod roster;
pub(super) mod selection;
pub(super) mod timeline;
pub(super) mod waivers;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{
    NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use muster_proto::model::{
    Cause, ChangesSort, FindingsSort, HostsSort, Lane, OrderId, ProductId, SiteId, Timestamp, TokenId,
};

use crate::filter::{Filter, FilterKey};

use accounts::AccountsArgs;
use attestations::AttestationsArgs;
use bulk::{BulkArgs, LabelArgs, MoveArgs, NoteArgs, OwnArgs};
use dispositions::{DispositionsArgs, RetireArgs, UnretireArgs};
use duties::DutiesArgs;
use host_actions::HostActionArgs;
use instants::end_of_day;
use ledger::LedgerArgs;
use orders::OrdersArgs;
use roster::RosterArgs;
use timeline::{ForecastArgs, TimelineArgs};
use waivers::WaiversArgs;

/// Query a Muster collector
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    disable_help_subcommand = true,
    after_help = "An order is a law or policy rule that prohibits products; hosts are judged under each active order.\n\
                  A lane is the state of a host under an order; `muster board --help` lists the lanes.\n\n\
                  Exit codes of board, findings, host, hosts show and explain: the worst active order decides;\n\
                  5 takes precedence over 3, and 3 over 4.\n  \
                  0  finished\n  \
                  3  work is left\n  \
                  4  some hosts could not be judged\n  \
                  5  hosts are past the due date, or (board, findings) duties are overdue\n\
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
    /// URL of the collector's operators' port: https://HOST:PORT
    #[arg(long, global = true, env = "MUSTER_SERVER", hide_env_values = true, value_name = "URL")]
    pub(super) server: Option<String>,
    /// The collector's CA certificate (ca.pem in its data directory). If its operators' port has a certificate of your company, the
    /// company's CA, or the CAs of the system (such as /etc/ssl/certs/ca-certificates.crt)
    #[arg(long, global = true, env = "MUSTER_CA_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// File with your token; it must be readable only by you (chmod 600)
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
    #[command(after_help = lanes_help())]
    Board(BoardArgs),
    /// List the hosts that still need work, worst first
    #[command(after_long_help = filter_help())]
    Findings(FindingsArgs),
    /// List the hosts that changed lane, newest first, and why
    #[command(after_help = causes_help(), after_long_help = format!("{}\n{}", causes_help(), filter_help()))]
    Changes(ChangesArgs),
    /// Show how many machines were in each lane at the end of each day, and why that changed
    Timeline(TimelineArgs),
    /// Show when an order will be finished at the rates of the last 7 and 28 days
    #[command(
        after_help = "A rate is how many machines were finished in a day, in UTC: their true lanes became done or clear. Those on which work came\n\
                            back and new ones with work are subtracted. Waived, retired and excused machines are not finished. Silent, unknown and missing\n\
                            machines have work left, and so have waived ones whose waivers end before the due date. Nothing is forecast before 14 days in\n\
                            a row are known."
    )]
    Forecast(ForecastArgs),
    /// List hosts with their lanes, or show one host
    #[command(after_long_help = filter_help())]
    Hosts(Box<HostsArgs>),
    /// Show one host (short form of `hosts show`)
    Host(HostArgs),
    /// Explain why a host is in its lane and how to fix it
    Explain(ExplainArgs),
    /// Count or list the hosts that have a given piece of software
    Software(SoftwareArgs),
    /// List the orders (legal or policy rules) applied to hosts, or show one
    Orders(OrdersArgs),
    /// List the machines that should answer, or import a list of them
    Roster(RosterArgs),
    /// List waivers (dated exceptions from an order), ask for one, approve or end one
    Waivers(WaiversArgs),
    /// List why hosts left the fleet, and approve it where a second person is needed
    Dispositions(DispositionsArgs),
    /// List what orders demand and until when, or note that it is done
    Duties(DutiesArgs),
    /// Inspect and test how products are recognised
    #[command(subcommand)]
    Catalogue(CatalogueVerb),
    /// List, create and revoke enrollment tokens
    Tokens(TokensArgs),
    /// List, create, rotate and revoke accounts: who may use the collector
    Accounts(AccountsArgs),
    /// Print a link that logs your account in to the web board once, within ten minutes
    LoginLink,
    /// List, show and verify attestations: signed statements that a product was removed from a host
    Attestations(AttestationsArgs),
    /// Show who did what, newest first
    Ledger(LedgerArgs),
    /// Show the state of the collector
    Status,
    /// Print a shell completion script
    #[command(alias = "completion")]
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
    #[command(flatten)]
    pub(super) past: AsOfArgs,
}

/// The instant that an answer is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(super) struct AsOfArgs {
    /// What was answered then: 2026-11-23 (the end of that day in UTC) or 2026-11-23T10:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT|DATE", value_parser = end_of_day)]
    pub(super) as_of: Option<Timestamp>,
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
    /// List hosts; the same as `muster hosts`
    List(HostsFilterArgs),
    /// Show one host: facts, lanes, products and sources
    Show(HostArgs),
    /// Revoke all keys of hosts: they can no longer report, and stay in every count
    Revoke(HostActionArgs),
    /// Release hosts from quarantine or from a revocation
    Release(HostActionArgs),
    /// Record that you know why two machines reported with the key of a host, or why it reported after it was retired
    Review(HostActionArgs),
    /// Revoke all keys of hosts and delete the data that only they have sent; the hosts stay in every count
    Purge(HostActionArgs),
    /// Give hosts a label
    Label(LabelArgs),
    /// Take a label away from hosts
    Unlabel(LabelArgs),
    /// Say who answers for hosts
    Own(OwnArgs),
    /// Add a note to hosts
    Note(NoteArgs),
    /// Move hosts to another site
    Move(MoveArgs),
    /// List bulk changes and their progress
    Bulk(BulkArgs),
    /// Record that hosts have left the fleet, at most 10,000; unfinished or silent ones need a second person
    Retire(RetireArgs),
    /// Undo the retirement of hosts
    Unretire(UnretireArgs),
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(super) struct HostsFilterArgs {
    /// Show only hosts in the scope of this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Show only hosts in this lane; can be repeated
    #[arg(long = "lane", value_name = "LANE", value_parser = lane())]
    pub(super) lanes: Vec<Lane>,
    /// Show only hosts at this site; can be repeated
    #[arg(long = "site", value_name = "SITE")]
    pub(super) sites: Vec<SiteId>,
    /// Show only hosts whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) past: AsOfArgs,
    /// Show only hosts that have not reported within the order's patience, in any lane
    #[arg(long)]
    pub(super) silent: bool,
    /// Show only hosts in quarantine: they renewed their key after their certificate had expired
    #[arg(long)]
    pub(super) quarantined: bool,
    /// Show only hosts whose keys are revoked; with --quarantined, hosts of either kind
    #[arg(long)]
    pub(super) revoked: bool,
    /// Show only hosts whose key two machines have used, and that nobody has reviewed since
    #[arg(long)]
    pub(super) two_holders: bool,
    /// Show only hosts that have sent more than a host may within an hour, in the last day
    #[arg(long)]
    pub(super) throttled: bool,
    /// Show only hosts that were purged
    #[arg(long)]
    pub(super) purged: bool,
    /// Show only hosts that reported after they were retired, and that nobody has reviewed since
    #[arg(long)]
    pub(super) returned: bool,
    /// Show only hosts that enrolled with this token
    #[arg(long, value_name = "TOKEN")]
    pub(super) enrolled_with: Option<TokenId>,
    /// Show only hosts that match this filter, such as 'lane:replace -site:lab owner:jane*'; --help has its keys
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true, value_parser = filter)]
    pub(super) filter: Option<Filter>,
    /// Sort by this
    #[arg(long, value_name = "KEY", default_value = HostsSort::Name.name(), value_parser = hosts_sort())]
    pub(super) sort: HostsSort,
    /// Show at most this many hosts [default: all]
    #[arg(long, value_name = "COUNT", value_parser = limit())]
    pub(super) limit: Option<usize>,
    /// Continue after an earlier answer to the same question: the value of `next` that it printed
    #[arg(long, value_name = "NEXT")]
    pub(super) after: Option<String>,
}

impl Default for HostsFilterArgs {
    /// As if no option was given.
    fn default() -> Self {
        Self {
            order: None,
            lanes: Vec::new(),
            sites: Vec::new(),
            name: String::new(),
            past: AsOfArgs::default(),
            silent: false,
            quarantined: false,
            revoked: false,
            two_holders: false,
            throttled: false,
            purged: false,
            returned: false,
            enrolled_with: None,
            filter: None,
            sort: HostsSort::Name,
            limit: None,
            after: None,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SoftwareArgs {
    /// Part of the software's name or vendor, at least two characters; case does not matter
    #[arg(value_name = "TEXT")]
    pub(super) text: String,
    /// Count only this version
    #[arg(long, value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    pub(super) version: Option<String>,
    /// Count only versions that start with this text
    #[arg(long, value_name = "TEXT", conflicts_with = "version", value_parser = NonEmptyStringValueParser::new())]
    pub(super) version_prefix: Option<String>,
    /// Include software that was removed and left something behind, such as packages in state `rc`
    #[arg(long)]
    pub(super) remnants: bool,
    /// Count or list only hosts at this site; can be repeated
    #[arg(long = "site", value_name = "SITE")]
    pub(super) sites: Vec<SiteId>,
    /// List the hosts
    #[arg(long)]
    pub(super) hosts: bool,
    /// List at most this many hosts [default: all]
    #[arg(long, value_name = "COUNT", requires = "hosts", value_parser = limit())]
    pub(super) limit: Option<usize>,
    /// Continue after an earlier answer to the same question: the value of `next` that it printed
    #[arg(long, value_name = "NEXT", requires = "hosts")]
    pub(super) after: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct HostArgs {
    /// Host name, id, or the first 8 or more characters of the id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) host: String,
    #[command(flatten)]
    pub(super) past: AsOfArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Host name, id, or the first 8 or more characters of the id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) host: String,
    /// Explain only this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    #[command(flatten)]
    pub(super) past: AsOfArgs,
}

#[derive(Debug, Args)]
pub(super) struct FindingsArgs {
    /// Show only this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    #[command(flatten)]
    pub(super) past: AsOfArgs,
    /// Show only this lane; can be repeated
    #[arg(long = "lane", value_name = "LANE", value_parser = lane())]
    pub(super) lanes: Vec<Lane>,
    /// Show only hosts at this site; can be repeated
    #[arg(long = "site", value_name = "SITE")]
    pub(super) sites: Vec<SiteId>,
    /// Show only hosts that match this filter, such as 'lane:replace -site:lab owner:jane*'; --help has its keys
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true, value_parser = filter)]
    pub(super) filter: Option<Filter>,
    /// Sort the findings of each order by this; the order with the earliest due date comes first
    #[arg(long, value_name = "KEY", default_value = FindingsSort::Lane.name(), value_parser = findings_sort())]
    pub(super) sort: FindingsSort,
    /// Show at most this many findings [default: all]
    #[arg(long, value_name = "COUNT", value_parser = limit())]
    pub(super) limit: Option<usize>,
    /// Continue after an earlier answer to the same question: the value of `next` that it printed
    #[arg(long, value_name = "NEXT")]
    pub(super) after: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ChangesArgs {
    /// How far back: 90m, 24h, 7d; at most 90d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = time_back)]
    pub(super) since: Duration,
    /// Show only changes under this order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Show only hosts at this site; can be repeated
    #[arg(long = "site", value_name = "SITE")]
    pub(super) sites: Vec<SiteId>,
    /// Show only hosts that match this filter now, such as 'lane:replace -site:lab owner:jane*'; --help has its keys
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true, value_parser = filter)]
    pub(super) filter: Option<Filter>,
    /// Sort by this
    #[arg(long, value_name = "KEY", default_value = ChangesSort::Newest.name(), value_parser = changes_sort())]
    pub(super) sort: ChangesSort,
    /// Show at most this many changes
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = limit())]
    pub(super) limit: usize,
}

/// A filter, or its first mistake with what to type instead.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| match error.advice() {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    })
}

/// The language of filters, for the help of commands that take one.
pub(super) fn filter_help() -> String {
    let key = |key: &FilterKey| format!("  {key:<12}  {}\n", key.takes());
    format!(
        "Filters:\n  \
         Terms are separated by spaces, and all of them must hold. A term is key:value[,value]; commas mean or, a minus\n  \
         before the term negates it, * at the end of a value means begins with. Quotes surround values with spaces.\n  \
         A text without a key is searched for in name, serial number, MAC addresses, FQDN, asset tag and owner.\n  \
         Terms about an order, such as lane, select only hosts to which it applies. With --as-of (hosts, findings) a filter\n  \
         is meant at that time; what is not kept of the past is refused with what to ask instead.\n\n\
         Keys of filters, and what they take:\n{}",
        FilterKey::ALL.iter().map(key).collect::<String>()
    )
}

fn time_back(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|_| "expected a duration such as 90m, 24h or 7d".to_owned())?;
    if span.is_zero() { Err("expected at least 1s".to_owned()) } else { Ok(span) }
}

/// What each cause means.
fn causes_help() -> String {
    let line = |cause: &Cause| {
        let meaning = match cause {
            Cause::Installed => "a product of the order was found that was not there before",
            Cause::Removed => "a product was removed, remnants were cleaned, or a removal was proven",
            Cause::Updated => "the product has another version",
            Cause::ProtectionChanged => "other protection became active, or the accepted one stopped",
            Cause::Coverage => "a required source could not be read, or could be read again",
            Cause::Silent => "the host did not report within the order's patience",
            Cause::Returned => "the host reported again",
            Cause::Enrolled => "the host enrolled, or sent its first scan",
            Cause::Rules => "the rules changed",
            Cause::Order => "the order became active, or is no longer active",
            Cause::Action => "a person or program with an account changed it",
            Cause::Waiver => "a waiver began or ended (only in `timeline` and with --as-of)",
            Cause::Disposition => "the host was retired or taken back (only in `timeline` and with --as-of)",
        };
        format!("  {cause:<18}  {meaning}\n")
    };
    format!("Causes:\n{}", Cause::ALL.iter().map(line).collect::<String>())
}

#[derive(Debug, Subcommand)]
pub(super) enum CatalogueVerb {
    /// List the products that the collector recognises
    List,
    /// Show one product and its recognisers
    Show(ShowArgs),
    /// Classify scan results line by line; works without a collector. Prints JSON lines unless -o says otherwise
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
    /// Treat the products that this order prohibits as prohibited [default: the active orders]
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<OrderId>,
    /// Directory of rule files that extend or replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(super) overlay: Option<PathBuf>,
    /// Instead of the matches, print how many products were recognised and how many were found wrongly; each line of the input
    /// needs the expected answer in `expect` or `expect_product`
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
    /// List enrollment tokens; the same as `muster tokens`
    List,
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
    /// Site assigned to hosts that enroll with this token
    #[arg(long)]
    pub(crate) site: SiteId,
    /// How many hosts may enroll with this token; 0 means no limit
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) uses: u64,
    /// How long the token is valid, for example 90s, 12h or 7d; at most 366d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lifetime)]
    pub(crate) expires: Duration,
}

/// In the request, 0 means the collector's default; a person who types it does not mean a day.
fn lifetime(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|_| "expected a duration such as 90s, 12h or 7d".to_owned())?;
    if span.is_zero() { Err("an enrollment token must be valid for at least 1s".to_owned()) } else { Ok(span) }
}

/// No rows at all would be an answer to no question.
fn limit() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

fn hosts_sort() -> impl TypedValueParser<Value = HostsSort> {
    let help = |sort: HostsSort| match sort {
        HostsSort::Name => "host name",
        HostsSort::Site => "site, then host name",
        HostsSort::LastSeen => "last check-in, the oldest first",
        HostsSort::Lane => "lane under the order, the most urgent first, then host name",
    };
    let value = |sort: &HostsSort| PossibleValue::new(sort.name()).help(help(*sort));
    PossibleValuesParser::new(HostsSort::ALL.iter().map(value)).try_map(|name| name.parse::<HostsSort>())
}

fn changes_sort() -> impl TypedValueParser<Value = ChangesSort> {
    let help = |sort: ChangesSort| match sort {
        ChangesSort::Newest => "time of the change, the newest first",
        ChangesSort::Oldest => "time of the change, the oldest first",
    };
    let value = |sort: &ChangesSort| PossibleValue::new(sort.name()).help(help(*sort));
    PossibleValuesParser::new(ChangesSort::ALL.iter().map(value)).try_map(|name| name.parse::<ChangesSort>())
}

fn findings_sort() -> impl TypedValueParser<Value = FindingsSort> {
    let help = |sort: FindingsSort| match sort {
        FindingsSort::Lane => "lane, the most urgent first, then host name",
        FindingsSort::Name => "host name",
        FindingsSort::Site => "site, then host name",
        FindingsSort::LastSeen => "last check-in, the oldest first",
        FindingsSort::Since => "time in the lane, the longest first",
    };
    let value = |sort: &FindingsSort| PossibleValue::new(sort.name()).help(help(*sort));
    PossibleValuesParser::new(FindingsSort::ALL.iter().map(value)).try_map(|name| name.parse::<FindingsSort>())
}

fn lane() -> impl TypedValueParser<Value = Lane> {
    let value = |lane: &Lane| PossibleValue::new(lane.name()).help(meaning(*lane));
    PossibleValuesParser::new(Lane::ALL.iter().map(value)).try_map(|name| name.parse::<Lane>())
}

/// When a host is in the lane.
const fn meaning(lane: Lane) -> &'static str {
    match lane {
        Lane::Retired => "left the fleet, as a disposition says; it has not reported since",
        Lane::Waived => "covered by a waiver in force; its true lane (the lane without the waiver) is shown beside it",
        Lane::Missing => "on the roster, but matched with no host; `muster roster --state missing` lists these entries",
        Lane::Replace => "has a prohibited product and no proven accepted protection",
        Lane::Remove => "has a prohibited product; other protection is active or none is required",
        Lane::Silent => "has not reported for longer than the order allows",
        Lane::Unknown => "could not be judged: sources were not read completely, or evidence is weak",
        Lane::Protect => "the product was removed, but no accepted protection is active",
        Lane::Confirm => "the product was removed, but the removal is not proven yet",
        Lane::Done => "the product was removed, the removal is proven and protection is accepted",
        Lane::Clear => "never had the product; every required source was read",
    }
}

/// The lanes with their meanings, in the order in which they are checked.
fn lanes_help() -> String {
    let line = |lane: &Lane| format!("  {:<8} {}\n", lane.name(), meaning(*lane));
    let lines: String = Lane::ALL.iter().map(line).collect();
    format!(
        "Lanes; the first that applies is the host's lane:\n{lines}\n\
         A host is unprotected while no protection that the order accepts is active, and no antivirus or EDR of the order\n\
         either: one that must be removed still protects while it runs. If it becomes unknown whether a host is protected,\n\
         what was known last stays. Only hosts on which a prohibited product or its remnants were found are counted.\n"
    )
}

/// Arguments that are valid one by one but not together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);
