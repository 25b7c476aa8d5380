//! Whose a thing is, as far as the observation itself says: by its publisher, or by where its program stands.

use super::pattern::Patterns;
use super::subject::Subject;
use super::vendor::Vendor;

/// What an observation says of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The vendor.
    Vendor,
    /// Somebody else.
    Another,
    /// It does not say.
    Unsaid,
}

/// A vendor's spellings and places, compiled.
#[derive(Debug)]
pub(super) struct Identity {
    spellings: Patterns,
    neutral: Patterns,
    places: Patterns,
}

impl Identity {
    pub(super) fn new(vendor: &Vendor) -> Result<Self, String> {
        Ok(Self {
            spellings: Patterns::new(&vendor.spellings)?,
            neutral: Patterns::new(&vendor.neutral)?,
            places: Patterns::new(&vendor.places)?,
        })
    }

    /// The place of a program tells before its publisher does: drivers of everybody are signed by the system's maker.
    pub(super) fn owner(&self, subject: &Subject) -> Owner {
        if subject.is_a_program() && self.places.fit(&subject.paths) {
            return Owner::Vendor;
        }
        let stated = subject.vendor.iter().any(|vendor| !vendor.is_empty());
        if !stated || self.neutral.fit(&subject.vendor) {
            return Owner::Unsaid;
        }
        if self.spellings.fit(&subject.vendor) { Owner::Vendor } else { Owner::Another }
    }
}
