//! Lists and tallies agree about hosts about which something was decided, whatever was decided, silent, listed or only in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_proto::model::{
    DispositionKind, HostFacts, HostId, Lane, MachineIdentity, RosterRow, SiteId, Timestamp, WaiverReason, is_silent,
};

use super::Backend;
use super::decisions::{approves, asks, decide_asked, decides, people, retires};
use super::kit::{
    assert_healthy, at, check_in, enrollment, facts, judged, judgement, new_token, order, packages, reports, settled,
    site, token_create,
};
use crate::filter::Filter;
use crate::judge::{Decision, HostDecisions, RetirementTerm, WaiverTerm, decided_lane, is_shown_silent};
use crate::store::admin::waivers::decide::WaiverAct;
use crate::store::{CheckInAnswer, Enrollment, HostFilter, HostQuery, HostSort, LaneTally, NewToken, SiteScope, Store};

const HOSTS: u8 = 60;
/// Hosts that were last seen before it are silent.
const SILENT: u64 = 100;
/// Hosts from this one on have no verdict.
const UNJUDGED: u8 = 56;

fn lane_of(n: u8) -> Lane {
    let lanes = [Lane::Replace, Lane::Clear, Lane::Confirm, Lane::Unknown, Lane::Clear, Lane::Done, Lane::Remove];
    if n >= UNJUDGED { Lane::Unknown } else { lanes[usize::from(n) % lanes.len()] }
}

/// When a host was last seen; those that are divisible by eleven check in again, which is only in memory.
fn last_seen(n: u8) -> u64 {
    match n {
        n if n.is_multiple_of(11) => 400,
        n if n.is_multiple_of(3) => SILENT - 60,
        _ => SILENT + 50,
    }
}

fn site_of(n: u8) -> SiteId {
    if n.is_multiple_of(2) { site() } else { "plant".parse().expect("a site") }
}

fn is_listed(n: u8) -> bool {
    n.is_multiple_of(4)
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn fleet(store: &Arc<dyn Store>) {
    token_create(store, new_token(0)).await.expect("creates");
    let other = NewToken { id: "tok-2".parse().expect("an id"), site: site_of(1), ..new_token(0) };
    token_create(store, other.clone()).await.expect("creates");
    for n in 1..=HOSTS {
        let token = if site_of(n) == site() { new_token(0).id } else { other.id.clone() };
        let identity = MachineIdentity { serial: format!("S{n}"), ..MachineIdentity::default() };
        let facts = HostFacts { identity, ..facts(&format!("pc-{:02}", u32::from(n) * 7 % 61)) };
        store.host_enroll(Enrollment { token, facts, ..enrollment(n) }).await.expect("enrolls");
        let seen = if n.is_multiple_of(11) { SILENT - 60 } else { last_seen(n) };
        reports(store, n, 1, seen, &[packages(&[("kesl", "12")])]).await;
    }
    let claimed = store.queue_claim(1_000, at(200)).await.expect("claims");
    let is_judged = |id: &HostId| id.as_bytes()[0] < UNJUDGED;
    let judgements = claimed.iter().filter(|waiting| is_judged(&waiting.host));
    let judgements = judgements.map(|waiting| judgement(waiting, vec![judged(lane_of(waiting.host.as_bytes()[0]))]));
    settled(store, judgements.collect(), at(200)).await;
    let rows: Vec<RosterRow> = (1..=HOSTS).filter(|n| is_listed(*n)).map(row).collect();
    super::roster::import(store, "ad", &rows, 210).await;
}

fn row(n: u8) -> RosterRow {
    let (external_id, serial) = (n.to_string(), format!("S{n}"));
    RosterRow {
        external_id,
        name: format!("pc-{:02}", u32::from(n) * 7 % 61),
        serial,
        os: "Debian".to_owned(),
        ..RosterRow::default()
    }
}

/// Waivers and dispositions at random; returns what they mean for each host.
async fn decide_at_random(store: &Arc<dyn Store>, dice: &mut Dice) -> BTreeMap<u8, HostDecisions> {
    let mut decisions: BTreeMap<u8, HostDecisions> = BTreeMap::new();
    for _ in 0..6 {
        let hosts: BTreeSet<u8> = (0..8).map(|_| 1 + u8::try_from(dice.roll(HOSTS.into())).expect("small")).collect();
        let hosts: Vec<u8> = hosts.into_iter().collect();
        let until = 320 + dice.roll(200);
        let number = asks(store, &hosts, until, 220).await.expect("asks");
        let act = match dice.roll(5) {
            0 => WaiverAct::Refuse,
            _ => WaiverAct::Approve,
        };
        decides(store, decide_asked("bob", number, 300), act).await.expect("decides");
        let ended_at = (act == WaiverAct::Approve && dice.roll(4) == 0).then_some(at(310));
        if ended_at.is_some() {
            decides(store, decide_asked("bob", number, 310), WaiverAct::End).await.expect("ends");
        }
        for n in hosts.iter().filter(|_| act == WaiverAct::Approve) {
            decisions.entry(*n).or_default().waivers.push(WaiverTerm {
                number,
                order: order(),
                reason: WaiverReason::LegacySystem,
                approved_at: at(300),
                until: at(until),
                ended_at,
                is_self_approved: false,
            });
        }
    }
    for n in (1..=HOSTS).filter(|n| n % 9 == 4 || n.is_multiple_of(11)) {
        let done = retires(store, &[n], |_| true, 250).await;
        let number = done.dispositions[0];
        assert_eq!(done.waiting, 1);
        let approve = dice.roll(4) > 0;
        approves(store, decide_asked("bob", number, 305), approve).await.expect("decides");
        if approve {
            decisions.entry(n).or_default().retirements.push(RetirementTerm {
                number,
                kind: DispositionKind::Sold,
                requested_at: at(250),
                approved_at: at(305),
                ended_at: None,
                returned_at: None,
                is_self_approved: false,
            });
        }
    }
    decisions
}

/// What a reader must see of a host: its lane, and whether it is silent.
fn seen(decisions: &BTreeMap<u8, HostDecisions>, n: u8, now: Timestamp) -> (Lane, bool, Option<Decision>) {
    let last_seen = at(last_seen(n));
    let found = decisions.get(&n).and_then(|of_host| of_host.under(&order(), Some(last_seen), now));
    let decision = found.map(|found| found.decision());
    let silent = is_silent(Some(last_seen), at(SILENT));
    (decided_lane(decision, lane_of(n), silent), is_shown_silent(decision, silent), decision)
}

fn lanes(tally: &LaneTally) -> BTreeMap<Lane, u64> {
    let mut lanes: BTreeMap<Lane, u64> = BTreeMap::new();
    let found = tally.in_scope.iter().map(|((awake, silent), hosts)| (awake.with_silence(*silent), *hosts));
    let awake = tally.unjudged - tally.unjudged_silent;
    let unjudged = [(Lane::Unknown, awake), (Lane::Silent, tally.unjudged_silent)];
    let decided = tally.decided.iter().map(|(place, hosts)| (place.decision.lane(), *hosts));
    for (lane, hosts) in found.chain(unjudged).chain(decided).filter(|(_, hosts)| *hosts > 0) {
        *lanes.entry(lane).or_default() += hosts;
    }
    lanes
}

fn counted(hosts: impl Iterator<Item = Lane>) -> BTreeMap<Lane, u64> {
    let mut lanes = BTreeMap::new();
    hosts.for_each(|lane| *lanes.entry(lane).or_default() += 1);
    lanes
}

/// The hosts on all pages.
async fn listed(store: &Arc<dyn Store>, query: &HostQuery) -> BTreeSet<u8> {
    let (mut hosts, mut after) = (BTreeSet::new(), None);
    loop {
        let page = store.host_list(HostQuery { after, ..query.clone() }).await.expect("lists");
        let Some(last) = page.last() else { return hosts };
        after = Some(last.key.clone());
        for row in &page {
            let is_new = hosts.insert(row.host.as_bytes()[0]);
            assert!(is_new, "host {} is on two pages: {query:?}", row.hostname);
        }
    }
}

pub(crate) async fn lists_and_tallies_agree_about_what_was_decided(backend: impl Backend) {
    let store = backend.open();
    people(&store).await;
    fleet(&store).await;
    let mut dice = Dice(7);
    let decisions = decide_at_random(&store, &mut dice).await;
    assert!(decisions.len() > 20, "{}", decisions.len());
    for n in (1..=HOSTS).filter(|n| n.is_multiple_of(11)) {
        let answer = store.check_in(check_in(n, 2, last_seen(n), &[packages(&[("kesl", "12")])])).await;
        assert_eq!(answer.expect("checks in"), CheckInAnswer::Current);
    }
    let plant = SiteScope::Only(vec![site_of(1)]);
    for now in [219, 300, 305, 310, 400, 600].map(at) {
        for sites in [SiteScope::All, SiteScope::Only(vec![site()]), plant.clone()] {
            let hosts: Vec<u8> = (1..=HOSTS).filter(|n| sites.contains(&site_of(*n))).collect();
            let lane = |n: &u8| seen(&decisions, *n, now).0;
            let tally = store.lane_tally(&order(), &sites, at(SILENT), now).await.expect("tallies");
            let outside = hosts.iter().filter(|n| !is_listed(**n)).map(lane);
            assert_eq!(lanes(&tally.outside), counted(outside), "outside at {now} of {sites}");
            let on_roster = hosts.iter().filter(|n| is_listed(**n)).map(lane);
            assert_eq!(lanes(&tally.listed), counted(on_roster), "listed at {now} of {sites}");
            let of_order = HostQuery {
                order: Some(order()),
                silent_before: Some(at(SILENT)),
                decided_at: now,
                in_scope_only: true,
                sites: sites.clone(),
                ..HostQuery::default()
            };
            let several = [
                vec![Lane::Waived],
                vec![Lane::Retired],
                vec![Lane::Replace],
                vec![Lane::Silent],
                vec![Lane::Clear],
                vec![Lane::Unknown, Lane::Waived],
                vec![Lane::Retired, Lane::Waived, Lane::Silent, Lane::Confirm],
                vec![],
            ];
            for lanes in several {
                let is_asked = |n: &&u8| lanes.is_empty() || lanes.contains(&lane(n));
                let expected: BTreeSet<u8> = hosts.iter().filter(is_asked).copied().collect();
                for (sort, rows) in
                    [(HostSort::Name, 2), (HostSort::Name, 1_000), (HostSort::LastSeen, 5), (HostSort::Id, 7)]
                {
                    let query = HostQuery { lanes: lanes.clone(), sort, rows, ..of_order.clone() };
                    let found = listed(&store, &query).await;
                    assert_eq!(found, expected, "{lanes:?} by {sort:?}, {rows} rows, at {now} of {sites}");
                }
                let unfinished = !lanes.is_empty() && lanes.iter().all(|lane| !lane.is_finished());
                if unfinished {
                    let query = HostQuery { lanes: lanes.clone(), sort: HostSort::Since, rows: 3, ..of_order.clone() };
                    assert_eq!(listed(&store, &query).await, expected, "{lanes:?} by time, at {now} of {sites}");
                }
            }
            let silent = HostQuery { silent_only: true, sort: HostSort::Name, rows: 4, ..of_order.clone() };
            let expected = hosts.iter().copied().filter(|n| seen(&decisions, *n, now).1).collect();
            assert_eq!(listed(&store, &silent).await, expected, "silent at {now} of {sites}");
            let is_waived = |n: &u8| {
                let of_host = decisions.get(n).map(|of_host| of_host.waivers.as_slice()).unwrap_or_default();
                of_host.iter().any(|waiver| waiver.is_in_force(now))
            };
            let is_named = |n: &u8| row(*n).name.starts_with("pc-0");
            for (text, lanes) in
                [("waiver:yes", vec![]), ("name:pc-0*", vec![Lane::Waived]), ("-waiver:yes", vec![Lane::Retired])]
            {
                let filter =
                    HostFilter { terms: Filter::parse(text).expect(text).terms().to_vec(), products: Vec::new(), now };
                let is_meant = |n: &u8| match text {
                    "waiver:yes" => is_waived(n),
                    "-waiver:yes" => !is_waived(n) && lane(n) == Lane::Retired,
                    _ => is_named(n) && lane(n) == Lane::Waived,
                };
                let query =
                    HostQuery { filter: Some(filter), lanes, sort: HostSort::Name, rows: 4, ..of_order.clone() };
                let expected = hosts.iter().copied().filter(is_meant).collect();
                assert_eq!(listed(&store, &query).await, expected, "{text} at {now} of {sites}");
            }
        }
    }
    // Counts by the check-ins that are written agree once all are.
    store.close().await.expect("closes");
    let store = backend.open();
    for (lane, silent_only) in
        [(Lane::Waived, false), (Lane::Retired, false), (Lane::Silent, false), (Lane::Replace, true)]
    {
        let query = HostQuery {
            order: Some(order()),
            silent_before: Some(at(SILENT)),
            decided_at: at(310),
            in_scope_only: true,
            name: "pc".to_owned(),
            lanes: if silent_only { Vec::new() } else { vec![lane] },
            silent_only,
            rows: 1_000,
            ..HostQuery::default()
        };
        let matches = store.host_matches(query.clone()).await.expect("counts");
        assert_eq!(matches, listed(&store, &query).await.len() as u64, "{query:?}");
    }
    let row = HostQuery { order: Some(order()), decided_at: at(310), rows: 1_000, ..HostQuery::default() };
    for row in store.host_list(row).await.expect("lists") {
        let of_host = decisions.get(&row.host.as_bytes()[0]).cloned().unwrap_or_default();
        assert_eq!(row.decisions, of_host, "{}", row.hostname);
        let whole = store.host_get(row.host).await.expect("gets").expect("is there");
        assert_eq!(whole.decisions, of_host, "{}", row.hostname);
    }
    assert_healthy(&store).await;
}
