//! The past: what is read of a day equals what was recorded on that day, with silence, late enrollments, waivers, hosts that left, new rules, an order that
//! was off for some days, and a roster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{
    DayCounts, Digest, EntryState, HostFacts, HostId, Lane, MachineIdentity, OmittedDays, OrderId, PastUnknown,
    RosterRow, SiteId, Timestamp,
};

use super::Backend;
use super::decisions::{approves, asks, decide_asked, decides, people, retires};
use super::kit::{
    account_acting, acting, all_judged, assert_healthy, at, check_in, enrolled, enrollment, facts, host, judged,
    judgement, new_token, order, packages, reports, settled_under, token_create,
};
use super::roster::{import, match_all};
use crate::store::admin::dispositions::retire::{UnretireAsked, unretire};
use crate::store::admin::dispositions::returned;
use crate::store::admin::orders::{KeptOrder, KeptRules, Packed};
use crate::store::admin::past::tally::{RELISTED, tally};
use crate::store::admin::past::timeline::{Group, GroupedBy, TimelineAsked, TimelineFound, timeline};
use crate::store::admin::past::{decisions, portion, snapshot};
use crate::store::admin::waivers::clean;
use crate::store::admin::waivers::decide::WaiverAct;
use crate::store::admin::{self, AdminTx};
use crate::store::{
    CheckIn, Enrolled, Enrollment, FleetTally, HistoryStep, JudgedOrder, NewToken, OrderThen, SearchBudget, SiteScope,
    Store,
};

const DAY: u64 = 24 * 3600;
const DAYS: u64 = 40;
const HOSTS: u8 = 9;
/// Seconds from the start of the kit's time to the next midnight in UTC.
const MIDNIGHT: u64 = 12_800;
/// The patience of an order that is always active, so that every gap that matters is stored.
const SHORTEST: Duration = Duration::from_secs(3 * DAY);

/// A second of a day.
fn second(day: u64, of_day: u64) -> u64 {
    MIDNIGHT + day * DAY + of_day
}

/// The last millisecond of a day.
fn end(day: u64) -> Timestamp {
    Timestamp::from_millis(at(second(day + 1, 0)).millis() - 1)
}

/// Numbers in no visible order.
fn mixed(one: u64, other: u64) -> u64 {
    let mut mixed = (one << 32 ^ other).wrapping_add(77).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

fn plant() -> SiteId {
    SiteId::new("plant").expect("valid")
}

fn identified(n: u8) -> HostFacts {
    let identity = MachineIdentity { serial: format!("SERIAL-{n}"), ..MachineIdentity::default() };
    HostFacts { identity, ..facts(&format!("host-{n:03}")) }
}

fn machine(n: u8, site: &str) -> RosterRow {
    RosterRow {
        external_id: n.to_string(),
        name: format!("pc-{n}"),
        serial: format!("SERIAL-{n}"),
        site: site.to_owned(),
        ..RosterRow::default()
    }
}

/// The rules of a day: their version and the patience of the order, if it is active.
const fn rules(day: u64) -> (&'static str, Option<u64>) {
    match day {
        0..15 => ("r1", Some(3)),
        15..28 => ("r2", Some(5)),
        28..31 => ("r3", None),
        _ => ("r4", Some(3)),
    }
}

fn patience(day: u64) -> Option<Duration> {
    rules(day).1.map(|days| Duration::from_secs(days * DAY))
}

/// Keeps rules and puts them in force.
pub(super) async fn adopt(store: &Arc<dyn Store>, version: &str, patience: Option<Duration>, second: u64) {
    let pack = |byte: u8| Packed { sha256: [byte; 32], size: 3, packed: vec![byte, 0, 255] };
    let kept = |id: OrderId, patience| KeptOrder { id, patience, platforms: Vec::new(), sites: Vec::new() };
    let other = kept("always-active".parse().expect("valid"), SHORTEST);
    let active = patience.map(|patience| kept(order(), patience)).into_iter().chain([other]).collect();
    let packs = [pack(100), pack(101), pack(102)];
    let set = KeptRules {
        version: version.to_owned(),
        revision: 0,
        active,
        packs,
        shortest: Some(SHORTEST),
        kept_at: at(second),
    };
    let keep = move |tx: &mut dyn AdminTx| admin::orders::keep(tx, &set);
    admin::write(store.as_ref(), "rules_keep", acting(second), keep).await.expect("keeps");
    store.rules_adopt(version, at(second)).await.expect("adopts");
}

/// Lets hosts report and be judged for some weeks.
pub(super) struct Simulation {
    store: Arc<dyn Store>,
    seq: BTreeMap<u8, u64>,
}

impl Simulation {
    pub(super) async fn start(store: Arc<dyn Store>) -> Self {
        let token = || NewToken { expires_at: at(200 * DAY), ..new_token(0) };
        token_create(&store, token()).await.expect("token");
        let there = NewToken { id: "tok-2".parse().expect("valid"), site: plant(), ..token() };
        token_create(&store, there).await.expect("token");
        people(&store).await;
        Self { store, seq: BTreeMap::new() }
    }

    pub(super) async fn day(&mut self, day: u64) {
        let (version, active) = rules(day);
        if day == 0 || rules(day - 1).0 != version {
            adopt(&self.store, version, patience(day), second(day, 10)).await;
        }
        for n in 1..=HOSTS {
            // Some enroll late.
            if u64::from(n) * 2 == day + 2 {
                let token = if n.is_multiple_of(2) { "tok-1" } else { "tok-2" };
                let (token, now) = (token.parse().expect("valid"), at(second(day, u64::from(n) * 60)));
                let enrolled = Enrollment { token, facts: identified(n), now, ..enrollment(n) };
                assert!(matches!(self.store.host_enroll(enrolled).await, Ok(Enrolled::Host { .. })));
                self.seq.insert(n, 0);
            }
            self.reports(n, day).await;
        }
        self.judges(version, active.is_some(), day).await;
        match day {
            6 => drop(import(&self.store, "ad", &[1, 2, 3, 4, 8, 20, 21].map(list), second(day, 50_000)).await),
            // Host 8 has enrolled on day 14; machine 21 is gone, and machine 4 comes back later.
            14 => match_all(&self.store, second(day, 50_000)).await,
            20 => drop(import(&self.store, "ad", &[1, 2, 3, 8, 20].map(list), second(day, 50_000)).await),
            33 => drop(import(&self.store, "ad", &[1, 2, 3, 4, 8, 20].map(list), second(day, 50_000)).await),
            _ => {}
        }
        self.decides(day).await;
    }

    /// What people decide about hosts, and the job that notes which of them have come back.
    async fn decides(&self, day: u64) {
        let (asked, approved) = (second(day, 50_000), second(day, 50_100));
        match day {
            // One ends by itself, the other one by a person.
            5 | 18 => {
                let (hosts, until) =
                    if day == 5 { ([1, 2, 3], second(16, 43_200)) } else { ([4, 5, 1], second(35, 0)) };
                let number = asks(&self.store, &hosts, until, asked).await.expect("asks");
                decides(&self.store, decide_asked("bob", number, approved), WaiverAct::Approve)
                    .await
                    .expect("approves");
            }
            24 => decides(&self.store, decide_asked("bob", 2, asked), WaiverAct::End).await.expect("ends"),
            10 => drop(retires(&self.store, &[2], |_| false, asked).await),
            22 => drop(retires(&self.store, &[6, 7], |_| true, asked).await),
            23 => approves(&self.store, decide_asked("bob", 2, asked), true).await.expect("approves"),
            30 => {
                let (account, reason) = ("id-bob".to_owned(), "it was another one".to_owned());
                let sites = SiteScope::All;
                let back = UnretireAsked { hosts: vec![host(7)], account, reason, sites, now: at(asked) };
                let work = move |tx: &mut dyn AdminTx| unretire(tx, &back);
                drop(
                    admin::write(self.store.as_ref(), "unretire", account_acting("bob", asked), work)
                        .await
                        .expect("ends"),
                );
            }
            _ => {}
        }
        if day >= 10 {
            for n in [2, 6, 7].into_iter().filter(|n| self.seq.contains_key(n)) {
                check_in_is_written(&self.store, host(n)).await;
            }
            let note = move |tx: &mut dyn AdminTx| returned::note(tx, at(second(day, 60_000)));
            admin::write(self.store.as_ref(), "returned", acting(second(day, 60_000)), note).await.expect("notes");
        }
    }

    /// A host reports, unless it is away for some days.
    async fn reports(&mut self, n: u8, day: u64) {
        let Some(seq) = self.seq.get_mut(&n) else { return };
        if mixed(u64::from(n), day / 6).is_multiple_of(3) {
            return;
        }
        let seconds = second(day, 3_600 + u64::from(n) * 600);
        let week = [packages(&[("adduser", &*format!("{n}.{}", day / 7))])];
        *seq += 1;
        let seen = CheckIn { patience: Some(SHORTEST), ..check_in(n, *seq, seconds, &week) };
        self.store.check_in(seen).await.expect("checks in");
        *seq += 1;
        reports(&self.store, n, *seq, seconds + 1, &week).await;
    }

    /// Judges the hosts that wait, except some that have just come.
    async fn judges(&self, version: &str, active: bool, day: u64) {
        let now = at(second(day, 40_000));
        let claimed = self.store.queue_claim(100, now).await.expect("claims");
        let lanes = [Lane::Replace, Lane::Remove, Lane::Unknown, Lane::Protect, Lane::Confirm, Lane::Done, Lane::Clear];
        let of = |n: u8| {
            let dice = mixed(u64::from(n) + 1_000, day / 3);
            let lane = lanes[(dice % lanes.len() as u64) as usize];
            let in_scope = !dice.is_multiple_of(11);
            if active { vec![JudgedOrder { in_scope, ..judged(lane) }] } else { Vec::new() }
        };
        let number = |id: muster_proto::model::HostId| id.as_bytes()[0];
        let is_judged = |n: u8| !(mixed(u64::from(n), day + 500).is_multiple_of(7) && day < 20);
        let judgements = claimed
            .iter()
            .filter(|queued| is_judged(number(queued.host)))
            .map(|queued| judgement(queued, of(number(queued.host))))
            .collect();
        settled_under(version, &self.store, judgements, now).await;
    }
}

fn list(n: u8) -> RosterRow {
    machine(n, if n == 21 { "" } else { "plant" })
}

/// Everything that a tally counts, as a timeline counts it.
fn shown(tally: &FleetTally) -> DayCounts {
    let mut lanes: BTreeMap<Lane, u64> = Lane::ALL.iter().map(|lane| (*lane, 0)).collect();
    let hosts = tally.hosts();
    let mut add = |lane: Lane, machines: u64| *lanes.entry(lane).or_default() += machines;
    for ((lane, is_silent), machines) in &hosts.in_scope {
        add(lane.with_silence(*is_silent), *machines);
    }
    hosts.decided.iter().for_each(|(place, machines)| add(place.decision.lane(), *machines));
    add(Lane::Silent, hosts.unjudged_silent);
    add(Lane::Unknown, hosts.unjudged - hosts.unjudged_silent);
    tally.entries.iter().filter(|count| count.state.is_missing()).for_each(|count| add(Lane::Missing, count.entries));
    let total = lanes.values().sum::<u64>() + hosts.out_of_scope;
    DayCounts { lanes, out_of_scope: hosts.out_of_scope, total }
}

pub(super) fn scopes() -> [SiteScope; 2] {
    [SiteScope::All, SiteScope::Only(vec![plant()])]
}

async fn read(store: &Arc<dyn Store>, sites: SiteScope, by: Option<GroupedBy>) -> TimelineFound {
    let (instants, now, budget) = ((0..DAYS).map(end).collect(), end(DAYS), SearchBudget::unlimited());
    let asked = TimelineAsked { order: order(), instants, now, sites, by, due: None, budget };
    admin::read(store.as_ref(), "timeline", move |tx| timeline(tx, &asked)).await.expect("reads")
}

/// What was so on each day.
struct Recorded {
    /// Of the days on which the order was active, for each of the scopes.
    tallies: BTreeMap<u64, Vec<FleetTally>>,
    /// The snapshot of each host at the end of each day.
    snapshots: BTreeMap<(u64, u8), Option<Digest>>,
}

/// Lets all days happen, and records the present at the end of each.
async fn recorded(store: &Arc<dyn Store>, simulation: &mut Simulation) -> Recorded {
    let mut recorded = Recorded { tallies: BTreeMap::new(), snapshots: BTreeMap::new() };
    for day in 0..DAYS {
        simulation.day(day).await;
        for n in 1..=HOSTS {
            if let Some(host) = store.host_get(host(n)).await.expect("gets") {
                recorded.snapshots.insert((day, n), host.snapshot.map(|snapshot| snapshot.digest));
            }
        }
        let Some(patience) = patience(day) else { continue };
        for sites in scopes() {
            let tally = store.lane_tally(&order(), &sites, end(day).minus(patience), end(day)).await.expect("tallies");
            recorded.tallies.entry(day).or_default().push(tally);
        }
    }
    recorded
}

/// Without the entries that are matched: their hosts are counted, and their sites are those of now.
fn comparable(mut tally: FleetTally) -> FleetTally {
    tally.entries.retain(|count| count.state != EntryState::Matched);
    tally
}

pub(crate) async fn the_tally_and_the_hosts_of_a_day_are_what_they_were_on_it(backend: impl Backend) {
    let store = backend.open();
    let mut simulation = Simulation::start(Arc::clone(&store)).await;
    let Recorded { tallies, snapshots } = recorded(&store, &mut simulation).await;
    drop(simulation);
    store.close().await.expect("closes");
    let store = backend.open();
    let listed = tallies.values().flatten().filter(|tally| !tally.listed.in_scope.is_empty()).count();
    assert!(listed > 20, "hosts on the roster, on {listed} days");
    for (day, recorded) in &tallies {
        let then = OrderThen { patience: patience(*day).expect("active"), platforms: Vec::new(), sites: Vec::new() };
        for (sites, recorded) in scopes().into_iter().zip(recorded) {
            let (then, at, scope) = (then.clone(), end(*day), sites.clone());
            let read = move |tx: &mut dyn AdminTx| tally(tx, &order(), &then, at, &scope);
            let found = admin::read(store.as_ref(), "tally_at", read).await.expect("reads");
            let matched = |tally: &FleetTally| -> u64 {
                tally.entries.iter().filter(|count| count.state == EntryState::Matched).map(|count| count.entries).sum()
            };
            assert_eq!(matched(&found), matched(recorded), "day {day} of {sites}");
            assert_eq!(comparable(found), comparable(recorded.clone()), "day {day} of {sites}");
        }
        let at = end(*day);
        let read = move |tx: &mut dyn AdminTx| {
            Ok((portion::hosts_after(tx, 0, 100, at)?, portion::orders(tx)?.get(&order()).copied()))
        };
        let (hosts, number) = admin::read(store.as_ref(), "hosts_at", read).await.expect("reads");
        let mut shown = BTreeMap::<Option<Lane>, u64>::new();
        for host in &hosts {
            if let Some(place) = host.past(number.expect("judged")).place(at, &order(), then.patience) {
                *shown.entry(place.lane).or_default() += 1;
            }
        }
        let expected = self::shown(&recorded[0]);
        let missing = expected.lanes[&Lane::Missing];
        assert_eq!(shown.values().sum::<u64>(), expected.total - missing, "day {day}");
        assert_eq!(shown.get(&None).copied().unwrap_or_default(), expected.out_of_scope, "day {day}");
        for (lane, hosts) in expected.lanes.iter().filter(|(lane, _)| **lane != Lane::Missing) {
            assert_eq!(shown.get(&Some(*lane)).copied().unwrap_or_default(), *hosts, "{lane} on day {day}");
        }
    }
    for ((day, n), digest) in snapshots {
        let (id, at) = (host(n), end(day));
        let read = move |tx: &mut dyn AdminTx| {
            let host = portion::host(tx, id, at)?.expect("is there");
            assert_eq!((host.host, host.is_enrolled_after(at)), (id, false));
            snapshot::reported(tx, host.no, at)
        };
        let found = admin::read(store.as_ref(), "snapshot_at", read).await.expect("reads");
        assert_eq!(found.snapshot.map(|snapshot| snapshot.digest), digest, "host {n} on day {day}");
    }
}

pub(crate) async fn the_days_of_a_timeline_are_what_the_board_said_on_them(backend: impl Backend) {
    let store = backend.open();
    let mut simulation = Simulation::start(Arc::clone(&store)).await;
    let recorded = recorded(&store, &mut simulation).await.tallies;
    let recorded: BTreeMap<u64, Vec<DayCounts>> =
        recorded.iter().map(|(day, tallies)| (*day, tallies.iter().map(shown).collect())).collect();
    drop(simulation);
    assert_healthy(&store).await;
    // Check-ins that were answered from memory are written with the close.
    store.close().await.expect("closes");
    let store = backend.open();
    let seen: Vec<Lane> = Lane::ALL
        .iter()
        .copied()
        .filter(|lane| recorded.values().flatten().any(|counts| counts.lanes[lane] > 0))
        .collect();
    assert_eq!(seen, Lane::ALL, "every lane has hosts on some day");
    for (n, sites) in scopes().into_iter().enumerate() {
        let found = read(&store, sites, Some(GroupedBy::Site)).await;
        let off = OmittedDays { from: end(28), until: end(30), why: PastUnknown::NotActive };
        assert_eq!((found.omitted, found.is_known), (vec![off], true));
        let days: BTreeMap<u64, &DayCounts> =
            recorded.keys().copied().zip(found.days.iter().map(|day| &day.counts)).collect();
        for (day, counts) in &recorded {
            assert_eq!(days[day], &counts[n], "day {day} of scope {n}");
        }
        for pair in found.days.windows(2) {
            for lane in Lane::ALL {
                let steps = pair[1].steps.iter();
                let into: u64 = steps.clone().filter(|step| step.to == Some(*lane)).map(|step| step.hosts).sum();
                let from: u64 = steps.filter(|step| step.from == Some(*lane)).map(|step| step.hosts).sum();
                assert_eq!(pair[0].counts.lanes[lane] + into, pair[1].counts.lanes[lane] + from, "{lane}");
            }
            let groups: u64 = pair[0].groups.iter().map(|(_, counts)| counts.total).sum();
            assert_eq!(groups, pair[0].counts.total, "the sites add up");
        }
    }
    let by_site = read(&store, SiteScope::All, Some(GroupedBy::Site)).await.days;
    let only = read(&store, SiteScope::Only(vec![plant()]), None).await.days;
    for (day, only) in by_site.iter().zip(&only) {
        let of_plant =
            day.groups.iter().find(|(site, _)| *site == Group::Site(Some(plant()))).map(|(_, counts)| counts);
        let total = of_plant.map_or(0, |counts| counts.total);
        assert_eq!(
            (total, of_plant.map(|counts| &counts.lanes)),
            (only.counts.total, of_plant.map(|_| &only.counts.lanes))
        );
        assert!(only.groups.is_empty());
    }
    assert!(
        by_site.iter().any(|day| day.groups.iter().any(|(site, _)| *site == Group::Site(None))),
        "a machine without a site"
    );
}

pub(crate) async fn a_timeline_by_label_has_the_labels_of_each_day(backend: impl Backend) {
    let store = backend.open();
    let mut simulation = Simulation::start(Arc::clone(&store)).await;
    recorded(&store, &mut simulation).await;
    drop(simulation);
    let label = |tx: &mut dyn AdminTx| {
        let sql = "INSERT INTO host_label (host, label, since, until) SELECT no, 'wave-1', $1, $2 FROM host_row WHERE id = $3";
        let host = host(1);
        tx.note_progress(sql, &[end(10).into(), end(20).into(), host.as_bytes().as_slice().into()])?;
        Ok(())
    };
    admin::write(store.as_ref(), "label", acting(1), label).await.expect("labels");
    let days = read(&store, SiteScope::All, Some(GroupedBy::Label)).await.days;
    let group = Group::Label("wave-1".parse().expect("a label"));
    let labelled: Vec<Timestamp> = days
        .iter()
        .filter(|day| day.groups.iter().any(|(of, counts)| *of == group && counts.total == 1))
        .map(|day| day.at)
        .collect();
    let known: Vec<Timestamp> = days.iter().map(|day| day.at).filter(|at| (end(10)..end(20)).contains(at)).collect();
    assert!(!known.is_empty());
    assert_eq!(labelled, known, "from the day on which it got the label to the day before it lost it");
    let undivided = read(&store, SiteScope::All, None).await.days;
    assert!(days.iter().zip(&undivided).all(|(day, all)| day.counts == all.counts && day.steps == all.steps));
}

pub(crate) async fn a_host_that_has_just_come_back_was_silent_once(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let packages = [packages(&[("adduser", "3")])];
    reports(&store, 1, 1, 10, &packages).await;
    all_judged(&store, Lane::Clear, 11).await;
    let patience = Duration::from_secs(100);
    // The gap may be stored a moment before this check-in.
    let back = CheckIn { patience: Some(patience), ..check_in(1, 2, 1_000, &packages) };
    store.check_in(back).await.expect("checks in");
    let read = move |tx: &mut dyn AdminTx| {
        let then = OrderThen { patience, platforms: Vec::new(), sites: Vec::new() };
        tally(tx, &order(), &then, at(500), &SiteScope::All)
    };
    let found = admin::read(store.as_ref(), "tally_at", read).await.expect("adds up");
    assert_eq!(found.outside.in_scope, [((Lane::Clear, true), 1)].into());
}

pub(crate) async fn days_whose_lanes_were_removed_are_left_out_with_the_reason(backend: impl Backend) {
    let store = backend.open();
    let mut simulation = Simulation::start(Arc::clone(&store)).await;
    for day in 0..DAYS {
        simulation.day(day).await;
    }
    let before = read(&store, SiteScope::All, None).await;
    let instant = end(12);
    let step = HistoryStep {
        after: 0,
        hosts: 100,
        snapshots: instant,
        states: instant,
        verdicts: instant,
        unfinished: instant,
    };
    assert!(store.history_remove(step).await.expect("removes").verdicts > 0);
    let after = read(&store, SiteScope::All, None).await;
    let removed = OmittedDays { from: end(0), until: end(11), why: PastUnknown::LanesRemoved };
    assert_eq!(after.omitted.first(), Some(&removed));
    assert_eq!(after.days.len() + 12, before.days.len());
    assert_eq!(after.days[1..], before.days[13..], "the other days are as they were");
    let ended = |ended_before| clean::Limits { ended_before, refused_before: at(0), begun_before: at(0) };
    let clean = move |tx: &mut dyn AdminTx| clean::remove(tx, ended(end(15)));
    assert!(!admin::write(store.as_ref(), "clean", acting(0), clean).await.expect("removes"), "nothing ended before");
    assert_eq!(read(&store, SiteScope::All, None).await, after);
    let clean = move |tx: &mut dyn AdminTx| clean::remove(tx, ended(end(17)));
    while admin::write(store.as_ref(), "clean", acting(0), clean).await.expect("removes") {}
    let decided = read(&store, SiteScope::All, None).await;
    let removed = OmittedDays { from: end(12), until: end(16), why: PastUnknown::DecisionsRemoved };
    assert_eq!(decided.omitted[1], removed);
    assert_eq!(decided.days[1..], after.days[6..], "the other days are as they were");
    // Days before the first entry of the ledger, and an order that nobody knows.
    let first = Timestamp::from_millis(at(0).millis() - 1);
    let asked = |order: OrderId| TimelineAsked {
        order,
        instants: vec![first, end(39)],
        now: end(DAYS),
        sites: SiteScope::All,
        by: None,
        due: None,
        budget: SearchBudget::unlimited(),
    };
    let ask = async |asked: TimelineAsked| {
        admin::read(store.as_ref(), "timeline", move |tx| timeline(tx, &asked)).await.expect("reads")
    };
    let found = ask(asked(order())).await;
    assert_eq!(found.omitted, [OmittedDays { from: first, until: first, why: PastUnknown::BeforeFirst }]);
    assert_eq!(found.days.len(), 1);
    let nobody = ask(asked("nobody".parse().expect("valid"))).await;
    assert!(!nobody.is_known && nobody.days.is_empty());
}

/// Waits until the last check-in of a host, which may be in memory only, is in the table too.
pub(crate) async fn check_in_is_written(store: &Arc<dyn Store>, id: HostId) {
    let far = Timestamp::from_millis(i64::MAX);
    let seen = store.host_get(id).await.expect("gets").and_then(|host| host.last_seen);
    for _ in 0..200 {
        let read = move |tx: &mut dyn AdminTx| portion::host(tx, id, far);
        let written = admin::read(store.as_ref(), "host_at", read).await.expect("reads").expect("is there");
        if written.past(-1).last_seen_by(far) == seen {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a check-in was not written within ten seconds");
}

/// Work that reads with every statement of the past. `r1` is in force, in which the orders `a` and `b` are active.
pub(super) fn reads_everything(tx: &mut dyn AdminTx) {
    let order: OrderId = "a".parse().expect("valid");
    // What was decided before was removed.
    let (instants, now) = (vec![at(2_010), at(2_040)], at(2_040));
    let budget = SearchBudget::unlimited();
    let asked =
        TimelineAsked { order, instants, now, sites: SiteScope::All, by: Some(GroupedBy::Label), due: None, budget };
    assert_eq!(timeline(tx, &asked).expect("reads").days.len(), 2);
    let then = OrderThen { patience: SHORTEST, platforms: Vec::new(), sites: Vec::new() };
    drop(tally(tx, &asked.order, &then, at(40), &SiteScope::All).expect("reads"));
    let mut hosts = portion::hosts_after(tx, 0, 10, at(40)).expect("reads");
    portion::add_said(tx, &mut hosts, at(40)).expect("reads");
    drop(decisions::portion(tx, (&asked.order, 1), at(40), (0, 10)).expect("reads"));
    let host = portion::host(tx, host(1), at(40)).expect("reads").expect("is there");
    drop(portion::orders(tx).expect("reads"));
    for second in [40, 0] {
        drop(snapshot::reported(tx, host.no, at(second)).expect("reads"));
    }
    drop(tx.query(RELISTED, &[at(40).into()]).expect("reads"));
    assert_eq!(admin::duties::overdue_at(tx, &asked.order, &SiteScope::All, at(40)).expect("reads"), 0);
    assert_eq!(admin::orders::version_at(tx, at(40)).expect("reads").as_deref(), Some("r1"));
}
