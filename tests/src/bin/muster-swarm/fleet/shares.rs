//! The composition of a fleet. Every share is an option; the defaults are an office with some servers, of which about nine in
//! ten hosts are `clear` under an order on Kaspersky.

use clap::Args;
use serde::{Deserialize, Serialize};

/// Shares of the hosts in percent, unless stated otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// Hosts with Windows.
    #[arg(long, default_value_t = 70, value_name = "PERCENT", value_parser = percent())]
    pub(crate) windows: u64,
    /// Hosts with macOS; the others have Debian.
    #[arg(long, default_value_t = 5, value_name = "PERCENT", value_parser = percent())]
    pub(crate) macos: u64,
    /// Number of golden images; most hosts have one of a few.
    #[arg(long, default_value_t = 24, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) images: u64,
    /// Days between two patch levels.
    #[arg(long, default_value_t = 7, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) patch_days: u64,
    /// Number of patch levels in use at the same time.
    #[arg(long, default_value_t = 4, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) patch_levels: u64,
    /// Hosts that are laptops.
    #[arg(long, default_value_t = 50, value_name = "PERCENT", value_parser = percent())]
    pub(crate) laptops: u64,
    /// Laptops that are off for a whole day.
    #[arg(long, default_value_t = 30, value_name = "PERCENT", value_parser = percent())]
    pub(crate) asleep: u64,
    /// Hosts on which users have installed one to three programs.
    #[arg(long, default_value_t = 10, value_name = "PERCENT", value_parser = percent())]
    pub(crate) user_software: u64,
    /// Hosts with a rare title.
    #[arg(long, default_value_t = 2, value_name = "PERCENT", value_parser = percent())]
    pub(crate) rare: u64,
    /// Hosts with Kaspersky products: in the lane `replace`, or `remove` if other protection is active.
    #[arg(long, default_value_t = 5, value_name = "PERCENT", value_parser = percent())]
    pub(crate) kaspersky: u64,
    /// Hosts from which Kaspersky was removed and something is left: in `protect`, or `confirm` if other protection is active.
    #[arg(long, default_value_t = 1, value_name = "PERCENT", value_parser = percent())]
    pub(crate) remnants: u64,
    /// Hosts with Kaspersky, or with what is left of it, on which other protection is active.
    #[arg(long, default_value_t = 30, value_name = "PERCENT", value_parser = percent())]
    pub(crate) protected: u64,
    /// Hosts on which a needed source cannot be read: in `unknown`, unless Kaspersky is found in another source.
    #[arg(long, default_value_t = 2, value_name = "PERCENT", value_parser = percent())]
    pub(crate) unreadable: u64,
    /// Hosts that report on day 0 only. They are in `silent` when the order's patience is over.
    #[arg(long, default_value_t = 2, value_name = "PERCENT", value_parser = percent())]
    pub(crate) silent: u64,
}

fn percent() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..=100)
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            windows: 70,
            macos: 5,
            images: 24,
            patch_days: 7,
            patch_levels: 4,
            laptops: 50,
            asleep: 30,
            user_software: 10,
            rare: 2,
            kaspersky: 5,
            remnants: 1,
            protected: 30,
            unreadable: 2,
            silent: 2,
        }
    }
}
