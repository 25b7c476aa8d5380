//! All observations of one source at one time, in canonical order.

use super::clean::clean_observation;
use super::{Observation, Platform, SourceName};

/// The observations of one source. They are sorted and have no duplicates, so equal contents have equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    platform: Platform,
    source: SourceName,
    observations: Vec<Observation>,
}

impl Section {
    /// Cleans the texts and cuts them to the limits (see [`super::clean_text`]), sorts the observations and drops
    /// duplicates.
    #[must_use]
    pub fn new(platform: Platform, source: SourceName, mut observations: Vec<Observation>) -> Self {
        observations.iter_mut().for_each(clean_observation);
        // After cleaning, which can change the order and make two observations equal.
        observations.sort_unstable();
        observations.dedup();
        Self { platform, source, observations }
    }

    /// The platform of the scanned machine.
    #[must_use]
    pub const fn platform(&self) -> Platform {
        self.platform
    }

    /// The source that was read.
    #[must_use]
    pub const fn source(&self) -> SourceName {
        self.source
    }

    /// The observations in canonical order.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// Keeps the first observations only.
    pub fn truncate(&mut self, count: usize) {
        self.observations.truncate(count);
    }

    /// The observations, without a copy.
    #[must_use]
    pub fn into_observations(self) -> Vec<Observation> {
        self.observations
    }

    /// Only for readers that have checked order, duplicates and texts.
    pub(crate) const fn from_canonical(platform: Platform, source: SourceName, observations: Vec<Observation>) -> Self {
        Self { platform, source, observations }
    }
}
