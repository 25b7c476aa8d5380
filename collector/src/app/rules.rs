//! The rules in force: loaded at start, and again when the overlay changes, when people apply orders, or on SIGHUP. Broken rules
//! change nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use muster_proto::model::RulesRefused;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info, warn};

use super::applied;
use crate::actions::{self, ActionError};
use crate::api::probes::{Readiness, RulesNote};
use crate::clock::Clock;
use crate::config::Rules;
use crate::rules::{self, AppliedOrders, Overlay, OverlayLimits, RuleBase, RuleErrors, RuleSet};
use crate::shutdown::StopToken;
use crate::store::{SiteScope, Store};
use crate::telemetry::{Metrics, ReloadEnd};

/// The overlay as it was read, with the state of its files.
pub(super) struct ReadOverlay {
    /// Taken before the files were read: a file that is written meanwhile then counts as a change.
    seen: OverlayFingerprint,
    pub(super) overlay: Overlay,
}

/// The limits of the overlay.
const fn limits(settings: &Rules) -> OverlayLimits {
    OverlayLimits { file_bytes: settings.file_bytes, files: settings.files, deadline: settings.read_deadline }
}

/// Reads the overlay that the settings name, within the deadline.
pub(super) fn read(settings: &Rules) -> Result<ReadOverlay, RuleErrors> {
    let limits = limits(settings);
    let place = settings.overlay.clone();
    let read = rules::within(limits.deadline, move || {
        let seen = OverlayFingerprint::of(place.as_deref(), &limits);
        let overlay = place.map(|place| rules::read_overlay(&place, &limits)).transpose()?.unwrap_or_default();
        Ok(ReadOverlay { seen, overlay })
    });
    read.unwrap_or_else(|| Err(late(settings)))
}

fn late(settings: &Rules) -> RuleErrors {
    let place = settings.overlay.as_deref().unwrap_or_else(|| Path::new("rules.overlay"));
    RuleErrors::new(vec![rules::late(place, &limits(settings))])
}

/// The rules of the binary and the overlay, with the orders that the settings make active.
pub(super) fn compile(settings: &Rules, overlay: Overlay) -> anyhow::Result<RuleSet> {
    let base = Arc::new(RuleBase::read(rules::embedded(), overlay.files)?);
    Ok(base.rules(&AppliedOrders::default(), &applied::pins(&settings.active_orders))?)
}

/// The first rules of a process without what is applied, and the state of the overlay's files from which they were made.
pub(super) fn load(settings: &Rules) -> anyhow::Result<(RuleSet, OverlayFingerprint)> {
    let ReadOverlay { seen, overlay } = read(settings)?;
    warn_of_strays(&overlay);
    Ok((compile(settings, overlay)?, seen))
}

/// A file that is not read changes no verdict, so a running collector only warns; `check` reports it as a fault.
fn warn_of_strays(overlay: &Overlay) {
    for stray in &overlay.strays {
        warn!(file = %stray.file, "the overlay has a file that {}", stray.reason);
    }
}

/// The state of the overlay's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OverlayFingerprint(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl OverlayFingerprint {
    /// Size and time of every file, which change when somebody writes there.
    fn of(overlay: Option<&Path>, limits: &OverlayLimits) -> Self {
        let paths = overlay.map(|place| rules::listed(place, limits)).unwrap_or_default();
        // A file that is gone by now is absent from the fingerprint, which counts as a change.
        let state = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).ok()?;
            Some((path, (metadata.len(), metadata.modified().ok())))
        };
        Self(paths.into_iter().filter_map(state).collect())
    }
}

/// What one round of reading found.
struct Round {
    seen: OverlayFingerprint,
    /// The rules below what is applied, if they were read again.
    loaded: Option<anyhow::Result<Arc<RuleBase>>>,
}

/// Begins a round in a thread of its own. The file system may never answer, and neither a worker of the runtime nor its
/// shutdown may wait for it.
fn begin(settings: Rules, seen: OverlayFingerprint, asked: bool) -> oneshot::Receiver<Round> {
    let (done, round) = oneshot::channel();
    let read = move || {
        let limits = limits(&settings);
        let current = OverlayFingerprint::of(settings.overlay.as_deref(), &limits);
        let load = || {
            let read = settings.overlay.as_deref().map(|place| rules::read_overlay(place, &limits)).transpose();
            let overlay = read?.unwrap_or_default();
            warn_of_strays(&overlay);
            Ok(Arc::new(RuleBase::read(rules::embedded(), overlay.files)?))
        };
        let loaded = (asked || current != seen).then(load);
        // After a stop nobody receives it.
        let _ = done.send(Round { seen: current, loaded });
    };
    // Without a thread the sender is dropped, and the round ends without a result.
    let _ = std::thread::Builder::new().name("rules".to_owned()).spawn(read);
    round
}

/// Keeps the rules up to date.
pub(super) struct Keeper {
    pub(super) settings: Rules,
    /// The overlay's files before the rules in force were read.
    pub(super) seen: OverlayFingerprint,
    /// The shipped rules with the overlay. Those in force may have others below what is applied: see [`applied::first`].
    pub(super) base: Arc<RuleBase>,
    /// How often what is applied was changed before the first rules were made.
    pub(super) first_revision: u64,
    pub(super) in_force: Arc<ArcSwap<RuleSet>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    /// Wakes the judge queue when all hosts have to be judged again.
    pub(super) wake: Arc<Notify>,
    /// Whether the overlay on the disk cannot be used. What people apply then comes in force over the overlay before it.
    pub(super) is_overlay_refused: AtomicBool,
}

impl Keeper {
    /// Tells the store the version in force. If it is a new one, every host is judged again.
    pub(super) async fn adopt(&self) -> anyhow::Result<()> {
        let version = self.in_force.load().version.clone();
        let changed = self.store.rules_adopt(&version, (self.clock)()).await?;
        if changed && self.store.host_count(&SiteScope::All).await? > 0 {
            info!(rules.version = %version, "new rules are in force; every host is judged again");
        } else if changed {
            info!(rules.version = %version, "rules are in force");
        }
        self.readiness.rules.store(true, Ordering::Release);
        // Otherwise the judge queue would begin only after its next timeout.
        self.wake.notify_one();
        Ok(())
    }

    /// Watches the overlay and the reload signal until the stop.
    pub(super) async fn watch(self, reload: Arc<Notify>, stop: StopToken) {
        let mut seen = self.seen.clone();
        let applied = self.store.rules_notify();
        // Where the start could not use what is applied, it is tried again only after a change.
        let (mut revision, mut base) = (self.first_revision, Arc::clone(&self.base));
        let mut adopted = true;
        let (mut asked, mut is_late) = (false, false);
        // A round that is late still has its thread, so no other one begins before it ends.
        let mut open: Option<oneshot::Receiver<Round>> = None;
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            let is_applied = tokio::select! {
                () = &mut stopped => return,
                () = reload.notified() => {
                    asked = true;
                    false
                }
                () = applied.notified() => true,
                () = tokio::time::sleep(self.settings.poll) => false,
            };
            match self.apply(&base, &mut revision).await {
                Ok(is_new) => adopted &= !is_new,
                Err(failed) => {
                    error!(error = %format!("{failed:#}"), "reading what is applied failed; trying again later")
                }
            }
            if is_applied {
                // Others wait for this version, and the overlay may be on a file system that does not answer.
                adopted = adopted || self.adopted().await;
                continue;
            }
            let round =
                open.get_or_insert_with(|| begin(self.settings.clone(), seen.clone(), std::mem::take(&mut asked)));
            let ended = tokio::select! {
                () = &mut stopped => return,
                ended = tokio::time::timeout(self.settings.read_deadline, round) => ended,
            };
            let Ok(ended) = ended else {
                if !is_late {
                    self.is_overlay_refused.store(true, Ordering::Relaxed);
                    self.refuse(&late(&self.settings).into());
                }
                is_late = true;
                // What the refusal says is over when the round ends, so the rules are read again even if unchanged.
                asked = true;
                continue;
            };
            (open, is_late) = (None, false);
            match ended {
                Ok(round) => {
                    // Refused files count as seen, so the same fault is not logged at every poll.
                    seen = round.seen;
                    // It stays false until the store has the version, even if a later reload finds nothing new.
                    if let Some(loaded) = round.loaded {
                        base = loaded.as_ref().map_or(base, Arc::clone);
                        match self.reload(loaded).await {
                            Ok(is_new) => adopted &= !is_new,
                            Err(failed) => {
                                error!(error = %format!("{failed:#}"), "the store failed while rules were loaded; trying again later");
                                asked = true;
                            }
                        }
                    }
                }
                Err(_) => {
                    self.is_overlay_refused.store(true, Ordering::Relaxed);
                    self.refuse(&anyhow::anyhow!("the thread that reads the rules failed"));
                    asked = true;
                }
            }
            adopted = adopted || self.adopted().await;
        }
    }

    /// Tells the store the version in force; `false` if the store failed.
    async fn adopted(&self) -> bool {
        let adopted = self.adopt().await;
        if let Err(failed) = &adopted {
            error!(error = %format!("{failed:#}"), "storing the version of the rules failed; trying again later");
        }
        adopted.is_ok()
    }

    /// Puts what people applied in force, if it has changed since `revision`. Returns whether the rules have changed.
    async fn apply(&self, base: &Arc<RuleBase>, revision: &mut u64) -> anyhow::Result<bool> {
        let current = actions::orders_revision(self.store.as_ref()).await?;
        if current == *revision {
            return Ok(false);
        }
        let pins = self.in_force.load().pins.clone();
        let loaded = applied::over(self.store.as_ref(), Arc::clone(base), pins).await;
        let is_new = self.take(loaded).await?;
        *revision = current;
        Ok(is_new)
    }

    /// Puts rules of which the lower layers were read again in force. Returns whether they have changed.
    async fn reload(&self, loaded: anyhow::Result<Arc<RuleBase>>) -> anyhow::Result<bool> {
        self.is_overlay_refused.store(loaded.is_err(), Ordering::Relaxed);
        let loaded = match loaded {
            Ok(base) => applied::over(self.store.as_ref(), base, self.in_force.load().pins.clone()).await,
            Err(refused) => Err(refused),
        };
        self.take(loaded).await
    }

    /// Notes why the rules were refused. One refusal lasts until rules are accepted, even if its reason changes.
    fn note(&self, refused: &anyhow::Error, reason: String) {
        let since = self.readiness.rules_note.load().as_ref().map_or_else(|| (self.clock)(), |note| note.told.since);
        let first = refused.downcast_ref::<RuleErrors>().and_then(|errors| errors.faults.first());
        let fault = first.map_or_else(|| reason.clone(), ToString::to_string);
        let told = RulesRefused { since, fault };
        self.readiness.rules_note.store(Some(Arc::new(RulesNote { reason, told })));
    }

    /// Ends the refusal that was noted, unless it is one of the overlay.
    fn accepted(&self) {
        if !self.is_overlay_refused.load(Ordering::Relaxed) {
            self.readiness.rules_note.store(None);
        }
    }

    /// Puts rules in force once they are kept. Returns whether they have changed.
    async fn take(&self, loaded: anyhow::Result<RuleSet>) -> anyhow::Result<bool> {
        match loaded {
            Ok(set) if set.version == self.in_force.load().version => {
                self.metrics.reload(ReloadEnd::unchanged);
                self.accepted();
                Ok(false)
            }
            Ok(set) => {
                applied::keep(self.store.as_ref(), &set, (self.clock)()).await?;
                info!(rules.version = %set.version, "loaded changed rules");
                // In force before the store knows: hosts that the judge queue takes from now on are judged by them.
                self.in_force.store(Arc::new(set));
                self.metrics.reload(ReloadEnd::adopted);
                self.accepted();
                Ok(true)
            }
            Err(refused) => match refused.downcast::<ActionError>() {
                // The store failed; that says nothing of the rules.
                Ok(failed) => Err(failed.into()),
                Err(refused) => {
                    self.refuse(&refused);
                    Ok(false)
                }
            },
        }
    }

    /// Rules on disk, or what is applied, cannot be used; those in force stay.
    pub(super) fn refuse(&self, refused: &anyhow::Error) {
        let reason = format!("{refused:#}");
        warn!(rules.version = %self.in_force.load().version, reason = %reason, "changed rules were refused; the previous rules stay in force");
        self.metrics.reload(ReloadEnd::refused);
        self.note(refused, reason);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::actions::{Caller, OrdersAsked, orders_change};
    use crate::clock::system;
    use crate::config::ActiveOrders;
    use crate::store;

    const PRODUCT: &str = "catalogue/kaspersky-endpoint-security.toml";

    struct Stand {
        overlay: tempfile::TempDir,
        /// Beside the overlay: its files would count as changes of the overlay.
        _database: tempfile::TempDir,
        in_force: Arc<ArcSwap<RuleSet>>,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        store: Arc<dyn Store>,
        stop: StopToken,
    }

    impl Drop for Stand {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    impl Stand {
        fn start() -> Self {
            Self::start_with_deadline(Duration::from_secs(60))
        }

        fn start_with_deadline(read_deadline: Duration) -> Self {
            let overlay = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(overlay.path().join("catalogue")).expect("made");
            let settings = Rules {
                overlay: Some(overlay.path().to_owned()),
                active_orders: ActiveOrders::AsWritten,
                poll: Duration::from_millis(10),
                file_bytes: 1 << 18,
                files: 100,
                read_deadline: Duration::from_secs(60),
            };
            let (set, seen) = load(&settings).expect("rules");
            let settings = Rules { read_deadline, ..settings };
            let in_force = Arc::new(ArcSwap::from_pointee(set));
            let folder = tempfile::tempdir().expect("a folder");
            let database = folder.path().join("fleet.db");
            let stand = Self {
                overlay,
                _database: folder,
                in_force: Arc::clone(&in_force),
                metrics: Metrics::new(),
                readiness: Arc::default(),
                store: store::open(&database.display().to_string()).expect("a store"),
                stop: StopToken::new(),
            };
            let keeper = Keeper {
                settings,
                seen,
                base: Arc::clone(&in_force.load().base),
                first_revision: 0,
                in_force,
                store: Arc::clone(&stand.store),
                clock: system(),
                metrics: Arc::clone(&stand.metrics),
                readiness: Arc::clone(&stand.readiness),
                wake: Arc::default(),
                is_overlay_refused: AtomicBool::default(),
            };
            tokio::spawn(keeper.watch(Arc::default(), stand.stop.clone()));
            stand
        }

        fn write(&self, name: &str, text: &str) {
            crate::tls::disk::write_atomically(&self.overlay.path().join(name), text.as_bytes(), 0o600)
                .expect("written");
        }

        async fn until(&self, what: &str, good: impl Fn(&Self) -> bool) {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
            while !good(self) {
                assert!(tokio::time::Instant::now() < deadline, "{what}: {}", self.metrics.text().expect("text"));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        fn note(&self) -> Option<Arc<RulesNote>> {
            self.readiness.rules_note.load_full()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rules_that_were_read_too_late_are_no_longer_refused_once_they_are_read() {
        // Every round is late at first, and has ended by the next poll.
        let stand = Stand::start_with_deadline(Duration::ZERO);
        stand.until("the refusal", |stand| stand.note().is_some()).await;
        stand.until("the end of the note", |stand| stand.note().is_none()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broken_overlay_is_refused_by_name_and_a_good_one_is_adopted_while_running() {
        let stand = Stand::start();
        let first = stand.in_force.load().version.clone();
        stand.write("catalogue/broken.toml", "this is = = no TOML");
        stand.until("the refusal", |stand| stand.note().is_some()).await;
        let note = stand.note().expect("a note");
        assert!(note.reason.contains("broken.toml:1"), "file and line: {note:?}");
        let at = stand.overlay.path().join("catalogue/broken.toml:1: ").display().to_string();
        assert!(note.told.fault.starts_with(&at) && !note.told.fault.contains('\n'), "{note:?}");
        stand.write("catalogue/broken.toml", "\n\nthis is = = no TOML either");
        stand.until("another reason", |stand| stand.note().is_some_and(|note| note.reason.contains(":3:"))).await;
        assert_eq!(stand.note().map(|later| later.told.since), Some(note.told.since), "it is one refusal");
        assert_eq!(stand.in_force.load().version, first, "the last good set stays in force");
        assert!(stand.metrics.text().expect("text").contains("muster_rules_reloads_total{result=\"refused\"}"));

        let asked = OrdersAsked::Activate("us-far-52.204-23".parse().expect("an id"));
        let (rules, caller) = (stand.in_force.load_full(), Caller::collector("root"));
        let applied =
            orders_change(stand.store.as_ref(), &caller, &rules, &asked, false, system()()).await.expect("applies");
        let version = applied.rules.version.clone();
        stand.until("the order", |stand| stand.in_force.load().version == version).await;
        stand.until("its adoption", |stand| stand.readiness.rules.load(Ordering::Acquire)).await;
        stand.readiness.rules.store(false, Ordering::Release);
        assert!(stand.note().is_some(), "the overlay is still broken");

        std::fs::remove_file(stand.overlay.path().join("catalogue/broken.toml")).expect("removed");
        stand.until("the end of the note", |stand| stand.note().is_none()).await;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").join(PRODUCT);
        let text = std::fs::read_to_string(shipped).expect("the shipped file");
        stand.write(PRODUCT, &format!("{text}\n# as we know it\n"));
        stand.until("another version", |stand| stand.in_force.load().version != version).await;
        stand.until("the adoption", |stand| stand.readiness.rules.load(Ordering::Acquire)).await;
    }
}
