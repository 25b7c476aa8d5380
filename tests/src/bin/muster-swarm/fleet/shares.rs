//! The composition of a fleet. Every share is an option; the defaults are an office with some servers.

use clap::Args;
use serde::{Deserialize, Serialize};

/// Shares of the hosts in percent, unless stated otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// Hosts with Windows; the others have Debian.
    #[arg(long, default_value_t = 70, value_name = "PERCENT", value_parser = percent())]
    pub(crate) windows: u64,
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
    /// Hosts with Kaspersky products.
    #[arg(long, default_value_t = 5, value_name = "PERCENT", value_parser = percent())]
    pub(crate) kaspersky: u64,
}

fn percent() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..=100)
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            windows: 70,
            images: 24,
            patch_days: 7,
            patch_levels: 4,
            laptops: 50,
            asleep: 30,
            user_software: 10,
            rare: 2,
            kaspersky: 5,
        }
    }
}
