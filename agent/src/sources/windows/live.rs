//! What a running Windows is asked beyond its files.

pub(super) mod network;
pub(super) mod processes;
pub(super) mod registry;
pub(super) mod services;
pub(super) mod wmi;
