//! `muster roster`: the machines that should answer.

mod import;

pub(super) use import::NotImported;

use muster_proto::model::{CandidateReason, EntryReport, EntryState, RosterRow, RosterSourceReport, Timestamp};

use super::args::roster::{RosterArgs, RosterFilterArgs, RosterVerb};
use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, fields, instant, when};

const HEADER: [&str; 16] = [
    "entry",
    "name",
    "state",
    "since",
    "host",
    "hostname",
    "basis",
    "site",
    "platform",
    "sources",
    "serial",
    "fqdn",
    "owner",
    "owner_email",
    "candidates",
    "note",
];

const SOURCES_HEADER: [&str; 4] = ["source", "imported", "machines", "missing"];

pub(super) async fn run(client: Client, asked: RosterArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    match asked.verb {
        None => list(client, asked.filter, false, screen).await,
        Some(RosterVerb::List(filter)) => list(client, filter, false, screen).await,
        Some(RosterVerb::Diff) => list(client, RosterFilterArgs::default(), true, screen).await,
        Some(RosterVerb::Sources) => sources(client, screen).await,
        Some(RosterVerb::Import(asked)) => import::run(client, asked, screen).await,
        Some(verb) => one(client, verb, screen).await,
    }
}

/// Shows an entry, or decides about it and shows what it is then.
async fn one(mut client: Client, verb: RosterVerb, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let entry = match verb {
        RosterVerb::Match { number, host } => client.roster_match(number, host).await?,
        RosterVerb::Unmatch { number } => client.roster_unmatch(number).await?,
        RosterVerb::Excuse { number, reason } => client.roster_excuse(number, reason).await?,
        RosterVerb::Show { number } => client.roster_entry(number).await?,
        // The caller does these itself.
        RosterVerb::List(_) | RosterVerb::Diff | RosterVerb::Sources | RosterVerb::Import(_) => return Ok(2),
    };
    let now = screen.now();
    let answer = Answer { whole: &entry, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&entry), || vec![row(&entry)], |_| page_of_one(&entry, now))?;
    Ok(0)
}

async fn list(
    mut client: Client,
    filter: RosterFilterArgs,
    differing: bool,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let entries = client.roster(&filter, differing).await?;
    let now = screen.now();
    let answer = Answer { whole: &entries, header: &HEADER };
    let rows = || entries.iter().map(row).collect();
    screen.show(&answer, &entries, rows, |paint| page(&entries, filter == RosterFilterArgs::default(), now, paint))?;
    Ok(0)
}

async fn sources(mut client: Client, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let sources = client.roster_sources().await?;
    let now = screen.now();
    let answer = Answer { whole: &sources, header: &SOURCES_HEADER };
    let row = |source: &RosterSourceReport| {
        let RosterSourceReport { name, imported, records, missing } = source;
        vec![name.clone(), imported.to_rfc3339(), records.to_string(), missing.to_string()]
    };
    let rows = || sources.iter().map(row).collect();
    screen.show(&answer, &sources, rows, |paint| page_of_sources(&sources, now, paint))?;
    Ok(0)
}

fn open(entry: &EntryReport) -> impl Iterator<Item = (&str, &RosterRow)> {
    let open = entry.records.iter().filter(|record| record.closed.is_none());
    open.map(|record| (record.source.as_str(), &record.row))
}

/// The first text that a list says.
fn first(entry: &EntryReport, of: fn(&RosterRow) -> &String) -> String {
    open(entry).map(|(_, row)| of(row)).find(|text| !text.is_empty()).cloned().unwrap_or_default()
}

fn sources_of(entry: &EntryReport) -> String {
    open(entry).map(|(source, _)| source).collect::<Vec<_>>().join(" ")
}

fn row(entry: &EntryReport) -> Vec<String> {
    vec![
        entry.number.to_string(),
        entry.name.clone(),
        entry.state.to_string(),
        entry.since.to_rfc3339(),
        entry.host.map(|host| host.to_string()).unwrap_or_default(),
        entry.hostname.clone(),
        entry.basis.to_string(),
        entry.site.as_ref().map(ToString::to_string).unwrap_or_default(),
        entry.platform.map(|platform| platform.to_string()).unwrap_or_default(),
        sources_of(entry),
        first(entry, |row| &row.serial),
        first(entry, |row| &row.fqdn),
        first(entry, |row| &row.owner),
        first(entry, |row| &row.owner_email),
        entry.candidates.iter().map(|candidate| candidate.host.to_string()).collect::<Vec<_>>().join(" "),
        entry.note.clone(),
    ]
}

fn page(entries: &[EntryReport], is_whole: bool, now: Timestamp, paint: &Paint) -> String {
    if entries.is_empty() {
        let more = if is_whole { "; `muster roster import FILE --source NAME` adds a list of machines" } else { "" };
        return format!("no entries{more}\n");
    }
    let mut table = Table::new(&["entry", "name", "state", "since", "host", "site", "lists"]);
    for entry in entries {
        let host = match entry.state {
            EntryState::Matched => clean(&entry.hostname),
            EntryState::Review => format!("perhaps {}", perhaps(entry)),
            EntryState::Missing | EntryState::Excused | EntryState::Closed => String::new(),
        };
        table.row(vec![
            Cell::number(entry.number),
            Cell::text(clean(&entry.name)),
            Cell::text(entry.state.name()),
            Cell::text(when(entry.since, now)),
            Cell::text(host),
            Cell::text(entry.site.as_ref().map(ToString::to_string).unwrap_or_default()),
            Cell::text(sources_of(entry)),
        ]);
    }
    let noun = if entries.len() == 1 { "entry" } else { "entries" };
    let count = format!("{} {noun}; `muster roster show ENTRY` has the details", entries.len());
    format!("{}\n{count}\n", table.text(paint))
}

fn perhaps(entry: &EntryReport) -> String {
    match entry.candidates.as_slice() {
        [] => String::new(),
        [one] => clean(&one.hostname),
        [first, more @ ..] => format!("{} or {} more", clean(&first.hostname), more.len()),
    }
}

fn page_of_one(entry: &EntryReport, now: Timestamp) -> String {
    let mut text = format!("entry {}: {}\n", entry.number, clean(&entry.name));
    let state = match entry.state {
        EntryState::Matched => format!("matched ({}) with {}", entry.basis, clean(&entry.hostname)),
        EntryState::Missing => "missing: no host is the machine".to_owned(),
        EntryState::Review => "to review: no host is known to be the machine, but some may be".to_owned(),
        EntryState::Excused => format!("excused: {}", clean(&entry.note)),
        EntryState::Closed => "closed: no list has it any more".to_owned(),
    };
    let site = entry.site.as_ref().map_or("unknown", |site| site.as_str());
    text.push_str(&fields(&[
        ("state", &state),
        ("since", &when(entry.since, now)),
        ("listed", &when(entry.listed, now)),
        ("site", site),
        ("host", &entry.host.map_or_else(|| "none".to_owned(), |host| host.to_string())),
    ]));
    for record in &entry.records {
        let closed = record.closed.map(|closed| format!(", not since {}", when(closed, now))).unwrap_or_default();
        text.push_str(&format!("\nlist {}{closed}\n{}", clean(&record.source), facts(&record.row)));
    }
    if !entry.candidates.is_empty() {
        text.push_str("\nhosts that may be the machine\n");
    }
    for candidate in &entry.candidates {
        let agreeing: Vec<&str> = candidate.agreeing.iter().map(|kind| kind.name()).collect();
        text.push_str(&format!(
            "  {}  {}, last seen {}; agrees: {}; {}\n",
            candidate.host,
            clean(&candidate.hostname),
            when(candidate.last_seen, now),
            agreeing.join(", "),
            why(candidate.why)
        ));
    }
    if let Some(advice) = advice(entry) {
        text.push_str(&format!("\n{advice}\n"));
    }
    text
}

/// What can be done about an entry.
fn advice(entry: &EntryReport) -> Option<String> {
    let number = entry.number;
    Some(match entry.state {
        EntryState::Missing => {
            format!("install the agent on it, or say why it needs none: `muster roster excuse {number} --reason TEXT`")
        }
        EntryState::Review => format!("if one of them is the machine: `muster roster match {number} HOST`"),
        EntryState::Matched => format!("if they are not one machine: `muster roster unmatch {number}`"),
        EntryState::Excused | EntryState::Closed => return None,
    })
}

const fn why(why: CandidateReason) -> &'static str {
    match why {
        CandidateReason::OneIdentifier => "one identifier alone is not enough",
        CandidateReason::Several => "several hosts agree equally well",
        CandidateReason::Contradiction => "its serial number or hardware UUID differs",
        CandidateReason::Taken => "it is matched with another entry",
        CandidateReason::Reimaged => "it was seen before the host that is matched: the machine was probably reimaged",
        CandidateReason::SeveralEntries => "several entries have what agrees",
    }
}

/// What a list says of a machine.
fn facts(row: &RosterRow) -> String {
    let (macs, seen) = (row.macs.join(", "), instant(row.last_seen));
    let all = [
        ("name", row.name.as_str()),
        ("full name", &row.fqdn),
        ("serial number", &row.serial),
        ("hardware UUID", &row.hardware_uuid),
        ("addresses", &macs),
        ("owner", &row.owner),
        ("owner's e-mail", &row.owner_email),
        ("site", &row.site),
        ("system", &row.os),
        ("id in the list", &row.external_id),
        ("object id", &row.entra_object_id),
        ("last seen there", &seen),
    ];
    let known: Vec<(&str, &str)> = all.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    fields(&known)
}

fn page_of_sources(sources: &[RosterSourceReport], now: Timestamp, paint: &Paint) -> String {
    if sources.is_empty() {
        return "no lists; `muster roster import FILE --source NAME` adds one\n".to_owned();
    }
    let mut table = Table::new(&["list", "machines", "missing", "imported"]);
    for source in sources {
        table.row(vec![
            Cell::text(clean(&source.name)),
            Cell::number(source.records),
            Cell::number(source.missing),
            Cell::text(when(source.imported, now)),
        ]);
    }
    format!("{}\n{}\n", table.text(paint), counted(sources.len(), "list"))
}

#[cfg(test)]
mod tests;
