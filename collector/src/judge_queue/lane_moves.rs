//! How many hosts would change lane under other rules. Judges every host under both rule sets, and writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use muster_proto::model::{Digest, Label, Lane, LaneMove, LaneMoves, OrderId, Platform, SiteId, Timestamp};

use super::assessment_cache::AssessmentCache;
use super::judging;
use crate::judge::Remediation;
use crate::rules::RuleSet;
use crate::store::{QueuedHost, Store, StoreError};

/// Hosts that are read and judged together.
const PAGE: usize = 1_000;

/// The lane of a host under each order that binds it.
type Lanes = Arc<BTreeMap<OrderId, Lane>>;

/// What decides the lanes of a host without a past: nothing was found on it until now. Most hosts of a fleet are alike.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Alike {
    snapshot: Option<Digest>,
    state_key: Digest,
    site: SiteId,
    platform: Platform,
    has_two_holders: bool,
    labels: Vec<Label>,
}

/// Kinds of hosts that are remembered.
const MOST_ALIKE: usize = 16_384;

/// One rule set with what was judged under it.
struct Side {
    rules: Arc<RuleSet>,
    cache: AssessmentCache,
}

impl Side {
    fn new(rules: &Arc<RuleSet>) -> Self {
        let mut cache = AssessmentCache::default();
        cache.restart(&rules.version);
        Self { rules: Arc::clone(rules), cache }
    }

    /// The lanes of a host; `None` if its snapshot cannot be read.
    fn lanes(&mut self, host: &QueuedHost, now: Timestamp) -> Option<Lanes> {
        let judgement = judging::judge(&mut self.cache, &self.rules, host, false, now)?;
        let lanes = judgement.orders.into_iter().filter(|order| order.in_scope);
        Some(Arc::new(lanes.map(|order| (order.order, order.awake_lane)).collect()))
    }
}

/// The lanes that would change if these rules came in force in place of those.
///
/// # Errors
/// The store failed.
pub async fn lane_moves(
    store: &dyn Store,
    before: &Arc<RuleSet>,
    after: &Arc<RuleSet>,
    now: Timestamp,
) -> Result<LaneMoves, StoreError> {
    let mut counted = Counted::new(before, after);
    let mut last = Some(0);
    while let Some(place) = last {
        let (hosts, next) = store.host_judging_page(place, PAGE).await?;
        last = next;
        counted.before.cache.load(store, before, &hosts).await?;
        counted.after.cache.load(store, after, &hosts).await?;
        let judged = tokio::task::spawn_blocking(move || {
            hosts.iter().for_each(|host| counted.add(host, now));
            counted
        });
        counted = judged.await.map_err(|_| StoreError::Closed { operation: "lane_moves" })?;
    }
    Ok(counted.moves())
}

/// What was counted so far.
struct Counted {
    before: Side,
    after: Side,
    alike: HashMap<Alike, Option<(Lanes, Lanes)>>,
    moves: BTreeMap<(OrderId, Option<Lane>, Option<Lane>), u64>,
    moved_hosts: u64,
    hosts: u64,
}

impl Counted {
    fn new(before: &Arc<RuleSet>, after: &Arc<RuleSet>) -> Self {
        Self {
            before: Side::new(before),
            after: Side::new(after),
            alike: HashMap::new(),
            moves: BTreeMap::new(),
            moved_hosts: 0,
            hosts: 0,
        }
    }

    fn add(&mut self, host: &QueuedHost, now: Timestamp) {
        let has_past = host.remediations.values().any(|record| *record != Remediation::default());
        let lanes = if has_past { self.judge(host, now) } else { self.judge_alike(host, now) };
        // A host whose snapshot cannot be read keeps its lanes, whatever the rules are.
        let Some((before, after)) = lanes else { return };
        self.hosts += 1;
        let orders: BTreeSet<&OrderId> = before.keys().chain(after.keys()).collect();
        let mut is_moved = false;
        for order in orders {
            let (from, to) = (before.get(order).copied(), after.get(order).copied());
            if from != to {
                is_moved = true;
                *self.moves.entry((order.clone(), from, to)).or_default() += 1;
            }
        }
        self.moved_hosts += u64::from(is_moved);
    }

    fn judge(&mut self, host: &QueuedHost, now: Timestamp) -> Option<(Lanes, Lanes)> {
        Some((self.before.lanes(host, now)?, self.after.lanes(host, now)?))
    }

    fn judge_alike(&mut self, host: &QueuedHost, now: Timestamp) -> Option<(Lanes, Lanes)> {
        let received = host.last_seen.or(host.snapshot.map(|(_, since)| since)).unwrap_or(now);
        let alike = Alike {
            snapshot: host.snapshot.map(|(digest, _)| digest),
            state_key: self.before.cache.state_key(&self.before.rules.catalogue, &host.state, received),
            site: host.site.clone(),
            platform: host.facts.platform,
            has_two_holders: host.has_two_holders,
            labels: host.labels.clone(),
        };
        if let Some(judged) = self.alike.get(&alike) {
            return judged.clone();
        }
        let judged = self.judge(host, now);
        if self.alike.len() >= MOST_ALIKE {
            self.alike.clear();
        }
        self.alike.insert(alike, judged.clone());
        judged
    }

    fn moves(self) -> LaneMoves {
        let one = |((order, from, to), hosts)| LaneMove { order, from, to, hosts };
        LaneMoves { moves: self.moves.into_iter().map(one).collect(), moved_hosts: self.moved_hosts, hosts: self.hosts }
    }
}
