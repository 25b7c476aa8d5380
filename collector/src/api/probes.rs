//! The listener for health and metrics: `/livez`, `/readyz`, `/metrics`. Plain HTTP without credentials, so on loopback by
//! default.
//!
//! Readiness consists of latches that `app` sets, and of the judge queue, which is read on every request.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use muster_proto::model::{RulesRefused, StoreRefuses};
use tracing::error;

use crate::clock::Clock;
use crate::store::{EditionLevel, SiteScope, Store, StoreError};
use crate::telemetry::Metrics;

/// The judge queue counts as stuck if its oldest host has waited longer.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// How far the start has come.
#[derive(Debug, Default)]
pub struct Readiness {
    /// The store is open.
    pub store: AtomicBool,
    /// Rules are in force.
    pub rules: AtomicBool,
    /// All listeners are bound.
    pub listeners: AtomicBool,
    /// The stop has begun.
    pub stopping: AtomicBool,
    /// Why the rules on disk were refused; older rules are in force.
    pub rules_note: ArcSwapOption<RulesNote>,
    /// Why the store accepts no writes.
    pub store_refuses: ArcSwapOption<StoreRefuses>,
}

/// A refusal of the rules on disk.
#[derive(Debug, Clone)]
pub struct RulesNote {
    /// Every fault, for the probes.
    pub reason: String,
    /// The first fault, for operators.
    pub told: RulesRefused,
}

/// What the listener needs.
#[derive(Clone)]
pub struct ProbesState {
    /// The latches.
    pub readiness: Arc<Readiness>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
}

/// The routes.
pub fn router(state: ProbesState) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn readyz(State(state): State<ProbesState>) -> Response {
    let readiness = &state.readiness;
    let latch = |latch: &AtomicBool| latch.load(Ordering::Acquire);
    let mut text = String::new();
    let mut ready = true;
    let mut line = |good: bool, name: &str, note: &str| {
        ready &= good;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {name}{note}", if good { "ok" } else { "not ready" });
    };
    line(latch(&readiness.store), "store", "");
    let refuses = readiness.store_refuses.load();
    let note = refuses.as_ref().map(|refuses| {
        let since = refuses.since.whole_seconds().to_rfc3339();
        format!(": accepted none since {since}: {}; agents keep what they have to report", refuses.reason)
    });
    line(refuses.is_none(), "writes", &note.unwrap_or_default());
    let note = readiness.rules_note.load();
    let note = note
        .as_ref()
        .map(|note| format!(": the rules on disk were refused, the previous rules are in force: {}", note.reason));
    // Refused rules do not make the collector unready, because the previous rules still judge.
    line(latch(&readiness.rules), "rules", &note.unwrap_or_default());
    line(latch(&readiness.listeners), "listeners", "");
    line(!latch(&readiness.stopping), "running", "");
    match refresh(&state).await {
        Ok(lag) => {
            line(lag <= STUCK_AFTER, "judge queue", &format!(": the oldest host has waited {} s", lag.as_secs()))
        }
        Err(failed) => {
            error!(error = %failed, "reading the judge queue failed");
            line(false, "judge queue", ": the store could not be read; see the log");
        }
    }
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text).into_response()
}

async fn metrics(State(state): State<ProbesState>) -> Response {
    // The counters are still right, so answer with the gauges of an earlier request.
    if let Err(failed) = refresh(&state).await {
        error!(error = %failed, "reading the judge queue failed");
    }
    match state.metrics.text() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Updates the gauges that are read on request. Returns the age of the oldest host in the judge queue.
async fn refresh(state: &ProbesState) -> Result<Duration, StoreError> {
    let asked = async {
        let depth = state.store.queue_depth().await?;
        let lag = depth.oldest.map(|oldest| (state.clock)().since(oldest)).unwrap_or_default();
        state.metrics.set_judge_queue(depth.waiting, lag);
        state.metrics.set_hosts(state.store.host_count(&SiteScope::All).await?);
        let EditionLevel { held, memory_bytes, .. } = state.store.editions_level().await?;
        state.metrics.set_editions(held.editions, held.text_bytes, memory_bytes);
        Ok(lag)
    };
    let answer: Result<Duration, StoreError> = asked.await;
    if answer.is_err() {
        state.metrics.store_error();
    }
    answer
}
