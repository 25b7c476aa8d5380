//! `muster-collector serve`: wires everything, waits for a stop signal, drains, closes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tonic_health::server::HealthReporter;
use tracing::{error, info, warn};

use super::applied;
use super::decisions;
use super::descriptors::{self, Share};
use super::duties;
use super::editions;
use super::index;
use super::lock::Lock;
use super::prepare::{Asked, Prepared, prepare};
use super::retention;
use super::rules::{self, Keeper};
use super::sealing;
use super::store_watch::StoreWatch;
use super::{bulk, roster};
use super::{marks, store_size, throttled};
use crate::actions;
use crate::api::ResourceWatch;
use crate::api::probes::Readiness;
use crate::attestation::SealKey;
use crate::clock::Clock;
use crate::config::{Editions, Settings};
use crate::ingest::Budgets;
use crate::judge_queue::JudgeQueue;
use crate::oidc::Provider;
use crate::rules::{RuleBase, RuleSet};
use crate::shutdown::{Signal, Signals, StopToken};
use crate::store::{EditionLimit, EditionTotals, Store};
use crate::telemetry::Metrics;
use crate::tls::{self, Authority, CompanyCertificate, Listening, ServerCertificate};

mod company;
mod listeners;

/// How often the server certificate is checked.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(3600);
/// The file in the data directory that tells programs the ports.
const LISTENING: &str = "listening.json";

/// What all parts of a running collector share.
struct Collector {
    settings: Settings,
    clock: Clock,
    store: Arc<dyn Store>,
    authority: Arc<Authority>,
    certificate: Arc<ServerCertificate>,
    /// The company's own certificate, for the operators' port.
    company: Option<Arc<CompanyCertificate>>,
    /// Signs attestations and checkpoints of the ledger.
    seal: Arc<SealKey>,
    /// The identity provider of the web board.
    provider: Option<Arc<Provider>>,
    /// The connections that each listener keeps.
    share: Share,
    in_force: Arc<ArcSwap<RuleSet>>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// What it uses.
    resources: Arc<ResourceWatch>,
    /// What hosts have sent in this hour.
    budgets: Arc<Budgets>,
    /// Wakes the judge queue.
    wake: Arc<Notify>,
    /// Stops the listeners.
    listeners_stop: StopToken,
    /// Stops the background tasks, once the listeners are drained.
    tasks_stop: StopToken,
}

/// The three bound listeners.
struct Listeners {
    agents: Listening,
    operators: Listening,
    probes: Listening,
}

/// An address that this process cannot listen on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {what} on {address}")]
pub(super) struct CannotListen {
    what: &'static str,
    /// The option that sets the address.
    option: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

impl CannotListen {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        let Self { option, .. } = self;
        let is_taken = self.source.kind() == std::io::ErrorKind::AddrInUse;
        if is_taken { format!("stop the other program or change {option}") } else { format!("change {option}") }
    }
}

/// Serves until a stop signal.
pub(super) async fn serve(settings: Settings, new_store: bool, clock: Clock) -> anyhow::Result<()> {
    // Listen first, so that a signal during the start is not lost.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let (in_force, seen) = rules::load(&settings.rules)?;
    let company = company::open(&settings.operators, clock())?;
    // The lock is a file in the data directory, so the directory comes before the lock.
    crate::tls::disk::private_directory(&settings.data_dir)
        .with_context(|| format!("cannot make the data directory {}", settings.data_dir.display()))?;
    let _lock = Lock::take(&settings.data_dir)?;
    // A file of an earlier process that was killed must not mislead programs that wait for this one.
    let _ = std::fs::remove_file(settings.file(LISTENING));
    let asked = Asked { new_store, origin: None };
    let Prepared { store, authority, certificate, seal, notes, warnings } = prepare(&settings, asked, clock()).await?;
    for note in &notes {
        info!("{note}");
    }
    for warning in &warnings {
        warn!("{warning}");
    }
    let provider = match settings.oidc.clone() {
        Some(oidc) => {
            let provider = Provider::new(oidc, Arc::clone(&clock)).await.context("the identity provider of [oidc]")?;
            Some(Arc::new(provider))
        }
        None => None,
    };
    let base = Arc::clone(&in_force.base);
    let first_revision = actions::orders_revision(store.as_ref()).await?;
    let (in_force, refused) = applied::first(store.as_ref(), in_force, clock()).await?;
    applied::keep(store.as_ref(), &in_force, clock()).await?;
    let in_force = Arc::new(ArcSwap::from_pointee(in_force));
    let judge_queue = JudgeQueue::new(Arc::clone(&store), Arc::clone(&in_force)).sealing_with(Arc::clone(&seal));
    let metrics = Metrics::new();
    let resources = Arc::new(ResourceWatch::new(Arc::clone(&metrics), Some(Arc::clone(&certificate)), company.clone()));
    let collector = Collector {
        clock,
        store,
        authority,
        certificate,
        company,
        seal,
        provider,
        share: descriptors::share_of(&settings),
        in_force,
        metrics,
        resources,
        readiness: Arc::default(),
        budgets: Arc::new(Budgets::new(settings.budgets)),
        wake: judge_queue.waker(),
        listeners_stop: StopToken::new(),
        tasks_stop: StopToken::new(),
        settings,
    };
    collector.metrics.set_limits(&collector.settings.limits);
    collector.store.editions_limit(edition_limit(&collector.settings.editions));
    collector.readiness.store.store(true, Ordering::Release);
    let reload = Arc::new(Notify::new());
    let keeper = collector.keeper(seen, base, first_revision);
    if let Some(refused) = refused {
        keeper.refuse(&refused);
    }
    // A failure ends the start here. Later, `watch` logs it and tries again.
    keeper.adopt().await?;
    // Bind before anything is spawned: a port in use then ends the start without work to cancel.
    let listeners = collector.bind()?;
    let mut tasks = collector.start_tasks(judge_queue, keeper, &reload);
    let serving = collector.open(listeners)?;
    let ended = collector.attend(&mut signals, &reload, &mut tasks).await;
    collector.close(serving, tasks).await?;
    ended
}

impl Collector {
    fn keeper(&self, seen: rules::OverlayFingerprint, base: Arc<RuleBase>, first_revision: u64) -> Keeper {
        Keeper {
            seen,
            base,
            first_revision,
            settings: self.settings.rules.clone(),
            in_force: Arc::clone(&self.in_force),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            readiness: Arc::clone(&self.readiness),
            wake: Arc::clone(&self.wake),
            is_overlay_refused: AtomicBool::default(),
        }
    }

    fn store_watch(&self) -> StoreWatch {
        StoreWatch {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            every: self.settings.store_check.every,
            deadline: self.settings.store_check.deadline,
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
        }
    }

    fn bind(&self) -> anyhow::Result<Listeners> {
        let bind = |what: &'static str, option: &'static str, address: SocketAddr| {
            Listening::bind(address).map_err(|source| CannotListen { what, option, address, source })
        };
        Ok(Listeners {
            agents: bind("agents", "--agents-listen", self.settings.agents.listen)?,
            operators: bind("operators", "--operators-listen", self.settings.operators.listen)?,
            probes: bind("health and metrics", "--probes-listen", self.settings.probes.listen)?,
        })
    }

    /// The background tasks: judge queue, rules, search index, server certificate.
    fn start_tasks(&self, judge_queue: JudgeQueue, keeper: Keeper, reload: &Arc<Notify>) -> JoinSet<&'static str> {
        let mut tasks = JoinSet::new();
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            judge_queue.run(clock, stop).await;
            "judge_queue"
        });
        let (reload, stop) = (Arc::clone(reload), self.tasks_stop.clone());
        tasks.spawn(async move {
            keeper.watch(reload, stop).await;
            "rules"
        });
        let (store, stop) = (Arc::clone(&self.store), self.tasks_stop.clone());
        tasks.spawn(async move {
            index::build(store, stop).await;
            "index"
        });
        let (store, clock, stop) = (Arc::clone(&self.store), Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            editions::watch(store, clock, stop).await;
            "editions"
        });
        let (store, resources) = (Arc::clone(&self.store), Arc::clone(&self.resources));
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            store_size::watch(store, resources, clock, stop).await;
            "store_size"
        });
        let (store, retention) = (Arc::clone(&self.store), self.settings.retention);
        let (metrics, clock, stop) = (Arc::clone(&self.metrics), Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            retention::remove(store, retention, metrics, clock, stop).await;
            "retention"
        });
        let (budgets, metrics) = (Arc::clone(&self.budgets), Arc::clone(&self.metrics));
        let (store, clock, stop) = (Arc::clone(&self.store), Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            throttled::watch(store, &budgets, &metrics, &clock, stop).await;
            "throttled"
        });
        let (store, metrics, stop) = (Arc::clone(&self.store), Arc::clone(&self.metrics), self.tasks_stop.clone());
        tasks.spawn(async move {
            marks::watch(store, metrics, stop).await;
            "marks"
        });
        let (store, retention) = (Arc::clone(&self.store), self.settings.retention.verdicts);
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            decisions::keep(store, retention, clock, stop).await;
            "decisions"
        });
        let (store, rules) = (Arc::clone(&self.store), Arc::clone(&self.in_force));
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            duties::follow(store, rules, clock, stop).await;
            "duties"
        });
        let (store, rules) = (Arc::clone(&self.store), Arc::clone(&self.in_force));
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            roster::keep(store, rules, clock, stop).await;
            "roster"
        });
        let (store, rules) = (Arc::clone(&self.store), Arc::clone(&self.in_force));
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            bulk::advance(store, rules, clock, stop).await;
            "bulk"
        });
        let (store, key) = (Arc::clone(&self.store), Arc::clone(&self.seal));
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            sealing::keep(store, key, clock, stop).await;
            "sealing"
        });
        let (watch, stop) = (self.store_watch(), self.tasks_stop.clone());
        tasks.spawn(async move {
            watch.run(stop).await;
            "store_watch"
        });
        let (certificate, authority) = (Arc::clone(&self.certificate), Arc::clone(&self.authority));
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks_stop.clone());
        tasks.spawn(async move {
            keep_certificate(&certificate, &authority, &clock, stop).await;
            "certificate"
        });
        if let Some(company) = self.company.clone() {
            let (resources, clock, stop) =
                (Arc::clone(&self.resources), Arc::clone(&self.clock), self.tasks_stop.clone());
            tasks.spawn(async move {
                company::watch(&company, &resources, &clock, stop).await;
                "company_certificate"
            });
        }
        tasks
    }

    /// Starts all listeners and writes their addresses to a file.
    fn open(&self, listeners: Listeners) -> anyhow::Result<Serving> {
        let Listeners { agents, operators, probes } = listeners;
        let note = serde_json::json!({
            "agents": agents.address().to_string(),
            "operators": operators.address().to_string(),
            "probes": probes.address().to_string(),
        });
        info!(agents = %agents.address(), operators = %operators.address(), probes = %probes.address(), "listening");
        let health = tonic_health::server::health_reporter();
        let mut serving = Serving { reporter: health.0, tasks: Vec::new() };
        let agents_url = self.settings.agents.url(agents.address());
        serving.tasks.push(tokio::spawn(self.serve_agents(agents)?));
        serving.tasks.push(tokio::spawn(self.serve_operators(operators, health.1, agents_url)?));
        serving.tasks.push(tokio::spawn(self.serve_probes(probes)));
        self.readiness.listeners.store(true, Ordering::Release);
        // Written last: a program that finds this file may connect at once.
        let file = self.settings.file(LISTENING);
        tls::disk::write_atomically(&file, note.to_string().as_bytes(), tls::disk::OWNER_ONLY)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(serving)
    }

    /// Waits for the stop signal. A background task that ends earlier is a defect; then the collector stops instead of
    /// running without it.
    async fn attend(
        &self,
        signals: &mut Signals,
        reload: &Notify,
        tasks: &mut JoinSet<&'static str>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => {
                        info!("stopping: refusing new requests and finishing open ones");
                        return Ok(());
                    }
                    // `notify_one` keeps a permit, so a signal during a reload causes one more reload.
                    Signal::Reload => reload.notify_one(),
                },
                Some(ended) = tasks.join_next() => {
                    // An error here is a panic of the task: nothing cancels it before `close`.
                    let name = ended.context("a background task failed")?;
                    anyhow::bail!("the background task {name:?} ended unexpectedly");
                }
            }
        }
    }

    /// Closes the listeners, then the background tasks, then the store, so that nothing acknowledged is lost.
    async fn close(&self, serving: Serving, mut tasks: JoinSet<&'static str>) -> anyhow::Result<()> {
        // Probes and health report the stop first, so that load balancers choose another collector.
        self.readiness.stopping.store(true, Ordering::Release);
        serving.reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        // A file that cannot be removed here is removed by the next start.
        let _ = std::fs::remove_file(self.settings.file(LISTENING));
        self.listeners_stop.cancel();
        // The TLS listeners end at the drain deadline by themselves. The extra second lets them log it.
        let deadline = tokio::time::Instant::now() + self.settings.drain + Duration::from_secs(1);
        for task in serving.tasks {
            let abort = task.abort_handle();
            // Only the timeout matters: a listener that panicked has ended, too.
            if tokio::time::timeout_at(deadline, task).await.is_err() {
                abort.abort();
            }
        }
        self.tasks_stop.cancel();
        let ended = async { while tasks.join_next().await.is_some() {} };
        // The drain deadline may be zero, but a background task needs time to finish its current step.
        if tokio::time::timeout(self.settings.drain.max(Duration::from_secs(5)), ended).await.is_err() {
            warn!(
                "a background task did not end in time and was cancelled; the hosts it had claimed are judged after the next start"
            );
        }
        self.store.close().await.context("close the store")?;
        info!("stopped");
        Ok(())
    }
}

const fn edition_limit(settings: &Editions) -> EditionLimit {
    let most = EditionTotals { editions: settings.most, text_bytes: settings.text_bytes };
    EditionLimit { most, alarm_percent: settings.alarm_percent }
}

/// The running listeners.
struct Serving {
    reporter: HealthReporter,
    tasks: Vec<JoinHandle<()>>,
}

async fn keep_certificate(certificate: &ServerCertificate, authority: &Authority, clock: &Clock, stop: StopToken) {
    // `prepare` has just checked the certificate, so the loop begins with a pause.
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            () = tokio::time::sleep(CERTIFICATE_EVERY) => {}
        }
        match certificate.renew_if_due(authority, clock()) {
            Ok(true) => info!("renewed the server certificate"),
            Ok(false) => {}
            Err(failed) => {
                error!(error = %failed, "renewing the server certificate failed; trying again in an hour")
            }
        }
    }
}
