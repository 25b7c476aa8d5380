//! Budgets: what a host may send in an hour before the collector postpones it.

use super::closed_list::closed_list;

closed_list! {
    /// What a budget counts.
    Budget {
        /// Bytes that a host sends.
        HostBytes = 1, "host-bytes";
        /// Sections that a host sends.
        HostSections = 2, "host-sections";
        /// Editions that only this host has sent so far.
        HostEditions = 3, "host-editions";
        /// Uploads of a host.
        HostUploads = 4, "host-uploads";
        /// Changes of a host's facts, state or snapshot.
        HostChanges = 5, "host-changes";
        /// Renewals of a host's certificate.
        HostRenewals = 8, "host-renewals";
        /// Bytes that all hosts send.
        StoreBytes = 6, "store-bytes";
        /// New editions of all hosts.
        StoreEditions = 7, "store-editions";
    }
}

impl Budget {
    /// The setting that says how much it is.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::HostBytes => "budgets.host_bytes_per_hour",
            Self::HostSections => "budgets.host_sections_per_hour",
            Self::HostEditions => "budgets.host_editions_per_hour",
            Self::HostUploads => "budgets.host_uploads_per_hour",
            Self::HostChanges => "budgets.host_changes_per_hour",
            Self::HostRenewals => "budgets.host_renewals_per_hour",
            Self::StoreBytes => "budgets.store_bytes_per_hour",
            Self::StoreEditions => "budgets.store_editions_per_hour",
        }
    }
}
