//! `muster hosts label`, `unlabel`, `own`, `note`, `move` and `bulk`: changes of many hosts.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use muster_proto::limits;
use muster_proto::model::{BulkKind, BulkReport, HostName, Timestamp};
use muster_proto::wire;

use super::args::bulk::SelectionArgs;
use super::client::{Client, Selected};
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, instant, when};

const HEADER: [&str; 9] =
    ["number", "change", "value", "account", "asked_at", "ended_at", "hosts", "changed", "refused"];

/// More hosts are changed only after a question.
pub(super) const ASKED: u64 = 100;
/// Lines that were not found that are shown.
const SHOWN: usize = 20;
/// How often the progress of a change is asked for.
const POLL: Duration = Duration::from_millis(300);

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotChanged {
    /// The file with the hosts cannot be read.
    #[error("cannot read the list of hosts {}", place.display())]
    File {
        place: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file with the hosts is too long.
    #[error("the list of hosts {} has more than {} bytes, which is the limit", place.display(), limits::HOST_LINES_BYTES)]
    TooLong { place: PathBuf },
    /// Nobody can be asked.
    #[error("{hosts} hosts are selected; this needs a confirmation, and standard input is not a terminal")]
    Unasked { hosts: u64 },
    /// The person said no.
    #[error("nothing was changed")]
    Refused,
}

impl NotChanged {
    /// What to do about it.
    pub(super) fn advice(&self) -> Option<String> {
        match self {
            Self::Unasked { .. } => Some("look at them with --dry-run, then repeat the command with --yes".to_owned()),
            Self::TooLong { .. } => Some("split the list into several files".to_owned()),
            Self::File { .. } | Self::Refused => None,
        }
    }
}

pub(super) async fn run(
    mut client: Client,
    (kind, value): (BulkKind, String),
    asked: SelectionArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let (selection, lines) = selection(&asked)?;
    let request = wire::ChangeHostsRequest {
        selection: Some(selection),
        change: kind.code().into(),
        value,
        dry_run: true,
        ..Default::default()
    };
    let seen = client.hosts_change(request.clone(), lines.clone()).await?;
    if asked.dry_run || seen.selected == 0 {
        return show(&seen, screen);
    }
    if seen.selected > ASKED && !asked.yes {
        ask(kind.name(), seen.selected)?;
    }
    let request = wire::ChangeHostsRequest { dry_run: false, expected: Some(seen.selected), ..request };
    let mut done = client.hosts_change(request, lines).await?;
    while let Some(bulk) = done.bulk.as_ref().filter(|bulk| bulk.ended_at.is_none()) {
        tokio::time::sleep(POLL).await;
        done.bulk = Some(client.bulk_get(bulk.number).await?);
    }
    show(&done, screen)
}

/// The bulk changes, or one of them.
pub(super) async fn list(mut client: Client, number: Option<u64>, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let changes = match number {
        Some(number) => vec![client.bulk_get(number).await?],
        None => client.bulk_list().await?,
    };
    let now = screen.now();
    let answer = Answer { whole: &changes, header: &HEADER };
    screen.show(&answer, &changes, || changes.iter().map(row).collect(), |paint| page(&changes, now, paint))?;
    Ok(0)
}

/// The hosts that were named, on the command line or in a file.
pub(super) fn listed(hosts: &[String], file: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let Some(place) = file else { return Ok(hosts.to_vec()) };
    let text = read(place)?;
    let separated = text.split(['\n', '\r', ',', ';', '\t']).map(str::trim);
    Ok(separated.filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect())
}

fn read(place: &Path) -> Result<String, NotChanged> {
    let mut bytes = Vec::new();
    let most = limits::HOST_LINES_BYTES as u64 + 1;
    let read = match place == Path::new("-") {
        true => std::io::stdin().take(most).read_to_end(&mut bytes),
        false => std::fs::File::open(place).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(|source| NotChanged::File { place: place.to_owned(), source })?;
    if bytes.len() > limits::HOST_LINES_BYTES {
        return Err(NotChanged::TooLong { place: place.to_owned() });
    }
    // A spreadsheet's byte order mark is not a part of the first name.
    Ok(String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_owned())
}

/// The selection that options name, and its lines.
pub(super) fn selection(asked: &SelectionArgs) -> anyhow::Result<(wire::HostSelection, Vec<String>)> {
    let lines = listed(&asked.hosts, asked.hosts_file.as_deref())?;
    let selection = wire::HostSelection {
        filter: asked.filter.as_ref().map(ToString::to_string).unwrap_or_default(),
        order: asked.order.as_ref().map(ToString::to_string).unwrap_or_default(),
        by_lines: asked.filter.is_none(),
        expected: None,
    };
    Ok((selection, lines))
}

/// Asks whether so many hosts are meant.
pub(super) fn ask(change: &str, hosts: u64) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(NotChanged::Unasked { hosts }.into());
    }
    let mut terminal = std::io::stderr();
    write!(terminal, "{change} {hosts} hosts? [y/N] ").and_then(|()| terminal.flush()).context("ask")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("read the answer")?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(NotChanged::Refused.into()),
    }
}

/// Shows which hosts are meant, or what was done with them.
pub(super) fn show(seen: &Selected, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let answer = Answer { whole: seen, header: &["id", "hostname"] };
    let row = |host: &HostName| vec![host.id.to_string(), host.hostname.clone()];
    screen.show(&answer, &seen.hosts, || seen.hosts.iter().map(row).collect(), |_| outcome(seen))?;
    // A list with a mistake must not look like success to a script.
    Ok(u8::from(seen.not_found_lines + seen.ambiguous_lines > 0))
}

fn outcome(seen: &Selected) -> String {
    let count = |number: u64, noun: &str| counted(usize::try_from(number).unwrap_or(usize::MAX), noun);
    let mut text = String::new();
    match &seen.bulk {
        Some(bulk) => {
            let said = match bulk.kind {
                BulkKind::Label => format!("labelled {}", bulk.value),
                BulkKind::Unlabel => format!("no longer labelled {}", bulk.value),
                BulkKind::Own if bulk.value.is_empty() => "now without an owner".to_owned(),
                BulkKind::Own => format!("now owned by {}", clean(&bulk.value)),
                BulkKind::Note => "given the note".to_owned(),
                BulkKind::Move => format!("moved to site {}", bulk.value),
            };
            text.push_str(&format!("{} {said}\n", count(bulk.changed, "host")));
            let unchanged = bulk.done.saturating_sub(bulk.changed + bulk.refused);
            if unchanged > 0 {
                text.push_str(&format!("{} already as requested\n", count(unchanged, "host")));
            }
            if bulk.refused > 0 {
                let moved = "moved to a site outside your account";
                let why = match bulk.kind {
                    BulkKind::Note => format!("the host has {} notes already, or {moved}", limits::NOTES_PER_HOST),
                    BulkKind::Label => format!("the host has {} labels already, or {moved}", limits::LABELS_PER_HOST),
                    BulkKind::Unlabel | BulkKind::Own | BulkKind::Move => format!("the host {moved}"),
                };
                text.push_str(&format!("{} not changed: {why}\n", count(bulk.refused, "host")));
            }
        }
        None => {
            text.push_str(&format!("{} selected; nothing was changed\n", count(seen.selected, "host")));
            for host in &seen.hosts {
                text.push_str(&format!("  {}  {}\n", host.id, clean(&host.hostname)));
            }
            let more = seen.selected.saturating_sub(seen.hosts.len() as u64);
            if more > 0 {
                text.push_str(&format!("  and {more} more\n"));
            }
        }
    }
    for (lines, number, why) in [
        (&seen.not_found, seen.not_found_lines, "not found"),
        (&seen.ambiguous, seen.ambiguous_lines, "several hosts have it, so none of them is selected"),
    ] {
        for line in lines.iter().take(SHOWN) {
            text.push_str(&format!("{}: {why}\n", clean(line)));
        }
        let more = number.saturating_sub(lines.len().min(SHOWN) as u64);
        if more > 0 {
            text.push_str(&format!("and {more} more: {why}\n"));
        }
    }
    text
}

fn row(bulk: &BulkReport) -> Vec<String> {
    vec![
        bulk.number.to_string(),
        bulk.kind.to_string(),
        bulk.value.clone(),
        bulk.account.as_ref().map(ToString::to_string).unwrap_or_default(),
        bulk.asked_at.to_rfc3339(),
        instant(bulk.ended_at),
        bulk.hosts.to_string(),
        bulk.changed.to_string(),
        bulk.refused.to_string(),
    ]
}

fn page(changes: &[BulkReport], now: Timestamp, paint: &Paint) -> String {
    if changes.is_empty() {
        return "no bulk changes to show\n".to_owned();
    }
    let mut table = Table::new(&["number", "change", "value", "asked", "hosts", "done", "changed", "state"]);
    for bulk in changes {
        table.row(vec![
            Cell::text(bulk.number.to_string()),
            Cell::text(bulk.kind.name()),
            Cell::text(clean(&bulk.value)),
            Cell::text(when(bulk.asked_at, now)),
            Cell::text(bulk.hosts.to_string()),
            Cell::text(bulk.done.to_string()),
            Cell::text(bulk.changed.to_string()),
            Cell::text(if bulk.ended_at.is_some() { "ended" } else { "running" }),
        ]);
    }
    table.text(paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(kind: BulkKind, value: &str) -> BulkReport {
        BulkReport {
            number: 3,
            kind,
            value: value.to_owned(),
            account: None,
            asked_at: Timestamp::from_millis(0),
            ended_at: Some(Timestamp::from_millis(1)),
            hosts: 10,
            done: 10,
            changed: 7,
            refused: 1,
        }
    }

    #[test]
    fn the_outcome_names_what_was_changed_what_was_not_and_what_was_not_found() {
        let seen = Selected {
            selected: 10,
            hosts: Vec::new(),
            not_found: vec!["pc-1".to_owned()],
            not_found_lines: 1,
            ambiguous: vec!["pc-2".to_owned()],
            ambiguous_lines: 30,
            bulk: Some(bulk(BulkKind::Label, "vip")),
        };
        assert_eq!(
            outcome(&seen),
            "7 hosts labelled vip\n2 hosts already as requested\n1 host not changed: the host has 64 labels already, or moved to a site \
             outside your account\n\
             pc-1: not found\npc-2: several hosts have it, so none of them is selected\n\
             and 29 more: several hosts have it, so none of them is selected\n"
        );
        let dry = Selected { bulk: None, not_found: Vec::new(), ambiguous: Vec::new(), ..seen };
        assert!(
            outcome(&dry).starts_with("10 hosts selected; nothing was changed\n  and 10 more\n"),
            "{}",
            outcome(&dry)
        );
    }
}
