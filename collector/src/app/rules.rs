//! The rules in force: loaded at start, and again when the overlay changes or on SIGHUP. Broken rules change nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use anyhow::Context;
use arc_swap::ArcSwap;
use muster_proto::model::{OrderId, RulesRefused};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::api::probes::{Readiness, RulesNote};
use crate::clock::Clock;
use crate::config::{ActiveOrders, Rules};
use crate::rules::{self, RuleErrors, RuleSet};
use crate::shutdown::StopToken;
use crate::store::{SiteScope, Store};
use crate::telemetry::{Metrics, ReloadEnd};

/// Loads the rules that the settings name.
pub(super) fn load(settings: &Rules) -> anyhow::Result<RuleSet> {
    let set = rules::load(settings.overlay.as_deref())?;
    // A file that is not read changes no verdict, so a running collector only warns; `check` reports it as a fault.
    for stray in settings.overlay.as_deref().map(rules::strays).unwrap_or_default() {
        warn!(file = %stray.file, "the overlay has a file that {}", stray.reason);
    }
    match &settings.active_orders {
        ActiveOrders::AsWritten => Ok(set),
        ActiveOrders::All => {
            let usable: Vec<OrderId> = set.usable_orders().cloned().collect();
            set.with_active(&usable).context("rules.active_orders")
        }
        ActiveOrders::Only(ids) => set.with_active(ids).context("rules.active_orders"),
    }
}

/// The state of the overlay's files. Take it before reading the rules: a file that is written while they are read then
/// counts as a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OverlayFingerprint(Option<Fingerprint>);

impl OverlayFingerprint {
    pub(super) fn of(settings: &Rules) -> Self {
        Self(settings.overlay.as_deref().map(fingerprint))
    }
}

/// Keeps the rules up to date.
pub(super) struct Keeper {
    pub(super) settings: Rules,
    /// The overlay's files before the rules in force were read.
    pub(super) seen: OverlayFingerprint,
    pub(super) in_force: Arc<ArcSwap<RuleSet>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    /// Wakes the judge queue when all hosts have to be judged again.
    pub(super) wake: Arc<Notify>,
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
        let mut adopted = true;
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            let asked = tokio::select! {
                () = &mut stopped => return,
                () = reload.notified() => true,
                () = tokio::time::sleep(self.settings.poll) => false,
            };
            let current = OverlayFingerprint::of(&self.settings);
            if asked || current != seen {
                // Refused files count as seen, so the same fault is not logged at every poll.
                seen = current;
                // It stays false until the store has the version, even if a later reload finds nothing new.
                adopted &= !self.reload();
            }
            if !adopted {
                match self.adopt().await {
                    Ok(()) => adopted = true,
                    Err(failed) => {
                        error!(error = %format!("{failed:#}"), "storing the version of the rules failed; trying again later")
                    }
                }
            }
        }
    }

    /// Notes why the rules were refused. One refusal lasts until rules are accepted, even if its reason changes.
    fn note(&self, refused: &anyhow::Error, reason: String) {
        let since = self.readiness.rules_note.load().as_ref().map_or_else(|| (self.clock)(), |note| note.told.since);
        let first = refused.downcast_ref::<RuleErrors>().and_then(|errors| errors.faults.first());
        let fault = first.map_or_else(|| reason.clone(), ToString::to_string);
        let told = RulesRefused { since, fault };
        self.readiness.rules_note.store(Some(Arc::new(RulesNote { reason, told })));
    }

    /// Reads the rules again. Returns whether they have changed.
    fn reload(&self) -> bool {
        match load(&self.settings) {
            Ok(set) if set.version == self.in_force.load().version => {
                self.metrics.reload(ReloadEnd::unchanged);
                self.readiness.rules_note.store(None);
                false
            }
            Ok(set) => {
                info!(rules.version = %set.version, "loaded changed rules");
                // In force before the store knows: hosts that the judge queue takes from now on are judged by them.
                self.in_force.store(Arc::new(set));
                self.metrics.reload(ReloadEnd::adopted);
                self.readiness.rules_note.store(None);
                true
            }
            Err(refused) => {
                let reason = format!("{refused:#}");
                warn!(rules.version = %self.in_force.load().version, reason = %reason, "the rules on disk were refused; the previous rules stay in force");
                self.metrics.reload(ReloadEnd::refused);
                self.note(&refused, reason);
                false
            }
        }
    }
}

type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Size and time of every file of the overlay, which change when somebody writes there.
fn fingerprint(overlay: &Path) -> Fingerprint {
    let mut seen = Fingerprint::new();
    let mut note = |path: PathBuf| {
        // A file that is gone by now is absent from the fingerprint, which counts as a change.
        if let Ok(metadata) = std::fs::metadata(&path) {
            seen.insert(path, (metadata.len(), metadata.modified().ok()));
        }
    };
    for entry in std::fs::read_dir(overlay).into_iter().flatten().flatten() {
        for inner in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            note(inner.path());
        }
        note(entry.path());
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::system;
    use crate::store;

    const PRODUCT: &str = "catalogue/kaspersky-endpoint-security.toml";

    struct Stand {
        overlay: tempfile::TempDir,
        in_force: Arc<ArcSwap<RuleSet>>,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        stop: StopToken,
    }

    impl Drop for Stand {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    impl Stand {
        fn start() -> Self {
            let overlay = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(overlay.path().join("catalogue")).expect("made");
            let settings = Rules {
                overlay: Some(overlay.path().to_owned()),
                active_orders: ActiveOrders::AsWritten,
                poll: Duration::from_millis(10),
            };
            let seen = OverlayFingerprint::of(&settings);
            let in_force = Arc::new(ArcSwap::from_pointee(load(&settings).expect("rules")));
            let database = overlay.path().join("fleet.db");
            let stand = Self {
                overlay,
                in_force: Arc::clone(&in_force),
                metrics: Metrics::new(),
                readiness: Arc::default(),
                stop: StopToken::new(),
            };
            let keeper = Keeper {
                settings,
                seen,
                in_force,
                store: store::open(&database.display().to_string()).expect("a store"),
                clock: system(),
                metrics: Arc::clone(&stand.metrics),
                readiness: Arc::clone(&stand.readiness),
                wake: Arc::default(),
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

        std::fs::remove_file(stand.overlay.path().join("catalogue/broken.toml")).expect("removed");
        stand.until("the end of the note", |stand| stand.note().is_none()).await;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").join(PRODUCT);
        let text = std::fs::read_to_string(shipped).expect("the shipped file");
        stand.write(PRODUCT, &format!("{text}\n# as we know it\n"));
        stand.until("another version", |stand| stand.in_force.load().version != first).await;
        stand.until("the adoption", |stand| stand.readiness.rules.load(Ordering::Acquire)).await;
    }
}
