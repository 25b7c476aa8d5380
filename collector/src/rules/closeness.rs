//! How closely a folder or a reverse-DNS prefix of a vendor identifies what it matches.

/// How closely a claim identifies what it matches; the greatest decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Closeness {
    /// Whether the claim names a product, not only the vendor.
    pub(crate) names_product: bool,
    /// Components of a folder, or labels of a prefix.
    pub(crate) depth: usize,
    pub(crate) length: usize,
}
