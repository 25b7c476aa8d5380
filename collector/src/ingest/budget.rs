//! Budgets: what a host, and all hosts together, have sent in this hour.
//!
//! Hours begin at full hours of the collector's clock. What was spent is in memory, for the hosts that have spent something
//! in this hour. So a restart begins with full budgets, and each of several collectors counts what it was sent itself: a host
//! that goes to all of them has as many budgets.
//!
//! A host that exceeds a budget of uploads can upload again in the next hour; until then its check-ins are taken. A host that
//! exceeds the budget of renewals keeps its certificate until then. One that exceeds the budget of changes can change nothing more in this hour; a check-in renews when it was last seen. What was taken
//! before is kept, so a snapshot that does not fit one hour is complete after several.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_proto::model::{Budget, HostId, Timestamp};

use crate::config;

const HOUR_MS: i64 = 3_600_000;

/// A budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) budget: Budget,
    /// When there is a new one.
    pub(super) until: Timestamp,
    /// Whether nobody was told so in this hour.
    pub(super) is_news: bool,
}

/// A host that has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// The host.
    pub host: HostId,
    /// The budget that it has spent.
    pub budget: Budget,
    /// When it has a new one.
    pub until: Timestamp,
}

/// What was spent in an hour.
#[derive(Debug, Default)]
struct Hour {
    number: i64,
    hosts: HashMap<HostId, OfHost>,
    bytes: u64,
    editions: u64,
    /// The budget of all hosts that is spent.
    over: Option<Budget>,
}

#[derive(Debug, Default)]
struct OfHost {
    bytes: u64,
    sections: u64,
    editions: u64,
    uploads: u64,
    changes: u64,
    renewals: u64,
    /// The budget of uploads that is spent.
    over: Option<Budget>,
    is_over_changes: bool,
    is_over_renewals: bool,
}

impl OfHost {
    /// A budget that is spent.
    fn spent(&self) -> Option<Budget> {
        let changes = self.is_over_changes.then_some(Budget::HostChanges);
        self.over.or(changes).or(self.is_over_renewals.then_some(Budget::HostRenewals))
    }
}

/// See the head of the file.
#[derive(Debug)]
pub struct Budgets {
    most: config::Budgets,
    hour: Mutex<Hour>,
}

impl Budgets {
    /// Full budgets.
    #[must_use]
    pub fn new(most: config::Budgets) -> Self {
        Self { most, hour: Mutex::default() }
    }

    /// The hosts that have to wait now.
    #[must_use]
    pub fn throttled(&self, now: Timestamp) -> Vec<Throttled> {
        let hour = self.hour(now);
        let until = hour.until();
        let waiting = hour
            .hosts
            .iter()
            .filter_map(|(host, of_host)| Some(Throttled { host: *host, budget: of_host.spent()?, until }));
        waiting.collect()
    }

    /// Begins an upload.
    pub(super) fn upload(&self, host: HostId, now: Timestamp) -> Result<(), Spent> {
        let mut hour = self.hour(now);
        if let Some(spent) = hour.spent(host) {
            return Err(spent);
        }
        let of_host = hour.hosts.entry(host).or_default();
        of_host.uploads += 1;
        if of_host.uploads > self.most.host_uploads_per_hour {
            return Err(hour.close(host, Budget::HostUploads));
        }
        Ok(())
    }

    /// Takes a section of an upload. One that does not fit ends the uploads of this hour.
    pub(super) fn section(&self, host: HostId, bytes: usize, now: Timestamp) -> Result<(), Spent> {
        let (mut hour, bytes) = (self.hour(now), bytes as u64);
        // Another upload of the host may have spent the rest meanwhile.
        if let Some(spent) = hour.spent(host) {
            return Err(spent);
        }
        hour.bytes = hour.bytes.saturating_add(bytes);
        let of_store = hour.bytes;
        let of_host = hour.hosts.entry(host).or_default();
        of_host.sections += 1;
        of_host.bytes = of_host.bytes.saturating_add(bytes);
        let budget = if of_host.bytes > self.most.host_bytes_per_hour {
            Budget::HostBytes
        } else if of_host.sections > self.most.host_sections_per_hour {
            Budget::HostSections
        } else if of_store > self.most.store_bytes_per_hour {
            Budget::StoreBytes
        } else {
            return Ok(());
        };
        Err(hour.close(host, budget))
    }

    /// How many new editions an upload may bring.
    pub(super) fn editions(&self, host: HostId, now: Timestamp) -> u64 {
        let hour = self.hour(now);
        let of_store = self.most.store_editions_per_hour.saturating_sub(hour.editions);
        self.host_editions(&hour, host).min(of_store)
    }

    fn host_editions(&self, hour: &Hour, host: HostId) -> u64 {
        let spent = hour.hosts.get(&host).map_or(0, |of_host| of_host.editions);
        self.most.host_editions_per_hour.saturating_sub(spent)
    }

    /// Counts new editions of an upload.
    pub(super) fn editions_taken(&self, host: HostId, editions: u64, now: Timestamp) {
        if editions > 0 {
            let mut hour = self.hour(now);
            hour.editions = hour.editions.saturating_add(editions);
            let of_host = hour.hosts.entry(host).or_default();
            of_host.editions = of_host.editions.saturating_add(editions);
        }
    }

    /// An upload had more new editions than it was allowed. This ends the uploads of this hour.
    pub(super) fn editions_exceeded(&self, host: HostId, now: Timestamp) -> Spent {
        let mut hour = self.hour(now);
        let of_store = self.most.store_editions_per_hour.saturating_sub(hour.editions);
        let is_of_host = self.host_editions(&hour, host) <= of_store;
        hour.close(host, if is_of_host { Budget::HostEditions } else { Budget::StoreEditions })
    }

    /// How many changes a host may make.
    pub(super) fn changes(&self, host: HostId, now: Timestamp) -> u64 {
        let hour = self.hour(now);
        let spent = hour.hosts.get(&host).map_or(0, |of_host| of_host.changes);
        self.most.host_changes_per_hour.saturating_sub(spent)
    }

    /// Counts a check-in that changed something.
    pub(super) fn changed(&self, host: HostId, changes: u64, bytes: usize, now: Timestamp) {
        if changes > 0 {
            let (mut hour, bytes) = (self.hour(now), bytes as u64);
            hour.bytes = hour.bytes.saturating_add(bytes);
            let of_host = hour.hosts.entry(host).or_default();
            of_host.changes = of_host.changes.saturating_add(changes);
            of_host.bytes = of_host.bytes.saturating_add(bytes);
        }
    }

    /// A check-in would have changed more than it was allowed.
    pub(super) fn changes_exceeded(&self, host: HostId, now: Timestamp) -> Spent {
        let mut hour = self.hour(now);
        let of_host = hour.hosts.entry(host).or_default();
        let is_news = !std::mem::replace(&mut of_host.is_over_changes, true);
        Spent { budget: Budget::HostChanges, until: hour.until(), is_news }
    }

    /// Begins a renewal of the certificate.
    pub(super) fn renewal(&self, host: HostId, now: Timestamp) -> Result<(), Spent> {
        let mut hour = self.hour(now);
        let of_host = hour.hosts.entry(host).or_default();
        of_host.renewals += 1;
        if of_host.renewals <= self.most.host_renewals_per_hour {
            return Ok(());
        }
        let is_news = !std::mem::replace(&mut of_host.is_over_renewals, true);
        Err(Spent { budget: Budget::HostRenewals, until: hour.until(), is_news })
    }

    fn hour(&self, now: Timestamp) -> MutexGuard<'_, Hour> {
        // A panic leaves only counts behind, so a poisoned lock is still good.
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.millis().div_euclid(HOUR_MS);
        if hour.number != number {
            *hour = Hour { number, ..Hour::default() };
        }
        hour
    }
}

impl Hour {
    const fn until(&self) -> Timestamp {
        Timestamp::from_millis((self.number + 1).saturating_mul(HOUR_MS))
    }

    /// The budget that keeps a host from uploading.
    fn spent(&self, host: HostId) -> Option<Spent> {
        let budget = self.hosts.get(&host).and_then(|of_host| of_host.over).or(self.over)?;
        Some(Spent { budget, until: self.until(), is_news: false })
    }

    /// Ends the uploads of the host, or of all hosts, for this hour.
    fn close(&mut self, host: HostId, budget: Budget) -> Spent {
        let over = match budget {
            Budget::StoreBytes | Budget::StoreEditions => &mut self.over,
            Budget::HostBytes
            | Budget::HostSections
            | Budget::HostEditions
            | Budget::HostUploads
            | Budget::HostRenewals
            | Budget::HostChanges => &mut self.hosts.entry(host).or_default().over,
        };
        let is_news = over.is_none();
        *over = Some(budget);
        Spent { budget, until: self.until(), is_news }
    }
}

#[cfg(test)]
mod tests;
