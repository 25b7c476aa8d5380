//! Lets a migration happen in a store, with the real rules and the real judge, and keeps the log.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{
    Board, Digest, HostFacts, HostState, KeyFingerprint, MachineIdentity, RealtimeEvidence, UnitState,
};

use super::super::past::adopt;
use super::super::*;
use super::log::{Event, Log, Seen};
use super::{machines, moment, script};
use crate::ledger::actor::Actor;
use crate::store::admin::dispositions::returned;
use crate::store::admin::{self, AdminTx};
use crate::store::contract::{check_in_is_written, facts, new_token, people, token_create};
use crate::store::{Acting, CheckIn, CheckInAnswer, Enrolled, Enrollment, NewToken};

/// Reports that are under way at a time.
const AT_ONCE: usize = 100;

/// A snapshot that many hosts share.
struct Image {
    digest: Digest,
    snapshot: Snapshot,
    sections: Vec<CanonicalSection>,
}

pub(super) struct Simulation {
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Log,
    pub(super) order: OrderId,
    rules: Arc<RuleSet>,
    in_force: Arc<ArcSwap<RuleSet>>,
    judge: JudgeQueue,
    images: BTreeMap<(bool, bool, bool), Image>,
    /// The last sequence number and the last state of each host.
    pub(super) agents: BTreeMap<u32, (u64, HostState)>,
    pub(super) entries: BTreeMap<String, u64>,
    _folder: tempfile::TempDir,
}

pub(super) fn id(host: u32) -> HostId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&host.to_be_bytes());
    HostId::from_bytes(bytes)
}

pub(super) fn number(id: HostId) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&id.as_bytes()[..4]);
    u32::from_be_bytes(bytes)
}

fn token_of(site: &str) -> muster_proto::model::TokenId {
    format!("tok-{site}").parse().expect("an id")
}

fn facts_of(machine: u32) -> HostFacts {
    let identity = MachineIdentity { serial: serial(machine), ..MachineIdentity::default() };
    HostFacts { identity, ..facts(&name(machine)) }
}

pub(super) fn name(machine: u32) -> String {
    format!("pc-{machine:05}")
}

pub(super) fn serial(machine: u32) -> String {
    format!("7B{machine:05}V4M")
}

fn state_of(host: u32, seen: Seen) -> HostState {
    let on = seen.protection;
    let unit = UnitState { name: "falcon-sensor.service".to_owned(), active: true };
    let evidence = RealtimeEvidence { place: "bpf:falcon-sensor.service".to_owned(), on: true };
    HostState {
        boot_id: format!("boot-{host}-{}", seen.boot),
        units_outcome: Some(Outcome::Found),
        units: Some(unit).into_iter().filter(|_| on).collect(),
        realtime_outcome: Some(Outcome::Found),
        realtime: Some(evidence).into_iter().filter(|_| on).collect(),
        ..HostState::default()
    }
}

fn image(rules: &RuleSet, seen: Seen) -> Image {
    let package = |name: &str| Observation { state: "ii".to_owned(), ..Observation::new(Kind::Deb, name) };
    let mut packages = vec![package("adduser")];
    packages.extend(seen.protection.then(|| package("falcon-sensor")));
    packages.extend(seen.product.then(|| package("kesl")));
    let section = Section::new(Platform::Linux, SourceName::Dpkg, packages);
    let entry = |source: &SourceName| {
        let is_dpkg = *source == SourceName::Dpkg;
        let (outcome, reason) = match (is_dpkg, seen.is_readable) {
            (true, true) => (Outcome::Found, ""),
            (true, false) => (Outcome::Failed, "the database is cut off"),
            (false, _) => (Outcome::Empty, ""),
        };
        SnapshotEntry {
            source: *source,
            outcome,
            reason: reason.to_owned(),
            watchlist: rules.watchlist().version,
            section: (outcome == Outcome::Found).then(|| canonical::section_digest(&section)),
        }
    };
    let snapshot = Snapshot::new(Platform::Linux, SourceName::ALL.iter().map(entry).collect());
    let sections = seen.is_readable.then(|| (&section).into()).into_iter().collect();
    Image { digest: canonical::snapshot_digest(&snapshot), snapshot, sections }
}

impl Simulation {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        let rules = Arc::new(rules::load(None).expect("rules"));
        for site in ["hq", "plant", "lab"] {
            let (id, expires_at) = (token_of(site), moment(1_000, 0));
            let new = NewToken { id, site: SiteId::new(site).expect("a site"), expires_at, ..new_token(0) };
            token_create(&store, new).await.expect("creates");
        }
        people(&store).await;
        adopt(&store, &rules, moment(0, 10)).await;
        let in_force = Arc::new(ArcSwap::new(Arc::clone(&rules)));
        let judge = JudgeQueue::new(Arc::clone(&store), Arc::clone(&in_force));
        let mut images = BTreeMap::new();
        for (is_readable, product, protection) in
            [(true, true, true), (true, true, false), (true, false, true), (true, false, false), (false, false, false)]
        {
            let seen = Seen { is_readable, product, protection, boot: 1 };
            images.insert((is_readable, product, protection), image(&rules, seen));
        }
        let order: OrderId = "us-bis-icts-2021-002".parse().expect("an id");
        let mut log = Log::default();
        log.add(moment(0, 10), Event::Rules { patience_days: 7, sites: &[] });
        let (agents, entries) = (BTreeMap::new(), BTreeMap::new());
        Self { store, log, order, rules, in_force, judge, images, agents, entries, _folder: folder }
    }

    pub(super) fn context(&self, now: Timestamp) -> ReportContext {
        ReportContext::new(Arc::clone(&self.store), Arc::clone(&self.rules), now)
    }

    pub(super) async fn board(&self, now: Timestamp) -> Board {
        self.context(now).board(Some(&self.order)).await.expect("a board").remove(0)
    }

    pub(super) async fn day(&mut self, day: u64) {
        if day == script::NEW_RULES {
            self.changes_rules(day).await;
        }
        self.enrolls(day).await;
        for (n, delivered) in [(0, 2_000), (1, 2_400)] {
            let late = |machine: &u32| script::spooled_on(*machine, day).get(n).map(|day| (*machine, *day));
            let spooled: Vec<(u32, Seen)> = (0..machines())
                .filter_map(|machine| late(&machine))
                .map(|(n, day)| (n, script::seen(n, day)))
                .collect();
            self.report(&spooled, moment(day, delivered)).await;
        }
        let mut reports: Vec<(u32, Seen)> = (0..machines())
            .filter(|machine| script::reports_on(*machine, day))
            .map(|machine| (machine, script::seen(machine, day)))
            .collect();
        if day >= script::REIMAGED && (day - script::REIMAGED).is_multiple_of(2) {
            let anew = (0..machines()).filter(|machine| script::is_reimaged(*machine));
            reports.extend(anew.map(|machine| (script::reimaged(machine), script::seen_anew())));
        }
        self.report(&reports, moment(day, 3_600)).await;
        self.roster(day).await;
        self.waivers(day).await;
        self.retirements(day).await;
        if (script::RETURNED..script::RETURNED + 2).contains(&day) {
            self.is_written().await;
        }
        let now = moment(day, 60_000);
        let acting = Acting { actor: Actor::Agent, now };
        let note = move |tx: &mut dyn AdminTx| returned::note(tx, now);
        while admin::write(self.store.as_ref(), "returned", acting.clone(), note).await.expect("notes") > 0 {}
    }

    /// Waits until the check-ins that are in memory are written too, once a second.
    pub(super) async fn is_written(&self) {
        for host in self.agents.keys() {
            check_in_is_written(&self.store, id(*host)).await;
        }
    }

    async fn changes_rules(&mut self, day: u64) {
        let sites = script::SITES_LEFT.join("\", \"");
        let (order, days) = (&self.order, script::NEW_PATIENCE);
        let text = format!(
            "addendum = true\nid = \"acme\"\norder = \"{order}\"\npatience_days = {days}\n\n[scope]\nsites = [\"{sites}\"]\n"
        );
        let (folder, name, place) = ("orders".to_owned(), "acme.toml".to_owned(), "orders/acme.toml".to_owned());
        let file = crate::rules::RuleFile { folder, name, place, text };
        self.rules = Arc::new(self.rules.base.with_applied(&[file]).expect("rules"));
        adopt(&self.store, &self.rules, moment(day, 100)).await;
        self.in_force.store(Arc::clone(&self.rules));
        self.judge.drain(moment(day, 200)).await.expect("drains");
        self.log.add(moment(day, 100), Event::Rules { patience_days: days, sites: script::SITES_LEFT });
    }

    async fn enrolls(&mut self, day: u64) {
        let now = moment(day, 1_000);
        let mut new: Vec<(u32, u32)> = (0..machines())
            .filter(|machine| script::enrolls_on(*machine) == Some(day))
            .map(|machine| (machine, machine))
            .collect();
        if day == script::REIMAGED {
            let anew = (0..machines()).filter(|machine| script::is_reimaged(*machine));
            new.extend(anew.map(|machine| (script::reimaged(machine), machine)));
        }
        for (host, machine) in new {
            let (site, mut key) = (script::site(machine), [3; 32]);
            key[..4].copy_from_slice(&host.to_be_bytes());
            let enrollment = Enrollment {
                token: token_of(site),
                secret_hash: new_token(0).secret_hash,
                key: KeyFingerprint::from_bytes(key),
                host: id(host),
                facts: facts_of(machine),
                fingerprint: host.to_be_bytes().to_vec(),
                now,
            };
            let answer = self.store.host_enroll(enrollment).await.expect("enrolls");
            assert!(matches!(answer, Enrolled::Host { .. }), "{answer:?}");
            self.agents.insert(host, (0, HostState::default()));
            self.log.add(now, Event::Enrolled { host, site });
        }
        self.judge.drain(now).await.expect("drains");
    }

    /// These hosts report, and are judged.
    async fn report(&mut self, reports: &[(u32, Seen)], now: Timestamp) {
        for part in reports.chunks(AT_ONCE) {
            let mut operations = Vec::new();
            for (host, seen) in part {
                let state = state_of(*host, *seen);
                let agent = self.agents.get_mut(host).expect("it has enrolled");
                let is_first = agent.0 == 0;
                let state = (is_first || agent.1 != state).then_some(state);
                agent.0 += 1;
                if let Some(state) = &state {
                    agent.1 = state.clone();
                }
                let found =
                    if seen.is_readable { (true, seen.product, seen.protection) } else { (false, false, false) };
                let image = &self.images[&found];
                let machine = if *host >= machines() { host - machines() } else { *host };
                let check_in = CheckIn {
                    host: id(*host),
                    run: RunId::from_bytes(*id(*host).as_bytes()),
                    seq: agent.0,
                    observed_at: now,
                    now,
                    snapshot: image.digest,
                    facts: is_first.then(|| facts_of(machine)),
                    state,
                    fingerprint: host.to_be_bytes().to_vec(),
                    patience: self.rules.shortest_patience(),
                    allowance: Allowance::unlimited(),
                };
                operations.push(deliver(&self.store, check_in, image));
            }
            join_all(operations).await;
        }
        if !reports.is_empty() {
            self.judge.drain(now).await.expect("drains");
        }
        let events = reports.iter().map(|(host, seen)| (now, Event::Reported { host: *host, seen: *seen }));
        events.for_each(|(at, event)| self.log.add(at, event));
    }
}

async fn deliver(store: &Arc<dyn Store>, check_in: CheckIn, image: &Image) {
    let CheckIn { host, run, seq, now, .. } = check_in;
    match store.check_in(check_in).await.expect("checks in") {
        CheckInAnswer::Current => {}
        CheckInAnswer::SnapshotWanted | CheckInAnswer::SectionsWanted(_) => {
            let delivery = Delivery {
                host,
                run,
                seq,
                observed_at: now,
                now,
                digest: image.digest,
                snapshot: Some(image.snapshot.clone()),
                sections: image.sections.clone(),
                allowance: Allowance::unlimited(),
            };
            assert_eq!(store.snapshot_deliver(delivery).await.expect("delivers"), Delivered::Accepted);
        }
        other @ (CheckInAnswer::StateWanted
        | CheckInAnswer::NewRun
        | CheckInAnswer::Contradicts(_)
        | CheckInAnswer::Throttled
        | CheckInAnswer::HostUnknown) => panic!("{other:?}"),
    }
}
