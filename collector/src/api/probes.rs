//! The admin listener: `/livez`, `/readyz`, `/metrics`. Plain HTTP without credentials, so on loopback by default.
//!
//! Readiness is made of latches that `app` sets once each, and of the judge queue, which is asked at the moment.

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
use muster_proto::model::RulesRefused;
use tracing::error;

use crate::clock::Clock;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// A judge queue whose oldest entry has waited longer is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// What `app` has done so far.
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
    /// Why the overlay of the rules was refused, while an older set stays in force.
    pub rules_note: ArcSwapOption<RulesNote>,
}

/// A refusal of the overlay: all of it, and what is told of it in one line.
#[derive(Debug, Clone)]
pub struct RulesNote {
    /// Every fault.
    pub reason: String,
    /// What operators are told.
    pub told: RulesRefused,
}

/// What the admin listener needs.
#[derive(Clone)]
pub struct AdminState {
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
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn readyz(State(state): State<AdminState>) -> Response {
    let readiness = &state.readiness;
    let latch = |latch: &AtomicBool| latch.load(Ordering::Acquire);
    let mut text = String::new();
    let mut ready = true;
    let mut line = |good: bool, name: &str, note: &str| {
        ready &= good;
        let _ = writeln!(text, "{} {name}{note}", if good { "ok" } else { "not ready" });
    };
    line(latch(&readiness.store), "store", "");
    let note = readiness.rules_note.load();
    let note =
        note.as_ref().map(|note| format!(": the last good set is in force, the overlay was refused: {}", note.reason));
    line(latch(&readiness.rules), "rules", &note.unwrap_or_default());
    line(latch(&readiness.listeners), "listeners", "");
    line(!latch(&readiness.stopping), "running", "");
    match refresh(&state).await {
        Ok(lag) => line(lag <= STUCK_AFTER, "judge_queue", &format!(": the oldest has waited {} s", lag.as_secs())),
        Err(failed) => {
            error!(error = %failed, "the store could not say how much waits");
            line(false, "judge_queue", ": the store could not say how much waits");
        }
    }
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text).into_response()
}

async fn metrics(State(state): State<AdminState>) -> Response {
    if let Err(failed) = refresh(&state).await {
        error!(error = %failed, "the store could not say how much waits");
    }
    match state.metrics.text() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Reads what is known only at the moment of asking; the age of the oldest entry of the judge queue.
async fn refresh(state: &AdminState) -> Result<Duration, StoreError> {
    let asked = async {
        let depth = state.store.queue_depth().await?;
        let lag = depth.oldest.map(|oldest| (state.clock)().since(oldest)).unwrap_or_default();
        state.metrics.set_judge_queue(depth.waiting, lag);
        state.metrics.set_hosts(state.store.host_count().await?);
        Ok(lag)
    };
    let answer: Result<Duration, StoreError> = asked.await;
    if answer.is_err() {
        state.metrics.store_error();
    }
    answer
}
