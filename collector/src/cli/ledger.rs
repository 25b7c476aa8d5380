//! `muster ledger`: who did what, newest first.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use muster_proto::model::{EntryKind, LedgerEntry, Timestamp};

use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, counted, fields, or_dash, when};

const HEADER: [&str; 7] = ["number", "at", "kind", "actor", "account", "text", "entry"];
/// Entries that a table shows if nobody says how many.
const DEFAULT_LIMIT: usize = 100;

#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    pub(super) verb: Option<LedgerVerb>,
    #[command(flatten)]
    pub(super) filter: LedgerFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum LedgerVerb {
    /// List entries; the same as `muster ledger`
    List(LedgerFilterArgs),
    /// Show one entry as it is stored
    Show {
        /// The number of the entry
        number: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(super) struct LedgerFilterArgs {
    /// Show only entries of this long ago or later, for example 24h or 30d [default: all]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(super) since: Option<Duration>,
    /// Show only entries about this host: its name, id, or the first 8 or more characters of the id
    #[arg(long, value_name = "HOST", default_value = "", hide_default_value = true)]
    pub(super) host: String,
    /// Show only entries of this kind
    #[arg(long, value_name = "KIND", value_parser = kind())]
    pub(super) kind: Option<EntryKind>,
    /// Show only what this account did: its name or id, or collector, rules, judge or agent
    #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
    pub(super) by: String,
    /// Show at most this many entries [default: 100]
    #[arg(long, value_name = "COUNT")]
    pub(super) limit: Option<usize>,
}

pub(super) async fn run(mut client: Client, asked: LedgerArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let filter = match asked.verb {
        Some(LedgerVerb::Show { number }) => return show(client, number, screen).await,
        Some(LedgerVerb::List(filter)) if filter != LedgerFilterArgs::default() => filter,
        None | Some(LedgerVerb::List(_)) => asked.filter,
    };
    let now = screen.now();
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    let since = filter.since.map(|span| now.minus(span));
    let (entries, is_more) = client.ledger(&filter, since, limit).await?;
    let answer = Answer { whole: &entries, header: &HEADER };
    let rows = || entries.iter().map(row).collect();
    screen.show(&answer, &entries, rows, |paint| page(&entries, is_more, now, paint))?;
    Ok(0)
}

async fn show(mut client: Client, number: u64, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let entry = client.ledger_entry(number).await?;
    let now = screen.now();
    let answer = Answer { whole: &entry, header: &HEADER };
    let page = |_: &Paint| {
        fields(&[
            ("number", &entry.number.to_string()),
            ("at", &when(entry.at, now)),
            ("kind", entry.kind.name()),
            ("actor", &entry.actor),
            ("account", or_dash(&entry.account)),
            ("text", &entry.text),
            ("entry", &entry.entry),
        ])
    };
    screen.show(&answer, std::slice::from_ref(&entry), || vec![row(&entry)], page)?;
    Ok(0)
}

fn row(entry: &LedgerEntry) -> Vec<String> {
    vec![
        entry.number.to_string(),
        entry.at.to_rfc3339(),
        entry.kind.to_string(),
        entry.actor.clone(),
        entry.account.clone(),
        entry.text.clone(),
        entry.entry.clone(),
    ]
}

fn page(entries: &[LedgerEntry], is_more: bool, now: Timestamp, paint: &Paint) -> String {
    let mut table = Table::new(&["no", "when", "kind", "actor", "what"]);
    for entry in entries {
        table.row(vec![
            Cell::number(entry.number),
            Cell::text(when(entry.at, now)),
            Cell::text(entry.kind.name()),
            Cell::text(&entry.actor),
            Cell::text(&entry.text),
        ]);
    }
    let count = match entries.len() {
        1 => "1 entry".to_owned(),
        count => counted(count, "entrie"),
    };
    let more = if is_more { "; there are older ones: use --limit or --since" } else { "" };
    format!("{}\n{count}{more}\n", table.text(paint))
}

fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration such as 90m, 24h or 30d".to_owned())
}

fn kind() -> impl TypedValueParser<Value = EntryKind> {
    PossibleValuesParser::new(EntryKind::ALL.iter().map(|kind| kind.name())).try_map(|name| name.parse::<EntryKind>())
}
