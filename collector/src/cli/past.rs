//! `--as-of` of `hosts`, `findings`, `host` and `explain`: what was answered at an instant of the past.

use std::collections::BTreeSet;

use muster_proto::model::{
    FindingsSort, HostsSort, Label, Lane, OrderId, PastHost, PastHostReport, PastVerdict, Timestamp,
};

use super::args::{FindingsArgs, HostsFilterArgs, WrongUsage};
use super::client::{Client, Part, PastFilter};
use super::decided::decided;
use super::exit::{of_boards, of_past};
use super::render::{Answer, Cell, Paint, Screen, Table, clean, instant, or_dash};

const HEADER: [&str; 14] = [
    "as_of",
    "id",
    "hostname",
    "site",
    "platform",
    "os_name",
    "last_seen",
    "order",
    "lane",
    "true_lane",
    "overdue",
    "silent",
    "since",
    "cause",
];

/// The JSON document.
#[derive(serde::Serialize)]
struct Document<'a> {
    as_of: Timestamp,
    /// The value of `--after` that continues after these hosts; null at the end of the list.
    next: Option<&'a str>,
    hosts: &'a [PastHost],
}

pub(super) async fn hosts(
    client: Client,
    asked: HostsFilterArgs,
    as_of: Timestamp,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let HostsFilterArgs {
        order,
        lanes,
        sites,
        name,
        silent,
        quarantined,
        revoked,
        two_holders,
        throttled,
        purged,
        returned,
        enrolled_with,
        filter,
        sort,
        limit,
        after,
        ..
    } = asked;
    if quarantined || revoked || two_holders || throttled || purged || returned || enrolled_with.is_some() {
        let refused = "--as-of knows no marks and tokens of hosts: they are not kept for the past";
        return Err(WrongUsage(refused.to_owned()).into());
    }
    no_sort(sort == HostsSort::Name)?;
    let filter = PastFilter { as_of, order, lanes, sites, name, filter, silent, limit, after };
    list(client, &filter, screen).await?;
    Ok(0)
}

pub(super) async fn findings(
    mut client: Client,
    asked: FindingsArgs,
    as_of: Timestamp,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let FindingsArgs { order, lanes, sites, filter, sort, limit, after, past: _ } = asked;
    no_sort(sort == FindingsSort::Lane)?;
    // A filter hides findings but does not solve them, so the exit code comes from the whole board.
    let boards = client.board(order.as_ref(), Some(as_of)).await?;
    let is_open = |lane: &Lane| !lane.is_finished() && (lanes.is_empty() || lanes.contains(lane));
    let open: Vec<Lane> = Lane::ALL.iter().copied().filter(is_open).collect();
    if open.is_empty() {
        return Err(WrongUsage("no finding is in these lanes: they are finished".to_owned()).into());
    }
    let (name, silent) = (String::new(), false);
    let filter = PastFilter { as_of, order, lanes: open, sites, name, filter, silent, limit, after };
    list(client, &filter, screen).await?;
    Ok(of_boards(&boards))
}

/// The list is read in the order in which it is stored.
fn no_sort(is_default: bool) -> Result<(), WrongUsage> {
    let refused = "--as-of cannot be combined with --sort: hosts of the past come in the order of their enrollment";
    if is_default { Ok(()) } else { Err(WrongUsage(refused.to_owned())) }
}

async fn list(mut client: Client, filter: &PastFilter, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let part = client.past_hosts(filter).await?;
    let document = Document { as_of: filter.as_of, next: part.next.as_deref(), hosts: &part.rows };
    let answer = Answer { whole: &document, header: &HEADER };
    let rows = || part.rows.iter().flat_map(|host| rows(host, filter.as_of)).collect();
    screen.show(&answer, &part.rows, rows, |paint| page(&part, filter.as_of, paint))
}

/// One row per host and order.
fn rows(host: &PastHost, as_of: Timestamp) -> Vec<Vec<String>> {
    let of_host = [
        as_of.to_rfc3339(),
        host.id.to_string(),
        host.hostname.clone(),
        host.site.to_string(),
        host.platform.to_string(),
        host.os_name.clone(),
        instant(host.last_seen),
    ];
    let of_verdict = |verdict: &PastVerdict| {
        [
            verdict.order.to_string(),
            verdict.lane.to_string(),
            verdict.true_lane.to_string(),
            verdict.overdue.to_string(),
            verdict.silent.to_string(),
            verdict.since.to_rfc3339(),
            verdict.cause.to_string(),
        ]
    };
    // A host without a lane must not be missing from the CSV.
    if host.verdicts.is_empty() {
        return vec![[of_host.to_vec(), vec![String::new(); 7]].concat()];
    }
    host.verdicts.iter().map(|verdict| [of_host.to_vec(), of_verdict(verdict).to_vec()].concat()).collect()
}

fn page(part: &Part<PastHost>, as_of: Timestamp, paint: &Paint) -> String {
    let orders: BTreeSet<&OrderId> =
        part.rows.iter().flat_map(|host| host.verdicts.iter().map(|verdict| &verdict.order)).collect();
    let mut header = vec!["id", "host", "site", "platform", "os"];
    if orders.len() > 1 {
        header.push("order");
    }
    header.extend(["lane", "since", "cause"]);
    let mut table = Table::new(&header).dispensable(&["platform", "os", "site"]);
    for host in &part.rows {
        let none = [None];
        let verdicts: Vec<Option<&PastVerdict>> =
            if host.verdicts.is_empty() { none.to_vec() } else { host.verdicts.iter().map(Some).collect() };
        for verdict in verdicts {
            let mut cells = vec![
                Cell::text(host.id.to_string().get(..8).unwrap_or_default()),
                Cell::text(or_dash(&host.hostname)),
                Cell::text(host.site.as_str()),
                Cell::text(host.platform.name()),
                Cell::text(or_dash(&host.os_name)),
            ];
            if orders.len() > 1 {
                cells.push(Cell::text(verdict.map_or("-", |verdict| verdict.order.as_str())));
            }
            cells.extend(match verdict {
                Some(verdict) => [
                    match verdict.lane {
                        lane if lane == verdict.true_lane => Cell::marked_lane(lane, verdict.overdue),
                        lane => Cell::text(format!("{lane} ({})", verdict.true_lane)),
                    },
                    Cell::text(verdict.since.whole_seconds().to_rfc3339()),
                    Cell::text(verdict.cause.name()),
                ],
                None => ["-", "-", "-"].map(Cell::text),
            });
            table.row(cells);
        }
    }
    let mut text = table.text(paint);
    text.push_str(&format!("{}\n{}", part.size("host"), as_of_line(as_of)));
    text
}

/// The instant, and what the answer has of now.
pub(super) fn as_of_line(as_of: Timestamp) -> String {
    format!("as of {}; names, sites and systems are those of now\n", as_of.whole_seconds())
}

/// `host --as-of`, and with the reasons `explain --as-of`.
pub(super) async fn host(
    mut client: Client,
    asked: (&str, Option<&OrderId>),
    as_of: Timestamp,
    explains: bool,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let command = if explains { "muster explain" } else { "muster hosts show" };
    let report = client.past_host(command, asked.0, asked.1, as_of).await?;
    let answer = Answer { whole: &report, header: &HEADER };
    let lines = std::slice::from_ref(&report);
    screen.show(&answer, lines, || rows(&report.host, as_of), |paint| one(&report, explains, paint))?;
    Ok(of_past(&report))
}

fn one(report: &PastHostReport, explains: bool, paint: &Paint) -> String {
    let PastHost { id, hostname, site, os_name, enrolled_at, last_seen, .. } = &report.host;
    let name = if hostname.is_empty() { "(no name)".to_owned() } else { clean(hostname) };
    let mut text = format!("{}  {id}\n", paint.bold(&name));
    text.push_str(&format!("  site        {site}\n  system      {}\n", or_dash(&clean(os_name))));
    text.push_str(&format!("  enrolled    {}\n", enrolled_at.whole_seconds()));
    if let Some(seen) = last_seen {
        text.push_str(&format!("  last seen   {}\n", seen.whole_seconds()));
    }
    let labels: Vec<&str> = report.labels.iter().map(Label::as_str).collect();
    if !labels.is_empty() {
        text.push_str(&format!("  labels      {}\n", labels.join(", ")));
    }
    if !report.owner.is_empty() {
        text.push_str(&format!("  owner       {}\n", clean(&report.owner)));
    }
    if let Some(entry) = report.roster_entry {
        text.push_str(&format!("  roster      entry {entry}\n"));
    }
    if let Some(snapshot) = &report.snapshot {
        let (since, digest) = (snapshot.since.whole_seconds(), snapshot.digest.short());
        text.push_str(&format!("  snapshot    {digest}, received {since}\n"));
    }
    for verdict in &report.host.verdicts {
        text.push_str(&format!("\n{}", verdict_text(verdict, paint)));
        if let Some(found) = report.decisions.iter().find(|found| found.order == verdict.order) {
            text.push_str(&decided(&found.decision, verdict.true_lane, report.as_of, paint));
        }
        if explains {
            text.push_str(&because(report, &verdict.order));
        }
    }
    for gap in &report.unknown {
        let from = gap.from.map_or_else(String::new, |from| format!("; known from {} on", from.whole_seconds()));
        text.push_str(&format!(
            "\n{}\n  lane        not known: {}{from}\n",
            paint.bold(gap.order.as_str()),
            gap.why.meaning()
        ));
    }
    if report.host.verdicts.is_empty() && report.unknown.is_empty() {
        text.push_str("\nno order was active\n");
    }
    text.push('\n');
    if explains {
        report.not_kept.iter().for_each(|line| text.push_str(&format!("{}\n", clean(line))));
        text.push_str(&format!("judged with rules version {}\n", report.rules_version));
    }
    text.push_str(&as_of_line(report.as_of));
    text
}

fn verdict_text(verdict: &PastVerdict, paint: &Paint) -> String {
    let mut text = format!("{}\n", paint.bold(verdict.order.as_str()));
    if !verdict.in_scope {
        text.push_str("  out of scope\n");
        return text;
    }
    let overdue = if verdict.overdue { paint.alarm(" (overdue)") } else { String::new() };
    let silent = if verdict.silent && verdict.lane != Lane::Silent { ", silent" } else { "" };
    let lane = paint.lane(verdict.lane, verdict.lane.name());
    text.push_str(&format!("  lane        {lane}{overdue}{silent}\n"));
    text.push_str(&format!("  since       {} ({})\n", verdict.since.whole_seconds(), verdict.cause));
    text
}

/// What the rules of that time say of the snapshot of that time.
fn because(report: &PastHostReport, order: &OrderId) -> String {
    let Some(found) = report.assessments.iter().find(|found| found.order == *order) else { return String::new() };
    let mut text = String::from("  its snapshot of that time, under the rules of that time\n");
    for (number, reason) in found.reasons.iter().enumerate() {
        text.push_str(&format!("    {}. {}\n", number + 1, clean(&reason.text)));
    }
    text.push_str(&format!("  result      presence {}, protection {}\n", found.presence, found.protection));
    text
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{
        Cause, DecisionReport, Digest, HostId, PastAssessment, PastDecision, PastGap, PastSnapshot, PastUnknown,
        Platform,
    };
    use muster_proto::model::{Presence, Protection, Reason, ReasonKind};

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("valid")
    }

    fn verdict(lane: Lane) -> PastVerdict {
        PastVerdict {
            order: "us-bis-icts-2021-002".parse().expect("valid"),
            lane,
            true_lane: if lane == Lane::Waived { Lane::Replace } else { lane },
            in_scope: true,
            overdue: lane == Lane::Replace,
            silent: lane == Lane::Silent,
            since: at("2026-10-01T08:00:00Z"),
            cause: Cause::Installed,
        }
    }

    fn host_in(lane: Lane) -> PastHost {
        PastHost {
            id: HostId::from_bytes([1; 16]),
            hostname: "web-1".to_owned(),
            site: "hq".parse().expect("valid"),
            platform: Platform::Linux,
            os_name: "Debian".to_owned(),
            enrolled_at: at("2026-09-01T08:00:00Z"),
            last_seen: None,
            verdicts: vec![verdict(lane)],
        }
    }

    fn report() -> PastHostReport {
        let reason = Reason::new(ReasonKind::Product, "r", "Kaspersky Endpoint Security 12.0 is installed");
        PastHostReport {
            as_of: at("2026-10-05T23:59:59.999Z"),
            host: host_in(Lane::Replace),
            labels: vec!["vip".parse().expect("valid"), "wave-1".parse().expect("valid")],
            owner: "Jane".to_owned(),
            roster_entry: Some(12),
            unknown: vec![PastGap {
                order: "another".parse().expect("valid"),
                why: PastUnknown::SilenceRemoved,
                from: Some(at("2026-10-06T00:00:00Z")),
            }],
            decisions: Vec::new(),
            rules_version: "r-1".to_owned(),
            snapshot: Some(PastSnapshot {
                digest: Digest::of(b"x"),
                since: at("2026-10-01T07:59:00Z"),
                observed_at: at("2026-10-01T07:58:00Z"),
                sources: Vec::new(),
            }),
            assessments: vec![PastAssessment {
                order: "us-bis-icts-2021-002".parse().expect("valid"),
                presence: Presence::Installed,
                protection: Protection::None,
                reasons: vec![reason],
            }],
            not_kept: vec!["nothing is missing".to_owned()],
        }
    }

    #[test]
    fn a_list_of_the_past_has_the_lane_since_when_and_why_and_names_the_instant() {
        let part = Part { rows: vec![host_in(Lane::Replace)], total: None, next: Some("7".to_owned()) };
        let text = page(&part, at("2026-10-05T23:59:59.999Z"), &Paint::plain());
        let row = "01010101  web-1  hq    linux     Debian  replace (overdue)  2026-10-01T08:00:00Z  installed\n";
        assert!(text.contains(row), "{text}");
        assert!(
            text.contains("1 host; for the next ones add `--after 7`\nas of 2026-10-05T23:59:59Z; names"),
            "{text}"
        );
        let silent = rows(&host_in(Lane::Silent), at("2026-10-05T23:59:59.999Z"));
        assert_eq!((silent.len(), silent[0].len(), silent[0][8].as_str()), (1, HEADER.len(), "silent"));
        let none = PastHost { verdicts: Vec::new(), ..host_in(Lane::Clear) };
        assert_eq!(rows(&none, Timestamp::default())[0].len(), HEADER.len());
    }

    #[test]
    fn a_host_of_the_past_is_explained_by_its_snapshot_and_says_what_is_not_known() {
        let text = one(&report(), true, &Paint::plain());
        for line in [
            "  lane        replace (overdue)\n  since       2026-10-01T08:00:00Z (installed)\n",
            "    1. Kaspersky Endpoint Security 12.0 is installed\n  result      presence installed, protection none\n",
            "another\n  lane        not known: which hosts were silent is not kept for so long; known from 2026-10-06T00:00:00Z on\n",
            "  labels      vip, wave-1\n  owner       Jane\n  roster      entry 12\n",
            "nothing is missing\njudged with rules version r-1\nas of 2026-10-05T23:59:59Z; names",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!one(&report(), false, &Paint::plain()).contains("result"));
        assert_eq!(of_past(&report()), 5);
    }

    #[test]
    fn a_waiver_of_then_is_shown_with_the_lane_without_it() {
        let decision = DecisionReport {
            lane: Lane::Waived,
            number: 3,
            why: "legacy-system".to_owned(),
            text: "separate network".to_owned(),
            until: Some(at("2026-10-06T00:00:00Z")),
            requested_by: "ada".to_owned(),
            approved_by: "bob".to_owned(),
            approved_at: at("2026-10-01T08:00:00Z"),
            is_self_approved: false,
        };
        let order = verdict(Lane::Waived).order;
        let decisions = vec![PastDecision { order, decision }];
        let report = PastHostReport { host: host_in(Lane::Waived), unknown: Vec::new(), decisions, ..report() };
        let text = one(&report, false, &Paint::plain());
        for part in ["  lane        waived\n", "  true lane   replace\n", "3 (legacy-system)", "approved by bob"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert_eq!(of_past(&report), 0);
        let part = Part { rows: vec![host_in(Lane::Waived)], total: None, next: None };
        let text = page(&part, report.as_of, &Paint::plain());
        assert!(text.contains("waived (replace)"), "{text}");
        assert_eq!(rows(&host_in(Lane::Waived), report.as_of)[0][8..10], ["waived", "replace"]);
    }
}
