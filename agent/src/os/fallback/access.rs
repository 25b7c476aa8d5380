//! Systems without modes: the folders of the service have access lists, which its installation sets.

use std::path::Path;

use super::{AccessError, Others};

pub(super) const fn check_mode(_path: &Path, _others: Others) -> Result<(), AccessError> {
    Ok(())
}

pub(super) const fn check_owner(_path: &Path, _state_dir: &Path) -> Result<(), AccessError> {
    Ok(())
}
