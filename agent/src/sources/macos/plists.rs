//! Reads property lists of the machine.

use crate::sources::ScanContext;
use crate::sources::parse::plist::{FILE_BYTES, Plist, parse};
use crate::sources::reading_builder::ReadingBuilder;

/// The list in a file; `None` if there is none, or if it cannot be read, which is recorded.
pub(super) fn read(context: &ScanContext, path: &str, builder: &mut ReadingBuilder) -> Option<Plist> {
    read_as(context, path, path, builder)
}

/// As [`read`], for a file with the name of a person in its path. `shown` is the path without it.
pub(super) fn read_as(context: &ScanContext, path: &str, shown: &str, builder: &mut ReadingBuilder) -> Option<Plist> {
    let bytes = builder.unless_absent(shown, context.root.read(path, FILE_BYTES))?;
    match parse(&bytes) {
        Ok(plist) => Some(plist),
        Err(fault) => {
            builder.problem(format!("{shown}: {fault}"));
            None
        }
    }
}
