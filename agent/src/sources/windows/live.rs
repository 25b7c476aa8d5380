//! What a running Windows is asked beyond its files.

#[cfg(test)]
mod lost_volume_tests;
pub(super) mod network;
pub(super) mod processes;
pub(super) mod registry;
pub(super) mod services;
pub(super) mod wmi;
