//! One order on the board, as its template shows it.

use std::collections::BTreeMap;

use muster_proto::model::{
    Board, BoardCounts, DutyReport, Lane, MilestoneReport, OrderReport, RosterCounts, Timestamp,
};

use crate::api::web::coverage::WITHOUT_HOST;
use crate::api::web::format::{LaneMark, Moment, clean, counted, number, span};
use crate::api::web::query::Query;
use crate::reports::Page;

/// The bar has so many parts.
const BAR: u64 = 1_000;
/// The least width of a lane that has a host.
const LEAST: u64 = 4;

/// The groups of lanes, in the order in which somebody reads them. Together they are every lane once.
const GROUPS: [(&str, &[Lane]); 4] = [
    ("To do", &[Lane::Replace, Lane::Remove, Lane::Protect, Lane::Confirm]),
    ("Unanswered", &[Lane::Silent, Lane::Unknown, Lane::Missing]),
    ("Finished", &[Lane::Done, Lane::Clear]),
    ("Set aside", &[Lane::Waived, Lane::Retired]),
];

/// An order with its numbers.
pub(super) struct OrderBoard {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) issuer: String,
    pub(super) link: String,
    pub(super) due: Option<Due>,
    /// `10,000 machines on the roster`.
    pub(super) whole: String,
    pub(super) bar: Vec<Part>,
    pub(super) groups: Vec<Group>,
    /// Whether lanes and hosts out of scope are the whole.
    pub(super) adds_up: bool,
    /// The lanes that waived and retired hosts would be in otherwise: `waived 12: 10 replace, 2 remove`.
    pub(super) decided: Vec<String>,
    /// Hosts waived or retired without a second person, as a sentence; empty without any.
    pub(super) self_approved: String,
    pub(super) overdue: u64,
    pub(super) overdue_text: String,
    pub(super) silent: String,
    pub(super) unprotected: u64,
    pub(super) unprotected_text: String,
    pub(super) unprotected_since: Option<Moment>,
    pub(super) waiting_text: String,
    pub(super) as_of: Moment,
    /// Hosts that are not on the roster; empty without a roster or such hosts.
    pub(super) outside: String,
    pub(super) outside_overdue: String,
    /// Milestones that are not reached yet, the next one first.
    pub(super) ahead: Vec<Milestone>,
    /// The others, the last one first.
    pub(super) reached: Vec<Milestone>,
    /// `792 days ago`; empty if none is reached.
    pub(super) last_reached: String,
    pub(super) overdue_duties: u64,
    pub(super) overdue_duties_text: String,
    pub(super) duties: Vec<Duty>,
    pub(super) has_more_duties: bool,
    pub(super) duties_link: String,
    pub(super) roster: Option<Roster>,
}

/// The due date.
pub(super) struct Due {
    /// `793 days ago`.
    pub(super) text: String,
    pub(super) at: Moment,
    pub(super) is_past: bool,
    pub(super) is_confirmed: bool,
}

/// A part of the bar, in thousandths.
pub(super) struct Part {
    pub(super) lane: &'static str,
    pub(super) from: u64,
    pub(super) width: u64,
    /// `replace: 412`.
    pub(super) title: String,
}

/// Lanes that belong together.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) total: String,
    pub(super) lanes: Vec<LaneCount>,
}

/// A lane with its number.
pub(super) struct LaneCount {
    pub(super) lane: LaneMark,
    pub(super) machines: String,
    /// Hosts in this lane that are not on the roster; empty without a roster or such hosts.
    pub(super) outside: String,
    pub(super) meaning: &'static str,
    pub(super) link: String,
}

/// A milestone with the days to it.
pub(super) struct Milestone {
    pub(super) what: String,
    pub(super) at: Moment,
    /// `in 12 days`, `3 days ago`.
    pub(super) distance: Moment,
    pub(super) is_confirmed: bool,
}

/// An open duty.
pub(super) struct Duty {
    pub(super) what: String,
    pub(super) subject: String,
    pub(super) due: Moment,
    pub(super) distance: Moment,
    pub(super) is_overdue: bool,
}

/// The roster in numbers.
pub(super) struct Roster {
    pub(super) listed: String,
    /// The list of entries without a host.
    pub(super) missing_link: String,
    pub(super) matched: String,
    pub(super) missing: String,
    pub(super) review: u64,
    pub(super) review_text: String,
    pub(super) excused: String,
    pub(super) outside: String,
    /// The share with a host, in percent, rounded down.
    pub(super) percent: u64,
}

impl OrderBoard {
    pub(super) fn of(board: &Board, duties: &Page<DutyReport>) -> Self {
        let Board { order, counts, outside, roster, as_of, .. } = board;
        let now = *as_of;
        let whole = roster.map_or(counts.total, |roster| roster.listed);
        let bound: u64 = counts.lanes.values().sum();
        let (mut reached, mut ahead): (Vec<_>, Vec<_>) =
            order.milestones.iter().partition(|milestone| milestone.reached <= now);
        ahead.sort_by_key(|milestone| milestone.reached);
        reached.sort_by_key(|milestone| std::cmp::Reverse(milestone.reached));
        let of_order = Query::default().with("order", order.id.as_str());
        Self {
            id: order.id.to_string(),
            title: clean(&order.title, 200),
            issuer: clean(&order.issuer, 200),
            link: format!("/orders/{}", order.id),
            due: order.due.map(|due| Due::of(order, due, now)),
            whole: match roster {
                Some(_) => format!("{} on the roster", counted(whole, "machine")),
                None => counted(whole, "host"),
            },
            bar: bar(counts),
            groups: groups(order, counts, outside.as_ref()),
            // Checked here too: a page must not show numbers that do not add up.
            adds_up: counts.total == whole && bound.checked_add(counts.out_of_scope) == Some(whole),
            decided: decided(counts, outside.as_ref()),
            self_approved: match counts.self_approved + outside.as_ref().map_or(0, |outside| outside.self_approved) {
                0 => String::new(),
                hosts => format!("{} waived or retired without a second person", counted(hosts, "host")),
            },
            overdue: counts.overdue,
            overdue_text: number(counts.overdue),
            silent: number(counts.silent),
            // These are known of the present, and a page shows nothing else.
            unprotected: board.unprotected.unwrap_or_default(),
            unprotected_text: number(board.unprotected.unwrap_or_default()),
            unprotected_since: board.unprotected_since.map(Moment::at),
            waiting_text: number(board.judge_queue.unwrap_or_default()),
            as_of: Moment::at(now),
            outside: outside
                .as_ref()
                .filter(|outside| outside.total > 0)
                .map(|outside| counted(outside.total, "host"))
                .unwrap_or_default(),
            outside_overdue: number(outside.as_ref().map(|outside| outside.overdue).unwrap_or_default()),
            last_reached: reached
                .first()
                .map(|last| format!("{} ago", span(now.since(last.reached))))
                .unwrap_or_default(),
            ahead: ahead.into_iter().map(|milestone| Milestone::of(milestone, now)).collect(),
            reached: reached.into_iter().map(|milestone| Milestone::of(milestone, now)).collect(),
            overdue_duties: board.overdue_duties,
            overdue_duties_text: number(board.overdue_duties),
            duties: duties.rows.iter().map(|duty| Duty::of(duty, now)).collect(),
            has_more_duties: duties.next.is_some(),
            duties_link: of_order.link("/duties"),
            roster: roster.as_ref().map(Roster::of),
        }
    }
}

impl Due {
    fn of(order: &OrderReport, due: Timestamp, now: Timestamp) -> Self {
        let is_past = due <= now;
        let text =
            if is_past { format!("{} ago", span(now.since(due))) } else { format!("in {}", span(due.since(now))) };
        Self { text, at: Moment::deadline(due), is_past, is_confirmed: order.due_confirmed }
    }
}

impl Duty {
    fn of(duty: &DutyReport, now: Timestamp) -> Self {
        let about = if duty.hostname.is_empty() { duty.subject.to_string() } else { duty.hostname.clone() };
        Self {
            what: clean(if duty.what.is_empty() { &duty.clock } else { &duty.what }, 300),
            subject: clean(&about, 128),
            due: Moment::deadline(duty.due),
            distance: Moment::ago(duty.due, now),
            is_overdue: duty.overdue,
        }
    }
}

impl Roster {
    fn of(counts: &RosterCounts) -> Self {
        Self {
            listed: number(counts.listed),
            missing_link: Query::default().with("state", WITHOUT_HOST).link("/coverage"),
            matched: number(counts.matched),
            missing: number(counts.missing),
            review: counts.review,
            review_text: number(counts.review),
            excused: number(counts.excused),
            outside: number(counts.outside),
            percent: (counts.matched * 100).checked_div(counts.listed).unwrap_or_default(),
        }
    }
}

impl Milestone {
    fn of(milestone: &MilestoneReport, now: Timestamp) -> Self {
        Self {
            what: clean(&milestone.what, 300),
            at: Moment::deadline(milestone.reached),
            distance: Moment::ago(milestone.reached, now),
            is_confirmed: milestone.confirmed,
        }
    }
}

fn groups(order: &OrderReport, counts: &BoardCounts, outside: Option<&BoardCounts>) -> Vec<Group> {
    let of = |counts: &BoardCounts, lane: Lane| counts.lanes.get(&lane).copied().unwrap_or_default();
    let outside_text = |hosts: Option<u64>| match hosts {
        None | Some(0) => String::new(),
        Some(hosts) => format!("+{}", number(hosts)),
    };
    let one = |lane: &Lane| LaneCount {
        lane: LaneMark::of(*lane),
        machines: number(of(counts, *lane)),
        outside: outside_text(outside.map(|outside| of(outside, *lane))),
        meaning: meaning(*lane),
        link: lane_link(order, *lane),
    };
    let group = |(name, lanes): (&'static str, &[Lane])| Group {
        name,
        total: number(lanes.iter().map(|lane| of(counts, *lane)).sum()),
        lanes: lanes.iter().map(one).collect(),
    };
    let mut groups: Vec<Group> = GROUPS.into_iter().map(group).collect();
    // Hosts to which the order does not apply are a part of the whole, so they are shown beside the lanes.
    let out_of_scope = counts.out_of_scope;
    if let Some(aside) = groups.last_mut() {
        let lanes =
            GROUPS.iter().flat_map(|(_, lanes)| lanes.iter()).filter(|lane| LaneMark::of(**lane).kind == "aside");
        aside.total = number(out_of_scope + lanes.map(|lane| of(counts, *lane)).sum::<u64>());
        aside.lanes.push(LaneCount {
            lane: LaneMark { name: "out of scope", kind: "aside" },
            machines: number(out_of_scope),
            outside: outside_text(outside.map(|outside| outside.out_of_scope)),
            meaning: "the order does not apply",
            link: String::new(),
        });
    }
    groups
}

/// As `muster board` says it.
fn decided(counts: &BoardCounts, outside: Option<&BoardCounts>) -> Vec<String> {
    let line = |of: &str, lane: Lane, what: &str, lanes: &BTreeMap<Lane, u64>| {
        let hosts: u64 = lanes.values().sum();
        let all = lanes.iter().filter(|(_, hosts)| **hosts > 0);
        let all: Vec<String> = all.map(|(lane, hosts)| format!("{} {lane}", number(*hosts))).collect();
        (hosts > 0).then(|| format!("{of}{lane} {}: {}{what}", number(hosts), all.join(", ")))
    };
    let of_counts = |of: &str, counts: &BoardCounts| {
        let waived = line(of, Lane::Waived, "", &counts.waived);
        [waived, line(of, Lane::Retired, " at their last report", &counts.retired)]
    };
    let outside = outside.map(|outside| of_counts("outside the roster, ", outside));
    of_counts("", counts).into_iter().chain(outside.into_iter().flatten()).flatten().collect()
}

/// The hosts of a lane. Machines that never enrolled are entries of the roster.
fn lane_link(order: &OrderReport, lane: Lane) -> String {
    if lane == Lane::Missing {
        return Query::default().with("state", WITHOUT_HOST).link("/coverage");
    }
    let query = Query::default().with("order", order.id.as_str()).with("lane", lane.name());
    query.link(if lane.is_finished() { "/hosts" } else { "/findings" })
}

/// A bar of all lanes. A lane with a host can be seen, so the widths of the others shrink a little.
fn bar(counts: &BoardCounts) -> Vec<Part> {
    let lanes = GROUPS.iter().flat_map(|(_, lanes)| lanes.iter().copied());
    let shown: Vec<(Lane, u64)> = lanes
        .map(|lane| (lane, counts.lanes.get(&lane).copied().unwrap_or_default()))
        .filter(|(_, machines)| *machines > 0)
        .collect();
    let total: u64 = shown.iter().map(|(_, machines)| machines).sum();
    let free = BAR.saturating_sub(LEAST * shown.len() as u64);
    let mut from = 0;
    let mut parts = Vec::new();
    for (lane, machines) in shown {
        let share = (u128::from(machines) * u128::from(free)).checked_div(u128::from(total)).unwrap_or_default();
        let width = LEAST + u64::try_from(share).unwrap_or_default();
        parts.push(Part { lane: lane.name(), from, width, title: format!("{lane}: {}", number(machines)) });
        from += width;
    }
    // What rounding down has left belongs to the last.
    if let Some(last) = parts.last_mut() {
        last.width = BAR - last.from;
    }
    parts
}

const fn meaning(lane: Lane) -> &'static str {
    match lane {
        Lane::Replace => "the product, and no other protection",
        Lane::Remove => "the product, other protection is on",
        Lane::Protect => "removed, nothing protects",
        Lane::Confirm => "removed, not proven yet",
        Lane::Silent => "not heard of for too long",
        Lane::Unknown => "could not be read completely",
        Lane::Missing => "on the roster, never reported",
        Lane::Done => "removal proven, protected",
        Lane::Clear => "never had it",
        Lane::Waived => "exempt for a time",
        Lane::Retired => "left the fleet",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waived_and_retired_hosts_are_told_with_their_true_lanes() {
        let waived = [(Lane::Replace, 1_200), (Lane::Remove, 2), (Lane::Clear, 0)].into();
        let counts = BoardCounts { waived, ..BoardCounts::default() };
        let outside = BoardCounts { retired: [(Lane::Done, 1)].into(), ..BoardCounts::default() };
        let told = decided(&counts, Some(&outside));
        assert_eq!(
            told,
            ["waived 1,202: 1,200 replace, 2 remove", "outside the roster, retired 1: 1 done at their last report"]
        );
        assert!(decided(&BoardCounts::default(), None).is_empty());
    }

    #[test]
    fn the_groups_have_every_lane_once() {
        let all: Vec<Lane> = GROUPS.iter().flat_map(|(_, lanes)| lanes.iter().copied()).collect();
        assert_eq!(all.len(), Lane::ALL.len());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), Lane::ALL.len());
    }

    proptest! {
        #[test]
        fn the_bar_is_full_and_shows_every_lane_that_has_a_host(
            lanes in proptest::collection::btree_map(proptest::sample::select(Lane::ALL), 0_u64..10_000_000, 0..11),
        ) {
            let counts = BoardCounts { lanes, ..BoardCounts::default() };
            let parts = bar(&counts);
            prop_assert_eq!(parts.len(), counts.lanes.values().filter(|hosts| **hosts > 0).count());
            prop_assert!(parts.iter().all(|part| part.width >= LEAST));
            if !parts.is_empty() {
                prop_assert_eq!(parts.iter().map(|part| part.width).sum::<u64>(), BAR);
            }
        }
    }
}
