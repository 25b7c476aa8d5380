//! A service or driver, as the service manager of the running system lists it.

/// A service or driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceStatus {
    /// The name of its key, not the one for people.
    pub(super) name: String,
    pub(super) is_running: bool,
    pub(super) is_driver: bool,
}
