//! A recogniser that matches an observation, and how much it proves there.

use super::product::Product;
use super::recogniser::{Recogniser, Strength};

/// A recogniser that matches an observation.
#[derive(Debug, Clone, Copy)]
pub struct Recognised<'c> {
    /// The product.
    pub product: &'c Product,
    /// The recogniser.
    pub recogniser: &'c Recogniser,
    /// How much it proves here: the publisher of the observation can raise or lower it.
    pub strength: Strength,
    /// The other vendor that the observation states by its publisher or by its folder; the name of the product is then
    /// weak evidence.
    pub other_vendor: Option<OtherVendor<'c>>,
}

/// How an observation states another vendor than the product's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherVendor<'c> {
    /// By its publisher.
    Publisher,
    /// It is in a folder of this vendor.
    Folder(&'c str),
}
