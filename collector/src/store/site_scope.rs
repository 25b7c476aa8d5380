//! The sites that a reader or an account may see.

use muster_proto::model::SiteId;

/// The sites whose hosts a query reads. A scope without sites matches no host: only [`SiteScope::All`] means every site,
/// so that an empty intersection never shows more than it may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SiteScope {
    /// Every site.
    #[default]
    All,
    /// Only these sites.
    Only(Vec<SiteId>),
}

impl SiteScope {
    /// The sites of a list in which an empty list means every site.
    #[must_use]
    pub fn of(sites: &[SiteId]) -> Self {
        if sites.is_empty() { Self::All } else { Self::Only(sites.to_vec()) }
    }

    /// Whether everything in the other scope is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(_), Self::Only(sites)) => sites.iter().all(|site| self.contains(site)),
        }
    }

    /// Whether a host of this site is in the scope.
    #[must_use]
    pub fn contains(&self, site: &SiteId) -> bool {
        match self {
            Self::All => true,
            Self::Only(sites) => sites.contains(site),
        }
    }

    /// The sites that are in both scopes.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, scope) | (scope, Self::All) => scope.clone(),
            (Self::Only(sites), other) => {
                Self::Only(sites.iter().filter(|site| other.contains(site)).cloned().collect())
            }
        }
    }
}

impl std::fmt::Display for SiteScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Only(sites) => {
                let names: Vec<&str> = sites.iter().map(SiteId::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}
