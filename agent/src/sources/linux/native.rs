//! Which package manager installs this system's own packages. If its database is missing or empty, the outcome is `failed`.

use crate::sources::parse::os_release::{Family, OsRelease};
use crate::sources::{ScanContext, SourceReading};

/// Whether this system must have the database of this family, according to `os-release`.
pub(super) fn is_native(context: &ScanContext, family: Family) -> bool {
    context.os.as_ref().ok().and_then(OsRelease::family) == Some(family)
}

/// The reading of a package manager without packages. `exists` says whether its database exists at all.
pub(super) fn without_packages(
    context: &ScanContext,
    family: Family,
    name: &str,
    place: &str,
    exists: bool,
) -> SourceReading {
    if is_native(context, family) {
        let how = if exists { "empty" } else { "missing" };
        let id = context.os.as_ref().map(|os| os.field("ID")).unwrap_or_default();
        return SourceReading::failed(format!(
            "{name} database is {how} ({place}), but {name} is the package manager of this system (ID={id})"
        ));
    }
    if exists {
        SourceReading::complete(Vec::new())
    } else {
        SourceReading::not_applicable(format!("{name} is not installed"))
    }
}
