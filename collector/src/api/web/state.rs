//! What the pages need of the collector.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_proto::model::Timestamp;

use super::refusal::Refusal;
use crate::actions::{ActionError, Caller, SessionTimes};
use crate::api::probes::Readiness;
use crate::api::{Access, ResourceWatch, status};
use crate::clock::Clock;
use crate::reports::{ReportContext, ReportError, Searches};
use crate::rules::RuleSet;
use crate::store::Store;

/// What the pages need of the collector.
pub struct WebParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The rules in force.
    pub rules: Arc<ArcSwap<RuleSet>>,
    /// The clock.
    pub clock: Clock,
    /// Checks tokens and sessions.
    pub access: Access,
    /// Bounds searches, together with those of gRPC.
    pub searches: Searches,
    /// Knows about refused rules and writes.
    pub readiness: Arc<Readiness>,
    /// Counts what is used, and has the metrics.
    pub resources: Arc<ResourceWatch>,
    /// How long sessions last.
    pub sessions: SessionTimes,
    /// How long a page may take.
    pub page_deadline: Duration,
}

/// The same, shared by all requests.
#[derive(Clone)]
pub(super) struct State(Arc<WebParts>);

impl std::ops::Deref for State {
    type Target = WebParts;

    fn deref(&self) -> &WebParts {
        &self.0
    }
}

impl State {
    pub(super) fn new(parts: WebParts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Reports about what the caller may see.
    pub(super) fn context(&self, caller: &Caller) -> ReportContext {
        ReportContext::new(Arc::clone(&self.store), self.rules.load_full(), self.now()).within(caller.scope.clone())
    }

    /// The answer to a report, with the same errors as those of gRPC.
    pub(super) fn or_refusal<T>(&self, answer: Result<T, ReportError>) -> Result<T, Refusal> {
        answer.map_err(|refused| status::of_report(&refused, self.resources.metrics()).into())
    }

    /// The outcome of an action, with the same errors as those of gRPC.
    pub(super) fn or_refused<T>(&self, outcome: Result<T, ActionError>) -> Result<T, Refusal> {
        outcome.map_err(|refused| status::of_action(&refused, self.resources.metrics()).into())
    }
}
