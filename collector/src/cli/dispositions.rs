//! `muster dispositions`, `hosts retire` and `hosts unretire`: why hosts left the fleet.

use std::ops::ControlFlow;
use std::path::Path;

use muster_proto::model::{
    BulkKind, DispositionReport, DispositionState, DutyEvidence, HostActionReport, RetirementReport, Timestamp,
};

use muster_proto::wire;

use super::args::bulk::SelectionArgs;
use super::args::dispositions::{DispositionsArgs, DispositionsVerb, RetireArgs, UnretireArgs};
use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, fields, instant, when};
use super::selection::{Selection, portioned};
use super::{bulk, duties};

const HEADER: [&str; 14] = [
    "number",
    "state",
    "kind",
    "id",
    "hostname",
    "requested_by",
    "requested",
    "decided_by",
    "decided",
    "self_approved",
    "taken_back",
    "returned",
    "file",
    "evidence",
];

const CHANGED_HEADER: [&str; 2] = ["id", "hostname"];

pub(super) async fn run(mut client: Client, asked: DispositionsArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let disposition = match asked.verb {
        None => return list(client, asked.filter.all, screen).await,
        Some(DispositionsVerb::List(filter)) => return list(client, filter.all, screen).await,
        Some(DispositionsVerb::Show { number }) => client.disposition(number).await?,
        Some(DispositionsVerb::Approve { number }) => client.disposition_decide(number, true).await?,
        Some(DispositionsVerb::Refuse { number }) => client.disposition_decide(number, false).await?,
    };
    let now = screen.now();
    let answer = Answer { whole: &disposition, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&disposition), || rows(&disposition), |_| one(&disposition, now))?;
    Ok(0)
}

async fn list(mut client: Client, all: bool, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let dispositions = client.dispositions(all).await?;
    let now = screen.now();
    let answer = Answer { whole: &dispositions, header: &HEADER };
    let rows = || dispositions.iter().flat_map(rows).collect();
    screen.show(&answer, &dispositions, rows, |paint| page(&dispositions, all, now, paint))?;
    Ok(0)
}

pub(super) async fn retire(mut client: Client, asked: RetireArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let (evidence, file) = evidence(&asked.evidence)?;
    let selection = match meant(&mut client, &asked.selection, "retire", screen).await? {
        ControlFlow::Continue(selection) => selection,
        ControlFlow::Break(code) => return Ok(code),
    };
    let report = client.hosts_retire(selection, asked.kind, evidence, file).await?;
    let now = screen.now();
    let answer = Answer { whole: &report, header: &HEADER };
    let rows = || report.dispositions.iter().flat_map(rows).collect();
    screen.show(&answer, &report.dispositions, rows, |_| retired(&report, now))?;
    Ok(0)
}

pub(super) async fn unretire(mut client: Client, asked: UnretireArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let selection = match meant(&mut client, &asked.selection, "unretire", screen).await? {
        ControlFlow::Continue(selection) => selection,
        ControlFlow::Break(code) => return Ok(code),
    };
    let report = client.hosts_unretire(selection, asked.reason).await?;
    let answer = Answer { whole: &report, header: &CHANGED_HEADER };
    let rows = || report.hosts.iter().map(|host| vec![host.id.to_string(), host.hostname.clone()]).collect();
    screen.show(&answer, &report.hosts, rows, |_| taken_back(&report))?;
    Ok(0)
}

/// The hosts that are meant, if they are to be changed. Otherwise they were shown; the exit code says how that went.
async fn meant(
    client: &mut Client,
    asked: &SelectionArgs,
    action: &str,
    screen: &mut Screen<'_>,
) -> anyhow::Result<ControlFlow<u8, Selection>> {
    let (selection, lines) = bulk::selection(asked)?;
    // A dry run of a note says which hosts are meant, whatever the note is.
    let (change, value) = (BulkKind::Note.code().into(), action.to_owned());
    let first = wire::ChangeHostsRequest { selection: Some(selection.clone()), change, value, ..Default::default() };
    let seen = client.hosts_change(wire::ChangeHostsRequest { dry_run: true, ..first }, lines.clone()).await?;
    if asked.dry_run || seen.selected == 0 {
        return bulk::show(&seen, screen).map(ControlFlow::Break);
    }
    if seen.selected > bulk::ASKED && !asked.yes {
        bulk::ask(action, seen.selected)?;
    }
    let first = wire::HostSelection { expected: Some(seen.selected), ..selection };
    Ok(ControlFlow::Continue(portioned(first, &lines)))
}

/// Evidence that is probably the name of a file, but there is none.
#[derive(Debug, thiserror::Error)]
#[error("there is no file {asked}, and it looks like the name of one")]
pub(super) struct NoSuchFile {
    asked: String,
}

impl NoSuchFile {
    /// What to do about it.
    pub(super) const ADVICE: &str = "name a file that is there, or write a sentence of several words as evidence";
}

/// A text, or the name and the hash of a file with this name.
fn evidence(asked: &str) -> anyhow::Result<(String, Option<DutyEvidence>)> {
    let path = Path::new(asked);
    if !path.is_file() {
        let is_one_word = !asked.trim().contains(char::is_whitespace);
        // A mistake in a name must not become the evidence.
        if is_one_word && (asked.contains(['/', '\\']) || path.extension().is_some()) {
            return Err(NoSuchFile { asked: asked.to_owned() }.into());
        }
        return Ok((asked.to_owned(), None));
    }
    let file = duties::evidence(Path::new(asked))?;
    Ok((format!("the file {}", file.name), Some(file)))
}

/// One row for each host.
fn rows(disposition: &DispositionReport) -> Vec<Vec<String>> {
    let one = disposition;
    let row = |host: &muster_proto::model::DisposedHost| {
        vec![
            one.number.to_string(),
            one.state.to_string(),
            one.kind.to_string(),
            host.id.to_string(),
            host.hostname.clone(),
            one.requested_by.clone(),
            one.requested_at.to_rfc3339(),
            one.decided_by.clone(),
            instant(one.decided_at),
            one.is_self_approved.to_string(),
            instant(host.ended_at),
            instant(host.returned_at),
            one.file.as_ref().map(|file| file.name.clone()).unwrap_or_default(),
            one.evidence.clone(),
        ]
    };
    one.hosts.iter().map(row).collect()
}

pub(super) fn page(dispositions: &[DispositionReport], all: bool, now: Timestamp, paint: &Paint) -> String {
    if dispositions.is_empty() {
        return if all {
            "no dispositions\n".to_owned()
        } else {
            "no disposition waits for a second person; `muster dispositions --all` includes the others\n".to_owned()
        };
    }
    let mut table = Table::new(&["no", "state", "kind", "hosts", "asked by", "when", "approved by", "evidence"])
        .dispensable(&["evidence", "when"]);
    for one in dispositions {
        table.row(vec![
            Cell::number(one.number),
            Cell::text(one.state.name()),
            Cell::text(one.kind.name()),
            Cell::number(one.hosts.len() as u64),
            Cell::text(clean(&one.requested_by)),
            Cell::text(when(one.requested_at, now)),
            Cell::text(approved_by(one)),
            Cell::text(clean(&one.evidence)),
        ]);
    }
    format!("{}\n{}\n", table.text(paint), counted(dispositions.len(), "disposition"))
}

fn approved_by(one: &DispositionReport) -> String {
    match one.state {
        DispositionState::Requested => "waiting".to_owned(),
        DispositionState::Refused => format!("refused by {}", clean(&one.decided_by)),
        DispositionState::Approved if one.is_self_approved => format!("{} (self-approved)", clean(&one.decided_by)),
        DispositionState::Approved if !one.needs_second => "no second person was needed".to_owned(),
        DispositionState::Approved => clean(&one.decided_by),
    }
}

pub(super) fn one(one: &DispositionReport, now: Timestamp) -> String {
    let hosts = counted(one.hosts.len(), "host");
    let mut text = format!("disposition {}: {hosts} {}, {}\n", one.number, one.kind, one.state);
    text.push_str(&fields(&[
        ("evidence", &one.evidence),
        ("asked by", &format!("{}, {}", one.requested_by, when(one.requested_at, now))),
        ("decision", &approved_by(one)),
    ]));
    if let Some(DutyEvidence { name, sha256 }) = &one.file {
        text.push_str(&fields(&[("file", name), ("SHA-256", sha256)]));
    }
    text.push_str("  hosts\n");
    for host in &one.hosts {
        let ended = host.ended_at.map(|at| format!(", taken back {}", when(at, now))).unwrap_or_default();
        let returned = host.returned_at.map(|at| format!(", reported again {}", when(at, now))).unwrap_or_default();
        text.push_str(&format!("    {}  {}{ended}{returned}\n", host.id, clean(&host.hostname)));
    }
    if one.state == DispositionState::Requested {
        text.push_str(&format!(
            "another person approves it with `muster dispositions approve {0}` or refuses it with `muster dispositions refuse \
             {0}`\n",
            one.number
        ));
    }
    text
}

fn retired(report: &RetirementReport, now: Timestamp) -> String {
    let RetirementReport { dispositions, retired, waiting, unchanged } = report;
    let mut text = format!("retired {}\n", counted(*retired, "host"));
    if *waiting > 0 {
        text.push_str(&format!("{} unfinished; a second person must approve\n", are(*waiting)));
    }
    if *unchanged > 0 {
        text.push_str(&format!("{} retired or waiting already\n", are(*unchanged)));
    }
    text.extend(dispositions.iter().map(|disposition| format!("\n{}", one(disposition, now))));
    text
}

/// `1 host is`, `2 hosts are`
fn are(hosts: u64) -> String {
    format!("{} {}", counted(hosts, "host"), if hosts == 1 { "is" } else { "are" })
}

fn taken_back(report: &HostActionReport) -> String {
    let mut text = format!("unretired {}\n", counted(report.changed, "host"));
    for host in &report.hosts {
        text.push_str(&format!("  {}  {}\n", host.id, clean(&host.hostname)));
    }
    if report.unchanged > 0 {
        text.push_str(&format!("{} not retired\n", are(report.unchanged)));
    }
    text
}

/// What was said of the machine of a host, as part of its page; empty if nothing was.
pub(super) fn of_host(dispositions: &[DispositionReport], now: Timestamp, paint: &Paint) -> String {
    let line = |one: &DispositionReport| -> Option<String> {
        let host = one.hosts.first()?;
        let (kind, number) = (one.kind, one.number);
        Some(match (one.state, host.returned_at, host.ended_at) {
            (DispositionState::Refused, ..) => return None,
            (DispositionState::Requested, ..) => {
                format!("  {kind}: disposition {number} waits for a second person\n")
            }
            (DispositionState::Approved, Some(at), _) => {
                let alarm = paint.alarm(&format!("reported again after it was retired as {kind}"));
                format!("  {alarm} (disposition {number}), noticed {}\n", when(at, now))
            }
            (DispositionState::Approved, None, Some(at)) => {
                format!("  retired as {kind} (disposition {number}) and taken back {}\n", when(at, now))
            }
            (DispositionState::Approved, None, None) => {
                let at = one.decided_at.unwrap_or(one.requested_at);
                let by = clean(&one.requested_by);
                format!(
                    "  retired as {kind} by {by} (disposition {number}) {}: {}\n",
                    when(at, now),
                    clean(&one.evidence)
                )
            }
        })
    };
    dispositions.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{DisposedHost, DispositionKind, HostId};

    use super::*;

    fn disposition(state: DispositionState, returned_at: Option<Timestamp>) -> DispositionReport {
        let at = Timestamp::from_millis;
        let host =
            DisposedHost { id: HostId::from_bytes([7; 16]), hostname: "pc-7".to_owned(), ended_at: None, returned_at };
        DispositionReport {
            number: 4,
            state,
            kind: DispositionKind::Sold,
            evidence: "receipt 7".to_owned(),
            file: Some(DutyEvidence { name: "receipt.pdf".to_owned(), sha256: "ab".repeat(32) }),
            requested_by: "ada".to_owned(),
            requested_at: at(0),
            decided_by: "bob".to_owned(),
            decided_at: Some(at(1_000)),
            needs_second: true,
            is_self_approved: false,
            hosts: vec![host],
        }
    }

    #[test]
    fn a_disposition_shows_its_evidence_and_how_to_decide() {
        let now = Timestamp::from_millis(2_000);
        let shown = one(&disposition(DispositionState::Requested, None), now);
        for part in ["disposition 4: 1 host sold, requested", "receipt.pdf", "pc-7", "`muster dispositions approve 4`"]
        {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        let dispositions = vec![disposition(DispositionState::Requested, None)];
        let report = RetirementReport { dispositions, retired: 0, waiting: 1, unchanged: 2 };
        let shown = retired(&report, now);
        assert!(shown.starts_with("retired 0 hosts\n1 host is unfinished; a second person must approve"), "{shown}");
        assert!(shown.contains("2 hosts are retired or waiting already"), "{shown}");
    }

    #[test]
    fn a_host_that_came_back_is_marked() {
        let now = Timestamp::from_millis(2_000);
        let back = disposition(DispositionState::Approved, Some(Timestamp::from_millis(1_500)));
        let shown = of_host(&[back], now, &Paint::plain());
        assert!(shown.contains("reported again after it was retired as sold (disposition 4)"), "{shown}");
        let gone = of_host(&[disposition(DispositionState::Approved, None)], now, &Paint::plain());
        assert!(gone.contains("retired as sold by ada (disposition 4)") && gone.contains("receipt 7"), "{gone}");
        assert_eq!(of_host(&[disposition(DispositionState::Refused, None)], now, &Paint::plain()), "");
    }

    #[test]
    fn evidence_is_a_text_or_the_name_and_the_hash_of_a_file() {
        assert_eq!(evidence("receipt 7").expect("reads"), ("receipt 7".to_owned(), None));
        for mistaken in ["reciept.pdf", "evidence/receipt", "C:\\receipt"] {
            let refused = evidence(mistaken).expect_err("there is no such file");
            assert!(refused.is::<NoSuchFile>(), "{refused}");
        }
        assert_eq!(evidence("sold, see ticket.").expect("a text").1, None);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("receipt.txt");
        std::fs::write(&path, "abc").expect("writes");
        let (text, file) = evidence(path.to_str().expect("text")).expect("reads");
        assert_eq!((text.as_str(), file.expect("a file").name.as_str()), ("the file receipt.txt", "receipt.txt"));
    }
}
