//! Systems whose service manager is not supported yet.

use std::path::Path;

use super::{ServiceError, ServiceStatus};

pub(super) const fn install(_program: &Path, _root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    Err(ServiceError::Unsupported)
}

pub(super) const fn uninstall(_root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    Err(ServiceError::Unsupported)
}

pub(super) const fn status(_root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    Err(ServiceError::Unsupported)
}
