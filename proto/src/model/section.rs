//! All observations of one source at one time, in canonical order.

use super::{Observation, Platform, SourceName};

/// What one source saw. Sorted and free of duplicates from birth, so that equal contents have equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    platform: Platform,
    source: SourceName,
    observations: Vec<Observation>,
}

impl Section {
    /// Puts observations into canonical order and drops duplicates. Text is cleaned as `canonical` demands: control
    /// characters become spaces, space at both ends goes.
    #[must_use]
    pub fn new(platform: Platform, source: SourceName, mut observations: Vec<Observation>) -> Self {
        observations.iter_mut().for_each(crate::canonical::clean);
        observations.sort_unstable();
        observations.dedup();
        Self { platform, source, observations }
    }

    /// The platform that was looked at.
    #[must_use]
    pub const fn platform(&self) -> Platform {
        self.platform
    }

    /// The source that looked.
    #[must_use]
    pub const fn source(&self) -> SourceName {
        self.source
    }

    /// What it saw, in canonical order.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// For readers of canonical bytes that have checked order, uniqueness and text themselves.
    pub(crate) const fn from_canonical(platform: Platform, source: SourceName, observations: Vec<Observation>) -> Self {
        Self { platform, source, observations }
    }
}
