//! What people read about every shipped order in every lane: no order is called what its own text does not call it, and nothing
//! that was not read in a trustworthy text lacks its mark.

use std::collections::BTreeSet;

use muster_proto::model::{
    Assessment, Board, BoardCounts, DutyReport, DutyState, DutySubject, Evidence, Explanation, Finding, HostReport,
    Kind, Lane, Outcome, Platform, Presence, Protection, Snapshot, SnapshotEntry, SourceName, Timestamp, VerdictReport,
};

use super::client::Part;
use super::host::tests::host;
use super::render::Paint;
use super::tests::status;
use super::{board, duties, explain, findings, orders};
use crate::judge::{Decision, Hit, HostSituation, Remediation, Strength, assess, place};
use crate::rules::{self, Order, Product, RuleSet};

/// Words that accuse somebody of something.
const ACCUSING: [&str; 2] = ["violation", "illegal"];

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-28T12:00:00Z").expect("an instant")
}

/// What a complete scan shows of a product that the order covers, with this presence, or of nothing.
fn assessed(rules: &RuleSet, order: &Order, platform: Platform, presence: Option<Presence>) -> Assessment {
    // The catalogue knows no product of some orders, whose hosts are judged all the same.
    let covered = rules.catalogue.products().iter().find(|product| order.covers(product, platform));
    let hit = |(presence, product): (Presence, &Product)| Hit {
        product: product.id.clone(),
        rule: "wording#1".to_owned(),
        strength: Strength::Proves,
        presence,
        shows: presence,
        lingers: false,
        store: String::new(),
        store_id: String::new(),
        version: "12.2".to_owned(),
        evidence: Evidence {
            source: SourceName::WatchPaths,
            kind: Kind::Path,
            name: "/opt/example".to_owned(),
            version: String::new(),
            state: String::new(),
            path: String::new(),
            other_vendor: String::new(),
        },
    };
    let entry = |source: &SourceName| SnapshotEntry {
        source: *source,
        outcome: Outcome::Empty,
        reason: String::new(),
        watchlist: rules.watchlist().version,
        section: None,
    };
    let snapshot = Snapshot::new(platform, SourceName::ALL.iter().map(entry).collect());
    let hits: Vec<Hit> = presence.zip(covered).map(hit).into_iter().collect();
    assess(order, &rules.catalogue, &snapshot, &hits, &host().state, now())
}

/// A verdict for every lane under an order.
fn verdicts(rules: &RuleSet, order: &Order) -> Vec<VerdictReport> {
    let has_product =
        |platform: &Platform| rules.catalogue.products().iter().any(|product| order.covers(product, *platform));
    let platforms = if order.scope.platforms.is_empty() { Platform::ALL } else { &order.scope.platforms };
    let platform = *platforms.iter().find(|platform| has_product(platform)).unwrap_or(&platforms[0]);
    let (there, gone) =
        (assessed(rules, order, platform, Some(Presence::Installed)), assessed(rules, order, platform, None));
    let before = Remediation::default().advance(&there, now().minus(order.patience * 2), "boot-1");
    let removed = before.clone().advance(&gone, now(), "boot-1");
    let proven = (1..9).fold(removed.clone(), |record, days| {
        record.advance(&gone, now().plus(order.confirm.spacing * days), "boot-2")
    });
    let of = |assessment: &Assessment, protection| Assessment { protection, ..assessment.clone() };
    let weak = Assessment { presence: Presence::Suspect, prohibited: false, ..gone.clone() };
    let cases = [
        (of(&there, Protection::None), &before, None, true),
        (of(&there, Protection::Approved), &before, None, true),
        (of(&gone, Protection::None), &removed, None, true),
        (of(&gone, Protection::Approved), &removed, None, true),
        (of(&gone, Protection::Approved), &proven, None, true),
        (of(&gone, Protection::Approved), &Remediation::default(), None, true),
        (of(&gone, Protection::Approved), &Remediation::default(), None, false),
        (weak, &Remediation::default(), None, true),
        (gone.clone(), &Remediation::default(), Some(Decision::Retired), true),
        (gone.clone(), &Remediation::default(), Some(Decision::Waived), true),
        (gone.clone(), &Remediation::default(), Some(Decision::Missing), true),
    ];
    let site = order.scope.sites.first().cloned().unwrap_or_else(|| host().site);
    let report = |(assessment, remediation, decision, reports): &(Assessment, &Remediation, Option<Decision>, bool)| {
        let last_seen = if *reports { now() } else { now().minus(order.patience * 2) };
        let situation = HostSituation {
            platform,
            site: &site,
            labels: &[],
            last_seen: Some(last_seen),
            remediation,
            has_two_holders: false,
            decision: *decision,
        };
        let verdict = place(order, Some(assessment), &situation, now());
        VerdictReport {
            order: order.report(),
            lane: verdict.lane,
            true_lane: verdict.true_lane,
            decision: None,
            in_scope: verdict.in_scope,
            overdue: verdict.overdue,
            silent: verdict.silent,
            presence: assessment.presence,
            protection: assessment.protection,
            unprotected: remediation.unprotected.at(now()),
            since: last_seen,
            advice: verdict.advice,
            commands: verdict.commands,
            reasons: verdict.reasons,
        }
    };
    cases.iter().map(report).collect()
}

/// A duty for each clock and each recurring duty of an order.
fn duties_of(order: &Order) -> Vec<DutyReport> {
    let clocks = order.clocks.iter().map(|clock| (&clock.id, &clock.what, &clock.fields, clock.confirmed));
    let recurring = order.recurring.iter().map(|one| (&one.id, &one.what, &one.fields, one.confirmed));
    let duty = |(id, what, fields, confirmed): (&String, &String, &Vec<String>, bool)| DutyReport {
        number: 1,
        order: order.id.clone(),
        clock: id.clone(),
        subject: DutySubject::Order,
        hostname: String::new(),
        site: None,
        opened: now(),
        due: now(),
        state: DutyState::Open,
        overdue: true,
        settled: None,
        what: what.clone(),
        fields: fields.clone(),
        confirmed,
        reference: String::new(),
        evidence: None,
    };
    clocks.chain(recurring).map(duty).collect()
}

/// The pages about an order: its own, and those of a fleet with one host in this lane.
fn pages(order: &Order, verdict: &VerdictReport, duties: &[DutyReport]) -> Vec<String> {
    let paint = Paint::plain();
    let counts = BoardCounts { lanes: [(verdict.lane, 1)].into(), total: 1, overdue: 1, ..BoardCounts::default() };
    let of_order = Board {
        order: order.report(),
        counts,
        outside: None,
        roster: None,
        as_of: now(),
        judge_queue: Some(0),
        overdue_duties: duties.len() as u64,
        unprotected: Some(1),
        unprotected_since: Some(now()),
    };
    let host = HostReport { verdicts: vec![verdict.clone()], ..host() };
    let finding = Finding {
        order: order.id.clone(),
        host: host.id,
        hostname: host.facts.hostname.clone(),
        site: host.site.clone(),
        platform: host.facts.platform,
        lane: verdict.lane,
        overdue: verdict.overdue,
        silent: verdict.silent,
        presence: verdict.presence,
        protection: verdict.protection,
        since: verdict.since,
        last_seen: Some(verdict.since),
        reason: verdict.reasons[0].text.clone(),
        advice: verdict.advice.clone(),
    };
    let part = Part { rows: vec![finding], total: Some(1), next: None };
    let explanation = Explanation {
        host: host.clone(),
        history: Vec::new(),
        rules_version: "1-abc".to_owned(),
        duties: duties.to_vec(),
    };
    let mut pages = vec![
        orders::page(&[order.report()], true, now(), &paint),
        orders::one(&order.report(), now(), &paint),
        board::page(std::slice::from_ref(&of_order), &status(), &paint),
        findings::page(&part, &[of_order], now(), &paint),
        super::host::page(&host, now(), &paint),
        explain::page(&explanation, now(), &paint),
        duties::page(duties, true, now(), &paint),
    ];
    pages.extend(duties.iter().map(|duty| duties::one(duty, now())));
    pages
}

/// Whether the order's own text has the word.
fn is_its_own(order: &Order, word: &str) -> bool {
    let report = order.report();
    let milestones = report.milestones.iter().map(|milestone| &milestone.what);
    let terms = report.clocks.iter().chain(&report.recurring).map(|term| &term.what);
    let wording = [&order.wording.must, &order.wording.since, &order.wording.note, &order.title];
    let mut texts = milestones.chain(terms).chain(wording).chain(&report.sources);
    texts.any(|text| text.to_lowercase().contains(word))
}

#[test]
fn nobody_is_accused_and_every_doubt_is_marked_whatever_order_and_lane() {
    let rules = rules::load(None).expect("rules");
    let mut lanes = BTreeSet::new();
    let (mut dates, mut terms) = (0, 0);
    for order in &rules.orders {
        let duties = duties_of(order);
        let doubtful: Vec<String> = order
            .milestones
            .iter()
            .filter(|milestone| !milestone.confirmed)
            .map(|milestone| milestone.reached.whole_seconds().to_string())
            .collect();
        for verdict in verdicts(&rules, order) {
            lanes.insert(verdict.lane);
            for page in pages(order, &verdict, &duties) {
                let said = page.to_lowercase();
                for word in ACCUSING.into_iter().filter(|word| said.contains(word)) {
                    assert!(is_its_own(order, word), "{}, {}: {word:?} in\n{page}", order.id, verdict.lane);
                }
                for line in page.lines().filter(|line| doubtful.iter().any(|date| line.contains(date))) {
                    assert!(line.contains("unconfirmed"), "{}, {}: no mark in {line:?}", order.id, verdict.lane);
                    dates += 1;
                }
                for duty in duties.iter().filter(|duty| !duty.confirmed) {
                    for line in page.lines().filter(|line| line.contains(&duty.what)) {
                        assert!(line.contains("unconfirmed"), "{}, {}: no mark in {line:?}", order.id, verdict.lane);
                        terms += 1;
                    }
                }
            }
        }
    }
    assert_eq!(lanes.into_iter().collect::<Vec<_>>(), Lane::ALL, "a lane was never shown");
    assert!(dates > 0 && terms > 0, "the shipped orders have dates and terms that are not confirmed");
}
