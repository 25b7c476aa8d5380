//! The agent of one state directory: scans, spools new snapshots until the collector acknowledges them, and delivers.

use muster_proto::canonical;
use muster_proto::error_chain;
use muster_proto::model::{Digest, IdentityScope, Losses, Pace, Platform, RefusalClass, Timestamp, Watchlist};

use super::state_files::{self, StateFileError};
use super::{AppError, EnrollError, enrollment, now, scan_options};
use crate::config::{Settings, WatchlistPolicy};
use crate::deadline::{self, StuckWork};
use crate::identity::{Identity, IdentityStore};
use crate::scan::{ScanMemory, ScanResult, scan_root};
use crate::schedule;
use crate::sources::root::Root;
use crate::spool::Spool;
use crate::uplink::{self, Delivered, Delivery, Run, Target, Tls, UplinkError, Versions};

/// A difference between the two clocks is logged from here on.
const CLOCK_DIFFERENCE_LOGGED_MS: i64 = 60_000;

/// The result of one scan and its delivery.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DeliverySummary {
    /// The collector has stored the snapshot durably.
    pub accepted: bool,
    /// The host's id.
    pub host_id: String,
    /// The digest of the snapshot.
    pub snapshot: Digest,
    /// Whether the snapshot had to be uploaded.
    pub snapshot_sent: bool,
    /// How many sections were uploaded.
    pub sections_sent: usize,
    /// The bytes of these sections.
    pub section_bytes: u64,
    /// Bytes of all request messages, before TLS.
    pub message_bytes: u64,
    /// Bytes sent on the wire, including TLS and its handshake.
    pub bytes_sent: u64,
    /// Bytes received on the wire.
    pub bytes_received: u64,
    /// How many snapshots were delivered: this one, and those that had waited in the spool.
    pub snapshots_delivered: usize,
    /// When the collector expects the next check-in.
    #[serde(skip)]
    pub pace: Pace,
}

/// A snapshot that was just taken.
#[derive(Debug)]
pub(super) struct TakenSnapshot {
    delivery: Delivery,
    /// The number of its own entry in the spool; `None` if it was not written there, or equals an earlier snapshot.
    spool_entry: Option<u64>,
}

/// The agent of one state directory.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    store: IdentityStore,
    spool: Spool,
    run: Run,
    /// The platform of the machine that was scanned last, and the watchlist for it.
    platform: Platform,
    watchlist: Watchlist,
    acknowledged: Option<Digest>,
    /// The TLS settings and the identity they were built from. Kept between calls for their session tickets.
    tls: Option<(Identity, Tls)>,
    memory: ScanMemory,
    /// The label of a snapshot that is neither spooled nor delivered.
    unspooled: Option<String>,
    /// The collector demands a new key at once.
    new_key_demanded: bool,
    /// An installer left a token before this process started.
    had_token: bool,
    /// The machine's clock, or a test's.
    clock: fn() -> Timestamp,
    /// Held while this process uses the state directory.
    _lock: std::fs::File,
}

impl Agent {
    /// As [`Self::open`], while the disk of the state directory may not answer.
    ///
    /// # Errors
    /// As [`Self::open`], or the directory does not answer.
    pub async fn open_in_time(settings: Settings) -> Result<Self, AppError> {
        let dir = settings.state_dir.clone();
        let open = move || {
            deadline::reading(&settings.state_dir.to_string_lossy());
            Self::open(settings)
        };
        let opened = deadline::run_async("state", deadline::OWN_FILES, &StuckWork::default(), open).await;
        opened.map_err(|unfinished| StateFileError { path: dir, source: unfinished.into() })?
    }

    /// Locks and opens the state directory.
    ///
    /// # Errors
    /// The directory cannot be used, or another process holds its lock.
    pub fn open(settings: Settings) -> Result<Self, AppError> {
        let dir = &settings.state_dir;
        crate::os::make_private_dir(dir).map_err(|source| StateFileError { path: dir.clone(), source })?;
        state_files::check_access(dir)?;
        let path = state_files::lock_file(dir);
        let lock = crate::os::lock(&path).map_err(|source| {
            if source.kind() == std::io::ErrorKind::WouldBlock {
                AppError::Busy(dir.display().to_string())
            } else {
                StateFileError { path, source }.into()
            }
        })?;
        // Only under the lock: otherwise this would remove the file of a running service.
        state_files::remove_watch_summary(dir);
        let platform = Root::running_platform();
        let had_token = state_files::own_token_file(dir).is_file();
        Ok(Self {
            store: IdentityStore::below(dir),
            spool: Spool::open(&state_files::spool_dir(&settings), state_files::spool_bounds(&settings))?,
            run: Run::new(),
            platform,
            watchlist: state_files::current_watchlist(&settings, platform),
            acknowledged: state_files::last_acknowledged(dir),
            tls: None,
            memory: ScanMemory::default(),
            unspooled: None,
            new_key_demanded: false,
            had_token,
            clock: now,
            settings,
            _lock: lock,
        })
    }

    #[cfg(test)]
    pub(super) const fn with_clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self
    }

    /// The current time by this agent's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The current watchlist, and the platform that it is for.
    #[must_use]
    pub const fn watchlist(&self) -> (Platform, &Watchlist) {
        (self.platform, &self.watchlist)
    }

    /// The machine to scan is of this platform: from now on its watchlist counts.
    pub(super) fn scan_platform(&mut self, platform: Platform) {
        if platform != self.platform {
            self.platform = platform;
            self.watchlist = state_files::current_watchlist(&self.settings, platform);
        }
    }

    /// Applies new settings. The state directory does not change, because this process holds its lock.
    pub fn reconfigure(&mut self, settings: Settings) {
        if settings.state_dir != self.settings.state_dir {
            tracing::warn!(
                state_dir = %self.settings.state_dir.display(),
                "a changed state_dir takes effect at the next start"
            );
        }
        let state_dir = self.settings.state_dir.clone();
        self.settings = Settings { state_dir, ..settings };
        self.spool.set_bounds(state_files::spool_bounds(&self.settings));
        self.watchlist = state_files::current_watchlist(&self.settings, self.platform);
    }

    /// The current settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many snapshots wait in the spool.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.spool.len()
    }

    /// Scans, then delivers the waiting snapshots and the new one. If the collector sends a newer watchlist, scans and
    /// delivers once more with it.
    ///
    /// # Errors
    /// The collector has not acknowledged everything. What it does not have stays in the spool.
    pub async fn scan_and_deliver(&mut self, root: Root) -> Result<DeliverySummary, AppError> {
        let offline = (!root.is_running_system()).then(|| root.given_path().to_owned());
        self.scan_platform(root.platform());
        let before = self.watchlist.version;
        let taken = self.take_snapshot(root).await?;
        let summary = self.deliver_all(&taken).await?;
        if self.watchlist.version == before {
            return Ok(summary);
        }
        // Frees the memory of the first snapshot before the second is taken.
        drop(taken);
        let root = offline.map_or_else(Root::running_system, |dir| Root::below(&dir))?;
        let taken = self.take_snapshot(root).await?;
        let again = self.deliver_all(&taken).await?;
        Ok(summary.and(again))
    }

    /// Scans, and spools the snapshot for a later delivery.
    ///
    /// # Errors
    /// The scan was aborted.
    pub async fn scan_and_spool(&mut self, root: Root) -> Result<(), AppError> {
        self.take_snapshot(root).await.map(drop)
    }

    /// Scans, and writes the snapshot to the spool unless the collector has it already. A spool that cannot be written is
    /// not an error: the snapshot can still be delivered at once.
    pub(super) async fn take_snapshot(&mut self, root: Root) -> Result<TakenSnapshot, AppError> {
        self.scan_platform(root.platform());
        let options = scan_options(&self.settings, self.watchlist.clone(), self.memory.clone());
        let observed_at = self.now();
        // On this thread the scan would block the signals and the watchdog, which run on the same runtime.
        let scan = deadline::on_thread("scan", move || scan_root(root, &options));
        let delivery = delivery_of(scan.await.map_err(|_| AppError::ScanAborted)?, observed_at);
        let label = delivery.digest().to_string();
        // The same snapshot again replaces nothing, so nothing is lost yet.
        if self.unspooled.as_deref() != Some(label.as_str()) {
            self.count_unspooled();
        }
        // While older snapshots wait, an equal one is a change again: the collector will have received those in
        // between.
        let acknowledged = self.spool.is_empty() && self.acknowledged == Some(delivery.digest());
        let is_new = !acknowledged && self.spool.newest_label() != Some(label.as_str());
        let spooled = if is_new {
            self.spool.put_with(&label, &|out| delivery.write(out), observed_at)
        } else {
            self.spool.enforce_bounds(observed_at)
        };
        let mut spool_entry = None;
        match spooled {
            Ok(lost) => {
                // An entry of an earlier scan with the same digest has its own time and state, so only a new one counts.
                spool_entry = self.spool.newest_number().filter(|_| is_new);
                if lost != Losses::default() {
                    tracing::warn!(
                        spool.coalesced = lost.coalesced,
                        spool.dropped = lost.dropped,
                        spool.entries = self.spool.len(),
                        "older snapshots in the spool were removed to free space"
                    );
                }
            }
            Err(error) => {
                self.unspooled = Some(label);
                tracing::error!(error = %error_chain(&error), "cannot spool the snapshot; it is lost unless it is delivered now");
            }
        }
        Ok(TakenSnapshot { delivery, spool_entry })
    }

    /// A snapshot that could not be spooled is lost when the next one replaces it, or when the process ends.
    fn count_unspooled(&mut self) {
        if self.unspooled.take().is_some() {
            self.spool.count_lost();
        }
    }

    /// Delivers the spool, oldest first, and then the new snapshot if it was not among the entries. The new snapshot is
    /// delivered from memory; only older entries are read from disk.
    pub(super) async fn deliver_all(&mut self, current: &TakenSnapshot) -> Result<DeliverySummary, AppError> {
        let (target, identity) = self.identity().await?;
        let mut summary = DeliverySummary::empty(&identity, current.delivery.digest());
        while let Some(number) = self.spool.oldest_number() {
            let older;
            // `older` only extends the life of an entry that is read from disk.
            let delivery = if current.spool_entry == Some(number) {
                &current.delivery
            } else {
                let Some(read) = self.read_spooled(number)? else { continue };
                older = read;
                &older
            };
            match self.deliver(&target, delivery).await {
                Ok(delivered) => {
                    // Only after the acknowledgement. If the process is killed in between, the delivery is merely
                    // repeated.
                    self.spool.acknowledged(number)?;
                    summary.add(delivery, &delivered);
                }
                // The delivery is in order, so a rejected entry would hold up all later ones. The newest is never given
                // up.
                Err(AppError::Uplink(error)) if is_about_the_snapshot(&error) && self.spool.give_up(number)? => {
                    tracing::error!(error = %error_chain(&error), "the collector rejects a spooled snapshot; it is dropped");
                }
                Err(error) => return Err(error),
            }
        }
        // The snapshot has no entry when the collector has it already or the disk is full. The check-in is due anyway.
        if !summary.accepted {
            let delivered = self.deliver(&target, &current.delivery).await?;
            summary.add(&current.delivery, &delivered);
        }
        // A host that an installer gives a token again is enrolled already. A token that comes while this process runs is for
        // its next start, perhaps with another collector.
        if std::mem::take(&mut self.had_token) {
            state_files::remove_own_token(&self.settings.state_dir);
        }
        Ok(summary)
    }

    /// Reads an entry of the spool. `None` when it is damaged; it is then removed and counted.
    fn read_spooled(&mut self, number: u64) -> Result<Option<Delivery>, AppError> {
        let Some(entry) = self.spool.read(number)? else { return Ok(None) };
        match Delivery::decode(entry.payload) {
            // The settings may have changed since the scan.
            Ok(delivery) if self.settings.identity == IdentityScope::None => Ok(Some(delivery.without_identity())),
            Ok(delivery) => Ok(Some(delivery)),
            Err(error) => {
                tracing::error!(error = %error_chain(&error), "cannot decode a spooled snapshot; it is dropped");
                self.spool.discard_damaged(number)?;
                Ok(None)
            }
        }
    }

    async fn deliver(&mut self, target: &Target, delivery: &Delivery) -> Result<Delivered, AppError> {
        let Some((identity, tls)) = self.tls.clone() else { return Err(self.not_enrolled()) };
        // A snapshot in the spool can be of a machine of another platform, whose list nobody needs any more.
        let is_current = delivery.platform() == self.platform.name();
        let watchlist = if is_current { self.watchlist.version } else { u64::MAX };
        let versions = Versions { watchlist, trust: identity.trust.version };
        let delivered = match self.run.deliver(target, &tls, delivery, self.spool.losses(), versions, self.now()).await
        {
            Ok(delivered) => delivered,
            Err(error) => return Err(self.after_failure(identity, error)),
        };
        self.acknowledged = Some(delivery.digest());
        self.unspooled.take_if(|label| *label == delivery.digest().to_string());
        if let Err(error) = state_files::save_acknowledged(&self.settings.state_dir, delivery.digest()) {
            // The only effect is one unnecessary check-in after a restart.
            tracing::warn!(error = %error_chain(&error), "cannot save the digest of the acknowledged snapshot");
        }
        tracing::info!(
            snapshot = %delivery.digest().short(),
            snapshot_sent = delivered.snapshot_sent,
            sections_sent = delivered.sections_sent,
            message_bytes = delivered.message_bytes,
            wire_bytes = delivered.wire_sent,
            "the collector acknowledged the snapshot"
        );
        // A difference is only logged. The collector decides whether it refuses a host with a wrong clock.
        let ahead = self.now().millis().saturating_sub(delivered.server_time.millis());
        if ahead.abs() > CLOCK_DIFFERENCE_LOGGED_MS {
            tracing::warn!(clock_ahead_ms = ahead, "this machine's clock differs from the collector's");
        }
        self.apply(identity, &delivered)?;
        Ok(delivered)
    }

    /// Applies what an acknowledged check-in brought: a trust bundle, a watchlist, and proof that the current key works.
    fn apply(&mut self, mut identity: Identity, delivered: &Delivered) -> Result<(), AppError> {
        // An acknowledgement proves that the collector accepts this host after all.
        let mut changed = identity.refused.take().is_some();
        if changed {
            tracing::info!("the collector accepts this host again");
        }
        if let Some(trust) = delivered.trust.clone().filter(|trust| trust.version > identity.trust.version) {
            tracing::info!(
                trust.version = trust.version,
                certificates = trust.certificates.len(),
                "the trust bundle has changed"
            );
            identity.trust = trust;
            changed = true;
        }
        if changed {
            self.store.save(&identity)?;
        }
        if identity.previous.is_some() {
            self.store.drop_previous(&mut identity)?;
            changed = true;
        }
        if changed {
            // The next delivery of this turn takes its identity from here.
            self.tls = None;
            self.prepare(identity)?;
        }
        if let Some(sent) = delivered.watchlist.clone()
            && self.settings.watchlist == WatchlistPolicy::Collector
            && sent.version > self.watchlist.version
        {
            match state_files::save_watchlist(&self.settings, self.platform, &self.watchlist, sent) {
                Ok(watchlist) => self.watchlist = watchlist,
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "cannot save the collector's watchlist; it is not used")
                }
            }
        }
        Ok(())
    }

    /// Updates the identity after a failed call. Only `revoked` and `unknown` mark it as refused.
    fn after_failure(&mut self, mut identity: Identity, error: UplinkError) -> AppError {
        self.new_key_demanded |= error.class() == Some(RefusalClass::ReKey);
        let for_good = matches!(error.class(), Some(RefusalClass::Revoked | RefusalClass::Unknown));
        let new_key_fails = for_good || matches!(error, UplinkError::CertificateRefused { .. });
        // A refusal after a renewal may concern the new key only, so the previous one is tried before the host counts
        // as refused.
        if new_key_fails && identity.revert_renewal() {
            tracing::warn!(error = %error_chain(&error), "the renewed certificate does not work; going back to the previous one");
        } else if for_good && identity.refused != error.class() {
            identity.refused = error.class();
        } else {
            return error.into();
        }
        self.tls = None;
        if let Err(unsaved) = self.store.save(&identity) {
            return unsaved.into();
        }
        error.into()
    }

    /// Loads the identity from disk, enrolls or renews if due, and builds the TLS settings for it.
    async fn identity(&mut self) -> Result<(Target, Identity), AppError> {
        let mut identity = match self.store.load()? {
            Some(identity) if identity.refused.is_none() => identity,
            previous => self.enroll_automatically(previous).await?,
        };
        let collector = self.settings.collector.clone().unwrap_or_else(|| identity.collector.clone());
        let target = Target::parse(&collector)?.through(self.settings.proxy.as_ref());
        // Derived from the host id: renewals of a fleet are spread, and each host keeps its own moment.
        let share = f64::from(identity.host_id.as_bytes()[0]) / 255.0;
        let due = schedule::renewal_is_due(identity.issued, identity.expires, self.now(), share);
        // Until the last renewal has worked, another one would overwrite the certificate to go back to.
        if (due || self.new_key_demanded) && identity.previous.is_none() {
            identity = self.renew(&target, identity).await?;
            self.new_key_demanded = false;
        }
        self.prepare(identity.clone())?;
        Ok((target, identity))
    }

    async fn enroll_automatically(&self, previous: Option<Identity>) -> Result<Identity, AppError> {
        if let Some(path) = enrollment::token_file(&self.settings) {
            let read = deadline::on_thread("token", move || enrollment::read_token(&path));
            let token = read.await.map_err(EnrollError::Machine)??;
            // The service enrolls the machine on which it runs; `enroll --root` enrolls another one.
            let root = Root::running_system()?;
            return Ok(enrollment::enroll(&self.settings, &token, root, self.now()).await?);
        }
        match previous {
            // A collector that was restored from a backup may know the host again, and an operator may release it, so it is
            // worth asking.
            Some(identity) => Ok(identity),
            None => Err(self.not_enrolled()),
        }
    }

    fn not_enrolled(&self) -> AppError {
        AppError::NotEnrolled(self.settings.state_dir.clone())
    }

    async fn renew(&self, target: &Target, identity: Identity) -> Result<Identity, AppError> {
        let expired = identity.expires <= self.now();
        // The new key is on disk before it is requested, so a repeated request after a lost answer has the same key.
        let (old, new) = (self.store.key(identity.key)?, self.store.key(identity.key + 1)?);
        let mut renewed = uplink::renew(target, &identity, &old, &new, true, self.now()).await;
        // A server may reject an expired certificate in the handshake. The proof in the request does not need it there.
        if expired && matches!(renewed, Err(UplinkError::CertificateRefused { .. } | UplinkError::Connect(_))) {
            renewed = uplink::renew(target, &identity, &old, &new, false, self.now()).await;
        }
        match renewed {
            Ok(renewed) => {
                self.store.save(&renewed)?;
                tracing::info!(expires = %renewed.expires, "the certificate was renewed");
                Ok(renewed)
            }
            // The old certificate is still valid, so the next check-in can try again.
            Err(error) if !expired => {
                tracing::warn!(error = %error_chain(&error), expires = %identity.expires, "cannot renew the certificate yet");
                Ok(identity)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn prepare(&mut self, identity: Identity) -> Result<(), AppError> {
        if self.tls.as_ref().is_none_or(|(prepared, _)| *prepared != identity) {
            let key = self.store.key(identity.key)?;
            let tls = Tls::by_identity(&identity, Some(&key))?;
            self.tls = Some((identity, tls));
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.count_unspooled();
    }
}

impl DeliverySummary {
    fn empty(identity: &Identity, snapshot: Digest) -> Self {
        Self {
            accepted: false,
            host_id: identity.host_id.to_string(),
            snapshot,
            snapshot_sent: false,
            sections_sent: 0,
            section_bytes: 0,
            message_bytes: 0,
            bytes_sent: 0,
            bytes_received: 0,
            snapshots_delivered: 0,
            pace: Pace::default(),
        }
    }

    fn add(&mut self, delivery: &Delivery, delivered: &Delivered) {
        self.accepted |= delivery.digest() == self.snapshot;
        self.snapshot_sent |= delivered.snapshot_sent;
        self.sections_sent += delivered.sections_sent;
        self.section_bytes += delivered.section_bytes;
        self.message_bytes += delivered.message_bytes;
        self.bytes_sent += delivered.wire_sent;
        self.bytes_received += delivered.wire_received;
        self.snapshots_delivered += 1;
        self.pace = delivered.pace;
    }

    /// Adds the result of a second scan.
    fn and(self, next: Self) -> Self {
        Self {
            snapshot_sent: self.snapshot_sent || next.snapshot_sent,
            sections_sent: self.sections_sent + next.sections_sent,
            section_bytes: self.section_bytes + next.section_bytes,
            message_bytes: self.message_bytes + next.message_bytes,
            bytes_sent: self.bytes_sent + next.bytes_sent,
            bytes_received: self.bytes_received + next.bytes_received,
            snapshots_delivered: self.snapshots_delivered + next.snapshots_delivered,
            ..next
        }
    }
}

fn delivery_of(scan: ScanResult, observed_at: Timestamp) -> Delivery {
    let sections = scan.sections.into_iter().map(|section| (section.digest, section.canonical)).collect();
    Delivery::new(
        canonical::snapshot_bytes(&scan.snapshot),
        sections,
        scan.facts,
        scan.fingerprint,
        scan.state,
        observed_at,
    )
}

/// Whether the collector rejects this snapshot itself, rather than this host or this moment.
fn is_about_the_snapshot(error: &UplinkError) -> bool {
    matches!(error.class(), Some(RefusalClass::Limit | RefusalClass::Malformed))
}
