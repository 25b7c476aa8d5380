//! Reports: from the store, the rules and an instant to the structs of `model::report`, the same for every reader.
//!
//! What changes with time alone (silent, overdue, waived) is added when a report is read. Numbers always add up: a board counts
//! from one tally, and a host that waits for its first judgement counts as `unknown`.

mod attestations;
mod board;
mod changes;
mod decided;
mod duties;
mod findings;
mod forecast;
mod host;
mod hosts;
mod ledger;
mod narrow;
mod order_files;
mod paging;
mod past;
mod past_filter;
mod past_hosts;
mod roster;
mod rules;
mod rules_then;
mod sealed;
mod searches;
mod selection;
mod software;
mod timeline;
mod timelines;
mod verdict;
mod waivers;

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{
    CollectorStatus, HostCandidate, Lane, OrderId, PastUnknown, ProductId, Resources, RulesRefused, SiteId,
    StoreRefuses, Timestamp,
};

use crate::filter::FilterError;
use crate::rules::{Order, RuleSet};
use crate::store::{SearchStop, SiteScope, Store, StoreError, admin};
use muster_proto::suggest::did_you_mean;

pub use changes::{ChangesAsked, HostsMatched};
pub use duties::DutiesAsked;
pub use findings::FindingsQuery;
pub use hosts::HostsQuery;
pub use ledger::LedgerAsked;
pub use paging::Page;
pub use past_hosts::PastHostsAsked;
pub use roster::RosterAsked;
pub use rules_then::RuleSets;
pub use searches::Searches;
#[cfg(test)]
pub(crate) use searches::tests::roomy as roomy_searches;
pub use selection::{HostsMeantBy, HostsSelected};
pub use software::SoftwareAsked;
pub use timeline::TimelineAsked;
pub use timelines::Timelines;
pub use waivers::WaiversAsked;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no such host.
    #[error("no host {host:?}")]
    NoHost {
        /// Id or name, as asked.
        host: String,
    },
    /// Several hosts have this name, or an id that starts with it.
    #[error("host {name:?} is ambiguous; it may be one of{}", list(hosts))]
    Ambiguous {
        /// As asked.
        name: String,
        /// The hosts, at most ten.
        hosts: Vec<HostCandidate>,
    },
    /// No rules of that time are kept.
    #[error("no rules are kept that were in force at {at}")]
    NoRules {
        /// The instant.
        at: Timestamp,
    },
    /// There is no such order.
    #[error("no order \"{order}\"{hint}")]
    NoOrder {
        /// As asked.
        order: OrderId,
        /// The most similar order, as text.
        hint: String,
    },
    /// Nobody is judged under the order.
    #[error("order \"{order}\" is not active, so no host is judged under it")]
    NotActive {
        /// As asked.
        order: OrderId,
    },
    /// There is no such product.
    #[error("no product \"{product}\" in the catalogue{hint}")]
    NoProduct {
        /// As asked.
        product: ProductId,
        /// The most similar product, as text.
        hint: String,
    },
    /// There is no such account, or the reader may not see it.
    #[error("no account {account:?}")]
    NoAccount {
        /// Id or name, as asked.
        account: String,
    },
    /// The ledger has no entry with this number.
    #[error("the ledger has no entry {number}")]
    NoEntry {
        /// As asked.
        number: u64,
    },
    /// The roster has no such entry, or the reader may not see it.
    #[error("the roster has no entry {number}")]
    NoRosterEntry {
        /// As asked.
        number: u64,
    },
    /// There is no such waiver, or the reader may not see it.
    #[error("no waiver {number}")]
    NoWaiver {
        /// As asked.
        number: u64,
    },
    /// There is no such disposition, or the reader may not see it.
    #[error("no disposition {number}")]
    NoDisposition {
        /// As asked.
        number: u64,
    },
    /// The host is not `done` under the order, so its removal is not attested.
    #[error("no attestation of {host:?} under {order}: it is in the lane `{lane}` and not in `done`: {missing}")]
    NotDone {
        /// The host's name.
        host: String,
        /// The order.
        order: OrderId,
        /// Its lane.
        lane: Lane,
        /// What is missing: the reason of the lane.
        missing: String,
    },
    /// The host is `done`, and its removal was not attested.
    #[error("no attestation of {host:?} under {order}, though it is in the lane `done`: {missing}")]
    NotAttested {
        /// The host's name.
        host: String,
        /// The order.
        order: OrderId,
        /// Why not.
        missing: String,
    },
    /// Several orders are active, and the host has an attestation under none or several of them.
    #[error("an attestation of {host:?} needs --order, because several orders are active")]
    AttestationNeedsOrder {
        /// The host's name.
        host: String,
    },
    /// There is no such duty, or the reader may not see it.
    #[error("no duty {number}")]
    NoDuty {
        /// As asked.
        number: u64,
    },
    /// Lanes and silence are those of an order.
    #[error("a list by lane or silence needs --order, because {active} orders are active")]
    LaneNeedsOrder {
        /// How many.
        active: usize,
    },
    /// A request names one order, and its filter another.
    #[error("the list is asked for order \"{asked}\", but its filter names \"{named}\"")]
    TwoOrders {
        /// The order of the request.
        asked: OrderId,
        /// The order of the filter.
        named: OrderId,
    },
    /// The text of a filter has a mistake.
    #[error("the filter is not valid: {fault}{}", after(fault.advice()))]
    Filter {
        /// The mistake.
        fault: FilterError,
    },
    /// A search for nearly nothing.
    #[error("search for {text:?}: at least {shortest} characters are needed")]
    TooShort {
        /// As asked.
        text: String,
        /// How many it needs.
        shortest: usize,
    },
    /// A search that its budget ended.
    #[error("search for {text:?}: stopped because {stop}; narrow it with a longer text or a version")]
    SearchStopped {
        /// As asked.
        text: String,
        /// The bound that ended it.
        stop: SearchStop,
    },
    /// A search that got no turn.
    #[error(
        "search for {text:?}: as many searches run as may at once (searches.at_once = {at_once}); try again in {} s",
        again.as_secs_f64()
    )]
    SearchesBusy {
        /// As asked.
        text: String,
        /// How many run at once.
        at_once: usize,
        /// When to try again.
        again: Duration,
    },
    /// A list of changes that goes too far back.
    #[error("changes can be listed for at most {days} days back")]
    TooLongAgo {
        /// How far back they can be listed.
        days: u64,
    },
    /// Nobody knows the future.
    #[error("{at} is in the future: now it is {}; without an instant the answer is of now", now.whole_seconds())]
    InTheFuture {
        /// The instant.
        at: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// Something about the past that is not known, or not any more.
    #[error("{}{}", of_order(order.as_ref()), not_known(*why, *at, *from))]
    NotKnown {
        /// The instant.
        at: Timestamp,
        /// The order of which it is not known; `None` if nothing is known of the instant.
        order: Option<OrderId>,
        /// Why not.
        why: PastUnknown,
        /// From when on it is known, if that can be said.
        from: Option<Timestamp>,
    },
    /// No machine is counted: at the sites that were asked for, or at all if none is named.
    #[error("{}", no_machines(sites))]
    NoMachines {
        /// The sites.
        sites: Vec<SiteId>,
    },
    /// The host did not exist then.
    #[error("host {host:?} enrolled at {}, after {at}", enrolled_at.whole_seconds())]
    NotEnrolled {
        /// Its name.
        host: String,
        /// The instant.
        at: Timestamp,
        /// When it enrolled.
        enrolled_at: Timestamp,
    },
    /// Rules of the past that this version of the collector cannot use.
    #[error(
        "the rules {version} that were in force at {at} cannot be used by this version of the collector; its log has the reason"
    )]
    RulesUnusable {
        /// The instant.
        at: Timestamp,
        /// Their version.
        version: String,
    },
    /// A time whose end comes before its beginning.
    #[error("the first day comes after the last one")]
    WrongOrder,
    /// A time that is too long.
    #[error("a timeline has at most {most} days, and {days} were asked for")]
    TooManyDays {
        /// As asked.
        days: u64,
        /// The limit.
        most: usize,
    },
    /// Too many counts in one answer.
    #[error(
        "there are more sites than a timeline of {days} days can show (at most {most} counts); ask for fewer days or for some sites"
    )]
    TooManyGroups {
        /// As asked.
        days: usize,
        /// The limit.
        most: usize,
    },
    /// A timeline that took too long.
    #[error("reading the machines took longer than {} s; ask for fewer days or for some sites", most.as_secs())]
    TimelineTooLong {
        /// The limit.
        most: Duration,
    },
    /// A timeline or a forecast that got no turn.
    #[error("as many timelines and forecasts are read as may at once; try again in {} s", again.as_secs_f64())]
    TimelinesBusy {
        /// When to try again.
        again: Duration,
    },
    /// A filter about the past that asks what is not kept.
    #[error("{asked} cannot be asked of the past, because it is not kept; {instead}")]
    NotOfThePast {
        /// What it asks.
        asked: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// A page token that no answer gave.
    #[error("the page token is not valid")]
    PageToken,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl From<FilterError> for ReportError {
    fn from(error: FilterError) -> Self {
        Self::Filter { fault: error }
    }
}

impl From<StoreError> for ReportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Advice after an error.
fn after(advice: Option<String>) -> String {
    advice.map_or_else(String::new, |advice| format!("; {advice}"))
}

/// `order an-order: `
fn of_order(order: Option<&OrderId>) -> String {
    order.map_or_else(String::new, |order| format!("order {order}: "))
}

/// `hq, lab`
fn no_machines(sites: &[SiteId]) -> String {
    if sites.is_empty() {
        return "no machine is counted under the order, so nothing can be finished; `muster hosts` shows who has enrolled".to_owned();
    }
    format!("no machine is counted at {}; `muster board` and `muster hosts` show which sites there are", named(sites))
}

fn named(sites: &[SiteId]) -> String {
    sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ")
}

/// Why nothing is said of an instant.
fn not_known(why: PastUnknown, at: Timestamp, from: Option<Timestamp>) -> String {
    let at = at.whole_seconds();
    // The instant from which on it is known, to the next whole second.
    let from = from.map(|from| from.plus(Duration::from_millis(999)).whole_seconds());
    let known = from.map_or_else(String::new, |from| format!("; it is known from {from} on"));
    match why {
        PastUnknown::NotActive => format!("the order was not active at {at}, so no host was judged under it"),
        PastUnknown::BeforeFirst => format!("the store has nothing from {at}{known}"),
        PastUnknown::LanesRemoved => {
            format!("lanes of {at} were removed when their retention ended (retention.verdicts){known}")
        }
        PastUnknown::SilenceRemoved => format!("which hosts were silent at {at} is not kept any more{known}"),
        PastUnknown::SilenceUnknown => {
            format!(
                "which hosts were silent at {at} is not known: when they came back, no order was as impatient{known}"
            )
        }
        PastUnknown::Lost => format!("what happened at {at} was lost when the store was restored from a backup{known}"),
        PastUnknown::RulesUnknown => format!("the rules that were in force at {at} are not kept{known}"),
        PastUnknown::DecisionsRemoved => {
            format!("waivers and dispositions that were in force at {at} are not kept any more{known}")
        }
    }
}

fn list(hosts: &[HostCandidate]) -> String {
    let line = |host: &HostCandidate| {
        let seen =
            host.last_seen.map_or_else(|| "never seen".to_owned(), |at| format!("last seen {}", at.whole_seconds()));
        format!("\n  {}  {:?}, site {}, {seen}", host.id, host.hostname, host.site)
    };
    hosts.iter().map(line).collect()
}

/// Makes reports at one instant under one set of rules.
#[derive(Clone)]
pub struct ReportContext {
    store: Arc<dyn Store>,
    rules: Arc<RuleSet>,
    now: Timestamp,
    sites: SiteScope,
    /// Rules of the past that were read lately.
    rule_sets: Arc<RuleSets>,
    timelines: Timelines,
}

impl ReportContext {
    /// Reports at this instant, about the hosts of every site.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, rules: Arc<RuleSet>, now: Timestamp) -> Self {
        Self { store, rules, now, sites: SiteScope::All, rule_sets: Arc::default(), timelines: Timelines::default() }
    }

    /// The same reports, which share the rules of the past that they read.
    #[must_use]
    pub fn sharing(self, rule_sets: Arc<RuleSets>) -> Self {
        Self { rule_sets, ..self }
    }

    /// The same reports, whose timelines share these turns.
    #[must_use]
    pub fn taking_turns(self, timelines: Timelines) -> Self {
        Self { timelines, ..self }
    }

    /// The same reports about the hosts of these sites only. A host of another site does not exist for their reader.
    #[must_use]
    pub fn within(self, sites: SiteScope) -> Self {
        Self { sites: self.sites.intersection(&sites), ..self }
    }

    /// The state of the collector. `rules_refused` says why rules on disk are not in force, and `store_refuses` why nothing is
    /// written; reports do not know it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn status(
        &self,
        rules_refused: Option<RulesRefused>,
        store_refuses: Option<StoreRefuses>,
    ) -> Result<CollectorStatus, ReportError> {
        let depth = self.store.queue_depth().await?;
        let sites = self.sites.clone();
        let count = move |tx: &mut dyn admin::AdminTx| admin::hosts::count(tx, &sites);
        let marks = admin::read(self.store.as_ref(), "marks_count", count).await?;
        let lag = depth.oldest.map(|oldest| self.now.since(oldest)).unwrap_or_default();
        let editions = self.store.editions_level().await?;
        Ok(CollectorStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rules_version: self.rules.version.clone(),
            hosts: self.store.host_count(&self.sites).await?,
            judge_queue: depth.waiting,
            judge_queue_lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            now: self.now,
            rules_refused,
            editions: editions.held.editions,
            editions_percent: editions.percent(),
            editions_alarm: editions.is_alarming(),
            marks,
            store_refuses,
            // The store does not know them.
            resources: Resources::default(),
        })
    }

    /// The active orders, or one of them.
    fn orders_asked(&self, asked: Option<&OrderId>) -> Result<Vec<&Order>, ReportError> {
        let Some(id) = asked else { return Ok(self.active_orders()) };
        let order = self.known_order(id)?;
        if order.active { Ok(vec![order]) } else { Err(ReportError::NotActive { order: id.clone() }) }
    }

    /// An order, active or not.
    fn known_order(&self, id: &OrderId) -> Result<&Order, ReportError> {
        self.rules.order(id.as_str()).ok_or_else(|| ReportError::NoOrder {
            order: id.clone(),
            hint: did_you_mean(id.as_str(), self.rules.orders.iter().map(|order| order.id.as_str())),
        })
    }

    fn active_orders(&self) -> Vec<&Order> {
        self.rules.orders.iter().filter(|order| order.active).collect()
    }
}

#[cfg(test)]
mod tests;
