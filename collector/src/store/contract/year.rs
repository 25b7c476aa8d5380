//! A year of a fleet, by the clock of the test: the size of the store by month, with the removals that the collector does.
//!
//! Run by hand, one backend at a time:
//! `MUSTER_YEAR_HOSTS=1000 cargo test --release -p muster-collector --lib a_year_of_reports -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::model::{Digest, HostId, KeyFingerprint, Lane, RunId, Section, Snapshot, Timestamp};

use super::Backend;
use super::kit::{
    assert_healthy, at, enrollment, facts, judged, judgement, new_token, packages, snapshot, state, token_create, units,
};
use crate::store::{
    Allowance, CheckIn, CheckInAnswer, Delivered, Delivery, Enrolled, Enrollment, HistoryRemoved, HistoryStep,
    IndexStep, Settlement, Store, UnreferencedPass,
};

const DAY: u64 = 24 * 3600;
/// Machines are installed from so many images, whose packages are updated once a week and upgraded once a month.
const IMAGES: u32 = 10;
const PACKAGES: u32 = 200;
/// Months of thirty days.
const MONTHS: u64 = 12;
/// The defaults of `[retention]`, in days.
const SNAPSHOTS: u64 = 90;
const STATES: u64 = 90;
const VERDICTS: u64 = 730;
const UNFINISHED: u64 = 365;
const UNREFERENCED: u64 = 1;
/// Hosts that report at once, so that their commits are shared.
const AT_ONCE: usize = 64;

fn hosts() -> u32 {
    std::env::var("MUSTER_YEAR_HOSTS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

fn id(host: u32) -> HostId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&host.to_be_bytes());
    // The last byte spreads hosts over the memory.
    bytes[15] = host as u8;
    HostId::from_bytes(bytes)
}

/// The packages of an image on a day: a tenth has another version every week, and half of them every month.
fn image(image: u32, day: u64) -> Section {
    let (week, month) = ((day + u64::from(image)) / 7, day / 30);
    let package = |n: u32| {
        let updates = (week + u64::from(n)) / 10;
        let upgrades = if n.is_multiple_of(2) { month } else { 0 };
        (format!("package-{image}-{n}"), format!("{upgrades}.{updates}-{n}"))
    };
    let all: Vec<(String, String)> = (0..PACKAGES).map(package).collect();
    packages(&all.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect::<Vec<_>>())
}

/// The services of a host on a day: others every day, and no two hosts have the same.
fn services(host: u32, day: u64) -> Section {
    let mut mixed = (u64::from(host) << 32 | day).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
    let names: Vec<String> =
        (0..64).filter(|bit| mixed >> bit & 1 == 1).map(|bit| format!("job-{bit}.service")).collect();
    units(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What a host sends on a day.
struct Sent {
    host: u32,
    day: u64,
    seq: u64,
    digest: Digest,
    snapshot: Snapshot,
    sections: Vec<CanonicalSection>,
}

impl Sent {
    fn of(host: u32, day: u64, image: &Section) -> Self {
        let all = [image.clone(), services(host, day)];
        let snapshot = snapshot(&all);
        let sections = all.iter().map(CanonicalSection::from).collect();
        Self { host, day, seq: day * 100 + 1, digest: canonical::snapshot_digest(&snapshot), snapshot, sections }
    }

    fn check_in(&self, number: u64) -> CheckIn {
        let now = self.now(number);
        CheckIn {
            host: id(self.host),
            run: RunId::from_bytes(*id(self.host).as_bytes()),
            seq: self.seq + number,
            observed_at: now,
            now,
            snapshot: self.digest,
            // It restarts once a week.
            facts: (number == 0).then(|| facts(&format!("host-{}", self.host))),
            fingerprint: Vec::new(),
            state: (number == 0).then(|| state(&format!("boot-{}-{}", self.host, self.day / 7))),
            patience: None,
            allowance: Allowance::unlimited(),
        }
    }

    /// Six reports a day.
    fn now(&self, number: u64) -> Timestamp {
        at(self.day * DAY + 60 + number * 4 * 3600)
    }

    async fn report(self, store: Arc<dyn Store>) {
        let mut wanted = match store.check_in(self.check_in(0)).await.expect("checks in") {
            CheckInAnswer::SnapshotWanted => vec![self.sections[1].digest()],
            CheckInAnswer::SectionsWanted(sections) => sections,
            other @ (CheckInAnswer::Current
            | CheckInAnswer::StateWanted
            | CheckInAnswer::NewRun
            | CheckInAnswer::Throttled
            | CheckInAnswer::Contradicts(_)
            | CheckInAnswer::HostUnknown) => panic!("host {}, day {}: {other:?}", self.host, self.day),
        };
        loop {
            let sent = self.sections.iter().filter(|section| wanted.contains(&section.digest())).cloned().collect();
            let delivery = Delivery {
                host: id(self.host),
                run: RunId::from_bytes(*id(self.host).as_bytes()),
                seq: self.seq,
                observed_at: self.now(0),
                now: self.now(0),
                digest: self.digest,
                snapshot: Some(self.snapshot.clone()),
                sections: sent,
                allowance: Allowance::unlimited(),
            };
            match store.snapshot_deliver(delivery).await.expect("delivers") {
                Delivered::Accepted => break,
                Delivered::SectionsWanted(sections) => wanted = sections,
                other @ (Delivered::StateWanted
                | Delivered::NewRun
                | Delivered::HeldBack(_)
                | Delivered::SnapshotWanted
                | Delivered::Contradicts(_)
                | Delivered::HostUnknown) => panic!("host {}, day {}: {other:?}", self.host, self.day),
            }
        }
        for number in 1..6 {
            assert_eq!(store.check_in(self.check_in(number)).await.expect("checks in"), CheckInAnswer::Current);
        }
    }
}

async fn fleet(store: &Arc<dyn Store>) {
    token_create(store, new_token(0)).await.expect("creates");
    for host in 0..hosts() {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&host.to_be_bytes());
        let new = Enrollment { host: id(host), key: KeyFingerprint::from_bytes(key), ..enrollment(1) };
        assert!(matches!(store.host_enroll(new).await, Ok(Enrolled::Host { .. })));
    }
}

async fn day_of_reports(store: &Arc<dyn Store>, day: u64) {
    let images: Vec<Section> = (0..IMAGES).map(|number| image(number, day)).collect();
    let all: Vec<u32> = (0..hosts()).collect();
    for some in all.chunks(AT_ONCE) {
        let mut reports = tokio::task::JoinSet::new();
        for host in some {
            let (store, image) = (Arc::clone(store), images[(host % IMAGES) as usize].clone());
            let (host, day) = (*host, day);
            reports.spawn(async move { Sent::of(host, day, &image).report(store).await });
        }
        while let Some(reported) = reports.join_next().await {
            reported.expect("reports");
        }
    }
    let now = at(day * DAY + 22 * 3600);
    loop {
        let claimed = store.queue_claim(256, now).await.expect("claims");
        if claimed.is_empty() {
            break;
        }
        // A tenth of the hosts changes lane every month.
        let lane = |id: HostId| match (id.as_bytes()[15] % 10, day / 30 % 2) {
            (0, 0) => Lane::Replace,
            _ => Lane::Clear,
        };
        let judgements = claimed.iter().map(|host| judgement(host, vec![judged(lane(host.host))])).collect();
        let settlement = Settlement { judgements, rules_version: "r1".to_owned(), now, ..Settlement::default() };
        store.queue_settle(settlement).await.expect("settles");
    }
}

/// What the collector does every hour, once a day.
async fn removals(store: &Arc<dyn Store>, day: u64) {
    let now = at((day + 1) * DAY);
    let before = |days: u64| now.minus(Duration::from_secs(days * DAY));
    let mut pass = HistoryRemoved::default();
    loop {
        let step = HistoryStep {
            after: pass.next.unwrap_or_default(),
            hosts: 200,
            snapshots: before(SNAPSHOTS),
            states: before(STATES),
            verdicts: before(VERDICTS),
            unfinished: before(UNFINISHED),
        };
        pass = pass.plus(store.history_remove(step).await.expect("removes"));
        if pass.next.is_none() {
            break;
        }
    }
    let pass = UnreferencedPass { now, before: before(UNREFERENCED), rows: 500, pause: Duration::ZERO, editions: true };
    store.unreferenced_remove(pass).await.expect("removes");
    while store.index_advance(100_000).await.expect("indexes") == IndexStep::Taken {}
}

/// Prints the size of the store after each month. `tidied` gives back to the database what was removed, where it does not do
/// so by itself in time.
pub(crate) async fn a_year_of_reports(backend: impl Backend, tidied: impl Fn()) {
    let store = backend.open();
    fleet(&store).await;
    let (mut sizes, began) = (Vec::new(), Instant::now());
    for month in 1..=MONTHS {
        for day in (month - 1) * 30..month * 30 {
            day_of_reports(&store, day).await;
            removals(&store, day).await;
            tidied();
        }
        let size = store.size().await.expect("tells").bytes;
        let editions = store.editions_level().await.expect("tells").held.editions;
        println!("month {month}: {size} bytes, {editions} editions, after {:?}", began.elapsed());
        sizes.push(size);
    }
    assert_healthy(&store).await;
    let (ninth, last) = (sizes[8], sizes[11]);
    println!("{} hosts, months 9 to 12: {} ‰", hosts(), last.saturating_sub(ninth) * 1000 / ninth);
    assert!(last * 100 <= ninth * 102, "from {ninth} to {last} bytes");
}
