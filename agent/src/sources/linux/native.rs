//! Which package manager owns the system's own files. Its database missing or empty is a failure, never "nothing".

use crate::sources::parse::os_release::{Family, OsRelease};
use crate::sources::{ScanContext, SourceReading};

/// Whether a family's database must be there, by what the system says that it is.
pub(super) fn is_native(context: &ScanContext, family: Family) -> bool {
    context.os.as_ref().ok().and_then(OsRelease::family) == Some(family)
}

/// What it means that a package manager has no packages. `exists` tells whether its database is there at all.
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
        return SourceReading::failed(format!("{place} is {how}, and {name} is native to this system (ID={id})"));
    }
    if exists {
        SourceReading::complete(Vec::new())
    } else {
        SourceReading::not_applicable(format!("there is no {name} database"))
    }
}
