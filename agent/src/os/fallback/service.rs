//! Systems whose service manager is not supported yet.

use std::path::Path;

use super::{ServiceError, ServiceStatus};

pub(super) const WHERE_THE_LOG_IS: Option<&str> = None;

pub(super) const fn install(_program: &Path, _root: Option<&Path>, _start: bool) -> Result<Vec<String>, ServiceError> {
    Err(ServiceError::Unsupported)
}

pub(super) const fn uninstall(_root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    Err(ServiceError::Unsupported)
}

pub(super) const fn start() -> Result<Vec<String>, ServiceError> {
    Err(ServiceError::Unsupported)
}

pub(super) const fn stop() -> Result<Vec<String>, ServiceError> {
    Err(ServiceError::Unsupported)
}

pub(super) const fn status(_root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    Err(ServiceError::Unsupported)
}
