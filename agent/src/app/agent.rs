//! One process' hold of a state directory: looks, keeps what is new until it is acknowledged, and delivers.

use muster_proto::canonical;
use muster_proto::error_chain;
use muster_proto::model::{Digest, Losses, Pace, RefusalClass, Timestamp, Watchlist};

use super::state_files::{self, StateFileError};
use super::{AppError, enrollment, now, scan_options};
use crate::config::{Settings, WatchlistPolicy};
use crate::identity::{Identity, IdentityStore};
use crate::scan::{LeftBehind, ScanResult, scan_root};
use crate::schedule;
use crate::sources::root::Root;
use crate::spool::Spool;
use crate::uplink::{self, Delivered, Delivery, Run, Target, Tls, UplinkError, Versions};

/// A clock that differs by more than this is worth a line in the log.
const CLOCK_WORTH_SAYING_MS: i64 = 60_000;

/// What one scan and its delivery came to.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The collector has the scan, durably.
    pub accepted: bool,
    /// The host.
    pub host_id: String,
    /// The digest of the scan.
    pub snapshot: Digest,
    /// Whether the scan itself had to be sent.
    pub snapshot_sent: bool,
    /// How many sections were sent.
    pub sections_sent: usize,
    /// Their bytes.
    pub section_bytes: u64,
    /// Bytes of all messages, before TLS.
    pub message_bytes: u64,
    /// Bytes on the wire, TLS and its handshake included.
    pub bytes_sent: u64,
    /// Bytes that came back.
    pub bytes_received: u64,
    /// Looks that were delivered: this one, and those that had waited.
    pub snapshots_delivered: usize,
    /// When the collector wants to hear from us next.
    #[serde(skip)]
    pub pace: Pace,
}

/// The agent of one state directory.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    store: IdentityStore,
    spool: Spool,
    run: Run,
    watchlist: Watchlist,
    acknowledged: Option<Digest>,
    /// TLS settings with the identity that they were made for: kept for its session tickets.
    tls: Option<(Identity, Tls)>,
    left_behind: LeftBehind,
    /// The label of a scan that could not be kept, and has not been delivered either.
    unkept: Option<String>,
    /// The collector wants a new key at once.
    new_key_wanted: bool,
    /// The machine's clock, or a test's.
    clock: fn() -> Timestamp,
    /// Held for as long as this process works here.
    _lock: std::fs::File,
}

impl Agent {
    /// Takes hold of the state directory.
    ///
    /// # Errors
    /// It cannot be used, or another process works there.
    pub fn open(settings: Settings) -> Result<Self, AppError> {
        let dir = &settings.state_dir;
        crate::os::make_private_dir(dir).map_err(|source| StateFileError { path: dir.clone(), source })?;
        let path = state_files::lock_file(dir);
        let lock = crate::os::lock(&path).map_err(|source| {
            if source.kind() == std::io::ErrorKind::WouldBlock {
                AppError::Busy(dir.display().to_string())
            } else {
                StateFileError { path, source }.into()
            }
        })?;
        state_files::forget_watching(dir);
        Ok(Self {
            store: IdentityStore::below(dir),
            spool: Spool::open(&state_files::spool_dir(&settings), state_files::spool_bounds(&settings))?,
            run: Run::new(),
            watchlist: state_files::watchlist_in_force(&settings),
            acknowledged: state_files::last_acknowledged(dir),
            tls: None,
            left_behind: LeftBehind::default(),
            unkept: None,
            new_key_wanted: false,
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

    /// The time, by the clock of this agent.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The watchlist in force.
    #[must_use]
    pub const fn watchlist(&self) -> &Watchlist {
        &self.watchlist
    }

    /// Works by other settings from now on. The state directory stays: it is held by its lock.
    pub fn reconfigure(&mut self, settings: Settings) {
        if settings.state_dir != self.settings.state_dir {
            tracing::warn!(
                state_dir = %self.settings.state_dir.display(),
                "another state directory is taken at the next start only"
            );
        }
        let state_dir = self.settings.state_dir.clone();
        self.settings = Settings { state_dir, ..settings };
        self.spool.set_bounds(state_files::spool_bounds(&self.settings));
        self.watchlist = state_files::watchlist_in_force(&self.settings);
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many scans wait for the collector.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.spool.len()
    }

    /// Looks, and delivers what waits and what was seen. When the collector sends a newer watchlist, looks again by it.
    ///
    /// # Errors
    /// The collector has not acknowledged everything; what it does not have is kept.
    pub async fn scan_and_deliver(&mut self, root: Root) -> Result<Report, AppError> {
        let offline = (!root.is_running_system()).then(|| root.shown().to_owned());
        let before = self.watchlist.version;
        let delivery = self.snapshot(root).await?;
        let report = self.deliver_all(&delivery).await?;
        if self.watchlist.version == before {
            return Ok(report);
        }
        drop(delivery);
        let root = offline.map_or_else(Root::running_system, |dir| Root::below(&dir))?;
        let delivery = self.snapshot(root).await?;
        let again = self.deliver_all(&delivery).await?;
        Ok(report.and(again))
    }

    /// Looks, and keeps what was seen for a later delivery.
    ///
    /// # Errors
    /// The scan was broken off.
    pub async fn scan_and_keep(&mut self, root: Root) -> Result<(), AppError> {
        self.snapshot(root).await.map(drop)
    }

    /// Looks, and keeps the scan on disk unless the collector has it. A disk that does not take it keeps nobody from
    /// delivering it at once.
    async fn snapshot(&mut self, root: Root) -> Result<Delivery, AppError> {
        let options = scan_options(&self.settings, self.watchlist.clone(), self.left_behind.clone());
        let observed_at = self.now();
        let taken =
            tokio::task::spawn_blocking(move || scan_root(root, &options)).await.map_err(|_| AppError::Snapshot)?;
        let delivery = parcel_of(taken, observed_at);
        let label = delivery.digest().to_string();
        if self.unkept.as_deref() != Some(label.as_str()) {
            self.count_unkept();
        }
        let has_it = self.spool.is_empty() && self.acknowledged == Some(delivery.digest());
        let kept = if has_it || self.spool.newest_label() == Some(label.as_str()) {
            self.spool.keep_bounds(observed_at)
        } else {
            self.spool.put(&label, &delivery.encode(), observed_at)
        };
        match kept {
            Ok(lost) if lost == Losses::default() => {}
            Ok(lost) => tracing::warn!(
                spool.coalesced = lost.coalesced,
                spool.dropped = lost.dropped,
                spool.entries = self.spool.len(),
                "scans that waited for the collector made room for newer ones"
            ),
            Err(error) => {
                self.unkept = Some(label);
                tracing::error!(error = %error_chain(&error), "the scan cannot be kept; it is lost unless it is delivered now");
            }
        }
        Ok(delivery)
    }

    /// A scan that no file could hold is lost when the next one takes its place, or the process ends.
    fn count_unkept(&mut self) {
        if self.unkept.take().is_some() {
            self.spool.count_lost();
        }
    }

    async fn deliver_all(&mut self, current: &Delivery) -> Result<Report, AppError> {
        let (target, identity) = self.identity().await?;
        let mut report = Report::empty(&identity, current.digest());
        while let Some(entry) = self.spool.oldest()? {
            let delivery = match Delivery::decode(entry.payload) {
                Ok(delivery) => delivery,
                Err(error) => {
                    tracing::error!(error = %error_chain(&error), "a scan that waited cannot be read and is dropped");
                    self.spool.unreadable(entry.number)?;
                    continue;
                }
            };
            match self.deliver(&target, &delivery).await {
                Ok(delivered) => {
                    self.spool.acknowledged(entry.number)?;
                    report.add(&delivery, &delivered);
                }
                Err(AppError::Uplink(error))
                    if is_about_the_snapshot(&error) && self.spool.give_up(entry.number)? =>
                {
                    tracing::error!(error = %error_chain(&error), "the collector cannot take a scan that waited; it is dropped");
                }
                Err(error) => return Err(error),
            }
        }
        if !report.accepted {
            let delivered = self.deliver(&target, current).await?;
            report.add(current, &delivered);
        }
        Ok(report)
    }

    async fn deliver(&mut self, target: &Target, delivery: &Delivery) -> Result<Delivered, AppError> {
        let Some((identity, tls)) = self.tls.clone() else { return Err(AppError::NotEnrolled) };
        let versions = Versions { watchlist: self.watchlist.version, trust: identity.trust.version };
        let delivered = match self.run.deliver(target, &tls, delivery, self.spool.losses(), versions, self.now()).await
        {
            Ok(delivered) => delivered,
            Err(error) => return Err(self.refused(identity, error)),
        };
        self.acknowledged = Some(delivery.digest());
        self.unkept.take_if(|label| *label == delivery.digest().to_string());
        if let Err(error) = state_files::keep_acknowledged(&self.settings.state_dir, delivery.digest()) {
            // The next process asks the collector once more than it had to.
            tracing::warn!(error = %error_chain(&error), "what was acknowledged cannot be kept");
        }
        tracing::info!(
            snapshot = %delivery.digest().short(),
            snapshot_sent = delivered.snapshot_sent,
            sections_sent = delivered.sections_sent,
            message_bytes = delivered.message_bytes,
            wire_bytes = delivered.wire_sent,
            "the collector has the scan"
        );
        let off = self.now().millis().saturating_sub(delivered.server_time.millis());
        if off.abs() > CLOCK_WORTH_SAYING_MS {
            tracing::warn!(clock_ahead_ms = off, "this machine's clock and the collector's differ");
        }
        self.worked(identity, &delivered)?;
        Ok(delivered)
    }

    /// Takes what an acknowledged check-in brought along.
    fn worked(&mut self, mut identity: Identity, delivered: &Delivered) -> Result<(), AppError> {
        let mut changed = identity.refused.take().is_some();
        if let Some(trust) = delivered.trust.clone().filter(|trust| trust.version > identity.trust.version) {
            tracing::info!(
                trust.version = trust.version,
                certificates = trust.certificates.len(),
                "the trust bundle changes"
            );
            identity.trust = trust;
            changed = true;
        }
        if changed {
            self.store.save(&identity)?;
        }
        if identity.previous.is_some() {
            self.store.forget_previous(&mut identity)?;
            changed = true;
        }
        if changed {
            self.tls = None;
            self.prepare(identity)?;
        }
        if let Some(sent) = delivered.watchlist.clone()
            && self.settings.watchlist == WatchlistPolicy::Collector
            && sent.version > self.watchlist.version
        {
            match state_files::keep_watchlist(&self.settings, &self.watchlist, sent) {
                Ok(watchlist) => self.watchlist = watchlist,
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "the collector's watchlist cannot be kept and is not used")
                }
            }
        }
        Ok(())
    }

    /// What a failed call means for the credentials: only `revoked` and `unknown` touch their standing.
    fn refused(&mut self, mut identity: Identity, error: UplinkError) -> AppError {
        self.new_key_wanted |= error.class() == Some(RefusalClass::ReKey);
        let for_good = matches!(error.class(), Some(RefusalClass::Revoked | RefusalClass::Unknown));
        let new_key_fails = for_good || matches!(error, UplinkError::CertificateRefused { .. });
        if new_key_fails && identity.step_back() {
            tracing::warn!(error = %error_chain(&error), "the renewed certificate does not work; the one before is used again");
        } else if for_good && identity.refused != error.class() {
            identity.refused = error.class();
        } else {
            return error.into();
        }
        self.tls = None;
        if let Err(keep) = self.store.save(&identity) {
            return keep.into();
        }
        error.into()
    }

    /// The identity as it is on disk now, enrolled or renewed where that is due, and TLS made ready for it.
    async fn identity(&mut self) -> Result<(Target, Identity), AppError> {
        let mut identity = match self.store.load()? {
            Some(identity) if identity.refused.is_none() => identity,
            known => self.enroll_by_itself(known).await?,
        };
        let collector = self.settings.collector.clone().unwrap_or_else(|| identity.collector.clone());
        let target = Target::parse(&collector)?.through(self.settings.proxy.as_ref());
        // Spread by the host's own id, so that one host has one moment.
        let share = f64::from(identity.host_id.as_bytes()[0]) / 255.0;
        let due = schedule::renewal_is_due(identity.issued, identity.expires, now(), share);
        if (due || self.new_key_wanted) && identity.previous.is_none() {
            identity = self.renew(&target, identity).await?;
            self.new_key_wanted = false;
        }
        self.prepare(identity.clone())?;
        Ok((target, identity))
    }

    async fn enroll_by_itself(&self, known: Option<Identity>) -> Result<Identity, AppError> {
        if let Some(path) = &self.settings.token_file {
            let token = enrollment::read_token(path)?;
            return Ok(enrollment::enroll(&self.settings, &token).await?);
        }
        match known {
            // A collector that was restored may know the host again; asking seldom does no harm.
            Some(identity) if identity.refused == Some(RefusalClass::Unknown) => Ok(identity),
            Some(identity) => Err(AppError::Refused(identity.refused.unwrap_or(RefusalClass::Revoked))),
            None => Err(AppError::NotEnrolled),
        }
    }

    async fn renew(&self, target: &Target, identity: Identity) -> Result<Identity, AppError> {
        let expired = identity.expires <= now();
        let (old, new) = (self.store.key(identity.key)?, self.store.key(identity.key + 1)?);
        let mut renewed = uplink::renew(target, &identity, &old, &new, true, now()).await;
        if expired && matches!(renewed, Err(UplinkError::CertificateRefused { .. } | UplinkError::Connect(_))) {
            renewed = uplink::renew(target, &identity, &old, &new, false, now()).await;
        }
        match renewed {
            Ok(renewed) => {
                self.store.save(&renewed)?;
                tracing::info!(expires = %renewed.expires, "the certificate is renewed");
                Ok(renewed)
            }
            // There is time for another attempt while the old one is valid.
            Err(error) if !expired => {
                tracing::warn!(error = %error_chain(&error), expires = %identity.expires, "the certificate could not be renewed yet");
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
        self.count_unkept();
    }
}

impl Report {
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

    /// This report, followed by that of a second scan.
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

fn parcel_of(taken: ScanResult, observed_at: Timestamp) -> Delivery {
    let sections = taken.sections.into_iter().map(|section| (section.digest, section.canonical)).collect();
    Delivery::new(canonical::snapshot_bytes(&taken.snapshot), sections, taken.facts, taken.state, observed_at)
}

/// Whether it is this scan that the collector cannot take, and not this host or this moment.
fn is_about_the_snapshot(error: &UplinkError) -> bool {
    matches!(error.class(), Some(RefusalClass::Limit | RefusalClass::Malformed))
}
