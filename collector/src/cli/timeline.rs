//! `muster timeline`: how many machines were in each lane at the end of each day, and why that changed.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{
    Cause, DayCounts, Lane, LaneStep, OmittedDays, TimelineBy, TimelineDay, TimelineReport, Timestamp,
};

use super::args::timeline::TimelineArgs;
use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, counted};

const COUNTS: [&str; 4] = ["at", "site", "lane", "hosts"];
const STEPS: [&str; 5] = ["at", "cause", "from", "to", "hosts"];
/// A day in UTC.
const DAY_MS: i64 = 24 * 3_600_000;

pub(super) async fn run(mut client: Client, asked: TimelineArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let report = client.timeline(&asked).await?;
    let header: &[&str] = if asked.by == Some(TimelineBy::Cause) { &STEPS } else { &COUNTS };
    let answer = Answer { whole: &report, header };
    screen.show(&answer, &report.days, || rows(&report, asked.by), |paint| page(&report, asked.by, paint))?;
    Ok(0)
}

fn rows(report: &TimelineReport, by: Option<TimelineBy>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for day in &report.days {
        match by {
            Some(TimelineBy::Cause) => rows.extend(day.steps.iter().map(|step| {
                let lane = |lane: Option<Lane>| lane.map(|lane| lane.to_string()).unwrap_or_default();
                vec![
                    day.at.to_rfc3339(),
                    step.cause.to_string(),
                    lane(step.from),
                    lane(step.to),
                    step.hosts.to_string(),
                ]
            })),
            Some(TimelineBy::Site | TimelineBy::Label) | None => {
                for (site, counts) in parts(day, by) {
                    let mut row = |lane: &str, hosts: u64| {
                        rows.push(vec![day.at.to_rfc3339(), site.clone(), lane.to_owned(), hosts.to_string()]);
                    };
                    counts.lanes.iter().for_each(|(lane, hosts)| row(lane.name(), *hosts));
                    row("out-of-scope", counts.out_of_scope);
                    row("total", counts.total);
                }
            }
        }
    }
    rows
}

/// The counts of a day: of each site or label, or of all.
fn parts(day: &TimelineDay, by: Option<TimelineBy>) -> Vec<(String, &DayCounts)> {
    match by {
        Some(TimelineBy::Site | TimelineBy::Label) => {
            let name = |group: &muster_proto::model::TimelineGroup| {
                let site = group.site.as_ref().map(ToString::to_string);
                group.label.as_ref().map(ToString::to_string).or(site).unwrap_or_default()
            };
            day.groups.iter().map(|group| (name(group), &group.counts)).collect()
        }
        Some(TimelineBy::Cause) | None => vec![(String::new(), &day.counts)],
    }
}

pub(super) fn page(report: &TimelineReport, by: Option<TimelineBy>, paint: &Paint) -> String {
    let mut text = format!("{}\n", paint.bold(report.order.as_str()));
    if report.days.is_empty() {
        text.push_str("  no day of this time is known\n");
    } else if by == Some(TimelineBy::Cause) {
        text.push_str(&steps(report, paint));
    } else {
        text.push_str(&counts(report, by, paint));
    }
    if by == Some(TimelineBy::Site) {
        text.push_str("  sites are those of now: a host that was moved counts at its new site on all days\n");
    }
    if by == Some(TimelineBy::Label) {
        text.push_str("  labels are those of then: a host with several counts at each, and one with none at none\n");
    }
    for omitted in &report.omitted {
        text.push_str(&format!("  {}\n", left_out(omitted)));
    }
    text
}

fn counts(report: &TimelineReport, by: Option<TimelineBy>, paint: &Paint) -> String {
    let is_divided = matches!(by, Some(TimelineBy::Site | TimelineBy::Label));
    let days = || report.days.iter().map(|day| &day.counts);
    // Lanes in which no machine ever was would only take space.
    let lanes: Vec<Lane> = Lane::ALL
        .iter()
        .copied()
        .filter(|lane| days().any(|counts| counts.lanes.get(lane).is_some_and(|hosts| *hosts > 0)))
        .collect();
    let is_outside = days().any(|counts| counts.out_of_scope > 0);
    let mut header = vec!["day"];
    header.extend(by.filter(|_| is_divided).map(TimelineBy::name));
    header.extend(lanes.iter().map(|lane| lane.name()));
    header.extend(is_outside.then_some("out of scope"));
    header.push("total");
    header.extend((!is_divided).then_some("changed lane"));
    let mut table = Table::new(&header);
    for day in &report.days {
        for (name, counts) in parts(day, by) {
            let mut cells = vec![Cell::text(label(day.at))];
            cells.extend(is_divided.then(|| Cell::text(if name.is_empty() { "-" } else { &name })));
            let of = |lane: &Lane| Cell::number(counts.lanes.get(lane).copied().unwrap_or_default());
            cells.extend(lanes.iter().map(of));
            cells.extend(is_outside.then(|| Cell::number(counts.out_of_scope)));
            cells.push(Cell::number(counts.total));
            cells.extend((!is_divided).then(|| Cell::text(causes(&day.steps))));
            table.row(cells);
        }
    }
    table.text(paint)
}

/// `9 installed, 2 rules`: how many machines changed lane for each cause.
fn causes(steps: &[LaneStep]) -> String {
    let mut causes: BTreeMap<Cause, u64> = BTreeMap::new();
    steps.iter().for_each(|step| *causes.entry(step.cause).or_default() += step.hosts);
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(cause, hosts)| (std::cmp::Reverse(*hosts), *cause));
    causes.iter().map(|(cause, hosts)| format!("{hosts} {cause}")).collect::<Vec<_>>().join(", ")
}

fn steps(report: &TimelineReport, paint: &Paint) -> String {
    let mut table = Table::new(&["day", "cause", "from", "to", "hosts"]);
    let mut hosts = 0;
    for day in &report.days {
        let mut steps: Vec<&LaneStep> = day.steps.iter().collect();
        steps.sort_by_key(|step| (step.cause, step.from, step.to));
        for step in steps {
            let lane = |lane: Option<Lane>| lane.map_or_else(|| Cell::text("-"), Cell::lane);
            let (day, cause) = (Cell::text(label(day.at)), Cell::text(step.cause.name()));
            table.row(vec![day, cause, lane(step.from), lane(step.to), Cell::number(step.hosts)]);
            hosts += step.hosts;
        }
    }
    if hosts == 0 {
        return "  no machine changed lane from one day to the next\n".to_owned();
    }
    table.text(paint)
}

/// `2026-11-01`, or `now`.
fn label(at: Timestamp) -> String {
    let is_end = at.millis().rem_euclid(DAY_MS) == DAY_MS - 1;
    if is_end { day(at) } else { "now".to_owned() }
}

fn day(at: Timestamp) -> String {
    at.to_rfc3339().chars().take(10).collect()
}

/// `2026-08-01 to 2026-08-30 left out (30 days): the order was not active`.
fn left_out(omitted: &OmittedDays) -> String {
    let day_of = |at: Timestamp| at.millis().div_euclid(DAY_MS);
    // Both ends count, and the last one may be in the middle of today.
    let days = day_of(omitted.until).saturating_sub(day_of(omitted.from)).saturating_add(1).unsigned_abs();
    let range: BTreeSet<String> = [day(omitted.from), day(omitted.until)].into();
    let range = range.into_iter().collect::<Vec<_>>().join(" to ");
    format!("{range} left out ({}): {}", counted(days, "day"), omitted.why.meaning())
}

#[cfg(test)]
mod tests {
    use muster_proto::model::PastUnknown;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("valid")
    }

    fn counts_of(replace: u64, clear: u64) -> DayCounts {
        let mut lanes: BTreeMap<Lane, u64> = Lane::ALL.iter().map(|lane| (*lane, 0)).collect();
        lanes.extend([(Lane::Replace, replace), (Lane::Clear, clear)]);
        DayCounts { lanes, out_of_scope: 1, total: replace + clear + 1 }
    }

    fn report() -> TimelineReport {
        let day = |at, replace, clear, steps| TimelineDay {
            at,
            counts: counts_of(replace, clear),
            groups: vec![
                muster_proto::model::TimelineGroup { site: None, label: None, counts: counts_of(0, 1) },
                muster_proto::model::TimelineGroup {
                    site: Some("hq".parse().expect("valid")),
                    label: None,
                    counts: counts_of(replace, clear - 1),
                },
            ],
            steps,
            progress: 0,
        };
        let step = |from, to, cause, hosts| LaneStep { from, to, cause, hosts };
        let steps = vec![
            step(None, Some(Lane::Clear), Cause::Enrolled, 1),
            step(Some(Lane::Clear), Some(Lane::Replace), Cause::Installed, 2),
        ];
        TimelineReport {
            order: "us-bis-icts-2021-002".parse().expect("valid"),
            days: vec![
                day(at("2026-11-01T23:59:59.999Z"), 0, 9, Vec::new()),
                day(at("2026-11-02T12:00:00Z"), 2, 8, steps),
            ],
            omitted: vec![OmittedDays {
                from: at("2026-10-30T23:59:59.999Z"),
                until: at("2026-10-31T23:59:59.999Z"),
                why: PastUnknown::NotActive,
            }],
        }
    }

    #[test]
    fn lanes_with_machines_are_columns_and_each_day_says_why_machines_moved() {
        let expected = "us-bis-icts-2021-002\n\
            DAY         REPLACE  CLEAR  OUT OF SCOPE  TOTAL  CHANGED LANE\n\
            2026-11-01        0      9             1     10  \n\
            now               2      8             1     11  2 installed, 1 enrolled\n  \
            2026-10-30 to 2026-10-31 left out (2 days): the order was not active\n";
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&page(&report(), None, &Paint::plain())), lines(expected));
    }

    #[test]
    fn a_timeline_is_divided_by_site_or_by_cause() {
        let text = page(&report(), Some(TimelineBy::Site), &Paint::plain());
        assert!(text.contains("\n2026-11-01  hq          0      8             1      9\n"), "{text}");
        let text = page(&report(), Some(TimelineBy::Cause), &Paint::plain());
        assert!(text.contains("\nnow  installed  clear  replace      2\n"), "{text}");
        assert!(text.contains("\nnow  enrolled   -      clear        1\n"), "{text}");
        assert_eq!(rows(&report(), Some(TimelineBy::Cause)).len(), 2);
        assert_eq!(rows(&report(), None).len(), 2 * (Lane::ALL.len() + 2));
        assert_eq!(rows(&report(), Some(TimelineBy::Site)).len(), 4 * (Lane::ALL.len() + 2));
    }

    #[test]
    fn days_that_are_not_known_do_not_read_as_empty() {
        let none = TimelineReport { days: Vec::new(), ..report() };
        assert!(page(&none, None, &Paint::plain()).contains("no day of this time is known"));
        let quiet = TimelineReport { days: vec![report().days[0].clone()], ..report() };
        assert!(page(&quiet, Some(TimelineBy::Cause), &Paint::plain()).contains("no machine changed lane"));
    }
}
