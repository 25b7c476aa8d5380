//! `muster hosts show` and its short form `muster host`: one host with its lanes, products and sources.

use std::time::Duration;

use muster_proto::model::{
    HostMark, HostOwner, HostReport, Losses, MachineIdentity, Outcome, SourceReport, Timestamp, UnprotectedTime,
    VerdictReport, advice_line,
};

use super::args::HostArgs;
use super::client::Client;
use super::decided::decided;
use super::dispositions;
use super::due;
use super::exit::of_verdicts;
use super::past;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, instant, or_dash, when};
use crate::config::format_span;

const HEADER: [&str; 16] = [
    "id",
    "hostname",
    "site",
    "last_seen",
    "snapshot",
    "order",
    "lane",
    "in_scope",
    "overdue",
    "silent",
    "presence",
    "protection",
    "unprotected_since",
    "unprotected_longest_hours",
    "unprotected_total_hours",
    "advice",
];

/// Notes that a page shows.
const NOTES: usize = 5;

pub(super) async fn run(mut client: Client, asked: HostArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    if let Some(as_of) = asked.past.as_of {
        return past::host(client, (&asked.host, None), as_of, false, screen).await;
    }
    let host = client.host(&asked.host).await?;
    let now = screen.now();
    let answer = Answer { whole: &host, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&host), || rows(&host), |paint| page(&host, now, paint))?;
    Ok(of_verdicts(&host.verdicts))
}

/// One row per order.
fn rows(host: &HostReport) -> Vec<Vec<String>> {
    let row = |verdict: &VerdictReport| {
        vec![
            host.id.to_string(),
            host.facts.hostname.clone(),
            host.site.to_string(),
            instant(host.last_seen),
            host.snapshot.clone(),
            verdict.order.id.to_string(),
            verdict.lane.to_string(),
            verdict.in_scope.to_string(),
            verdict.overdue.to_string(),
            verdict.silent.to_string(),
            verdict.presence.to_string(),
            verdict.protection.to_string(),
            instant(verdict.unprotected.and_then(|time| time.since)),
            verdict.unprotected.map(|time| hours(time.longest_ms)).unwrap_or_default(),
            verdict.unprotected.map(|time| hours(time.total_ms)).unwrap_or_default(),
            advice_line(&verdict.advice, &verdict.commands),
        ]
    };
    host.verdicts.iter().map(row).collect()
}

/// Hours with two digits after the point, rounded down.
fn hours(millis: u64) -> String {
    let hundredths = millis / 36_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

pub(super) fn page(host: &HostReport, now: Timestamp, paint: &Paint) -> String {
    let mut text = facts(host, now, paint);
    for verdict in &host.verdicts {
        text.push_str(&format!("\n{}", verdict_head(verdict, now, paint)));
        if !verdict.in_scope {
            continue;
        }
        let reasons = &verdict.reasons;
        if !reasons.is_empty() {
            text.push_str("  because\n");
        }
        for reason in reasons.iter().take(8) {
            text.push_str(&format!("    - {}\n", clean(&reason.text)));
        }
        if reasons.len() > 8 {
            let more = counted(reasons.len() - 8, "more reason");
            text.push_str(&format!("    - {more}; for all of them run `muster explain`\n"));
        }
        text.push_str(&what_to_do(verdict));
    }
    text.push_str(&format!("\n{}", products(host, paint)));
    text.push_str(&format!("\n{}", sources(host, paint)));
    text
}

/// What to do, with one line for each command, so that a command can be copied, and with what it removes.
pub(super) fn what_to_do(verdict: &VerdictReport) -> String {
    if verdict.advice.is_empty() {
        return String::new();
    }
    let mut text = format!("  what to do\n    {}\n", clean(&verdict.advice));
    for reason in &verdict.commands {
        let Some(command) = &reason.command else { continue };
        let product = reason.product.as_ref().map(|product| format!("  # {product}")).unwrap_or_default();
        text.push_str(&format!("      {}{}\n", clean(command), clean(&product)));
    }
    text
}

/// One line for each thing that identifies the machine and is known.
fn identity(identity: &MachineIdentity, line: &mut impl FnMut(&str, &str)) {
    let MachineIdentity { serial, hardware_uuid, asset_tag, macs, fqdn, domain, chassis } = identity;
    let hardware = [
        (chassis.as_str(), String::new()),
        (serial, format!("serial {serial}")),
        (asset_tag, format!("asset tag {asset_tag}")),
        (hardware_uuid, format!("UUID {hardware_uuid}")),
    ];
    let hardware = hardware.into_iter().filter(|(value, _)| !value.is_empty());
    let hardware: Vec<String> =
        hardware.map(|(value, said)| if said.is_empty() { value.to_owned() } else { said }).collect();
    // The full name has the domain at its end.
    let name = if fqdn.is_empty() { domain } else { fqdn };
    for (what, value) in [("hardware", hardware.join(", ")), ("cards", macs.join(", ")), ("full name", name.clone())] {
        if !value.is_empty() {
            line(what, &value);
        }
    }
}

pub(super) fn facts(host: &HostReport, now: Timestamp, paint: &Paint) -> String {
    let facts = &host.facts;
    let name = if facts.hostname.is_empty() { "(no name)".to_owned() } else { clean(&facts.hostname) };
    let mut text = format!("{}  {}\n", paint.bold(&name), host.id);
    let root = if facts.offline_root { ", scanned as a mounted image" } else { "" };
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<11} {}\n", clean(value)));
    line("system", &format!("{}, {} {}{root}", or_dash(&facts.os_name), facts.platform, facts.architecture));
    line("kernel", or_dash(&facts.kernel));
    identity(&facts.identity, &mut line);
    line("site", host.site.as_str());
    line("agent", or_dash(&facts.agent_version));
    if !host.state.addresses.is_empty() {
        line("addresses", &host.state.addresses.join(", "));
    }
    let token = &host.enrolled_with;
    let with = if token.is_empty() { String::new() } else { format!(", with token {token}") };
    line("enrolled", &format!("{}{with}", when(host.enrolled_at, now)));
    line("last seen", &host.last_seen.map_or_else(|| "never".to_owned(), |at| when(at, now)));
    match (host.observed_at, host.snapshot_since) {
        (Some(observed), Some(since)) => {
            let digest: String = host.snapshot.chars().take(12).collect();
            line(
                "snapshot",
                &format!("{digest}, first scanned {}, unchanged since {}", when(observed, now), since.whole_seconds()),
            );
            // Older than "last seen" if the latest scans could not read every source.
            line("full scan", &host.complete_scan.map_or_else(|| "none lately".to_owned(), |at| when(at, now)));
        }
        _ => line("snapshot", "none received yet"),
    }
    let losses = host.state.losses;
    if losses.total() > 0 {
        let Losses { coalesced, dropped, damaged } = losses;
        let counts =
            format!("{dropped} dropped, {damaged} damaged, {coalesced} replaced by a later one before delivery");
        line("lost scans", &counts);
    }
    if let Some(HostOwner { owner, since }) = &host.owner {
        line("owner", &format!("{owner}, since {}", when(*since, now)));
    }
    let labels: Vec<&str> = host.labels.iter().map(|one| one.label.as_str()).collect();
    if !labels.is_empty() {
        line("labels", &labels.join(", "));
    }
    for note in host.notes.iter().take(NOTES) {
        let by = if note.by.is_empty() { "somebody on the collector's machine" } else { note.by.as_str() };
        line("note", &format!("{} ({by}, {})", note.text, when(note.at, now)));
    }
    if host.notes.len() > NOTES {
        line("notes", &format!("{} older ones are in the JSON output", host.notes.len() - NOTES));
    }
    for mark in &host.marks {
        let reason = if mark.reason.is_empty() { meaning(mark.mark) } else { &mark.reason };
        let reason = [Some(reason), next_step(mark.mark)].into_iter().flatten().collect::<Vec<_>>().join("; ");
        text.push_str(&format!(
            "  {} since {}: {}\n",
            paint.alarm(mark.mark.name()),
            when(mark.since, now),
            clean(&reason)
        ));
    }
    text.push_str(&dispositions::of_host(&host.dispositions, now, paint));
    text
}

/// Why a host has a mark that no person set.
const fn meaning(mark: HostMark) -> &'static str {
    match mark {
        HostMark::Quarantined => {
            "its certificate had expired before it renewed it; if that is right, end it with `muster hosts release`"
        }
        HostMark::Revoked => "an operator revoked its keys",
        HostMark::TwoHolders => "two machines have reported with its key",
        HostMark::Throttled => "it has spent a budget",
        HostMark::Purged => "an operator removed what it has sent",
        HostMark::Returned => "it reported after it was retired",
    }
}

/// What to do about a mark, where its reason does not say so.
const fn next_step(mark: HostMark) -> Option<&'static str> {
    match mark {
        HostMark::TwoHolders => Some(
            "remove the state folder of the agent on the copy and enroll the copy as a host of its own, then run \
             `muster hosts review`; if there is no copy, review it at once",
        ),
        HostMark::Returned => Some(
            "find out which machine it is, then run `muster hosts review`; retire it again if it is gone after all",
        ),
        HostMark::Quarantined | HostMark::Revoked | HostMark::Throttled | HostMark::Purged => None,
    }
}

pub(super) fn verdict_head(verdict: &VerdictReport, now: Timestamp, paint: &Paint) -> String {
    let order = &verdict.order;
    let mut text = format!("{}  {}\n", paint.bold(order.id.as_str()), clean(&order.title));
    if !verdict.in_scope {
        text.push_str("  out of scope: the order does not apply to this host\n");
        return text;
    }
    let mut marks = Vec::new();
    if verdict.overdue {
        marks.push(paint.alarm("overdue"));
    }
    if verdict.silent {
        marks.push("silent".to_owned());
    }
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    let lane = paint.lane(verdict.lane, verdict.lane.name());
    text.push_str(&format!("  lane        {lane}{marks}, since {}\n", when(verdict.since, now)));
    if let Some(decision) = &verdict.decision {
        text.push_str(&decided(decision, verdict.true_lane, now, paint));
    }
    text.push_str(&format!("  due         {}\n", due::or(order, now, "no due date")));
    text.push_str(&format!("  presence    {}\n  protection  {}\n", verdict.presence, verdict.protection));
    if let Some(time) = verdict.unprotected {
        text.push_str(&format!("  unprotected {}\n", unprotected(time, now, paint)));
    }
    text
}

/// Whether the host is unprotected now, and how long it was.
fn unprotected(time: UnprotectedTime, now: Timestamp, paint: &Paint) -> String {
    let span = |millis: u64| format_span(Duration::from_millis(millis));
    let current = match time.since {
        Some(since) => paint.alarm(&format!("since {}", when(since, now))),
        None => "no longer".to_owned(),
    };
    format!("{current}; longest {}, {} in total", span(time.longest_ms), span(time.total_ms))
}

pub(super) fn products(host: &HostReport, paint: &Paint) -> String {
    if host.hits.is_empty() {
        return nothing_found(&host.sources);
    }
    let mut table = Table::new(&["product", "vendor", "category", "presence", "version", "sources"])
        .dispensable(&["category", "vendor", "sources"]);
    for hit in &host.hits {
        let mut seen: Vec<&str> = hit.evidence.iter().map(|evidence| evidence.source.name()).collect();
        seen.sort_unstable();
        seen.dedup();
        table.row(vec![
            Cell::text(format!("{} ({})", hit.name, hit.product)),
            Cell::text(&hit.vendor),
            Cell::text(&hit.category),
            Cell::text(hit.presence.name()),
            Cell::text(or_dash(&hit.version)),
            Cell::text(seen.join(", ")),
        ]);
    }
    table.text(paint)
}

/// An empty answer is not proof of absence if a source was not read completely, so name such sources.
fn nothing_found(sources: &[SourceReport]) -> String {
    let gap = |source: &SourceReport| {
        let how = match source.outcome {
            Outcome::Found | Outcome::Empty | Outcome::NotApplicable => return None,
            Outcome::Partial => "was read only partly",
            Outcome::Denied | Outcome::Failed | Outcome::TimedOut => "could not be read",
        };
        Some(format!("{} {how}{}", source.source, needed_by(source)))
    };
    // A source that was not read may hide a product, so the sentence must not sound complete.
    let gaps: Vec<String> = sources.iter().filter_map(gap).collect();
    if gaps.is_empty() {
        return "no security product found\n".to_owned();
    }
    format!("no security product found in the sources that could be read; {}\n", gaps.join(", "))
}

/// ` (needed by order us-…)`: an order that needs a source cannot be judged without it.
fn needed_by(source: &SourceReport) -> String {
    let orders: Vec<&str> = source.needed_by.iter().map(muster_proto::model::OrderId::as_str).collect();
    match orders.len() {
        0 => String::new(),
        1 => format!(" (needed by order {})", orders[0]),
        _ => format!(" (needed by orders {})", orders.join(", ")),
    }
}

pub(super) fn sources(host: &HostReport, paint: &Paint) -> String {
    if host.sources.is_empty() {
        return "no scan received yet\n".to_owned();
    }
    let mut table = Table::new(&["source", "outcome", "items", "reason"]);
    for source in &host.sources {
        let outcome = source.outcome.name();
        let loud = !matches!(source.outcome, Outcome::Found | Outcome::Empty | Outcome::NotApplicable);
        let needed = if loud { needed_by(source) } else { String::new() };
        table.row(vec![
            Cell::text(source.source.name()),
            Cell::text(if loud { outcome.to_uppercase() } else { outcome.to_owned() }),
            Cell::number(source.observations),
            Cell::text(format!("{}{needed}", source.reason).trim_start()),
        ]);
    }
    table.text(paint)
}

#[cfg(test)]
pub(super) mod tests {
    use muster_proto::model::{
        Binding, HostFacts, HostId, HostState, Lane, MarkReport, OrderId, OrderReport, Platform, Presence, ProductId,
        ProductSeen, Protection, Reason, ReasonKind, SourceName,
    };

    use super::*;

    fn order_id() -> OrderId {
        "us-order".parse().expect("an id")
    }

    fn source(source: SourceName, outcome: Outcome, needed_by: Vec<OrderId>) -> SourceReport {
        SourceReport { source, outcome, reason: "the database is cut off".to_owned(), observations: 0, needed_by }
    }

    /// A host with an installed product and a command that removes it.
    pub(in crate::cli) fn host() -> HostReport {
        let kesl = ProductSeen {
            id: ProductId::new("kaspersky-endpoint-security").expect("an id"),
            name: "Kaspersky Endpoint Security".to_owned(),
            version: "12.2".to_owned(),
            presence: Presence::Installed,
        };
        let command = Reason {
            product: Some(kesl),
            command: Some("apt-get purge kesl".to_owned()),
            ..Reason::new(ReasonKind::Uninstall, "advice/uninstall", "To remove it: apt-get purge kesl")
        };
        HostReport {
            id: HostId::from_bytes([7; 16]),
            site: "hq".parse().expect("a site"),
            facts: HostFacts {
                hostname: "plant-7".to_owned(),
                platform: Platform::Linux,
                os_name: String::new(),
                kernel: String::new(),
                architecture: String::new(),
                agent_version: String::new(),
                offline_root: false,
                identity: MachineIdentity::default(),
            },
            state: HostState::default(),
            enrolled_at: Timestamp::default(),
            last_seen: None,
            snapshot_since: None,
            observed_at: None,
            complete_scan: None,
            snapshot: String::new(),
            sources: vec![
                source(SourceName::Dpkg, Outcome::Failed, vec![order_id()]),
                source(SourceName::Snap, Outcome::Denied, Vec::new()),
                source(SourceName::SystemdUnits, Outcome::Empty, vec![order_id()]),
            ],
            dispositions: Vec::new(),
            hits: Vec::new(),
            verdicts: vec![VerdictReport {
                order: OrderReport {
                    id: order_id(),
                    title: String::new(),
                    issuer: String::new(),
                    jurisdiction: String::new(),
                    binding: Binding::Prohibition,
                    active: true,
                    due: None,
                    due_confirmed: true,
                    zone: "UTC".to_owned(),
                    calendar: String::new(),
                    milestones: Vec::new(),
                    clocks: Vec::new(),
                    recurring: Vec::new(),
                    sources: Vec::new(),
                    layer: "shipped".to_owned(),
                    addendum: String::new(),
                    platforms: Vec::new(),
                    sites: Vec::new(),
                    labels: Vec::new(),
                    patience_ms: 0,
                    approved: Vec::new(),
                },
                lane: Lane::Replace,
                true_lane: Lane::Replace,
                decision: None,
                in_scope: true,
                overdue: false,
                silent: false,
                presence: Presence::Installed,
                protection: Protection::None,
                unprotected: None,
                since: Timestamp::default(),
                advice: "Remove the prohibited software".to_owned(),
                commands: vec![command],
                reasons: vec![Reason::new(ReasonKind::Lane, "lane/replace", "It is installed")],
            }],
            labels: Vec::new(),
            owner: None,
            notes: Vec::new(),
            marks: Vec::new(),
            enrolled_with: String::new(),
        }
    }

    #[test]
    fn commands_are_in_a_section_of_their_own_with_what_they_remove() {
        let page = page(&host(), Timestamp::default(), &Paint::plain());
        let because = "  because\n    - It is installed\n  what to do\n    Remove the prohibited software\n";
        let command = "      apt-get purge kesl  # Kaspersky Endpoint Security 12.2\n";
        assert!(page.contains(&format!("{because}{command}")), "{page}");
        assert_eq!(rows(&host())[0][15], "Remove the prohibited software: apt-get purge kesl");
    }

    #[test]
    fn the_time_without_protection_is_shown_while_it_lasts_and_afterwards() {
        let mut host = host();
        assert!(!page(&host, Timestamp::default(), &Paint::plain()).contains("unprotected"));
        let hour = 3_600_000;
        let now = Timestamp::from_millis(100 * 3_600_000);
        let current = UnprotectedTime {
            since: Some(now.minus(Duration::from_secs(5400))),
            current_ms: 3 * hour / 2,
            longest_ms: 7 * hour,
            total_ms: 9 * hour,
        };
        host.verdicts[0].unprotected = Some(current);
        let shown = page(&host, now, &Paint::plain());
        assert!(
            shown.contains("  unprotected since 1970-01-05T02:30:00Z (1h 30m ago); longest 7h, 9h in total\n"),
            "{shown}"
        );
        assert_eq!(rows(&host)[0][12..15], ["1970-01-05T02:30:00Z", "7.00", "9.00"]);
        host.verdicts[0].unprotected = Some(UnprotectedTime { since: None, current_ms: 0, ..current });
        let shown = page(&host, now, &Paint::plain());
        assert!(shown.contains("  unprotected no longer; longest 7h, 9h in total\n"), "{shown}");
        assert_eq!((rows(&host)[0][12].as_str(), HEADER.len()), ("", rows(&host)[0].len()));
    }

    #[test]
    fn a_mark_is_shown_with_its_reason() {
        let mark = |mark, reason: &str| MarkReport { mark, since: Timestamp::default(), reason: reason.to_owned() };
        let marks = vec![mark(HostMark::Quarantined, ""), mark(HostMark::Revoked, "stolen, ticket 12")];
        let page = page(&HostReport { marks, ..host() }, Timestamp::default(), &Paint::plain());
        for (name, reason) in [("quarantined", "`muster hosts release`"), ("revoked", "stolen, ticket 12")] {
            let line = page.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
            assert!(line.contains(reason), "{page}");
        }
    }

    #[test]
    fn a_source_that_failed_names_the_order_that_needs_it() {
        let page = page(&host(), Timestamp::default(), &Paint::plain());
        for expected in [
            "dpkg could not be read (needed by order us-order), snap could not be read\n",
            "the database is cut off (needed by order us-order)",
        ] {
            assert!(page.contains(expected), "no {expected:?} in\n{page}");
        }
        let table = &page[page.find("SOURCE").expect("the table")..];
        let line =
            |name: &str| table.lines().find(|line| line.starts_with(name)).expect("a line").contains("needed by");
        assert_eq!([line("dpkg"), line("snap"), line("systemd-units")], [true, false, false], "{table}");
    }
}
