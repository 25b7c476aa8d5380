//! What a running Windows is asked beyond its files.

pub(super) mod registry;
