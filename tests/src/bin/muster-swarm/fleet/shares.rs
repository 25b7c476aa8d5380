//! How a fleet is made up. Every share is an option, and the defaults are a plain office with some servers.

use clap::Args;
use serde::{Deserialize, Serialize};

/// Shares in percent of the hosts, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// Hosts with Windows; the rest has Debian.
    #[arg(long, default_value_t = 70, value_name = "PERCENT", value_parser = percent())]
    pub(crate) windows: u64,
    /// Golden images that the fleet was installed from; few of them make most of the fleet.
    #[arg(long, default_value_t = 24, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) images: u64,
    /// Days between two patch levels of an image.
    #[arg(long, default_value_t = 7, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) patch_days: u64,
    /// Patch levels that are alive at once: the slowest host lags this far behind.
    #[arg(long, default_value_t = 4, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) patch_levels: u64,
    /// Hosts that are laptops.
    #[arg(long, default_value_t = 50, value_name = "PERCENT", value_parser = percent())]
    pub(crate) laptops: u64,
    /// Laptops that sleep through a day.
    #[arg(long, default_value_t = 30, value_name = "PERCENT", value_parser = percent())]
    pub(crate) asleep: u64,
    /// Hosts whose users have installed one to three programs of their own.
    #[arg(long, default_value_t = 10, value_name = "PERCENT", value_parser = percent())]
    pub(crate) user_software: u64,
    /// Hosts with a title that hardly any other has.
    #[arg(long, default_value_t = 2, value_name = "PERCENT", value_parser = percent())]
    pub(crate) rare: u64,
    /// Hosts with Kaspersky's products beside the image.
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
