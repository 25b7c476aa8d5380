//! What the pages need of the collector.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_proto::model::{AccountId, CaPin, Timestamp};

use tokio::sync::Semaphore;

use super::cookie::SessionCookie;
use super::downloads::Downloads;
use super::last_use::LastUse;
use super::log_limit::LogLimit;
use super::logins::{Logins, OF_ACCOUNT, OF_ADDRESS};
use super::narrowing::problem_of;
use super::refusal::Refusal;
use super::wording::refusal_of;
use crate::actions::{ActionError, Caller, Passwords, SessionTimes};
use crate::api::probes::Readiness;
use crate::api::{Access, ResourceWatch, status};
use crate::clock::Clock;
use crate::config::Waivers;
use crate::oidc::Provider;
use crate::reports::{ReportContext, ReportError, Searches, Timelines};
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
    /// Bounds timelines, together with those of gRPC.
    pub timelines: Timelines,
    /// Knows about refused rules and writes.
    pub readiness: Arc<Readiness>,
    /// Counts what is used, and has the metrics.
    pub resources: Arc<ResourceWatch>,
    /// The URL under which agents reach the collector.
    pub agents_url: String,
    /// The CA, after which the cookie of sessions is named.
    pub pin: CaPin,
    /// How long sessions last.
    pub sessions: SessionTimes,
    /// How many people a waiver needs, and how long it may last.
    pub waivers: Waivers,
    /// The origin of the pages, if it is set: `operators.public_url`.
    pub public_url: Option<String>,
    /// The identity provider, if there is one.
    pub provider: Option<Arc<Provider>>,
    /// How long a page may take.
    pub page_deadline: Duration,
    /// Whether the port has the company's own certificate, so that browsers may insist on one.
    pub has_company_certificate: bool,
    /// Checks passwords, together with gRPC.
    pub passwords: Arc<Passwords>,
}

/// The same with what the pages themselves count, shared by all requests.
#[derive(Clone)]
pub(super) struct State(Arc<Shared>);

pub(super) struct Shared {
    parts: WebParts,
    pub(super) cookie: SessionCookie,
    pub(super) login_cookie: SessionCookie,
    pub(super) logins: Logins<AccountId>,
    /// Logins that were begun with the provider, by address.
    pub(super) begun: Logins<String>,
    /// Lists are read one at a time, because one of them may fill much memory.
    pub(super) list_turn: Arc<Semaphore>,
    pub(super) last_use: LastUse,
    pub(super) downloads: Downloads,
    /// Lines about requests that were refused.
    pub(super) refused_lines: LogLimit,
    /// Lines about pages that failed.
    pub(super) failed_lines: LogLimit,
}

impl std::ops::Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl std::ops::Deref for Shared {
    type Target = WebParts;

    fn deref(&self) -> &WebParts {
        &self.parts
    }
}

impl State {
    pub(super) fn new(parts: WebParts) -> Self {
        Self(Arc::new(Shared {
            cookie: SessionCookie::of(&parts.pin),
            login_cookie: SessionCookie::of_login(&parts.pin),
            parts,
            logins: Logins::at_most(OF_ACCOUNT),
            begun: Logins::at_most(OF_ADDRESS),
            list_turn: Arc::new(Semaphore::new(1)),
            last_use: LastUse::default(),
            downloads: Downloads::default(),
            refused_lines: LogLimit::default(),
            failed_lines: LogLimit::default(),
        }))
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Reports about what the caller may see.
    pub(super) fn context(&self, caller: &Caller) -> ReportContext {
        ReportContext::new(Arc::clone(&self.store), self.rules.load_full(), self.now())
            .within(caller.scope.clone())
            .taking_turns(self.timelines.clone())
    }

    /// The answer to a report, with the same errors as those of gRPC, but in the words of a page.
    pub(super) fn or_refusal<T>(&self, answer: Result<T, ReportError>) -> Result<T, Refusal> {
        answer.map_err(|refused| {
            let mut refusal: Refusal = status::of_report(&refused, self.resources.metrics()).into();
            if let Some(text) = problem_of(&refused) {
                refusal.text = text;
            }
            refusal
        })
    }

    /// The answer to the question of a list. What is wrong with its order or its filter is a sentence that the page shows beside
    /// its filter; every other failure is a page of its own.
    ///
    /// # Errors
    /// The other failures.
    pub(super) fn or_problem<T>(&self, answer: Result<T, ReportError>) -> Result<Result<T, String>, Refusal> {
        match answer {
            Ok(answer) => Ok(Ok(answer)),
            Err(refused) => match problem_of(&refused) {
                Some(problem) => Ok(Err(problem)),
                None => self.or_refusal(Err(refused)),
            },
        }
    }

    /// The outcome of an action, with the same errors as those of gRPC.
    pub(super) fn or_refused<T>(&self, outcome: Result<T, ActionError>) -> Result<T, Refusal> {
        outcome.map_err(|refused| {
            let mut refusal: Refusal = status::of_action(&refused, self.resources.metrics()).into();
            if let Some(text) = refusal_of(&refused) {
                refusal.text = text;
            }
            refusal
        })
    }
}
