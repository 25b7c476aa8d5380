//! What each of the three listeners serves, and its limits.

use std::sync::Arc;

use anyhow::Context;

use super::Collector;
use crate::actions::{Passwords, SessionTimes};
use crate::api::grpc::{AgentsGate, Fleet, OperatorsGate, operators_routes};
use crate::api::probes::{self, ProbesState};
use crate::api::web::{Web, WebParts};
use crate::api::{Access, OperatorsPort, TrustedProxies};
use crate::config::{self, Settings};
use crate::ingest::{AgentIngest, IngestSettings};
use crate::reports::{Searches, Timelines};
use crate::store::SearchLimits;
use crate::telemetry::ListenerName;
use crate::tls::{
    self, AdmissionBounds, CertificateAuthority, GuessBounds, ListenerLimits, Listening, PeerBounds, PlainListener,
    TimeBounds, TlsListener,
};

impl Collector {
    pub(super) fn serve_agents(&self, listening: Listening) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
        let authority = Arc::clone(&self.authority) as Arc<dyn CertificateAuthority>;
        let (store, rules, clock) = (Arc::clone(&self.store), Arc::clone(&self.in_force), Arc::clone(&self.clock));
        let (pace, uploads) = (self.settings.pace, self.settings.uploads);
        let (budgets, enrollment) = (Arc::clone(&self.budgets), self.settings.enrollment);
        let settings = IngestSettings { pace, uploads, budgets, enrollment };
        let service = AgentIngest::new(store, authority, rules, settings, Arc::clone(&self.metrics), clock);
        let gate = AgentsGate::new(
            service.into_service(),
            Arc::clone(&self.clock),
            self.settings.pace,
            Arc::clone(&self.metrics),
        );
        let pace = self.settings.pace;
        let bounds = &self.settings.listeners;
        let times = TimeBounds {
            first_request: bounds.first_request,
            idle: pace.next + pace.jitter + bounds.idle_grace,
            // Uploads end themselves at their deadline, with an answer.
            request: self.settings.uploads.deadline + bounds.first_request,
            unread: bounds.unread_answer,
        };
        let limits =
            listener_limits(&self.settings, self.share.agents, (bounds.per_host, bounds.calls_per_host), times);
        let config = tls::agents_config(&self.certificate, &self.authority).context("the agents' TLS settings")?;
        let listener = self.tls_listener(ListenerName::agents, listening, config, limits);
        Ok(tls::serve(listener, move |request| gate.clone().answer(request)))
    }

    pub(super) fn serve_operators<H>(
        &self,
        listening: Listening,
        health: tonic_health::pb::health_server::HealthServer<H>,
        agents_url: String,
    ) -> anyhow::Result<impl Future<Output = ()> + Send + use<H>>
    where
        H: tonic_health::pb::health_server::Health,
    {
        let searches = searches(&self.settings.searches);
        // Callers of both kinds share the readers of the store.
        let timelines = Timelines::default();
        let fleet = Fleet::new(
            Arc::clone(&self.store),
            Arc::clone(&self.in_force),
            Arc::clone(&self.clock),
            self.authority.pin(),
            Arc::clone(&self.readiness),
            (searches.clone(), timelines.clone(), self.settings.waivers),
            Arc::clone(&self.resources),
        )
        .at(self.settings.operators.public_url.origin());
        // Pages and calls share the turns, so that not more than two passwords are hashed at a time.
        let passwords = Arc::new(Passwords::default());
        let fleet = fleet.with_passwords(Arc::clone(&passwords));
        let routes = operators_routes(fleet, health).context("gRPC reflection")?;
        let access = Access::new(Arc::clone(&self.store), Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let turns = (searches, timelines, passwords);
        let pages = self.settings.web.enabled.then(|| self.pages(access.clone(), turns, agents_url));
        let gate = OperatorsGate::new(routes, access, Arc::clone(&self.metrics));
        let proxies = TrustedProxies::new(self.settings.operators.proxies());
        let port = OperatorsPort::new(gate, pages, proxies);
        let bounds = &self.settings.listeners;
        let times = TimeBounds {
            first_request: bounds.first_request,
            idle: bounds.operator_idle,
            request: bounds.operator_idle,
            unread: bounds.operator_unread_answer,
        };
        let limits = listener_limits(
            &self.settings,
            self.share.operators,
            (bounds.per_account, bounds.calls_per_account),
            times,
        );
        let has_pages = self.settings.web.enabled;
        let certificate: Arc<dyn rustls::server::ResolvesServerCert> = match &self.company {
            Some(company) => Arc::clone(company) as _,
            None => Arc::clone(&self.certificate) as _,
        };
        let config = tls::operators_config(certificate, has_pages).context("the operators' TLS settings")?;
        let listener = self.tls_listener(ListenerName::operators, listening, config, limits);
        Ok(tls::serve(listener, move |request| port.clone().answer(request)))
    }

    /// The web board.
    fn pages(
        &self,
        access: Access,
        (searches, timelines, passwords): (Searches, Timelines, Arc<Passwords>),
        agents_url: String,
    ) -> Web {
        let settings = self.settings.web;
        Web::new(WebParts {
            store: Arc::clone(&self.store),
            rules: Arc::clone(&self.in_force),
            clock: Arc::clone(&self.clock),
            access,
            searches,
            timelines,
            readiness: Arc::clone(&self.readiness),
            resources: Arc::clone(&self.resources),
            agents_url,
            pin: self.authority.pin(),
            sessions: SessionTimes { whole: settings.session, idle: settings.session_idle },
            waivers: self.settings.waivers,
            public_url: self.settings.operators.public_url.origin(),
            provider: self.provider.clone(),
            page_deadline: settings.page_deadline,
            has_company_certificate: self.company.is_some(),
            passwords,
        })
    }

    fn tls_listener(
        &self,
        name: ListenerName,
        listening: Listening,
        config: Arc<rustls::ServerConfig>,
        limits: ListenerLimits,
    ) -> TlsListener {
        self.metrics.set_connection_limit(name, limits.peers.admission.connections);
        TlsListener {
            name,
            listening,
            config,
            limits,
            metrics: Arc::clone(&self.metrics),
            stop: self.listeners_stop.clone(),
            drain: self.settings.drain,
        }
    }

    pub(super) fn serve_probes(&self, listening: Listening) -> impl Future<Output = ()> + Send + use<> {
        let state = ProbesState {
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
        };
        let listener = PlainListener {
            name: ListenerName::probes,
            listening,
            connections: self.settings.probes.connections,
            first_request: self.settings.listeners.first_request,
            metrics: Arc::clone(&self.metrics),
            stop: self.listeners_stop.clone(),
            drain: self.settings.drain,
        };
        tls::serve_plain(listener, probes::router(state))
    }
}

/// The limits of a listener; connections and calls of one host or account are those of the pair.
fn listener_limits(
    settings: &Settings,
    connections: usize,
    (per_peer, calls_per_peer): (usize, usize),
    times: TimeBounds,
) -> ListenerLimits {
    let bounds = &settings.listeners;
    ListenerLimits {
        peers: PeerBounds {
            admission: AdmissionBounds {
                connections,
                strangers_per_address: bounds.strangers_per_address,
                per_peer,
                spare_after: bounds.first_request,
                known_addresses: bounds.known_addresses,
                known_for: bounds.known_for,
            },
            calls_per_peer,
            guesses: GuessBounds {
                per_address: bounds.wrong_tokens,
                period: bounds.wrong_token_period,
                remembered: bounds.known_addresses,
            },
        },
        times,
        // The operators' port has no settings for handshakes, so those of the agents' port apply.
        handshakes: settings.agents.handshakes,
        stranger_handshakes: bounds.stranger_handshakes,
        handshake_timeout: settings.agents.handshake_timeout,
        handshake_turn: bounds.handshake_turn,
        streams: bounds.streams,
        unsent_bytes: bounds.unsent_bytes,
    }
}

fn searches(settings: &config::Searches) -> Searches {
    let limits = SearchLimits { rows: settings.rows, bytes: settings.bytes, time: settings.time };
    Searches::new(settings.at_once, settings.wait, limits)
}
