//! Filters of lists, labels, owners and notes, and changes of many hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{
    AccountId, BulkKind, BulkReport, DispositionKind, EntryKind, HostFacts, HostId, HostMark, Identifier,
    IdentifierKind, Lane, MachineIdentity, Platform, Presence, ProductId, Protection, SiteId, Timestamp, TokenId,
    WaiverReason,
};

use super::kit::{
    acting, assert_healthy, at, check_in, enrollment, facts, host, judged, judgement, ledger, new_token, order,
    settled, token_create,
};
use super::{Backend, decisions};
use crate::filter::{Filter, HostFields, OrderFields, RosterState};
use crate::judge::{
    HostDecisions, Positive, Remediation, Removal, RetirementTerm, WaiverTerm, decided_lane, is_shown_silent,
};
use crate::ledger::entry::Entry;
use crate::store::admin::bulk::{self, NewBulk};
use crate::store::admin::identifiers::{LineAsked, LineFound};
use crate::store::admin::roster::by_hand::{self, ByHand};
use crate::store::admin::waivers::decide::WaiverAct;
use crate::store::admin::{self, AdminTx, host_labels, host_owners, identifiers};
use crate::store::{
    CheckIn, Enrollment, HostFilter, HostQuery, HostSort, JudgedOrder, NewToken, SelectedHost, SiteScope, Store,
    StoreError,
};

const NOW: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(500_000);
const HOSTS: u8 = 24;
/// A host that enrolled, and never checked in.
const NEVER_SEEN: u8 = 23;

/// What a host of the test is, as the evaluator of filters sees it.
#[derive(Debug, Clone, Default)]
struct Machine {
    name: String,
    serial: String,
    fqdn: String,
    owner: String,
    site: &'static str,
    labels: Vec<String>,
    platform: Option<Platform>,
    agent: &'static str,
    os: &'static str,
    last_seen: Option<Timestamp>,
    quarantined: bool,
    verdict: Option<JudgedOrder>,
    since: Option<Timestamp>,
    decisions: HostDecisions,
}

impl Machine {
    fn of(n: u8) -> Self {
        let pick = |from: &[&'static str], step: u8| from[usize::from(n / step) % from.len()];
        Self {
            name: format!("{}-{n:02}", pick(&["Web", "db_x", "db[x", "PC"], 1)),
            serial: if n.is_multiple_of(5) { String::new() } else { format!("CZC{:03}", u16::from(n) * 7 % 50) },
            fqdn: if n.is_multiple_of(3) { format!("host{n}.corp.example") } else { String::new() },
            owner: pick(&["", "Jane Doe", "bob", "JANE"], 2).to_owned(),
            site: pick(&["hq", "lab", "lab-2"], 3),
            labels: [("vip", 2), ("wave-1", 3), ("wave-2", 7)]
                .iter()
                .filter(|(_, step)| n.is_multiple_of(*step))
                .map(|(label, _)| (*label).to_owned())
                .collect(),
            platform: Some([Platform::Linux, Platform::Windows, Platform::Macos][usize::from(n) % 3]),
            agent: pick(&["0.1.0", "0.2.0"], 4),
            os: pick(&["Debian GNU/Linux 12", "Windows 11", ""], 1),
            last_seen: (n != NEVER_SEEN).then(|| at(NOW - u64::from(n) * 40_000)),
            quarantined: n.is_multiple_of(11),
            ..Self::default()
        }
    }

    fn judged(n: u8) -> Option<JudgedOrder> {
        let lanes = [Lane::Clear, Lane::Replace, Lane::Unknown, Lane::Confirm];
        let lane = lanes[usize::from(n) % lanes.len()];
        let presence = [Presence::None, Presence::Active, Presence::Remnant][usize::from(n) % 3];
        let protection = [Protection::None, Protection::Approved][usize::from(n) % 2];
        let in_scope = !n.is_multiple_of(9);
        (!n.is_multiple_of(8)).then(|| JudgedOrder { in_scope, presence, protection, ..judged(lane) })
    }

    fn facts(&self) -> HostFacts {
        HostFacts {
            platform: self.platform.unwrap_or(Platform::Linux),
            os_name: self.os.to_owned(),
            agent_version: self.agent.to_owned(),
            identity: MachineIdentity {
                serial: self.serial.clone(),
                fqdn: self.fqdn.clone(),
                ..MachineIdentity::default()
            },
            ..facts(&self.name)
        }
    }

    /// Whether the order is asked about, and applies to the host.
    fn under(&self, asks: bool) -> Option<OrderFields<'_>> {
        // Before the first check-in, silence is counted from the enrollment.
        let seen = self.last_seen.unwrap_or(at(1));
        let is_silent = seen < at(NOW).minus(PATIENCE);
        let awake = self.verdict.as_ref().map_or(Lane::Unknown, |verdict| verdict.awake_lane);
        let in_scope = self.verdict.as_ref().is_none_or(|verdict| verdict.in_scope);
        let in_force = self.decisions.under(&order(), Some(seen), at(NOW));
        let decision = in_force.map(|in_force| in_force.decision());
        (asks && in_scope).then(|| OrderFields {
            lane: decided_lane(decision, awake, is_silent),
            overdue: false,
            silent: is_shown_silent(decision, is_silent),
            since: match self.verdict.is_some() {
                _ if in_force.is_some() => in_force.map(|in_force| in_force.since()),
                true if awake.with_silence(is_silent) != awake => Some(seen.plus(PATIENCE)),
                true => self.since,
                false => None,
            },
            presence: self.verdict.as_ref().map(|verdict| verdict.presence),
            protection: self.verdict.as_ref().map(|verdict| verdict.protection),
            products: None,
            waived: self.decisions.waivers.iter().any(|waiver| waiver.is_in_force(at(NOW))),
        })
    }

    fn fields(&self, asks: bool) -> HostFields<'_> {
        HostFields {
            name: &self.name,
            fqdn: &self.fqdn,
            serial: &self.serial,
            owner: &self.owner,
            site: self.site,
            labels: &self.labels,
            platform: self.platform,
            os: self.os,
            agent: self.agent,
            roster: Some(RosterState::Outside),
            last_seen: self.last_seen,
            enrolled: Some(at(1)),
            quarantined: self.quarantined,
            order: self.under(asks),
            ..HostFields::default()
        }
    }
}

/// Does a bulk change to its end.
pub(super) async fn change(
    store: &Arc<dyn Store>,
    kind: BulkKind,
    value: &str,
    hosts: Vec<i64>,
    second: u64,
) -> BulkReport {
    let account = Some(AccountId::new("id-ada").expect("an id"));
    let new = NewBulk { kind, value: value.to_owned(), account, sites: SiteScope::All, hosts };
    let begin = move |tx: &mut dyn AdminTx| bulk::begin(tx, &new, at(second));
    let number = admin::write(store.as_ref(), "begin", acting(second), begin).await.expect("begins").expect("may run");
    let advance = move |tx: &mut dyn AdminTx| bulk::advance(tx, &bulk::ScopeLabels::default(), at(second));
    while admin::write(store.as_ref(), "advance", acting(second), advance).await.expect("advances") {}
    let get = move |tx: &mut dyn AdminTx| bulk::get(tx, number);
    admin::read(store.as_ref(), "get", get).await.expect("reads").expect("is there")
}

pub(super) async fn numbers(store: &Arc<dyn Store>) -> BTreeMap<HostId, i64> {
    let all = HostQuery { rows: 1_000, ..HostQuery::default() };
    store.host_select(all).await.expect("selects").into_iter().map(|SelectedHost { no, id }| (id, no)).collect()
}

/// The fleet in a store, with everything that a filter can ask.
async fn fleet(store: &Arc<dyn Store>) -> BTreeMap<HostId, Machine> {
    let mut machines = BTreeMap::new();
    for site in ["hq", "lab", "lab-2"] {
        let id = TokenId::new(format!("tok-{site}")).expect("an id");
        token_create(store, NewToken { id, site: SiteId::new(site).expect("a site"), ..new_token(0) })
            .await
            .expect("token");
    }
    for n in 1..=HOSTS {
        let machine = Machine::of(n);
        let token = TokenId::new(format!("tok-{}", machine.site)).expect("an id");
        let new = Enrollment { token, facts: machine.facts(), ..enrollment(n) };
        store.host_enroll(new).await.expect("enrolls");
        machines.insert(host(n), machine);
    }
    let claimed = store.queue_claim(1_000, at(10)).await.expect("claims");
    let judgements = claimed.iter().filter_map(|queued| {
        let n = queued.host.as_bytes()[0];
        Some(judgement(queued, vec![Machine::judged(n)?]))
    });
    settled(store, judgements.collect(), at(11)).await;
    for n in 1..=HOSTS {
        let machine = machines.get_mut(&host(n)).expect("is there");
        machine.verdict = Machine::judged(n);
        machine.since = machine.verdict.is_some().then(|| at(11));
        if n == NEVER_SEEN {
            continue;
        }
        let seconds = NOW - u64::from(n) * 40_000;
        store.check_in(CheckIn { facts: Some(machine.facts()), ..check_in(n, 1, seconds, &[]) }).await.expect("asks");
    }
    // Other tests have hosts that report; these need no sections, so their check-ins ask for some.
    let of = numbers(store).await;
    let with = |is_one: &dyn Fn(&Machine) -> bool| -> Vec<i64> {
        machines.iter().filter(|(_, machine)| is_one(machine)).map(|(id, _)| of[id]).collect()
    };
    for label in ["vip", "wave-1", "wave-2"] {
        change(store, BulkKind::Label, label, with(&|one| one.labels.iter().any(|has| has == label)), 20).await;
    }
    for owner in ["Jane Doe", "bob", "JANE"] {
        change(store, BulkKind::Own, owner, with(&|one| one.owner == owner), 20).await;
    }
    let marked = with(&|one| one.quarantined);
    let mark = move |tx: &mut dyn AdminTx| {
        for host in &marked {
            let sql = "INSERT INTO host_mark (mark, host, since, note) VALUES ($1, $2, 1, NULL)";
            tx.note_progress(sql, &[i64::from(HostMark::Quarantined.code()).into(), (*host).into()])?;
        }
        // Without a list of machines, no host relates to the roster.
        tx.note_progress("INSERT INTO roster_source (no, name, imported_at) VALUES (1, 'a-list', 1)", &[])?;
        Ok(())
    };
    admin::write(store.as_ref(), "mark", acting(21), mark).await.expect("marks");
    decide(store, &mut machines).await;
    while admin::write(store.as_ref(), "identify", acting(21), identifiers::advance).await.expect("runs").is_unfinished
    {
    }
    machines
}

/// Waivers in force, one that has ended, and hosts that left; one of these has reported since.
async fn decide(store: &Arc<dyn Store>, machines: &mut BTreeMap<HostId, Machine>) {
    decisions::people(store).await;
    for (hosts, second, until) in
        [(vec![2, 3, 6, 8, 9, 12], NOW - 20, NOW + 100), (vec![3, 4], NOW - 30, NOW - 5), (vec![5], NOW - 9, NOW + 9)]
    {
        let number = decisions::asks(store, &hosts, until, second).await.expect("asks");
        let asked = decisions::decide_asked("bob", number, second + 1);
        decisions::decides(store, asked, WaiverAct::Approve).await.expect("approves");
        for n in hosts {
            machines.get_mut(&host(n)).expect("is there").decisions.waivers.push(WaiverTerm {
                number,
                order: order(),
                reason: WaiverReason::LegacySystem,
                approved_at: at(second + 1),
                until: at(until),
                ended_at: None,
                is_self_approved: false,
            });
        }
    }
    let second = NOW - 100_000;
    let done = decisions::retires(store, &[1, 2, 6, 12, 14, 18, 20], |_| false, second).await;
    for n in [1, 2, 6, 12, 14, 18, 20] {
        machines.get_mut(&host(n)).expect("is there").decisions.retirements.push(RetirementTerm {
            number: done.dispositions[0],
            kind: DispositionKind::Sold,
            requested_at: at(second),
            approved_at: at(second),
            ended_at: None,
            returned_at: None,
            is_self_approved: false,
        });
    }
}

const FILTERS: &[&str] = &[
    "label:vip",
    "-label:vip",
    "label:wave-*",
    "label:wave-* -label:wave-2",
    "label:any",
    "label:none",
    "-label:none",
    "owner:jane*",
    "owner:\"jane doe\",bob",
    "-owner:jane*",
    "owner:none",
    "owner:any label:vip",
    "site:lab",
    "site:lab*",
    "-site:lab*",
    "site:hq,lab-2 -label:wave-1",
    "platform:windows",
    "-platform:windows,macos",
    "os:debian*",
    "os:none",
    "-os:none",
    "name:web-*",
    "name:\"db[\"*",
    "name:db_*",
    "name:pc-03,WEB-04",
    "-name:web-* -name:db*",
    "serial:czc0*",
    "serial:none",
    "-serial:none",
    "serial:czc007,CZC014",
    "agent:0.2*",
    "last-seen:>7d",
    "last-seen:<7d",
    "-last-seen:<7d",
    "last-seen:none",
    "last-seen:any",
    "-last-seen:none",
    "enrolled:<2030-01-01",
    "enrolled:>1d",
    "quarantined:yes",
    "-quarantined:yes",
    "quarantined:no label:vip",
    "roster:no",
    "roster:yes",
    "-roster:matched",
    "roster:outside site:lab",
    "silent:>6d",
    "-silent:>6d",
    "jane",
    "-jane",
    "czc01",
    "corp.example",
    "web*",
    "\"db[\"",
    "web-0 -label:vip",
];

const UNDER_AN_ORDER: &[&str] = &[
    "waiver:no",
    "waiver:yes",
    "-waiver:yes label:vip",
    "waiver:yes since:>2024-09-20",
    "presence:active",
    "-presence:active",
    "presence:any",
    "protection:approved,none",
    "-protection:approved",
    "since:<2024-09-20",
    "since:>2024-09-20",
    "-since:>2024-09-20",
    "since:any",
    "since:none",
    "presence:active label:vip -site:lab",
];

pub(crate) async fn a_filter_means_the_same_to_the_store_as_in_memory(backend: impl Backend) {
    let store = backend.open();
    let machines = fleet(&store).await;
    // When it closes, the check-ins that only the memory has are written.
    store.close().await.expect("closes");
    let store = backend.open();
    let cases = FILTERS.iter().map(|text| (*text, false)).chain(UNDER_AN_ORDER.iter().map(|text| (*text, true)));
    let (mut some, mut hosts_found) = (0, 0);
    for (text, asks) in cases {
        let filter = Filter::parse(text).expect(text);
        let in_scope = |machine: &&Machine| !asks || machine.under(true).is_some();
        let meant: BTreeSet<HostId> = (machines.iter())
            .filter(|(_, machine)| in_scope(machine) && filter.matches(&machine.fields(asks), at(NOW)))
            .map(|(id, _)| *id)
            .collect();
        let terms = filter.terms().to_vec();
        let query = HostQuery {
            order: asks.then(order),
            in_scope_only: asks,
            silent_before: asks.then(|| at(NOW).minus(PATIENCE)),
            patience: PATIENCE,
            decided_at: at(NOW),
            filter: Some(HostFilter { terms, products: Vec::new(), now: at(NOW) }),
            rows: 1_000,
            ..HostQuery::default()
        };
        let selected: BTreeSet<HostId> =
            store.host_select(query.clone()).await.expect(text).into_iter().map(|one| one.id).collect();
        assert_eq!(selected, meant, "{text}");
        assert_eq!(store.host_matches(query.clone()).await.expect(text), meant.len() as u64, "{text}");
        for sort in [HostSort::Id, HostSort::Name, HostSort::LastSeen] {
            let (mut listed, mut after) = (BTreeSet::new(), None);
            loop {
                let page = HostQuery { sort, rows: 5, after, ..query.clone() };
                let rows = store.host_list(page).await.expect(text);
                after = rows.last().map(|row| row.key.clone());
                listed.extend(rows.into_iter().map(|row| row.host));
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(listed, meant, "{text} by {sort:?}");
        }
        some += u32::from(!meant.is_empty() && meant.len() < machines.len());
        hosts_found += meant.len();
    }
    assert!(some > 45 && hosts_found > 400, "{some} filters divide the fleet, {hosts_found}");
    assert_healthy(&store).await;
}

pub(crate) async fn a_product_is_found_by_the_remediation_record(backend: impl Backend) {
    let store = backend.open();
    super::enrolled_fleet(&store, 4).await;
    let product = ProductId::new("kaspersky-endpoint-security").expect("an id");
    let positive = Positive {
        since: at(1),
        last_seen: at(2),
        presence: Presence::Installed,
        reasons: Vec::new(),
        products: BTreeMap::from([(product.clone(), at(1))]),
        gone: Vec::new(),
    };
    let removal = Removal {
        since: at(3),
        present_boot_id: String::new(),
        new_boot: true,
        clean_scans: Vec::new(),
        was: Some(positive.clone()),
    };
    let has = Remediation { positive: Some(positive), ..Remediation::default() };
    let had = Remediation { removal: Some(removal), ..Remediation::default() };
    let claimed = store.queue_claim(10, at(5)).await.expect("claims");
    let judgements = claimed.iter().filter_map(|queued| {
        let remediation = match queued.host.as_bytes()[0] {
            1 => has.clone(),
            2 => had.clone(),
            3 => Remediation::default(),
            _ => return None,
        };
        Some(judgement(queued, vec![JudgedOrder { remediation, ..judged(Lane::Replace) }]))
    });
    settled(&store, judgements.collect(), at(6)).await;
    let found = async |text: &str| -> Vec<HostId> {
        let terms = Filter::parse(text).expect("valid").terms().to_vec();
        let products = vec![product.clone(), ProductId::new("other").expect("an id")];
        let filter = Some(HostFilter { terms, products, now: at(NOW) });
        let query = HostQuery { order: Some(order()), filter, rows: 10, ..HostQuery::default() };
        store.host_select(query).await.expect("selects").into_iter().map(|one| one.id).collect()
    };
    assert_eq!(found("product:kaspersky-*").await, [host(1)]);
    assert_eq!(found("product:kaspersky-endpoint-security,other").await, [host(1)]);
    assert_eq!(found("product:any").await, [host(1)]);
    assert_eq!(found("product:none").await, [host(2), host(3)], "a host that was not judged may have it");
    assert_eq!(found("product:other").await, Vec::<HostId>::new());
    assert_eq!(found("product:kaspersky-endpoint").await, Vec::<HostId>::new(), "a beginning is not the whole");
    assert_eq!(found("-product:kaspersky-*").await, [host(2), host(3), host(4)]);
}

pub(crate) async fn many_hosts_are_labelled_owned_noted_and_moved_with_their_past(backend: impl Backend) {
    let store = backend.open();
    super::enrolled_fleet(&store, 5).await;
    super::kit::all_judged(&store, Lane::Replace, 10).await;
    let of = numbers(&store).await;
    let all: Vec<i64> = of.values().copied().collect();
    let some: Vec<i64> = all.iter().take(2).copied().collect();
    let done = change(&store, BulkKind::Label, "vip", some.clone(), 20).await;
    assert_eq!((done.hosts, done.done, done.changed, done.ended_at), (2, 2, 2, Some(at(20))));
    assert_eq!(change(&store, BulkKind::Label, "vip", all.clone(), 21).await.changed, 3, "two have it already");
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 5, "labels decide about a scope here");
    assert_eq!(change(&store, BulkKind::Unlabel, "vip", some.clone(), 22).await.changed, 2);
    let labels = async |n: u8| store.host_get(host(n)).await.expect("gets").expect("is there").labels.len();
    assert_eq!([labels(1).await, labels(2).await, labels(3).await], [0, 0, 1]);
    for n in 0..muster_proto::limits::LABELS_PER_HOST {
        change(&store, BulkKind::Label, &format!("l-{n}"), vec![all[0]], 23).await;
    }
    let full = change(&store, BulkKind::Label, "one-more", all.clone(), 24).await;
    assert_eq!((full.changed, full.refused), (4, 1));
    for (second, owner, changed) in [(30, "Jane", 5), (31, "Jane", 0), (32, "Bob", 5), (33, "", 5), (34, "", 0)] {
        assert_eq!(change(&store, BulkKind::Own, owner, all.clone(), second).await.changed, changed, "{owner}");
    }
    change(&store, BulkKind::Own, "Eve", some.clone(), 35).await;
    change(&store, BulkKind::Note, "first", some.clone(), 40).await;
    change(&store, BulkKind::Note, "second", some.clone(), 41).await;
    let of_one = store.host_get(host(1)).await.expect("gets").expect("is there");
    assert_eq!(of_one.owner.map(|one| (one.owner, one.since)), Some(("Eve".to_owned(), at(35))));
    assert_eq!(of_one.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), ["second", "first"]);
    assert_eq!(of_one.notes[0].by, "id-ada");
    assert_eq!(store.host_get(host(3)).await.expect("gets").expect("is there").owner, None);
    // Moved hosts count at their new site, in every count.
    assert_eq!(change(&store, BulkKind::Move, "lab", some.clone(), 50).await.changed, 2);
    assert_eq!(change(&store, BulkKind::Move, "lab", some, 51).await.changed, 0);
    let lab = SiteScope::Only(vec![SiteId::new("lab").expect("a site")]);
    assert_eq!(store.host_count(&lab).await.expect("counts"), 2);
    let tally = store.lane_tally(&order(), &lab, at(0), at(51)).await.expect("tallies").hosts();
    assert_eq!(tally.in_scope, BTreeMap::from([((Lane::Replace, false), 2)]));
    let row = store.host_get(host(1)).await.expect("gets").expect("is there");
    assert_eq!(row.site.as_str(), "lab");
    super::kit::all_judged(&store, Lane::Clear, 60).await;
    // The ledger names the change and the hash of a text, and never the text.
    let entries = ledger(&store, 0, 1_000).await;
    let started = entries.iter().filter(|row| row.entry.kind() == EntryKind::BulkStarted).count();
    let ended = entries.iter().filter(|row| row.entry.kind() == EntryKind::BulkEnded).count();
    assert_eq!(started, ended);
    let of_note = entries.iter().find(|row| matches!(&row.entry, Entry::BulkStarted { change: BulkKind::Note, .. }));
    let text = format!("{:?}", of_note.expect("is there").entry);
    assert!(!text.contains("first"), "{text}");
    // The past goes when retention removes it.
    let forget =
        |tx: &mut dyn AdminTx| Ok((host_labels::forget(tx, at(23), 10)?, host_owners::forget(tx, at(33), 100)?));
    let gone = admin::write(store.as_ref(), "forget", acting(70), forget).await.expect("forgets");
    assert_eq!(gone, (2, 5));
    assert_eq!(labels(3).await, 2, "what is in force stays");
    assert_healthy(&store).await;
}

pub(crate) async fn a_label_that_decides_about_no_order_makes_no_host_be_judged_again(backend: impl Backend) {
    let store = backend.open();
    super::enrolled_fleet(&store, 2).await;
    assert!(store.rules_adopt("r1", at(5)).await.expect("adopts"));
    super::kit::all_judged(&store, Lane::Clear, 6).await;
    let all: Vec<i64> = numbers(&store).await.into_values().collect();
    let scope = |rules: &str, labels: &[&str]| bulk::ScopeLabels {
        rules: rules.to_owned(),
        labels: labels.iter().map(|label| muster_proto::model::Label::new(*label).expect("a label")).collect(),
    };
    for (n, (label, scope, waiting)) in (10..).zip([
        ("other", scope("r1", &["vip"]), 0),
        ("vip", scope("r1", &["vip"]), 2),
        ("third", scope("r0", &["vip"]), 2),
    ]) {
        let (kind, value) = (BulkKind::Label, label.to_owned());
        let new = NewBulk { kind, value, account: None, sites: SiteScope::All, hosts: all.clone() };
        let begin = move |tx: &mut dyn AdminTx| bulk::begin(tx, &new, at(n));
        admin::write(store.as_ref(), "begin", acting(n), begin).await.expect("begins").expect("may run");
        let advance = move |tx: &mut dyn AdminTx| bulk::advance(tx, &scope, at(n));
        while admin::write(store.as_ref(), "advance", acting(n), advance.clone()).await.expect("advances") {}
        assert_eq!(store.queue_depth().await.expect("asks").waiting, waiting, "{label}");
        super::kit::all_judged(&store, Lane::Clear, n).await;
    }
}

pub(crate) async fn a_bulk_change_leaves_hosts_that_were_moved_away_from_the_sites_of_its_account(
    backend: impl Backend,
) {
    let store = backend.open();
    super::enrolled_fleet(&store, 3).await;
    let all: Vec<i64> = numbers(&store).await.into_values().collect();
    change(&store, BulkKind::Move, "lab", vec![all[0]], 10).await;
    let (sites, hosts) = (SiteScope::Only(vec![SiteId::new("hq").expect("a site")]), all.clone());
    let new = NewBulk { kind: BulkKind::Label, value: "vip".to_owned(), account: None, sites, hosts };
    let begin = move |tx: &mut dyn AdminTx| bulk::begin(tx, &new, at(20));
    let number = admin::write(store.as_ref(), "begin", acting(20), begin).await.expect("begins").expect("may run");
    while admin::write(store.as_ref(), "advance", acting(21), |tx| {
        bulk::advance(tx, &bulk::ScopeLabels::default(), at(21))
    })
    .await
    .expect("advances")
    {}
    let done =
        admin::read(store.as_ref(), "get", move |tx| bulk::get(tx, number)).await.expect("reads").expect("is there");
    assert_eq!((done.changed, done.refused), (2, 1));
    assert!(store.host_get(host(1)).await.expect("gets").expect("is there").labels.is_empty());
    // A change whose list is damaged is ended, so that it holds up no other.
    let new =
        NewBulk { kind: BulkKind::Label, value: "two".to_owned(), account: None, sites: SiteScope::All, hosts: all };
    let begin = move |tx: &mut dyn AdminTx| {
        bulk::begin(tx, &new, at(30))?;
        tx.note_progress("UPDATE bulk_portion SET hosts = $1", &[[1_u8, 2, 3].as_slice().into()])
    };
    admin::write(store.as_ref(), "begin", acting(30), begin).await.expect("begins");
    let advance = admin::write(store.as_ref(), "advance", acting(31), |tx| {
        bulk::advance(tx, &bulk::ScopeLabels::default(), at(31))
    })
    .await;
    assert!(matches!(advance, Err(StoreError::Damaged { .. })), "{advance:?}");
    let ended = admin::write(store.as_ref(), "give_up", acting(32), |tx| bulk::give_up(tx, at(32))).await;
    assert_eq!(ended.expect("ends"), Some(number + 1));
    assert!(!admin::read(store.as_ref(), "running", bulk::is_running).await.expect("reads"));
    assert_healthy(&store).await;
}

pub(crate) async fn a_line_of_a_list_means_one_host_or_none(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(0)).await.expect("token");
    for (n, name, serial) in [(1, "pc-17", "S1"), (2, "thief", "pc-17"), (3, "pc-3", "S3"), (4, "pc-3", "S4")] {
        let identity = MachineIdentity { serial: serial.to_owned(), ..MachineIdentity::default() };
        let facts = HostFacts { identity, ..facts(name) };
        store.host_enroll(Enrollment { facts, ..enrollment(n) }).await.expect("enrolls");
    }
    while admin::write(store.as_ref(), "identify", acting(21), identifiers::advance).await.expect("runs").is_unfinished
    {
    }
    let of = |line: &str| LineAsked {
        id: line.parse().ok(),
        identifiers: IdentifierKind::ALL.iter().filter_map(|kind| Identifier::new(*kind, line)).collect(),
    };
    let lines = vec![of("S1"), of("pc-17"), of("pc-3"), of("nobody"), of(&host(4).to_string())];
    let find = move |tx: &mut dyn AdminTx| identifiers::find_each(tx, &lines, &SiteScope::All);
    let found = admin::read(store.as_ref(), "find", find).await.expect("finds");
    assert!(matches!(found[0], LineFound::One { id, .. } if id == host(1)), "{found:?}");
    assert_eq!(found[1..4], [LineFound::Several, LineFound::Several, LineFound::None], "a serial number takes no name");
    assert!(matches!(found[4], LineFound::One { id, .. } if id == host(4)), "{found:?}");
}

/// Matches the host with an entry of the roster, which then moves with it.
pub(super) fn matched(tx: &mut dyn AdminTx) {
    let is_matched = |tx: &mut dyn AdminTx, entry: u64| {
        by_hand::decide(tx, entry, &ByHand::Match(host(1)), &SiteScope::All, at(26)).expect("decides").is_ok()
    };
    assert!((1..10).any(|entry| is_matched(tx, entry)), "no entry takes the host");
}

/// Every statement about bulk changes, for the test that compares both databases.
pub(super) fn all(tx: &mut dyn AdminTx) {
    let lines = [
        LineAsked { id: Some(host(1)), identifiers: Vec::new() },
        LineAsked { id: None, identifiers: Identifier::new(IdentifierKind::Name, "host-001").into_iter().collect() },
    ];
    let found = identifiers::find_each(tx, &lines, &SiteScope::All).expect("finds");
    let LineFound::One { no, .. } = found[0] else { panic!("{found:?}") };
    let hosts = vec![no];
    let changes = [
        (BulkKind::Label, "vip"),
        (BulkKind::Unlabel, "vip"),
        (BulkKind::Own, "Jane"),
        (BulkKind::Own, ""),
        (BulkKind::Note, "a note"),
        (BulkKind::Move, "zoo"),
        (BulkKind::Move, "a-new-site"),
    ];
    for (kind, value) in changes {
        let new = NewBulk { kind, value: value.to_owned(), account: None, sites: SiteScope::All, hosts: hosts.clone() };
        bulk::begin(tx, &new, at(50)).expect("begins").expect("may run");
        while bulk::advance(tx, &bulk::ScopeLabels::default(), at(51)).expect("advances") {}
    }
    assert!(!bulk::is_running(tx).expect("reads"));
    assert_eq!(bulk::give_up(tx, at(52)).expect("reads"), None);
    let (label, sites) = ("x".to_owned(), SiteScope::All);
    let new = NewBulk { kind: BulkKind::Label, value: label, account: None, sites, hosts };
    let begun = bulk::begin(tx, &new, at(53)).expect("begins");
    assert_eq!(bulk::give_up(tx, at(54)).expect("ends"), begun);
    drop(bulk::list(tx, 100).expect("lists"));
    drop(bulk::get(tx, 1).expect("reads"));
    host_labels::forget(tx, at(60), 10).expect("forgets");
    host_owners::forget(tx, at(60), 10).expect("forgets");
}
