//! `muster-collector serve`: wires everything, waits for the stop, drains, closes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tonic_health::server::HealthReporter;
use tracing::{error, info, warn};

use super::index;
use super::lock::Lock;
use super::prepare::{Prepared, prepare};
use super::rules::{self, Keeper};
use crate::api::Access;
use crate::api::grpc::{AgentsGate, Fleet, OperatorsGate, operators_routes};
use crate::api::probes::{self, AdminState, Readiness};
use crate::clock::Clock;
use crate::config::Settings;
use crate::ingest::AgentDoor;
use crate::judge_queue::JudgeQueue;
use crate::rules::RuleSet;
use crate::shutdown::{Signal, Signals, StopToken};
use crate::store::Store;
use crate::telemetry::{Door, Metrics};
use crate::tls::{self, Authority, CertificateAuthority, DoorLimits, Listening, ServerCertificate, TlsDoor};

/// How often the server certificate is looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(3600);
/// Where programs find out about the ports.
const LISTENING: &str = "listening.json";

/// What all parts share.
struct House {
    settings: Settings,
    clock: Clock,
    store: Arc<dyn Store>,
    authority: Arc<Authority>,
    certificate: Arc<ServerCertificate>,
    in_force: Arc<ArcSwap<RuleSet>>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// Wakes the judge queue.
    wake: Arc<Notify>,
    /// Closes the doors; what they lead to goes on until they are empty.
    doors: StopToken,
    /// Ends the loops behind them.
    loops: StopToken,
}

/// The three bound listeners.
struct Listeners {
    agents: Listening,
    operators: Listening,
    admin: Listening,
}

/// Serves until a signal says stop.
pub(super) async fn serve(settings: Settings, clock: Clock) -> anyhow::Result<()> {
    // From here on a signal is ours, so that a stop during the start is not lost.
    let mut signals = Signals::listen().context("listen for signals")?;
    let seen = rules::OverlayFingerprint::of(&settings.rules);
    let in_force = rules::load(&settings.rules)?;
    crate::tls::disk::private_directory(&settings.data_dir)
        .with_context(|| format!("make the data directory {}", settings.data_dir.display()))?;
    let _lock = Lock::take(&settings.data_dir)?;
    // A note of an earlier process that was killed must not mislead those who wait for this one.
    let _ = std::fs::remove_file(settings.file(LISTENING));
    let Prepared { store, authority, certificate, notes } = prepare(&settings, clock()).await?;
    for note in &notes {
        info!("{note}");
    }
    let in_force = Arc::new(ArcSwap::from_pointee(in_force));
    let judge_queue = JudgeQueue::new(Arc::clone(&store), Arc::clone(&in_force));
    let house = House {
        clock,
        store,
        authority,
        certificate,
        in_force,
        metrics: Metrics::new(),
        readiness: Arc::default(),
        wake: judge_queue.waker(),
        doors: StopToken::new(),
        loops: StopToken::new(),
        settings,
    };
    house.readiness.store.store(true, Ordering::Release);
    let reload = Arc::new(Notify::new());
    let keeper = house.keeper(seen);
    keeper.adopt().await?;
    let listeners = house.bind()?;
    let mut loops = house.start_loops(judge_queue, keeper, &reload);
    let health = house.open(listeners)?;
    let ended = house.attend(&mut signals, &reload, &mut loops).await;
    house.close(health, loops).await?;
    ended
}

impl House {
    fn keeper(&self, seen: rules::OverlayFingerprint) -> Keeper {
        Keeper {
            seen,
            settings: self.settings.rules.clone(),
            in_force: Arc::clone(&self.in_force),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            readiness: Arc::clone(&self.readiness),
            wake: Arc::clone(&self.wake),
        }
    }

    fn bind(&self) -> anyhow::Result<Listeners> {
        let bind = |what: &str, address: SocketAddr| {
            Listening::bind(address).with_context(|| format!("listen for {what} on {address}"))
        };
        Ok(Listeners {
            agents: bind("agents", self.settings.agents.listen)?,
            operators: bind("operators", self.settings.operators.listen)?,
            admin: bind("health and metrics", self.settings.admin.listen)?,
        })
    }

    /// The loops behind the doors: judge queue, rules, index of search, certificate.
    fn start_loops(&self, judge_queue: JudgeQueue, keeper: Keeper, reload: &Arc<Notify>) -> JoinSet<&'static str> {
        let mut loops = JoinSet::new();
        let (clock, stop) = (Arc::clone(&self.clock), self.loops.clone());
        loops.spawn(async move {
            judge_queue.run(clock, stop).await;
            "judge_queue"
        });
        let (reload, stop) = (Arc::clone(reload), self.loops.clone());
        loops.spawn(async move {
            keeper.watch(reload, stop).await;
            "rules"
        });
        let (store, stop) = (Arc::clone(&self.store), self.loops.clone());
        loops.spawn(async move {
            index::build(store, stop).await;
            "index"
        });
        let (certificate, authority) = (Arc::clone(&self.certificate), Arc::clone(&self.authority));
        let (clock, stop) = (Arc::clone(&self.clock), self.loops.clone());
        loops.spawn(async move {
            keep_certificate(&certificate, &authority, &clock, stop).await;
            "certificate"
        });
        loops
    }

    /// Opens all doors and says where they are.
    fn open(&self, listeners: Listeners) -> anyhow::Result<Doors> {
        let Listeners { agents, operators, admin } = listeners;
        let note = serde_json::json!({
            "agents": agents.address().to_string(),
            "operators": operators.address().to_string(),
            "admin": admin.address().to_string(),
        });
        info!(agents = %agents.address(), operators = %operators.address(), admin = %admin.address(), "listening");
        let health = tonic_health::server::health_reporter();
        let mut doors = Doors { reporter: health.0, tasks: Vec::new() };
        doors.tasks.push(tokio::spawn(self.agents_door(agents)?));
        doors.tasks.push(tokio::spawn(self.operators_door(operators, health.1)?));
        doors.tasks.push(self.admin_door(admin));
        self.readiness.listeners.store(true, Ordering::Release);
        let file = self.settings.file(LISTENING);
        tls::disk::write_atomically(&file, note.to_string().as_bytes(), tls::disk::OWNER_ONLY)
            .with_context(|| format!("write {}", file.display()))?;
        Ok(doors)
    }

    fn agents_door(&self, listening: Listening) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
        let authority = Arc::clone(&self.authority) as Arc<dyn CertificateAuthority>;
        let (store, rules, clock) = (Arc::clone(&self.store), Arc::clone(&self.in_force), Arc::clone(&self.clock));
        let service = AgentDoor::new(store, authority, rules, self.settings.pace, clock);
        let gate = AgentsGate::new(
            service.into_service(),
            Arc::clone(&self.clock),
            self.settings.pace,
            Arc::clone(&self.metrics),
        );
        let agents = &self.settings.agents;
        let limits = DoorLimits {
            connections: agents.connections,
            handshakes: agents.handshakes,
            handshake_timeout: agents.handshake_timeout,
        };
        let config = tls::agents_config(&self.certificate, &self.authority).context("the agents' TLS settings")?;
        let door = self.tls_door(Door::agents, listening, config, limits);
        Ok(tls::serve(door, move |request| gate.clone().answer(request)))
    }

    fn operators_door<H>(
        &self,
        listening: Listening,
        health: tonic_health::pb::health_server::HealthServer<H>,
    ) -> anyhow::Result<impl Future<Output = ()> + Send + use<H>>
    where
        H: tonic_health::pb::health_server::Health,
    {
        let fleet = Fleet::new(
            Arc::clone(&self.store),
            Arc::clone(&self.in_force),
            Arc::clone(&self.clock),
            self.authority.pin(),
            Arc::clone(&self.metrics),
            Arc::clone(&self.readiness),
        );
        let routes = operators_routes(fleet, health).context("gRPC reflection")?;
        let access = Access::new(Arc::clone(&self.store), Arc::clone(&self.metrics));
        let gate = OperatorsGate::new(routes, access, Arc::clone(&self.metrics));
        let limits = DoorLimits {
            connections: self.settings.operators.connections,
            handshakes: self.settings.agents.handshakes,
            handshake_timeout: self.settings.agents.handshake_timeout,
        };
        let config = tls::operators_config(&self.certificate).context("the operators' TLS settings")?;
        let door = self.tls_door(Door::operators, listening, config, limits);
        Ok(tls::serve(door, move |request| gate.clone().answer(request)))
    }

    fn tls_door(
        &self,
        door: Door,
        listening: Listening,
        config: Arc<rustls::ServerConfig>,
        limits: DoorLimits,
    ) -> TlsDoor {
        TlsDoor {
            door,
            listening,
            config,
            limits,
            metrics: Arc::clone(&self.metrics),
            stop: self.doors.clone(),
            drain: self.settings.drain,
        }
    }

    fn admin_door(&self, listening: Listening) -> JoinHandle<()> {
        let state = AdminState {
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
        };
        let stop = self.doors.cancelled();
        let served = axum::serve(listening.into_listener(), probes::router(state)).with_graceful_shutdown(stop);
        tokio::spawn(async move {
            if let Err(failed) = served.await {
                error!(error = %failed, "the admin listener ended");
            }
        })
    }

    /// Waits for the stop; a loop that ends before it is a defect, and no collector is better than half a one.
    async fn attend(
        &self,
        signals: &mut Signals,
        reload: &Notify,
        loops: &mut JoinSet<&'static str>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => {
                        info!("stopping: no new calls are taken, open ones may finish");
                        return Ok(());
                    }
                    Signal::Reload => reload.notify_one(),
                },
                Some(ended) = loops.join_next() => {
                    let name = ended.context("a loop behind the doors broke")?;
                    anyhow::bail!("the loop {name:?} ended although nobody asked it to");
                }
            }
        }
    }

    /// Doors first, then what they lead to, then the store: nothing that was acknowledged is lost.
    async fn close(&self, doors: Doors, mut loops: JoinSet<&'static str>) -> anyhow::Result<()> {
        self.readiness.stopping.store(true, Ordering::Release);
        doors.reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        let _ = std::fs::remove_file(self.settings.file(LISTENING));
        self.doors.cancel();
        let deadline = tokio::time::Instant::now() + self.settings.drain + Duration::from_secs(1);
        for task in doors.tasks {
            let abort = task.abort_handle();
            if tokio::time::timeout_at(deadline, task).await.is_err() {
                abort.abort();
            }
        }
        self.loops.cancel();
        let emptied = async { while loops.join_next().await.is_some() {} };
        if tokio::time::timeout(self.settings.drain.max(Duration::from_secs(5)), emptied).await.is_err() {
            warn!("a loop did not end in time and is cut off; what it had claimed is judged after the next start");
        }
        self.store.close().await.context("close the store")?;
        info!("stopped");
        Ok(())
    }
}

/// The open doors.
struct Doors {
    reporter: HealthReporter,
    tasks: Vec<JoinHandle<()>>,
}

async fn keep_certificate(certificate: &ServerCertificate, authority: &Authority, clock: &Clock, stop: StopToken) {
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            () = tokio::time::sleep(CERTIFICATE_EVERY) => {}
        }
        match certificate.renew_if_due(authority, clock()) {
            Ok(true) => info!("the server certificate was renewed"),
            Ok(false) => {}
            Err(failed) => {
                error!(error = %failed, "the server certificate could not be renewed; tried again in an hour")
            }
        }
    }
}
