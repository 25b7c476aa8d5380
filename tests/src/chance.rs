//! Chance that can be repeated: a small generator whose seed is printed.

use std::time::Duration;

/// SplitMix64: good enough to pick moments and contents, and the same on every machine.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// From `MUSTER_TEST_SEED`, or from the seed given; with its value, which the caller prints.
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
