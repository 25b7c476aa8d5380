//! The metrics: one struct that doors and loops are handed, one text for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Door {
    /// Agents.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    agents,
    /// Operators.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    operators,
}

/// How a handshake ended.
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
    /// Not finished in time.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    timed_out,
}

/// How a reading of the rules ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReloadEnd {
    /// In force.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    adopted,
    /// As before.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    unchanged,
    /// Broken: the last good set stays in force.
    #[expect(non_camel_case_types, reason = "the name is the label")]
    refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabel {
    door: Door,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    door: Door,
    end: HandshakeEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    door: Door,
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabel {
    end: ReloadEnd,
}

/// A finished call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Where it came in.
    pub door: Door,
    /// The method, from the closed list of the contract; others count as `other`.
    pub method: &'static str,
    /// The gRPC code by name: `ok`, `unauthenticated`, …
    pub code: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// All metrics. Cheap to share; every number is an atomic.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<DoorLabel, Histogram, fn() -> Histogram>,
    check_ins: Counter,
    uploads: Counter,
    refusals: Family<ClassLabel, Counter>,
    upload_bytes: Counter,
    handshakes: Family<HandshakeLabels, Counter>,
    connections: Family<DoorLabel, Gauge>,
    store_errors: Counter,
    reloads: Family<ReloadLabel, Counter>,
    judge_queue_hosts: Gauge,
    judge_queue_lag: Gauge<f64, AtomicU64>,
    hosts: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
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
            store_errors: Counter::default(),
            reloads: Family::default(),
            judge_queue_hosts: Gauge::default(),
            judge_queue_lag: Gauge::default(),
            hosts: Gauge::default(),
        };
        metrics.register();
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("calls", "Finished gRPC calls by door, method and code", self.calls.clone());
        registry.register("call_seconds", "How long gRPC calls took", self.call_seconds.clone());
        registry.register("check_ins", "Check-ins that were answered well", self.check_ins.clone());
        registry.register("uploads", "Uploads that were answered well", self.uploads.clone());
        registry.register("refusals", "Refusals at the agents' door by class", self.refusals.clone());
        registry.register("upload_bytes", "Bytes of uploads as received", self.upload_bytes.clone());
        registry.register("handshakes", "TLS handshakes by door and end", self.handshakes.clone());
        registry.register("connections", "Open connections by door", self.connections.clone());
        registry.register("store_errors", "Operations that the store could not do", self.store_errors.clone());
        registry.register("rules_reloads", "Readings of the rules by end", self.reloads.clone());
        registry.register("judge_queue_hosts", "Hosts that wait for judgement", self.judge_queue_hosts.clone());
        registry.register(
            "judge_queue_lag_seconds",
            "How long the oldest of them has waited",
            self.judge_queue_lag.clone(),
        );
        registry.register("hosts", "Hosts that the store knows", self.hosts.clone());
    }

    /// Notes a finished call.
    pub fn call(&self, call: Call) {
        let Call { door, method, code, took } = call;
        let labels = CallLabels { door, method, code };
        self.calls.get_or_create(&labels).inc();
        self.call_seconds.get_or_create(&DoorLabel { door }).observe(took.as_secs_f64());
        match (method, code) {
            ("CheckIn", "ok") => drop(self.check_ins.inc()),
            ("Upload", "ok") => drop(self.uploads.inc()),
            _ => {}
        }
    }

    /// Notes a refusal of an agent.
    pub fn refusal(&self, class: &str) {
        self.refusals.get_or_create(&ClassLabel { class: class.to_owned() }).inc();
    }

    /// Notes received bytes of an upload.
    pub fn upload_bytes(&self, bytes: u64) {
        self.upload_bytes.inc_by(bytes);
    }

    /// Notes the end of a handshake.
    pub fn handshake(&self, door: Door, end: HandshakeEnd) {
        self.handshakes.get_or_create(&HandshakeLabels { door, end }).inc();
    }

    /// Notes a connection; it counts as open until the guard is dropped.
    #[must_use]
    pub fn connection(self: &Arc<Self>, door: Door) -> ConnectionGuard {
        self.connections.get_or_create(&DoorLabel { door }).inc();
        ConnectionGuard { metrics: Arc::clone(self), door }
    }

    /// Notes an operation that the store could not do.
    pub fn store_error(&self) {
        self.store_errors.inc();
    }

    /// Notes a reading of the rules.
    pub fn reload(&self, end: ReloadEnd) {
        self.reloads.get_or_create(&ReloadLabel { end }).inc();
    }

    /// Sets what is read at the moment of asking.
    pub fn set_judge_queue(&self, waiting: u64, lag: Duration) {
        self.judge_queue_hosts.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.judge_queue_lag.set(lag.as_secs_f64());
    }

    /// Sets how many hosts there are.
    pub fn set_hosts(&self, hosts: u64) {
        self.hosts.set(i64::try_from(hosts).unwrap_or(i64::MAX));
    }

    /// All of them in the OpenMetrics text format.
    ///
    /// # Errors
    /// A text cannot be written; it never is.
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
    door: Door,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.metrics.connections.get_or_create(&DoorLabel { door: self.door }).dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_stands_in_the_text() {
        let metrics = Metrics::new();
        let call = Call { door: Door::agents, method: "CheckIn", code: "ok", took: Duration::from_millis(2) };
        metrics.call(call);
        metrics.call(Call { code: "unauthenticated", ..call });
        metrics.refusal("revoked");
        metrics.handshake(Door::agents, HandshakeEnd::resumed);
        metrics.upload_bytes(12);
        let open = metrics.connection(Door::operators);
        metrics.set_judge_queue(3, Duration::from_millis(1500));
        let text = metrics.text().expect("written");
        for line in [
            "muster_calls_total{door=\"agents\",method=\"CheckIn\",code=\"ok\"} 1",
            "muster_check_ins_total 1",
            "muster_refusals_total{class=\"revoked\"} 1",
            "muster_handshakes_total{door=\"agents\",end=\"resumed\"} 1",
            "muster_upload_bytes_total 12",
            "muster_connections{door=\"operators\"} 1",
            "muster_judge_queue_hosts 3",
            "muster_judge_queue_lag_seconds 1.5",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
        drop(open);
        assert!(metrics.text().expect("written").contains("muster_connections{door=\"operators\"} 0"));
    }
}
