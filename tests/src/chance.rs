//! Repeatable random numbers: a small generator whose seed is printed.

use std::time::Duration;

/// SplitMix64: good enough to pick moments and contents, and equal on every machine.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// From `MUSTER_TEST_SEED` or the given seed. Returns the seed too, so that the caller can print it.
    #[must_use]
    pub fn from_environment(otherwise: u64) -> (Self, u64) {
        let seed = std::env::var("MUSTER_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        (Self::new(seed), seed)
    }

    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// A time up to the bound.
    pub const fn moment(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(most.as_micros() as u64 + 1))
    }
}
