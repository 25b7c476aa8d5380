//! The metrics: one struct that is shared by listeners and background tasks, and its text for Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use muster_proto::model::{Budget, HostMark, ListenerUse};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::config::SettingValue;
use muster_proto::model::Timestamp;

/// A listener, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ListenerName {
    /// Agents.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    agents,
    /// Operators.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    operators,
    /// Health and metrics.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    probes,
}

/// The result of a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum HandshakeEnd {
    /// A new session.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    full,
    /// A resumed session.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    resumed,
    /// Refused or broken.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    failed,
    /// It took too long.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    timed_out,
}

/// Why the collector closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum CloseReason {
    /// All slots were taken.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    slots_full,
    /// The address had too many strangers.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    address_limit,
    /// The host or account had too many connections.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    host_limit,
    /// The process had no descriptors left.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    descriptors,
    /// The peer sent no request.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    no_request,
    /// No call for too long.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    idle,
    /// A request did not arrive completely.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    slow_request,
    /// The peer did not read an answer.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    unread,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabels {
    listener: ListenerName,
    reason: CloseReason,
}

/// The result of reading the rules again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReloadEnd {
    /// Changed rules are in force.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    adopted,
    /// The rules are the same as before.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    unchanged,
    /// The rules have faults; the previous rules stay in force.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: ListenerName,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    listener: ListenerName,
    result: HandshakeEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    listener: ListenerName,
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabel {
    budget: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MarkLabel {
    mark: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HistoryLabel {
    history: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RowsLabel {
    rows: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabel {
    result: ReloadEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SettingLabel {
    setting: String,
}

/// A finished call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The listener that received it.
    pub listener: ListenerName,
    /// The method, from the closed list of the contract; others count as `other`.
    pub method: &'static str,
    /// The gRPC code by name: `ok`, `unauthenticated`, …
    pub code: &'static str,
    /// Its duration.
    pub took: Duration,
}

/// All metrics. Cheap to share: every number is atomic.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<ListenerLabel, Histogram, fn() -> Histogram>,
    check_ins: Counter,
    uploads: Counter,
    refusals: Family<ClassLabel, Counter>,
    upload_bytes: Counter,
    handshakes: Family<HandshakeLabels, Counter>,
    connections: Family<ListenerLabel, Gauge>,
    strangers: Family<ListenerLabel, Gauge>,
    connection_limit: Family<ListenerLabel, Gauge>,
    closed: Family<CloseLabels, Counter>,
    connections_refused: Family<ListenerLabel, Counter>,
    wrong_tokens: Family<ListenerLabel, Counter>,
    store_errors: Counter,
    store_bytes: Gauge,
    store_free_bytes: Gauge,
    operators_certificate_until: Gauge<f64, AtomicU64>,
    operators_certificate_refused: Gauge,
    reloads: Family<ReloadLabel, Counter>,
    judge_queue_hosts: Gauge,
    judge_queue_lag: Gauge<f64, AtomicU64>,
    hosts: Gauge<i64, AtomicI64>,
    store_writable: Gauge,
    store_refuses_since: Gauge<f64, AtomicU64>,
    editions: Gauge,
    edition_text_bytes: Gauge,
    edition_memory_bytes: Gauge,
    throttlings: Family<BudgetLabel, Counter>,
    throttled_hosts: Gauge,
    marked_hosts: Family<MarkLabel, Gauge>,
    removed: Family<HistoryLabel, Counter>,
    removed_unreferenced: Family<RowsLabel, Counter>,
    limits: Family<SettingLabel, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        // The bounds go from 0.5 ms to 8.2 s.
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 15));
        let mut metrics = Self {
            registry: Registry::with_prefix("muster"),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(buckets),
            check_ins: Counter::default(),
            uploads: Counter::default(),
            refusals: Family::default(),
            upload_bytes: Counter::default(),
            handshakes: Family::default(),
            connections: Family::default(),
            strangers: Family::default(),
            connection_limit: Family::default(),
            closed: Family::default(),
            connections_refused: Family::default(),
            wrong_tokens: Family::default(),
            store_errors: Counter::default(),
            store_bytes: Gauge::default(),
            store_free_bytes: Gauge::default(),
            operators_certificate_until: Gauge::default(),
            operators_certificate_refused: Gauge::default(),
            reloads: Family::default(),
            judge_queue_hosts: Gauge::default(),
            judge_queue_lag: Gauge::default(),
            hosts: Gauge::default(),
            store_writable: Gauge::default(),
            store_refuses_since: Gauge::default(),
            editions: Gauge::default(),
            edition_text_bytes: Gauge::default(),
            edition_memory_bytes: Gauge::default(),
            throttlings: Family::default(),
            throttled_hosts: Gauge::default(),
            marked_hosts: Family::default(),
            removed: Family::default(),
            removed_unreferenced: Family::default(),
            limits: Family::default(),
        };
        metrics.register();
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("calls", "Finished gRPC calls by listener, method and code", self.calls.clone());
        registry.register("call_seconds", "Duration of gRPC calls by listener", self.call_seconds.clone());
        registry.register("check_ins", "Successful check-ins of agents", self.check_ins.clone());
        registry.register("uploads", "Successful uploads of agents", self.uploads.clone());
        registry.register("refusals", "Refused calls of agents by class", self.refusals.clone());
        registry.register("upload_bytes", "Bytes received in uploads", self.upload_bytes.clone());
        registry.register("handshakes", "TLS handshakes by listener and result", self.handshakes.clone());
        registry.register("connections", "Open connections by listener", self.connections.clone());
        let strangers = "Open connections whose peer has not proven who it is";
        registry.register("connections_unproven", strangers, self.strangers.clone());
        let limit = "Connections that a listener keeps; lower than its setting if descriptors do not suffice";
        registry.register("connections_limit", limit, self.connection_limit.clone());
        registry.register(
            "connections_closed",
            "Connections that the collector closed, by reason",
            self.closed.clone(),
        );
        let refused = "New connections that were closed at once because no other connection could give way";
        registry.register("connections_refused", refused, self.connections_refused.clone());
        let wrong = "Wrong tokens, with those that were not tried after too many from an address";
        registry.register("wrong_tokens", wrong, self.wrong_tokens.clone());
        registry.register("store_bytes", "Size of the store on its disk", self.store_bytes.clone());
        let free = "Free bytes of the disk of the store; 0 for a database server";
        registry.register("store_free_bytes", free, self.store_free_bytes.clone());
        registry.register(
            "operators_certificate_until_seconds",
            "When the company's certificate of the operators' port ends (Unix time); 0 if it has none",
            self.operators_certificate_until.clone(),
        );
        registry.register(
            "operators_certificate_refused",
            "1 if the newest files of operators.certificate and operators.key cannot be used",
            self.operators_certificate_refused.clone(),
        );
        registry.register("store_errors", "Failed store operations", self.store_errors.clone());
        registry.register("rules_reloads", "Reloads of the rules by result", self.reloads.clone());
        registry.register("judge_queue_hosts", "Hosts waiting to be judged", self.judge_queue_hosts.clone());
        registry.register(
            "judge_queue_lag_seconds",
            "Waiting time of the oldest host in the judge queue",
            self.judge_queue_lag.clone(),
        );
        registry.register("hosts", "Enrolled hosts", self.hosts.clone());
        registry.register("store_writable", "1 if the store accepts writes, 0 if not", self.store_writable.clone());
        registry.register(
            "store_refuses_since_seconds",
            "Unix time since which the store accepts no writes, 0 if it does",
            self.store_refuses_since.clone(),
        );
        registry.register("editions", "Editions of software in the dictionary", self.editions.clone());
        registry.register(
            "edition_text_bytes",
            "Bytes of the texts in the dictionary of editions",
            self.edition_text_bytes.clone(),
        );
        registry.register(
            "edition_memory_bytes",
            "Memory that the dictionary of editions takes in this collector",
            self.edition_memory_bytes.clone(),
        );
        registry.register("history_removed", "Rows of the past of hosts that retention removed", self.removed.clone());
        let unreferenced = "Rows that retention removed because nothing refers to them";
        registry.register("unreferenced_removed", unreferenced, self.removed_unreferenced.clone());
        registry.register("throttlings", "Budgets that were spent, once a host and hour", self.throttlings.clone());
        registry.register(
            "throttled_hosts",
            "Hosts that have spent a budget of this hour at this collector",
            self.throttled_hosts.clone(),
        );
        registry.register("marked_hosts", "Hosts of the whole store by mark", self.marked_hosts.clone());
        registry.register("limit", "Numeric settings by key; durations in seconds", self.limits.clone());
    }

    /// Counts a finished call.
    pub fn call(&self, call: Call) {
        let Call { listener, method, code, took } = call;
        let labels = CallLabels { listener, method, code };
        self.calls.get_or_create(&labels).inc();
        self.call_seconds.get_or_create(&ListenerLabel { listener }).observe(took.as_secs_f64());
        match (method, code) {
            ("CheckIn", "ok") => drop(self.check_ins.inc()),
            ("Upload", "ok") => drop(self.uploads.inc()),
            _ => {}
        }
    }

    /// Counts a refused call of an agent.
    pub fn refusal(&self, class: &str) {
        self.refusals.get_or_create(&ClassLabel { class: class.to_owned() }).inc();
    }

    /// Counts received bytes of an upload.
    pub fn upload_bytes(&self, bytes: u64) {
        self.upload_bytes.inc_by(bytes);
    }

    /// Counts a finished handshake.
    pub fn handshake(&self, listener: ListenerName, result: HandshakeEnd) {
        self.handshakes.get_or_create(&HandshakeLabels { listener, result }).inc();
    }

    /// Counts a connection as open until the guard is dropped.
    #[must_use]
    pub fn connection(self: &Arc<Self>, listener: ListenerName) -> ConnectionGuard {
        self.connections.get_or_create(&ListenerLabel { listener }).inc();
        ConnectionGuard { metrics: Arc::clone(self), listener }
    }

    /// Sets the number of connections whose peer has not proven who it is.
    pub fn set_strangers(&self, listener: ListenerName, strangers: usize) {
        self.strangers.get_or_create(&ListenerLabel { listener }).set(i64::try_from(strangers).unwrap_or(i64::MAX));
    }

    /// Sets the number of connections that a listener keeps.
    pub fn set_connection_limit(&self, listener: ListenerName, limit: usize) {
        self.connection_limit.get_or_create(&ListenerLabel { listener }).set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Counts a connection that was closed.
    pub fn closed(&self, listener: ListenerName, reason: CloseReason) {
        self.closed.get_or_create(&CloseLabels { listener, reason }).inc();
    }

    /// Counts a wrong token.
    pub fn wrong_token(&self, listener: ListenerName) {
        self.wrong_tokens.get_or_create(&ListenerLabel { listener }).inc();
    }

    /// Counts a connection that was not let in.
    pub fn connection_refused(&self, listener: ListenerName) {
        self.connections_refused.get_or_create(&ListenerLabel { listener }).inc();
    }

    /// What the connections of a listener use.
    #[must_use]
    pub fn listener_use(&self, listener: ListenerName) -> ListenerUse {
        let label = ListenerLabel { listener };
        let of_gauge = |gauges: &Family<ListenerLabel, Gauge>| {
            u64::try_from(gauges.get_or_create(&label).get()).unwrap_or_default()
        };
        let gave_way =
            [CloseReason::slots_full, CloseReason::address_limit, CloseReason::host_limit, CloseReason::descriptors];
        let gave_way = gave_way.map(|reason| self.closed.get_or_create(&CloseLabels { listener, reason }).get());
        let name = match listener {
            ListenerName::agents => "agents",
            ListenerName::operators => "operators",
            ListenerName::probes => "probes",
        };
        ListenerUse {
            name: name.to_owned(),
            connections: of_gauge(&self.connections),
            limit: of_gauge(&self.connection_limit),
            unproven: of_gauge(&self.strangers),
            refused: self.connections_refused.get_or_create(&label).get() + gave_way.iter().sum::<u64>(),
        }
    }

    /// Sets when the company's certificate of the operators' port ends, and whether newer files are refused.
    pub fn set_operators_certificate(&self, until: Timestamp, is_refused: bool) {
        self.operators_certificate_until.set(until.millis() as f64 / 1000.0);
        self.operators_certificate_refused.set(is_refused.into());
    }

    /// Sets the size of the store and the free bytes of its disk.
    pub fn set_store_size(&self, bytes: u64, free: Option<u64>) {
        self.store_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Some(free) = free {
            self.store_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
    }

    /// Counts a failed store operation.
    pub fn store_error(&self) {
        self.store_errors.inc();
    }

    /// Counts a reload of the rules.
    pub fn reload(&self, result: ReloadEnd) {
        self.reloads.get_or_create(&ReloadLabel { result }).inc();
    }

    /// Sets the size of the judge queue and the waiting time of its oldest host.
    pub fn set_judge_queue(&self, waiting: u64, lag: Duration) {
        self.judge_queue_hosts.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.judge_queue_lag.set(lag.as_secs_f64());
    }

    /// Sets the number of hosts.
    pub fn set_hosts(&self, hosts: u64) {
        self.hosts.set(i64::try_from(hosts).unwrap_or(i64::MAX));
    }

    /// Sets since when the store accepts no writes.
    pub fn set_store_refuses(&self, since: Option<Timestamp>) {
        self.store_writable.set(i64::from(since.is_none()));
        self.store_refuses_since.set(since.map_or(0.0, |since| since.millis() as f64 / 1000.0));
    }

    /// Sets how many editions the dictionary has, the bytes of their texts, and those that it takes in memory.
    pub fn set_editions(&self, editions: u64, text_bytes: u64, memory_bytes: u64) {
        self.editions.set(i64::try_from(editions).unwrap_or(i64::MAX));
        self.edition_text_bytes.set(i64::try_from(text_bytes).unwrap_or(i64::MAX));
        self.edition_memory_bytes.set(i64::try_from(memory_bytes).unwrap_or(i64::MAX));
    }

    /// Counts rows of a history that retention removed.
    pub fn removed(&self, history: &'static str, rows: u64) {
        self.removed.get_or_create(&HistoryLabel { history }).inc_by(rows);
    }

    /// Counts rows that nothing referred to.
    pub fn removed_unreferenced(&self, rows: &'static str, count: u64) {
        self.removed_unreferenced.get_or_create(&RowsLabel { rows }).inc_by(count);
    }

    /// Counts a budget that was spent.
    pub fn throttled(&self, budget: Budget) {
        self.throttlings.get_or_create(&BudgetLabel { budget: budget.name() }).inc();
    }

    /// Sets how many hosts have spent a budget of this hour.
    pub fn set_throttled(&self, hosts: usize) {
        self.throttled_hosts.set(i64::try_from(hosts).unwrap_or(i64::MAX));
    }

    /// Sets how many hosts have each mark.
    pub fn set_marked(&self, counts: &BTreeMap<HostMark, u64>) {
        for mark in HostMark::ALL {
            let hosts = counts.get(mark).copied().unwrap_or(0);
            let gauge = self.marked_hosts.get_or_create(&MarkLabel { mark: mark.name() });
            gauge.set(i64::try_from(hosts).unwrap_or(i64::MAX));
        }
    }

    /// Shows the numeric settings.
    pub fn set_limits(&self, settings: &[SettingValue]) {
        for SettingValue { setting, value } in settings {
            self.limits.get_or_create(&SettingLabel { setting: setting.clone() }).set(*value);
        }
    }

    /// All of them in the OpenMetrics text format.
    ///
    /// # Errors
    /// Formatting failed.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionGuard {
    metrics: Arc<Metrics>,
    listener: ListenerName,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.metrics.connections.get_or_create(&ListenerLabel { listener: self.listener }).dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counted_event_is_in_the_text() {
        let metrics = Metrics::new();
        let call =
            Call { listener: ListenerName::agents, method: "CheckIn", code: "ok", took: Duration::from_millis(2) };
        metrics.call(call);
        metrics.call(Call { code: "unauthenticated", ..call });
        metrics.refusal("revoked");
        metrics.handshake(ListenerName::agents, HandshakeEnd::resumed);
        metrics.upload_bytes(12);
        let open = metrics.connection(ListenerName::operators);
        metrics.throttled(Budget::HostBytes);
        metrics.removed("snapshots", 7);
        metrics.removed_unreferenced("sections", 8);
        metrics.set_throttled(2);
        metrics.set_marked(&BTreeMap::from([(HostMark::Revoked, 4)]));
        metrics.set_judge_queue(3, Duration::from_millis(1500));
        metrics.set_limits(&[SettingValue { setting: "agents.connections".to_owned(), value: 20_000.0 }]);
        let text = metrics.text().expect("written");
        for line in [
            "muster_calls_total{listener=\"agents\",method=\"CheckIn\",code=\"ok\"} 1",
            "muster_check_ins_total 1",
            "muster_refusals_total{class=\"revoked\"} 1",
            "muster_handshakes_total{listener=\"agents\",result=\"resumed\"} 1",
            "muster_upload_bytes_total 12",
            "muster_connections{listener=\"operators\"} 1",
            "muster_throttlings_total{budget=\"host-bytes\"} 1",
            "muster_throttled_hosts 2",
            "muster_marked_hosts{mark=\"revoked\"} 4",
            "muster_marked_hosts{mark=\"two-holders\"} 0",
            "muster_history_removed_total{history=\"snapshots\"} 7",
            "muster_unreferenced_removed_total{rows=\"sections\"} 8",
            "muster_judge_queue_hosts 3",
            "muster_judge_queue_lag_seconds 1.5",
            "muster_limit{setting=\"agents.connections\"} 20000.0",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
        drop(open);
        assert!(metrics.text().expect("written").contains("muster_connections{listener=\"operators\"} 0"));
    }
}
