//! The numbers of a timeline as its page shows them, once for the chart and the table.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use muster_proto::model::{Cause, Lane, LaneStep, TimelineBy, TimelineDay, TimelineGroup, TimelineReport, Timestamp};

use crate::api::web::format::{LaneMark, clean, counted, number};

/// Milliseconds of a day in UTC.
const DAY_MS: i64 = 24 * 3_600_000;
/// Most days that are shown one by one; of more, every seventh.
const MOST_DAYS: usize = 100;
const THINNED: usize = 7;
/// Sites or labels that have a line of their own.
const LINES: usize = 6;

/// The lanes with work left, the most urgent first, as on the board.
const OPEN: [Lane; 7] =
    [Lane::Replace, Lane::Remove, Lane::Protect, Lane::Confirm, Lane::Silent, Lane::Unknown, Lane::Missing];

/// How the series of a timeline are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawing {
    /// Bars on top of each other, whose sum is a number of machines.
    Stacked,
    /// Lines beside each other.
    Lines,
    /// Bars above and below zero.
    Both,
}

/// Numbers of each day.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) drawing: Drawing,
    pub(super) days: Vec<Day>,
    pub(super) series: Vec<Series>,
    /// From one day that is shown to the next; more than 1 if days between them are left out.
    pub(super) every: usize,
    /// What the series leave out, as a sentence; empty if nothing.
    pub(super) left_out: String,
}

/// A day that is shown.
#[derive(Debug)]
pub(super) struct Day {
    /// Days since 1970.
    pub(super) number: i64,
    /// `2026-11-01`, or `now`.
    pub(super) name: String,
    /// Machines in which work is left.
    pub(super) open: u64,
    /// All machines.
    pub(super) total: u64,
    /// How many machines changed lane since the day before that is shown, by cause.
    pub(super) causes: Vec<(Cause, u64)>,
}

/// A number of each day.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// The lane, if it is one.
    pub(super) lane: Option<LaneMark>,
    /// The class that has its colour.
    pub(super) class: String,
    /// One for each day. Below zero, they are drawn downwards.
    pub(super) values: Vec<i64>,
}

impl Numbers {
    pub(super) fn of(report: &TimelineReport, by: Option<TimelineBy>) -> Self {
        // What changed before the first day is not known.
        let unknown = usize::from(by == Some(TimelineBy::Cause));
        let all = report.days.get(unknown..).unwrap_or_default();
        let every = if all.len() > MOST_DAYS { THINNED } else { 1 };
        // The last day is always there.
        let groups: Vec<&[TimelineDay]> = all.rchunks(every).rev().collect();
        let shown: Vec<&TimelineDay> = groups.iter().filter_map(|days| days.last()).collect();
        let days = groups.iter().filter_map(|days| Some(Day::of(days.last()?, days))).collect();
        let (drawing, series, left_out) = match by {
            None => (Drawing::Stacked, lanes(&shown), String::new()),
            Some(TimelineBy::Site | TimelineBy::Label) => {
                let (series, left_out) = lines(&shown, by == Some(TimelineBy::Site));
                (Drawing::Lines, series, left_out)
            }
            Some(TimelineBy::Cause) => (Drawing::Both, steps(&groups), String::new()),
        };
        Self { drawing, days, series, every, left_out }
    }

    /// How many machines changed lane in the whole time, by cause: those that came to have work left, those that had none left
    /// any more, and others; the most frequent cause first.
    pub(super) fn causes(report: &TimelineReport) -> Vec<(Cause, [u64; 3])> {
        let mut causes: BTreeMap<Cause, [u64; 3]> = BTreeMap::new();
        for step in report.days.iter().flat_map(|day| &day.steps) {
            let of_cause = causes.entry(step.cause).or_default();
            let [opened, finished, other] = of_cause;
            *match turn(step) {
                Turn::Opened => opened,
                Turn::Finished => finished,
                Turn::Other => other,
            } += step.hosts;
        }
        let mut causes: Vec<_> = causes.into_iter().collect();
        causes.sort_by_key(|(cause, hosts)| (Reverse(hosts.iter().sum::<u64>()), *cause));
        causes
    }
}

impl Day {
    /// `days` are those since the one before that is shown.
    fn of(day: &TimelineDay, days: &[TimelineDay]) -> Self {
        let mut causes: BTreeMap<Cause, u64> = BTreeMap::new();
        days.iter().flat_map(|day| &day.steps).for_each(|step| *causes.entry(step.cause).or_default() += step.hosts);
        let mut causes: Vec<_> = causes.into_iter().collect();
        causes.sort_by_key(|(cause, hosts)| (Reverse(*hosts), *cause));
        let counts = &day.counts;
        let name = name_of(day.at);
        Self { number: day.at.millis().div_euclid(DAY_MS), name, open: counts.open(), total: counts.total, causes }
    }
}

impl Series {
    /// The present number, or the last one that is known.
    pub(super) fn last(&self) -> i64 {
        self.values.last().copied().unwrap_or_default()
    }
}

/// `2026-11-01`, or `now` for an instant that is not the end of a day.
fn name_of(at: Timestamp) -> String {
    if at.millis().rem_euclid(DAY_MS) == DAY_MS - 1 { date(at) } else { "now".to_owned() }
}

/// `2026-11-01`.
pub(super) fn date(at: Timestamp) -> String {
    at.to_rfc3339().chars().take(10).collect()
}

/// The lanes with work left in which there ever was a machine.
fn lanes(days: &[&TimelineDay]) -> Vec<Series> {
    let series = |lane: &Lane| {
        let of_day = |day: &&TimelineDay| signed(day.counts.lanes.get(lane).copied().unwrap_or_default());
        Series {
            name: lane.name().to_owned(),
            lane: Some(LaneMark::of(*lane)),
            class: format!("l-{lane}"),
            values: days.iter().map(of_day).collect(),
        }
    };
    OPEN.iter().map(series).filter(|series| series.values.iter().any(|machines| *machines > 0)).collect()
}

/// The sites or labels with the most work left, and what is not among them.
fn lines(days: &[&TimelineDay], is_site: bool) -> (Vec<Series>, String) {
    let mut groups: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (at, day) in days.iter().enumerate() {
        for group in &day.groups {
            let values = groups.entry(group_name(group)).or_insert_with(|| vec![0; days.len()]);
            if let Some(value) = values.get_mut(at) {
                *value = signed(group.counts.open());
            }
        }
    }
    let mut groups: Vec<(String, Vec<i64>)> = groups.into_iter().collect();
    let highest = |values: &[i64]| values.iter().max().copied();
    groups.sort_by_key(|(name, values)| (Reverse(values.last().copied()), Reverse(highest(values)), name.clone()));
    let others = groups.split_off(groups.len().min(LINES));
    let line = |(at, (name, values)): (usize, (String, Vec<i64>))| {
        let name = if name.is_empty() { "no site".to_owned() } else { clean(&name, 128) };
        Series { name, lane: None, class: format!("s{}", at + 1), values }
    };
    let mut series: Vec<Series> = groups.into_iter().enumerate().map(line).collect();
    let count = others.len() as u64;
    if others.is_empty() {
        return (series, String::new());
    }
    if !is_site {
        // A host can have several labels, so a sum would count it several times.
        return (series, format!("{} with less work left are not shown; the file has them.", counted(count, "label")));
    }
    let sum = |at: usize| others.iter().filter_map(|(_, values)| values.get(at)).sum();
    let values = (0..days.len()).map(sum).collect();
    series.push(Series { name: counted(count, "other site"), lane: None, class: "s0".to_owned(), values });
    (series, String::new())
}

/// The name of a site or a label; empty for machines of the roster of which no list says the site.
pub(super) fn group_name(group: &TimelineGroup) -> String {
    let site = group.site.as_ref().map(ToString::to_string);
    group.label.as_ref().map(ToString::to_string).or(site).unwrap_or_default()
}

/// What a change of the lane means for the work that is left.
enum Turn {
    Opened,
    Finished,
    Other,
}

fn turn(step: &LaneStep) -> Turn {
    let is_open = |lane: Option<Lane>| lane.is_some_and(|lane| !lane.is_finished());
    let is_finished = matches!(step.to, Some(Lane::Done | Lane::Clear));
    match (is_open(step.from), is_open(step.to)) {
        (false, true) => Turn::Opened,
        // Who is waived, retired or not counted any more has finished nothing.
        (true, false) if is_finished => Turn::Finished,
        (true, _) | (false, false) => Turn::Other,
    }
}

/// Machines that came to have work left, and below zero those that were finished.
fn steps(groups: &[&[TimelineDay]]) -> Vec<Series> {
    let sum = |days: &&[TimelineDay], is_opened: bool| -> i64 {
        let steps = days.iter().flat_map(|day| &day.steps);
        let counted = steps.filter(|step| match turn(step) {
            Turn::Opened => is_opened,
            Turn::Finished => !is_opened,
            Turn::Other => false,
        });
        signed(counted.map(|step| step.hosts).sum())
    };
    let series =
        |name: &str, class: &str, values| Series { name: name.to_owned(), lane: None, class: class.to_owned(), values };
    let opened = groups.iter().map(|days| sum(days, true)).collect();
    let finished = groups.iter().map(|days| -sum(days, false)).collect();
    vec![series("new work", "l-replace", opened), series("finished", "l-done", finished)]
}

fn signed(machines: u64) -> i64 {
    i64::try_from(machines).unwrap_or(i64::MAX)
}

/// `9 installed, 2 rules`.
pub(super) fn causes_text(causes: &[(Cause, u64)]) -> String {
    let text = causes.iter().map(|(cause, hosts)| format!("{} {cause}", number(*hosts)));
    text.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use muster_proto::model::DayCounts;

    use super::*;

    fn counts(replace: u64, clear: u64) -> DayCounts {
        DayCounts {
            lanes: [(Lane::Replace, replace), (Lane::Clear, clear)].into(),
            out_of_scope: 0,
            total: replace + clear,
        }
    }

    fn report(days: u64, groups: impl Fn(u64) -> Vec<TimelineGroup>) -> TimelineReport {
        let step = |from, to, cause, hosts| LaneStep { from, to, cause, hosts };
        let day = |n: u64| TimelineDay {
            at: Timestamp::from_millis((20_000 + n.cast_signed()) * DAY_MS - 1),
            counts: counts(days - n, n),
            groups: groups(n),
            progress: 2,
            steps: if n == 0 {
                Vec::new()
            } else {
                vec![
                    step(Some(Lane::Replace), Some(Lane::Clear), Cause::Removed, 2),
                    step(None, Some(Lane::Replace), Cause::Enrolled, 1),
                    step(Some(Lane::Replace), Some(Lane::Remove), Cause::ProtectionChanged, 5),
                ]
            },
        };
        let order = "us-bis-icts-2021-002".parse().expect("an id");
        TimelineReport { order, days: (0..days).map(day).collect(), omitted: Vec::new() }
    }

    #[test]
    fn every_lane_with_work_left_is_drawn() {
        assert!(Lane::ALL.iter().all(|lane| OPEN.contains(lane) != lane.is_finished()));
    }

    #[test]
    fn a_burn_down_has_the_lanes_with_work_left_only() {
        let numbers = Numbers::of(&report(3, |_| Vec::new()), None);
        assert_eq!((numbers.drawing, numbers.every, numbers.series.len()), (Drawing::Stacked, 1, 1));
        assert_eq!((numbers.series[0].name.as_str(), numbers.series[0].values.as_slice()), ("replace", &[3, 2, 1][..]));
        assert_eq!(numbers.days.iter().map(|day| day.open).collect::<Vec<_>>(), [3, 2, 1]);
    }

    #[test]
    fn of_many_days_every_seventh_is_shown_and_the_changes_between_them_are_summed() {
        let report = report(150, |_| Vec::new());
        let numbers = Numbers::of(&report, None);
        assert_eq!((numbers.every, numbers.days.len()), (7, 22));
        let last = numbers.days.last().expect("a day");
        assert_eq!((last.number, last.open), (20_149 - 1, 1), "the last day is there");
        assert_eq!(last.causes, [(Cause::ProtectionChanged, 35), (Cause::Removed, 14), (Cause::Enrolled, 7)]);
        let numbers = Numbers::of(&report, Some(TimelineBy::Cause));
        let [opened, finished] = numbers.series.as_slice() else { panic!("{numbers:?}") };
        assert_eq!((opened.last(), finished.last()), (7, -14), "what is finished is below zero");
    }

    #[test]
    fn causes_say_what_they_did_to_the_work_that_is_left() {
        let causes = Numbers::causes(&report(3, |_| Vec::new()));
        let expected =
            [(Cause::ProtectionChanged, [0, 0, 10]), (Cause::Removed, [0, 4, 0]), (Cause::Enrolled, [2, 0, 0])];
        assert_eq!(causes, expected);
        let numbers = Numbers::of(&report(3, |_| Vec::new()), Some(TimelineBy::Cause));
        assert_eq!(numbers.days.len(), 2, "what changed before the first day is not known");
    }

    #[test]
    fn sites_beyond_the_sixth_are_summed_and_labels_are_not() {
        let site = |n: u64| TimelineGroup {
            site: Some(format!("site-{n}").parse().expect("a site")),
            label: None,
            counts: counts(n, 1),
        };
        let numbers = Numbers::of(&report(2, |_| (1..=9).map(site).collect()), Some(TimelineBy::Site));
        let names: Vec<&str> = numbers.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["site-9", "site-8", "site-7", "site-6", "site-5", "site-4", "3 other sites"]);
        assert_eq!((numbers.series[6].last(), numbers.left_out.as_str()), (6, ""), "1 + 2 + 3");
        let label = |n: u64| TimelineGroup {
            site: None,
            label: Some(format!("label-{n}").parse().expect("a label")),
            counts: counts(n, 1),
        };
        let numbers = Numbers::of(&report(2, |_| (1..=9).map(label).collect()), Some(TimelineBy::Label));
        assert_eq!(numbers.series.len(), 6);
        assert!(numbers.left_out.starts_with("3 labels"), "{}", numbers.left_out);
        let nowhere = TimelineGroup { site: None, label: None, counts: counts(1, 0) };
        let numbers = Numbers::of(&report(1, |_| vec![nowhere.clone()]), Some(TimelineBy::Site));
        assert_eq!(numbers.series[0].name, "no site");
    }
}
