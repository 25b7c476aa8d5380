//! `/hosts/ID`: one host: its verdicts and what would clear it, the evidence, the sources, the history, the machine.

mod verdict;

use askama::Template;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{
    DisposedHost, DispositionState, EntryReport, Evidence, Explanation, HitReport, HostMark, HostNote, HostReport,
    LaneChange, Outcome, SourceReport, Timestamp,
};

use super::candidates;
use super::chrome::{Chrome, page};
use super::dispositions::{self, DispositionRow};
use super::format::{LaneMark, Moment, clean, name, number};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::ReportError;
use crate::store::SiteScope;
use verdict::VerdictView;

/// Items that a host with very many of them shows: changes, duties, dispositions.
const MOST: usize = 50;
/// Notes of a page.
const NOTES: usize = 20;

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    chrome: Chrome,
    name: String,
    system: String,
    site: String,
    seen: Option<Moment>,
    complete_scan: Option<Moment>,
    marks: Vec<Mark>,
    labels: Vec<String>,
    owner: String,
    notes: Vec<Note>,
    /// `1 to 20 of 57`; empty if all notes are shown.
    notes_shown: String,
    /// The pages with newer and older notes; empty without any.
    newer_notes: String,
    older_notes: String,
    dispositions: Vec<DispositionRow>,
    verdicts: Vec<VerdictView>,
    products: Vec<Product>,
    sources: Vec<Source>,
    history: Vec<Change>,
    duties: Vec<Duty>,
    /// Names and values about the machine; those that are unknown are left out.
    machine: Vec<(&'static str, String)>,
    enrolled: Moment,
    entry: Option<Entry>,
    /// Whether the visitor sees entries of the roster of some sites only.
    is_of_sites: bool,
    may_read_ledger: bool,
    /// The page where this host can be changed; empty for somebody who may not.
    change: String,
    /// This page.
    address: String,
    may_finish_duties: bool,
    actions: Vec<Action>,
    ledger_link: String,
}

/// A form that changes the host.
struct Action {
    /// The last part of its address.
    path: &'static str,
    name: &'static str,
    what: &'static str,
}

struct Note {
    at: Moment,
    by: String,
    text: String,
}

struct Mark {
    name: &'static str,
    since: Moment,
    reason: String,
}

struct Product {
    name: String,
    vendor: String,
    version: String,
    presence: &'static str,
    category: String,
    evidence: Vec<Seen>,
    rule: String,
}

struct Seen {
    source: String,
    text: String,
    path: String,
}

struct Source {
    name: &'static str,
    outcome: &'static str,
    /// Whether something was not read that this system has.
    is_gap: bool,
    reason: String,
    items: String,
    needed: bool,
}

struct Change {
    at: Moment,
    order: String,
    lane: LaneMark,
    cause: &'static str,
}

struct Duty {
    number: u64,
    what: String,
    order: String,
    due: Moment,
    overdue: bool,
}

struct Entry {
    number: u64,
    name: String,
    basis: &'static str,
    sources: String,
}

/// `GET /hosts/ID?notes=PAGE`, also with a name or another identifier that only one host has.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &["notes"])?;
    if asked.contains(char::is_control) {
        return Err(Refusal::asked("The name in the address has a control character."));
    }
    let notes_page: usize = query.one("notes")?.unwrap_or(1);
    let explained = match visitor.context.explain(&asked, None).await {
        Err(ReportError::Ambiguous { hosts, .. }) => return candidates::show(&state, &visitor, &asked, &hosts),
        explained => state.or_refusal(explained)?,
    };
    let entry = state.or_refusal(visitor.context.roster_entry_of(explained.host.id).await)?;
    page(&view(&state, &visitor, &explained, entry.as_ref(), notes_page))
}

fn view(
    state: &State,
    visitor: &Visitor,
    explained: &Explanation,
    entry: Option<&EntryReport>,
    notes_page: usize,
) -> HostPage {
    let (host, now) = (&explained.host, state.now());
    let notes = NotesShown::of(host, notes_page);
    let mark = |mark: &muster_proto::model::MarkReport| Mark {
        name: mark.mark.name(),
        since: Moment::at(mark.since),
        reason: clean(&mark.reason, 500),
    };
    let duty = |duty: &muster_proto::model::DutyReport| Duty {
        number: duty.number,
        what: clean(if duty.what.is_empty() { &duty.clock } else { &duty.what }, 300),
        order: duty.order.to_string(),
        due: Moment::deadline(duty.due),
        overdue: duty.overdue,
    };
    HostPage {
        chrome: Chrome::new(state, visitor, "/hosts"),
        name: name(if host.facts.hostname.is_empty() { "(no name)" } else { &host.facts.hostname }),
        system: clean(&host.facts.os_name, 128),
        site: host.site.to_string(),
        seen: host.last_seen.map(|seen| Moment::ago(seen, now)),
        complete_scan: host.complete_scan.map(|scan| Moment::ago(scan, now)),
        marks: host.marks.iter().map(mark).collect(),
        labels: host.labels.iter().map(|label| name(label.label.as_str())).collect(),
        owner: host.owner.as_ref().map(|owner| name(&owner.owner)).unwrap_or_default(),
        notes: notes.notes,
        notes_shown: notes.shown,
        newer_notes: notes.newer,
        older_notes: notes.older,
        dispositions: host.dispositions.iter().map(|one| dispositions::row(one, now)).collect(),
        verdicts: host.verdicts.iter().map(VerdictView::of).collect(),
        products: host.hits.iter().map(product).collect(),
        sources: host.sources.iter().map(source).collect(),
        history: explained.history.iter().rev().take(MOST).map(change).collect(),
        duties: explained.duties.iter().take(MOST).map(duty).collect(),
        machine: machine(host, now),
        enrolled: Moment::at(host.enrolled_at),
        entry: entry.map(entry_of),
        is_of_sites: visitor.caller().scope != SiteScope::All,
        change: if visitor.may("ChangeHosts") {
            Query::default().with("host", &host.id.to_string()).link("/change")
        } else {
            String::new()
        },
        address: format!("/hosts/{}", host.id),
        may_finish_duties: visitor.may("FinishDuty"),
        actions: actions(visitor, host),
        may_read_ledger: visitor.may("ListLedger"),
        ledger_link: Query::default().with("host", &host.id.to_string()).link("/ledger"),
    }
}

/// What the visitor may do to the host as it is now.
fn actions(visitor: &Visitor, host: &HostReport) -> Vec<Action> {
    let is = |mark: HostMark| host.marks.iter().any(|one| one.mark == mark);
    let is_kept_out = is(HostMark::Quarantined) || is(HostMark::Revoked) || is(HostMark::Purged);
    let is_over = |host: &DisposedHost| host.ended_at.is_some() || host.returned_at.is_some();
    let is_retired = host
        .dispositions
        .iter()
        .any(|one| one.state == DispositionState::Approved && one.hosts.iter().any(|host| !is_over(host)));
    let actions = [
        (is_retired, "UnretireHosts", "unretire", "Take back", "The host counts again, judged by its last report."),
        (
            is(HostMark::TwoHolders) || is(HostMark::Returned),
            "ReviewHosts",
            "review",
            "Mark as reviewed",
            "Say why two machines reported with its key, or why it is back. The marks two-holders and returned end.",
        ),
        (is_kept_out, "ReleaseHosts", "release", "Release", "Its quarantine or revocation ends, and it may report."),
        (
            !is(HostMark::Revoked),
            "RevokeHosts",
            "revoke",
            "Revoke",
            "Its certificate is no longer accepted. It cannot report until it is released or enrolls again.",
        ),
    ];
    let possible = actions.into_iter().filter(|(is_possible, method, ..)| *is_possible && visitor.may(method));
    possible.map(|(_, _, path, name, what)| Action { path, name, what }).collect()
}

/// A page of the notes of a host.
struct NotesShown {
    notes: Vec<Note>,
    shown: String,
    newer: String,
    older: String,
}

impl NotesShown {
    fn of(host: &HostReport, page: usize) -> Self {
        let (page, all) = (page.max(1), host.notes.len());
        let first = (page - 1).saturating_mul(NOTES);
        let notes: Vec<Note> = host.notes.iter().skip(first).take(NOTES).map(note).collect();
        let link = |page: usize| format!("/hosts/{}?notes={page}#notes", host.id);
        let is_whole = notes.len() == all;
        Self {
            shown: if is_whole { String::new() } else { format!("{} to {} of {all}", first + 1, first + notes.len()) },
            newer: if page > 1 { link(page - 1) } else { String::new() },
            older: if first + notes.len() < all && !notes.is_empty() { link(page + 1) } else { String::new() },
            notes,
        }
    }
}

fn note(note: &HostNote) -> Note {
    let by = if note.by.is_empty() { "on the collector".to_owned() } else { name(&note.by) };
    Note { at: Moment::at(note.at), by, text: clean(&note.text, 2_000) }
}

fn product(hit: &HitReport) -> Product {
    let seen = |evidence: &Evidence| Seen {
        source: evidence.source.to_string(),
        text: clean(&evidence.to_string(), 300),
        path: clean(&evidence.path, 300),
    };
    Product {
        name: name(&hit.name),
        vendor: name(&hit.vendor),
        version: name(&hit.version),
        presence: hit.presence.name(),
        category: name(&hit.category),
        evidence: hit.evidence.iter().take(10).map(seen).collect(),
        rule: hit.rule.clone(),
    }
}

fn source(report: &SourceReport) -> Source {
    Source {
        name: report.source.name(),
        outcome: report.outcome.name(),
        is_gap: match report.outcome {
            Outcome::Partial | Outcome::Denied | Outcome::Failed | Outcome::TimedOut => true,
            Outcome::Found | Outcome::Empty | Outcome::NotApplicable => false,
        },
        reason: clean(&report.reason, 300),
        items: number(report.observations),
        needed: !report.needed_by.is_empty(),
    }
}

fn change(change: &LaneChange) -> Change {
    Change {
        at: Moment::at(change.since),
        order: change.order.to_string(),
        lane: LaneMark::of(change.lane),
        cause: change.cause.name(),
    }
}

fn entry_of(entry: &EntryReport) -> Entry {
    let sources: Vec<&str> =
        entry.records.iter().filter(|record| record.closed.is_none()).map(|record| record.source.as_str()).collect();
    Entry {
        number: entry.number,
        name: name(&entry.name),
        basis: entry.basis.name(),
        sources: clean(&sources.join(", "), 300),
    }
}

/// What is known of the machine, without what is unknown.
fn machine(host: &HostReport, now: Timestamp) -> Vec<(&'static str, String)> {
    let identity = &host.facts.identity;
    let list = |texts: &[String]| clean(&texts.iter().take(20).cloned().collect::<Vec<_>>().join(", "), 500);
    let restart = match host.state.pending_reboot {
        None => String::new(),
        Some(true) => "needed".to_owned(),
        Some(false) => "not needed".to_owned(),
    };
    let losses = host.state.losses.total();
    let scanned = if host.facts.offline_root { "as a mounted image" } else { "while it runs" };
    let facts = [
        ("Host id", host.id.to_string()),
        ("Full name", clean(&identity.fqdn, 255)),
        ("Domain", clean(&identity.domain, 255)),
        ("Addresses", list(&host.state.addresses)),
        ("Serial number", clean(&identity.serial, 128)),
        ("Hardware UUID", clean(&identity.hardware_uuid, 128)),
        ("Asset tag", clean(&identity.asset_tag, 128)),
        ("Network cards", list(&identity.macs)),
        ("Chassis", clean(&identity.chassis, 128)),
        ("Platform", format!("{} {}", host.facts.platform, clean(&host.facts.architecture, 64))),
        ("Kernel", clean(&host.facts.kernel, 128)),
        ("Agent", clean(&host.facts.agent_version, 64)),
        ("Scanned", scanned.to_owned()),
        ("Restart", restart),
        ("Snapshot", host.snapshot.clone()),
        ("Snapshot since", host.snapshot_since.map(|since| ago_text(since, now)).unwrap_or_default()),
        ("Snapshots lost", if losses == 0 { String::new() } else { number(losses) }),
        ("Enrolled with", host.enrolled_with.clone()),
    ];
    facts.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect()
}

fn ago_text(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", super::format::span(now.since(at)))
}
