//! The life of the service: looks at the collector's pace and when something has changed, until it is told to end.
//!
//! One task on one thread, and one of two states: a *turn* (arm the watch, look, report) or *waiting* (for the time, a
//! change or a signal). SIGTERM lets a turn end within a deadline; what then is not acknowledged stays in the spool. SIGHUP
//! reads the settings anew; broken ones leave the old ones in force.

use std::path::PathBuf;
use std::time::Duration;

use muster_proto::error_chain;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};

use super::{Agent, AppError, chance, state_files};
use crate::config::{ConfigFaults, Settings};
use crate::os;
use crate::os::signals::{Signal, Signals};
use crate::os::supervisor::Supervisor;
use crate::schedule::Rhythm;
use crate::sources::places;
use crate::sources::root::{Root, RootError};
use crate::telemetry;
use crate::watch::{Summary, Watch};

/// How long a turn may go on after the process was told to end.
const DRAIN: Duration = Duration::from_secs(10);
/// A turn that takes longer hangs, whatever the limits of its steps say: the supervisor's watchdog then has its way.
const TURN_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Reads the settings anew, by the same layers.
pub type Reload = Box<dyn Fn() -> Result<Settings, ConfigFaults>>;

/// Looks at a machine until the process is told to end: the running system, or the one below `root`.
///
/// # Errors
/// The state directory cannot be used, or the host is not enrolled and cannot enroll by itself.
pub async fn run(settings: Settings, root: Option<PathBuf>, reload: Reload) -> Result<(), AppError> {
    let signals = Signals::listen().map_err(AppError::Signal)?;
    let supervisor = Supervisor::of_environment();
    let pulse = supervisor.pulse().map(|every| {
        let mut pulse = interval_at(Instant::now() + every, every);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pulse
    });
    let agent = Agent::open(settings)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        state_dir = %agent.settings().state_dir.display(),
        spool.entries = agent.waiting(),
        "the agent is at work"
    );
    let watch = Watch::new(Instant::now());
    let rhythm = Rhythm::default();
    let summary = None;
    Service { agent, watch, summary, rhythm, root, reload, reload_wanted: false, signals, supervisor, pulse }
        .run()
        .await
}

struct Service {
    agent: Agent,
    watch: Watch,
    /// What was said of the watch last.
    summary: Option<Summary>,
    rhythm: Rhythm,
    root: Option<PathBuf>,
    reload: Reload,
    reload_wanted: bool,
    signals: Signals,
    supervisor: Supervisor,
    pulse: Option<Interval>,
}

/// Why waiting is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Snapshot { woken: bool },
    End,
}

impl Service {
    async fn run(mut self) -> Result<(), AppError> {
        self.arm()?;
        self.supervisor.ready(&self.status());
        let mut next = Next::Snapshot { woken: false };
        while let Next::Snapshot { woken } = next {
            let Some(pause) = self.turn(woken).await? else { break };
            os::memory::give_back();
            tracing::debug!(pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "waiting");
            next = self.wait(pause).await;
            if next != Next::End {
                self.arm()?;
            }
        }
        Ok(())
    }

    /// Watches before the scan: what changes while the agent looks wakes it again afterwards.
    fn arm(&mut self) -> Result<(), RootError> {
        let root = open_root(self.root.as_ref())?;
        self.watch.arm(&root, &places::places(self.agent.watchlist()));
        let summary = self.watch.summary();
        if self.summary.as_ref() == Some(summary) {
            return Ok(());
        }
        if summary.is_complete() {
            tracing::info!(
                watch.directories = summary.directories,
                "a change in any place that is looked at wakes the agent"
            );
        } else {
            tracing::warn!(
                watch.directories = summary.directories,
                watch.unwatched = %summary.unwatched.join("; "),
                watch.more_unwatched = summary.more_unwatched,
                "changes in some places are seen at the collector's pace only"
            );
        }
        if let Err(error) = state_files::keep_watching(&self.agent.settings().state_dir, summary) {
            tracing::warn!(error = %error_chain(&error), "what is watched cannot be kept for `status`");
        }
        self.summary = Some(summary.clone());
        Ok(())
    }

    /// One scan and its report; how long to wait then, or `None` when the process is to end.
    async fn turn(&mut self, woken: bool) -> Result<Option<Duration>, AppError> {
        let root = open_root(self.root.as_ref())?;
        let work = turn(&mut self.agent, &mut self.rhythm, root, woken);
        tokio::pin!(work);
        let begun = Instant::now();
        loop {
            tokio::select! {
                pause = &mut work => return pause.map(Some),
                signal = self.signals.next() => match signal {
                    Signal::Reload => self.reload_wanted = true,
                    Signal::End(name) => {
                        ending(&self.supervisor, name);
                        if timeout(DRAIN, work).await.is_err() {
                            tracing::warn!(limit_s = DRAIN.as_secs(), "the report was not acknowledged in time; it stays in the spool");
                        }
                        return Ok(None);
                    }
                },
                () = beat(&mut self.pulse) => if begun.elapsed() < TURN_LIMIT { self.supervisor.alive() },
            }
        }
    }

    async fn wait(&mut self, pause: Duration) -> Next {
        if std::mem::take(&mut self.reload_wanted) {
            self.reload();
            return Next::Snapshot { woken: false };
        }
        let signal = {
            // Kept over all rounds: it knows what has changed so far.
            let changed = self.watch.changed();
            let due = sleep(pause);
            tokio::pin!(changed, due);
            loop {
                tokio::select! {
                    () = &mut due => return Next::Snapshot { woken: false },
                    () = &mut changed => return Next::Snapshot { woken: true },
                    signal = self.signals.next() => break signal,
                    () = beat(&mut self.pulse) => self.supervisor.alive(),
                }
            }
        };
        match signal {
            Signal::Reload => {
                self.reload();
                Next::Snapshot { woken: false }
            }
            Signal::End(name) => {
                ending(&self.supervisor, name);
                Next::End
            }
        }
    }

    fn reload(&mut self) {
        self.supervisor.reloading();
        let kept = "the new configuration cannot be used; the old one stays in force";
        match (self.reload)() {
            Ok(settings) => match telemetry::set_level(&settings.log_level) {
                Ok(()) => {
                    self.agent.reconfigure(settings);
                    tracing::info!("the configuration was read anew");
                }
                Err(error) => tracing::error!(error = %error_chain(&error), "{kept}"),
            },
            Err(faults) => tracing::error!(error = %faults, "{kept}"),
        }
        self.supervisor.ready(&self.status());
    }

    fn status(&self) -> String {
        let directories = self.watch.summary().directories;
        format!("{directories} directories are watched, {} scans wait for the collector", self.agent.waiting())
    }
}

fn open_root(root: Option<&PathBuf>) -> Result<Root, RootError> {
    root.map_or_else(Root::running_system, |dir| Root::below(dir))
}

fn ending(supervisor: &Supervisor, signal: &'static str) {
    supervisor.stopping();
    tracing::info!(signal, "the agent ends; what was not acknowledged stays in the spool");
}

async fn beat(pulse: &mut Option<Interval>) {
    match pulse {
        Some(pulse) => drop(pulse.tick().await),
        None => std::future::pending().await,
    }
}

/// One scan and its delivery; how long to wait then. Only what no later turn can mend is an error.
///
/// A change does not make the agent call before its time: while a collector is away, or has asked for patience, what has
/// changed is looked at and kept.
pub(super) async fn turn(
    agent: &mut Agent,
    rhythm: &mut Rhythm,
    root: Root,
    woken: bool,
) -> Result<Duration, AppError> {
    if woken && let Some(rest) = rhythm.patience(agent.now()) {
        match agent.scan_and_keep(root).await {
            Ok(()) => tracing::debug!(
                spool.entries = agent.waiting(),
                "something has changed; the scan waits for the collector"
            ),
            Err(error) => {
                tracing::error!(error = %error_chain(&error), "something has changed, and could not be looked at")
            }
        }
        return Ok(rest);
    }
    match agent.scan_and_deliver(root).await {
        Ok(report) => Ok(rhythm.reached(report.pace, chance())),
        Err(error @ (AppError::Keep(_) | AppError::Signal(_) | AppError::Runtime(_))) => Err(error),
        Err(AppError::NotEnrolled) if agent.settings().token_file.is_none() => Err(AppError::NotEnrolled),
        Err(error) => {
            // A collector that answered sets the pace also when it refuses.
            let pace = if let AppError::Uplink(uplink) = &error { uplink.pace() } else { None };
            let pause = rhythm.failed(agent.now(), pace, chance());
            tracing::warn!(
                error = %error_chain(&error),
                advice = error.advice().unwrap_or_default(),
                failures = rhythm.failures(),
                pause_s = pause.as_secs(),
                spool.entries = agent.waiting(),
                "the collector has no new scan"
            );
            Ok(pause)
        }
    }
}
