//! Whose product an observation belongs to, as far as the observation itself says: by its publisher, or by the path of
//! its program.

use super::claim::Claim;
use super::pattern::{Pattern, Patterns};
use super::subject::Subject;
use super::vendor::Vendor;

/// Whose product an observation says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The vendor's.
    Vendor,
    /// Another vendor's.
    Another,
    /// The observation does not say.
    Unstated,
}

/// A vendor's spellings and places, compiled.
#[derive(Debug)]
pub(super) struct Identity {
    spellings: Patterns,
    neutral: Patterns,
    places: Patterns,
}

/// Publishers that sign every vendor's drivers, so that they do not identify one.
fn signers() -> impl Iterator<Item = Pattern> {
    const SIGNERS: [&str; 3] = [
        "microsoft windows hardware compatibility publisher",
        "microsoft windows early launch anti-malware publisher",
        "microsoft windows third party component ca",
    ];
    SIGNERS.into_iter().map(|signer| Pattern::Exact(signer.to_owned()))
}

impl Identity {
    pub(super) fn new(vendor: &Vendor) -> Result<Self, String> {
        Ok(Self {
            spellings: Patterns::new(&vendor.spellings)?,
            neutral: Patterns::new(&vendor.neutral.iter().cloned().chain(signers()).collect::<Vec<_>>())?,
            places: Patterns::new(&vendor.claims.iter().filter_map(Claim::folder).cloned().collect::<Vec<_>>())?,
        })
    }

    /// The path of a program decides before its publisher: the maker of the operating system signs other vendors' drivers.
    pub(super) fn owner(&self, subject: &Subject) -> Owner {
        if subject.is_a_program() && self.places.fit(&subject.paths) {
            return Owner::Vendor;
        }
        let stated = subject.vendor.iter().any(|vendor| !vendor.is_empty());
        if !stated || self.neutral.fit(&subject.vendor) {
            return Owner::Unstated;
        }
        if self.spellings.fit(&subject.vendor) { Owner::Vendor } else { Owner::Another }
    }
}
