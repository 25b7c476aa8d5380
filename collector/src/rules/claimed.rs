//! What the folders and prefixes of vendors claim of one subject, and which claim decides.

use super::closeness::Closeness;
use super::product::Product;
use super::recognised::Recognised;
use super::recogniser::Strength;
use super::subject::Field;

/// What a folder or a prefix of a vendor says about one subject.
#[derive(Debug, Clone, Copy)]
struct Claim<'c> {
    product: &'c Product,
    closeness: Closeness,
    /// The folder as the vendor's file has it; `None` for a prefix.
    folder: Option<&'c str>,
    /// Whether it gives way to a longer claim of another vendor.
    gives_way: bool,
}

impl<'c> Claim<'c> {
    fn of(found: &Recognised<'c>) -> Option<Self> {
        let Recognised { product, recogniser, .. } = *found;
        let closeness = recogniser.claim?;
        let is_folder = recogniser.tests.iter().any(|test| test.field == Field::Path);
        let written = recogniser.written.iter().flat_map(|one| &one.patterns).next();
        let folder = written.filter(|_| is_folder).map(|written| written.trim_end_matches("/**"));
        Some(Self { product, closeness, folder, gives_way: false })
    }

    /// Whether the other claim is of another vendor and inside of this one. Both match the subject, so of two prefixes the
    /// longer one begins with the shorter one.
    fn contains(&self, other: &Self) -> bool {
        let size = |one: &Self| (one.closeness.depth, one.closeness.length);
        let is_longer = self.product.vendor_id != other.product.vendor_id && size(self) < size(other);
        is_longer
            && match (self.folder, other.folder) {
                (Some(outer), Some(inner)) => {
                    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['/', '\\']))
                }
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

/// What the folders and prefixes of vendors say about one subject.
#[derive(Debug)]
pub(super) struct Claims<'c>(Vec<Claim<'c>>);

impl<'c> Claims<'c> {
    /// The closest claim of each vendor.
    pub(super) fn of(found: &[Recognised<'c>]) -> Self {
        let mut closest: Vec<Claim<'_>> = Vec::new();
        for claim in found.iter().filter_map(Claim::of) {
            match closest.iter_mut().find(|other| other.product.vendor_id == claim.product.vendor_id) {
                Some(other) if other.closeness < claim.closeness => *other = claim,
                Some(_) => {}
                None => closest.push(claim),
            }
        }
        let outer: Vec<bool> = closest.iter().map(|one| closest.iter().any(|other| one.contains(other))).collect();
        closest.iter_mut().zip(outer).for_each(|(claim, gives_way)| claim.gives_way = gives_way);
        Self(closest)
    }

    /// Whether the claims of its vendor leave this recogniser in force. The closest claim decides among claims, and over
    /// names of the vendor's other products that prove nothing by themselves.
    pub(super) fn keeps(&self, one: Recognised<'_>) -> bool {
        let of_vendor = self.0.iter().find(|claim| claim.product.vendor_id == one.product.vendor_id);
        of_vendor.is_none_or(|claim| {
            let is_claim = one.recogniser.claim.is_some();
            if claim.gives_way {
                return !is_claim;
            }
            let is_weaker = one.recogniser.strength < Strength::Proves && claim.closeness.names_product;
            claim.product.id == one.product.id || !(is_claim || is_weaker)
        })
    }

    /// The vendor whose folder contains the subject, if that is not the product's vendor.
    pub(super) fn folder_of_another(&self, product: &Product) -> Option<&'c str> {
        let is_own = |other: &Product| other.vendor_id == product.vendor_id;
        if self.0.iter().any(|claim| is_own(claim.product)) {
            return None;
        }
        self.0.iter().find(|claim| claim.folder.is_some()).map(|claim| claim.product.vendor.as_str())
    }
}
