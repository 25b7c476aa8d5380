//! The agents' side of the collector: identity, limits, idempotence, pace.
//!
//! ```text
//!  request ─► peer (certificate ─► host) ─► convert, limits ─► admit ─► store ─► answer with pace
//!                   └────────────── any step may refuse: class, pace, and a message that names the field or limit
//! ```
//!
//! Errors of the store are logged here, once, and never sent to an agent.

mod admit;
mod backlog;
mod budget;
mod check_in;
mod enroll;
mod enrollment_rate;
mod oversize;
mod peer;
mod readmit;
mod receive;
mod refuse;
mod renew;
mod upload;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use muster_proto::limits;
use muster_proto::model::{HostId, Pace, Platform, Timestamp};
use muster_proto::wire;
use muster_proto::wire::agent_service_server::{AgentService, AgentServiceServer};
use tonic::{Request, Response, Status, Streaming};

pub use self::budget::{Budgets, Throttled};
pub use self::oversize::Measured;

use self::admit::Admission;
use self::backlog::Backlog;
use self::budget::Spent;
use self::enrollment_rate::EnrollmentRate;
use self::refuse::Refused;
use crate::clock::Clock;
use crate::config::{Enrollment, Uploads};
use crate::rules::RuleSet;
use crate::store::{Restoration, Store};
use crate::telemetry::Metrics;
use crate::tls::CertificateAuthority;

/// The service that agents call. Cheap to clone.
#[derive(Clone)]
pub struct AgentIngest {
    inside: Arc<Inside>,
}

struct Inside {
    store: Arc<dyn Store>,
    authority: Arc<dyn CertificateAuthority>,
    rules: Arc<ArcSwap<RuleSet>>,
    pace: Pace,
    clock: Clock,
    admission: Admission,
    uploads: Uploads,
    backlog: Backlog,
    budgets: Arc<Budgets>,
    enrollment_rate: EnrollmentRate,
    metrics: Arc<Metrics>,
    /// What check-ins need of the rules in force, built once per version.
    of_rules: ArcSwapOption<OfRules>,
    /// Read from the store when it is first needed.
    restorations: tokio::sync::OnceCell<Vec<Restoration>>,
}

/// What the agents' service is to keep to.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// When agents come back.
    pub pace: Pace,
    /// What uploads may take at once.
    pub uploads: Uploads,
    /// What hosts may send in an hour.
    pub budgets: Arc<Budgets>,
    /// How many hosts may enroll in a minute.
    pub enrollment: Enrollment,
}

/// What check-ins need of the rules.
struct OfRules {
    version: String,
    /// One for each platform.
    watchlists: BTreeMap<Platform, wire::Watchlist>,
    /// The shortest patience of the orders.
    patience: Option<Duration>,
}

impl AgentIngest {
    /// Serves agents from this store.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        authority: Arc<dyn CertificateAuthority>,
        rules: Arc<ArcSwap<RuleSet>>,
        settings: IngestSettings,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let IngestSettings { pace, uploads, budgets, enrollment } = settings;
        let backlog = Backlog::new(Arc::clone(&store), uploads.judge_queue);
        let inside = Inside {
            store,
            authority,
            rules,
            pace,
            clock,
            admission: Admission::new(uploads.at_once, uploads.per_host, uploads.bytes_at_once),
            uploads,
            backlog,
            budgets,
            enrollment_rate: EnrollmentRate::new(enrollment),
            metrics,
            of_rules: ArcSwapOption::empty(),
            restorations: tokio::sync::OnceCell::new(),
        };
        Self { inside: Arc::new(inside) }
    }

    /// The service with the contract's limits on messages.
    #[must_use]
    pub fn into_service(self) -> Measured<AgentServiceServer<Self>> {
        let (pace, clock) = (self.inside.pace, Arc::clone(&self.inside.clock));
        let memory = self.inside.admission.memory();
        let service = AgentServiceServer::new(self).max_decoding_message_size(limits::MESSAGE_BYTES);
        Measured::new(service, memory, pace, clock)
    }
}

impl Inside {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The refusal of a host that has spent a budget. Told once an hour to the log and the metrics.
    fn over_budget(&self, host: HostId, spent: Spent) -> Refused {
        let Spent { budget, until, is_news } = spent;
        if is_news {
            self.metrics.throttled(budget);
            tracing::warn!(host.id = %host, budget = budget.name(), until = %until.to_rfc3339(), setting = budget.setting(),
                "a budget is spent: what exceeds it is refused until the next hour");
        }
        Refused::over_budget(budget, until)
    }

    fn answer<T>(&self, method: &'static str, outcome: Result<T, Refused>) -> Result<Response<T>, Status> {
        outcome.map(Response::new).map_err(|refused| refused.into_status(method, self.pace, self.now()))
    }

    fn trust(&self) -> wire::TrustBundle {
        let (version, certificates) = self.authority.trust();
        wire::TrustBundle { version, ca_certificates: certificates.into_iter().map(Into::into).collect() }
    }
}

#[tonic::async_trait]
impl AgentService for AgentIngest {
    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let outcome = enroll::enroll(&self.inside, &extensions, request).await;
        self.inside.answer("Enroll", outcome)
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let outcome = renew::renew(&self.inside, &extensions, request).await;
        self.inside.answer("Renew", outcome)
    }

    async fn check_in(
        &self,
        request: Request<wire::CheckInRequest>,
    ) -> Result<Response<wire::CheckInResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let outcome = check_in::check_in(&self.inside, &extensions, request).await;
        self.inside.answer("CheckIn", outcome)
    }

    async fn upload(
        &self,
        request: Request<Streaming<wire::UploadRequest>>,
    ) -> Result<Response<wire::UploadResponse>, Status> {
        let (_, extensions, stream) = request.into_parts();
        let outcome = upload::upload(&self.inside, &extensions, stream).await;
        self.inside.answer("Upload", outcome)
    }
}
