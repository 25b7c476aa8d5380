//! `muster ledger`: who did what, newest first.

mod sealed;

use muster_proto::model::{LedgerEntry, Timestamp};

use super::args::ledger::LedgerFilterArgs;
use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, fields, or_dash, when};

pub(super) use sealed::{checkpoint, export, verify};

const HEADER: [&str; 7] = ["number", "at", "kind", "actor", "account", "text", "entry"];
/// Entries that a table shows if nobody says how many.
const DEFAULT_LIMIT: usize = 100;

pub(super) async fn list(mut client: Client, filter: LedgerFilterArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let now = screen.now();
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    let since = filter.since.map(|span| now.minus(span));
    let (entries, is_more) = client.ledger(&filter, since, limit).await?;
    let answer = Answer { whole: &entries, header: &HEADER };
    let rows = || entries.iter().map(row).collect();
    screen.show(&answer, &entries, rows, |paint| page(&entries, is_more, now, paint))?;
    Ok(0)
}

pub(super) async fn show(mut client: Client, number: u64, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
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
        count => format!("{count} entries"),
    };
    let more = if is_more { "; there are older ones: use --limit or --since" } else { "" };
    let total = format!("{count}{more}\n");
    if entries.is_empty() { total } else { format!("{}\n{total}", table.text(paint)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_without_entries_is_one_line() {
        assert_eq!(page(&[], false, Timestamp::default(), &Paint::plain()), "0 entries\n");
    }
}
