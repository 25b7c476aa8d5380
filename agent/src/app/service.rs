//! The service: scans and delivers on the collector's schedule and after changes, until it is stopped.
//!
//! It runs on one thread and alternates between a *turn* (arm the watch, scan, deliver) and *waiting* for the schedule, a
//! change or a signal. After SIGTERM, or the stop of the service manager of Windows, a turn may finish within a deadline; what is
//! not acknowledged by then stays in the spool. SIGHUP, or a parameter change on Windows, reloads the settings; invalid ones leave
//! the old ones in force.

mod log_on;

use std::path::PathBuf;
use std::time::Duration;

use muster_proto::error_chain;
use muster_proto::model::RefusalClass;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};

use super::{Agent, AppError, chance, state_files};
use crate::config::{Settings, SettingsError};
use crate::deadline;
use crate::os;
use crate::os::signals::{Signal, Signals};
use crate::os::supervisor::Supervisor;
use crate::schedule::CallSchedule;
use crate::sources;
use crate::sources::root::{Root, RootError};
use crate::telemetry;
use crate::watch::{Summary, Watch};
use log_on::LogOnScan;

/// How long a turn may continue after SIGTERM or a stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A delivery that takes longer is considered hung: the watchdog is no longer fed and systemd restarts the service.
const DELIVERY_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How many times the time limit of a source a turn may take apart from its delivery: two scans, each with os-release before
/// the sources, and as long again on a busy machine.
const SCAN_LIMITS: u32 = 4;

/// Reloads the settings from the same sources.
pub type Reload = Box<dyn Fn() -> Result<Settings, SettingsError>>;

/// Runs the service for the running system, or for the machine below `root`, until a signal stops it.
///
/// # Errors
/// The state directory cannot be used, or the host is not enrolled and has no token to enroll with.
pub async fn run(settings: Settings, root: Option<PathBuf>, reload: Reload) -> Result<(), AppError> {
    // Before the rest of the start: until then SIGHUP would end the process instead of reloading.
    let signals = Signals::listen().map_err(AppError::Signal)?;
    let supervisor = Supervisor::of_environment();
    let watchdog = supervisor.watchdog_interval().map(|period| {
        let mut interval = interval_at(Instant::now() + period, period);
        // After a stall one sign of life is enough; the default would send one for every missed tick.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    });
    let agent = Agent::open_in_time(settings).await?;
    tracing::info!(
        target: telemetry::ANNOUNCED,
        version = env!("CARGO_PKG_VERSION"),
        state_dir = %agent.settings().state_dir.display(),
        spool.entries = agent.waiting(),
        "the agent has started"
    );
    let watch = Watch::new(Instant::now());
    let schedule = CallSchedule::default();
    let (summary, log_on, must_reload) = (None, LogOnScan::default(), false);
    let service =
        Service { agent, watch, summary, schedule, root, reload, must_reload, log_on, signals, supervisor, watchdog };
    service.run().await
}

struct Service {
    agent: Agent,
    watch: Watch,
    /// The watch summary that was logged last.
    summary: Option<Summary>,
    schedule: CallSchedule,
    root: Option<PathBuf>,
    reload: Reload,
    /// A signal has asked for it while the service worked.
    must_reload: bool,
    log_on: LogOnScan,
    signals: Signals,
    supervisor: Supervisor,
    watchdog: Option<Interval>,
}

/// What to do after waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Scan { woken: bool },
    End,
}

impl Service {
    async fn run(mut self) -> Result<(), AppError> {
        if self.arm().await?.is_none() {
            return Ok(());
        }
        self.supervisor.ready(&self.status());
        let mut next = Next::Scan { woken: false };
        while let Next::Scan { woken } = next {
            let Some(pause) = self.turn(woken).await? else { break };
            os::memory::rest();
            tracing::debug!(pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "waiting");
            next = self.wait(pause).await;
            if next != Next::End && self.arm().await?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Arms the watch. This comes before the scan, so that a change during the scan wakes the agent again. `None` when the
    /// service must stop.
    async fn arm(&mut self) -> Result<Option<()>, AppError> {
        let (platform, watchlist) = self.agent.watchlist();
        let (watchlist, settings) = (watchlist.clone(), self.agent.settings().clone());
        let mut watch = std::mem::replace(&mut self.watch, Watch::new(Instant::now()));
        let root = self.root.clone();
        // Directories may be on a disk that does not answer.
        let armed = deadline::on_thread("watch", move || {
            let root = open_root(root.as_ref())?;
            let scanned = root.platform();
            // Before the first scan of a root of another platform the agent has not seen which list it needs.
            let watchlist =
                if scanned == platform { watchlist } else { state_files::current_watchlist(&settings, scanned) };
            let places = sources::watch_places(&root, &watchlist);
            watch.arm(root, &places);
            Ok::<_, RootError>(watch)
        });
        let Self { signals, supervisor, watchdog, must_reload, log_on, .. } = self;
        let mut attendant = Attendant { signals, supervisor, watchdog, must_reload, log_on, drain: Duration::ZERO };
        let Some(armed) = attendant.attend(DELIVERY_LIMIT, armed).await else { return Ok(None) };
        self.watch = armed.map_err(|_| AppError::ScanAborted)??;
        self.save_summary();
        Ok(Some(()))
    }

    /// Logs and saves what is watched, if it has changed.
    fn save_summary(&mut self) {
        let summary = self.watch.summary();
        if self.summary.as_ref() == Some(summary) {
            return;
        }
        if summary.is_complete() {
            tracing::info!(
                watch.directories = summary.directories,
                watch.keys = summary.keys,
                "watching all scanned places for changes"
            );
        } else {
            tracing::warn!(
                watch.directories = summary.directories,
                watch.keys = summary.keys,
                watch.unwatched = %summary.unwatched.join("; "),
                watch.more_unwatched = summary.more_unwatched,
                "some places cannot be watched; their changes are found at the next scheduled scan"
            );
        }
        if let Err(error) = state_files::save_watch_summary(&self.agent.settings().state_dir, summary) {
            tracing::warn!(error = %error_chain(&error), "cannot save the watch summary for `status`");
        }
        self.summary = Some(summary.clone());
    }

    /// One scan and its delivery. Returns how long to wait afterwards, or `None` when the service must stop.
    async fn turn(&mut self, woken: bool) -> Result<Option<Duration>, AppError> {
        let given = self.root.clone();
        let root = deadline::on_thread("root", move || open_root(given.as_ref()));
        let root = root.await.map_err(|_| AppError::ScanAborted)??;
        let limit = DELIVERY_LIMIT + self.agent.settings().scan_time_limit * SCAN_LIMITS;
        self.log_on.begins(Instant::now());
        let Self { agent, schedule, signals, supervisor, watchdog, must_reload, log_on, .. } = self;
        let mut attendant = Attendant { signals, supervisor, watchdog, must_reload, log_on, drain: DRAIN };
        attendant.attend(limit, turn(agent, schedule, root, woken)).await.transpose()
    }

    async fn wait(&mut self, pause: Duration) -> Next {
        if std::mem::take(&mut self.must_reload) {
            self.reload();
            return Next::Scan { woken: false };
        }
        let ended = {
            // Created once: a new future would forget the changes so far.
            let changed = self.watch.changed();
            let due = sleep(pause);
            tokio::pin!(changed, due);
            loop {
                tokio::select! {
                    () = &mut due => return Next::Scan { woken: false },
                    () = &mut changed => return Next::Scan { woken: true },
                    () = self.log_on.due() => return Next::Scan { woken: true },
                    signal = self.signals.next() => match signal {
                        Signal::Reload => break None,
                        Signal::End(name) => break Some(name),
                        Signal::LogOn => self.log_on.ask(Instant::now()),
                    },
                    () = watchdog_tick(&mut self.watchdog) => self.supervisor.alive(),
                }
            }
        };
        match ended {
            None => {
                self.reload();
                Next::Scan { woken: false }
            }
            Some(name) => {
                log_stop(&self.supervisor, name);
                Next::End
            }
        }
    }

    fn reload(&mut self) {
        self.supervisor.reloading();
        let failed = "cannot use the new configuration; the old one stays in force";
        match (self.reload)() {
            Ok(settings) => {
                // Only the level can still fail. It comes first, so that new settings apply completely or not at all.
                match telemetry::set_level(settings.log_level.as_deref().unwrap_or(telemetry::SERVICE_LEVEL)) {
                    Ok(()) => {
                        self.agent.reconfigure(settings);
                        tracing::info!(target: telemetry::ANNOUNCED, "the configuration was reloaded");
                    }
                    Err(error) => tracing::error!(error = %error_chain(&error), "{failed}"),
                }
            }
            Err(error) => tracing::error!(error = %error_chain(&error), advice = error.advice(), "{failed}"),
        }
        // systemd waits for READY=1 after RELOADING=1, whether the new configuration is usable or not (sd_notify(3)).
        self.supervisor.ready(&self.status());
    }

    fn status(&self) -> String {
        let watched = self.watch.summary().counted();
        format!("watching {watched}; {} snapshots wait for the collector", self.agent.waiting())
    }
}

/// Serves signals and the watchdog while the service works.
struct Attendant<'a> {
    signals: &'a mut Signals,
    supervisor: &'a Supervisor,
    watchdog: &'a mut Option<Interval>,
    must_reload: &'a mut bool,
    log_on: &'a mut LogOnScan,
    /// How long the work may continue after SIGTERM or a stop.
    drain: Duration,
}

impl Attendant<'_> {
    /// The result of the work; `None` when the service must stop. Work over its limit is considered hung.
    async fn attend<T>(&mut self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        let started = Instant::now();
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                signal = self.signals.next() => match signal {
                    Signal::Reload => *self.must_reload = true,
                    Signal::LogOn => self.log_on.ask(Instant::now()),
                    Signal::End(name) => {
                        log_stop(self.supervisor, name);
                        if !self.drain.is_zero() && timeout(self.drain, work).await.is_err() {
                            tracing::warn!(limit_s = self.drain.as_secs(), "the delivery was not acknowledged in time; the snapshot stays in the spool");
                        }
                        return None;
                    }
                },
                () = watchdog_tick(self.watchdog) => if started.elapsed() < limit { self.supervisor.alive() },
            }
        }
    }
}

fn open_root(root: Option<&PathBuf>) -> Result<Root, RootError> {
    root.map_or_else(Root::running_system, |dir| Root::below(dir))
}

fn log_stop(supervisor: &Supervisor, signal: &'static str) {
    supervisor.stopping();
    tracing::info!(target: telemetry::ANNOUNCED, signal, "the agent is stopping; unacknowledged snapshots stay in the spool");
}

async fn watchdog_tick(watchdog: &mut Option<Interval>) {
    match watchdog {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// One scan and its delivery. Returns how long to wait afterwards. An error means that no later turn can succeed either.
///
/// A change does not make the agent call early: while the collector is unreachable or has asked to wait, the agent scans
/// and spools only.
pub(super) async fn turn(
    agent: &mut Agent,
    schedule: &mut CallSchedule,
    root: Root,
    woken: bool,
) -> Result<Duration, AppError> {
    if woken && let Some(rest) = schedule.hold_off(agent.now()) {
        match agent.scan_and_spool(root).await {
            Ok(()) => tracing::debug!(
                spool.entries = agent.waiting(),
                "something has changed; the snapshot waits in the spool"
            ),
            Err(error) => tracing::error!(error = %error_chain(&error), "something has changed, but the scan failed"),
        }
        return Ok(rest);
    }
    match agent.scan_and_deliver(root).await {
        Ok(report) => Ok(schedule.acknowledged(report.pace, chance())),
        Err(error @ (AppError::StateFile(_) | AppError::Signal(_) | AppError::Runtime(_))) => Err(error),
        // With a token file the next turn may succeed. Without one only a person can enroll the host.
        Err(error @ AppError::NotEnrolled(_)) if agent.settings().token_file.is_none() => Err(error),
        Err(error) => {
            // A refusal sets the pace too.
            let pace = if let AppError::Uplink(uplink) = &error {
                uplink.pace()
            } else if let AppError::Enroll(enroll) = &error {
                enroll.wait()
            } else {
                None
            };
            let pause = schedule.failed(agent.now(), pace, chance());
            // The collector refuses this host until a person acts, so it is said once and not every hour.
            let for_good = |class: &RefusalClass| matches!(class, RefusalClass::Revoked | RefusalClass::Unknown);
            let class = if let AppError::Uplink(uplink) = &error { uplink.class().filter(for_good) } else { None };
            if class.is_some() && !schedule.is_news(class) {
                tracing::debug!(error = %error_chain(&error), pause_s = pause.as_secs(), "the collector still refuses this host");
                return Ok(pause);
            }
            tracing::warn!(
                error = %error_chain(&error),
                advice = error.advice().as_deref().unwrap_or_default(),
                failures = schedule.failures(),
                pause_s = pause.as_secs(),
                spool.entries = agent.waiting(),
                "the delivery failed"
            );
            Ok(pause)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, load};

    fn service(dir: &std::path::Path) -> Service {
        let file = dir.join("agent.toml");
        std::fs::write(&file, "").expect("written");
        let flags = Flags { config: Some(file), state_dir: Some(dir.join("state")), ..Flags::default() };
        let settings = load(&flags, std::collections::BTreeMap::new()).expect("settings");
        let kept = settings.clone();
        Service {
            agent: Agent::open(settings).expect("opened"),
            watch: Watch::new(Instant::now()),
            summary: None,
            schedule: CallSchedule::default(),
            root: Some(dir.to_owned()),
            reload: Box::new(move || Ok(kept.clone())),
            must_reload: false,
            log_on: LogOnScan::default(),
            signals: Signals::listen().expect("listening"),
            supervisor: Supervisor::of_environment(),
            watchdog: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_scan_after_a_log_on_comes_although_the_schedule_and_a_reload_came_first() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut service = service(dir.path());
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let begun = Instant::now();
        service.log_on.ask(begun);
        assert_eq!(service.wait(minutes(1)).await, Next::Scan { woken: false });
        service.log_on.begins(Instant::now());
        service.must_reload = true;
        assert_eq!(service.wait(minutes(60)).await, Next::Scan { woken: false });
        service.log_on.begins(Instant::now());
        assert_eq!(begun.elapsed(), minutes(1));
        assert_eq!(service.wait(minutes(60)).await, Next::Scan { woken: true });
        assert_eq!(begun.elapsed(), minutes(5));
        service.log_on.begins(Instant::now());
        assert_eq!(service.wait(minutes(60)).await, Next::Scan { woken: false }, "there was one scan for it");
        assert_eq!(begun.elapsed(), minutes(65));
    }
}
