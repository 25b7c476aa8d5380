//! What every source of Windows is given: the registry and the root of the scanned machine.

use super::reader::Reader;
use crate::sources::{ScanContext, SourceReading};

/// Reads a source from the registry of the scanned machine.
pub(super) fn read(context: &ScanContext, read: impl FnOnce(Reader<'_>) -> SourceReading) -> SourceReading {
    match &context.registry {
        Ok(registry) => read(Reader::new(registry.as_ref(), &context.root)),
        Err(unknown) => unknown.reading(Vec::new()),
    }
}
