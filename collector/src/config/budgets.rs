//! `[budgets]`: what one host, and all hosts together, may send in an hour. An honest host does not reach them.
//!
//! The busiest honest host is one that is upgraded to another release of its system. A watched directory wakes its agent forty
//! times in a row and then four times a minute, which is 280 scans in an hour. Each scan sends a package database of up to
//! 6,000 packages at 110 bytes, and a package passes through up to three states.

use muster_proto::limits;
use muster_proto::settings::Layers;

/// What may be sent in an hour. Hours begin at full hours of the collector's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    /// `budgets.host_bytes_per_hour`: bytes of sections and of changed states of one host.
    pub host_bytes_per_hour: u64,
    /// `budgets.host_sections_per_hour`: sections of one host.
    pub host_sections_per_hour: u64,
    /// `budgets.host_editions_per_hour`: editions that no host has sent before.
    pub host_editions_per_hour: u64,
    /// `budgets.host_uploads_per_hour`: uploads of one host.
    pub host_uploads_per_hour: u64,
    /// `budgets.host_changes_per_hour`: check-ins of one host that change its facts, state or snapshot.
    pub host_changes_per_hour: u64,
    /// `budgets.host_renewals_per_hour`: attempts of one host to renew its certificate.
    pub host_renewals_per_hour: u64,
    /// `budgets.store_bytes_per_hour`: bytes of all hosts.
    pub store_bytes_per_hour: u64,
    /// `budgets.store_editions_per_hour`: new editions of all hosts.
    pub store_editions_per_hour: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            // 280 scans with 660 KB of packages each are 185 MB.
            host_bytes_per_hour: 256 * 1024 * 1024,
            // 280 scans in which ten sections change each time.
            host_sections_per_hour: 4_000,
            // 6,000 packages in three states, twice, and a whole section of the contract.
            host_editions_per_hour: 50_000,
            // 280 scans, and attempts that broke off.
            host_uploads_per_hour: 1_000,
            host_changes_per_hour: 1_000,
            // A host renews once in the lifetime of a certificate; the rest is for attempts whose answers were lost.
            host_renewals_per_hour: 30,
            // The first hour of 100,000 hosts with 3,000 packages each and no section in common is 33 GB.
            store_bytes_per_hour: 64 * 1024 * 1024 * 1024,
            // The first hour of 100,000 hosts that share nothing but common software is about a million.
            store_editions_per_hour: 2_000_000,
        }
    }
}

impl Budgets {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        const MOST: u64 = 1 << 50;
        // The largest section of the contract must fit an hour, or its host would wait for ever.
        let bytes = limits::SECTION_BYTES as u64;
        let editions = limits::OBSERVATIONS_PER_SECTION as u64;
        for (key, value, least) in [
            ("budgets.host_bytes_per_hour", self.host_bytes_per_hour, bytes),
            ("budgets.host_sections_per_hour", self.host_sections_per_hour, 1),
            ("budgets.host_editions_per_hour", self.host_editions_per_hour, editions),
            ("budgets.host_uploads_per_hour", self.host_uploads_per_hour, 1),
            ("budgets.host_changes_per_hour", self.host_changes_per_hour, 1),
            ("budgets.host_renewals_per_hour", self.host_renewals_per_hour, 1),
            ("budgets.store_bytes_per_hour", self.store_bytes_per_hour, bytes),
            ("budgets.store_editions_per_hour", self.store_editions_per_hour, editions),
        ] {
            layers.limit(key, &value, (least, MOST), u64::to_string);
        }
    }
}
