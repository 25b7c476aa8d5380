//! The host state of Windows: whether a restart is pending, the signatures of protection products, and what shows that they
//! protect. Each place is spelled as the catalogue spells it, because the collector assigns it to a product by that text.

pub(super) mod realtime;
pub(super) mod reboot;
pub(super) mod signatures;

use super::reader::Reader;
use crate::sources::ScanContext;
use crate::sources::record::{Part, Record};

/// Without these the age of the signatures is unknown, and so is a restart by default: nothing has to be entered.
const fn stays_unknown(_record: &mut Record) {}

pub(super) const PARTS: &[Part] = &[
    Part {
        what: "the settings of real-time protection",
        read: |context| {
            let found = with_reader(context, realtime::evidence).unwrap_or_default();
            Box::new(move |record| record.state.realtime.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "the signatures of protection products",
        read: |context| {
            let found = with_reader(context, signatures::signatures).unwrap_or_default();
            Box::new(move |record| record.state.signatures.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "whether a restart is pending",
        read: |context| {
            let pending = with_reader(context, reboot::is_pending).flatten();
            Box::new(move |record| record.state.pending_reboot = pending)
        },
        unread: stays_unknown,
    },
];

/// Reads with the registry of the machine; `None` if there is none.
fn with_reader<T>(context: &ScanContext, read: fn(&mut Reader<'_>) -> T) -> Option<T> {
    let registry = context.registry.as_ref().ok()?;
    Some(read(&mut Reader::new(registry.as_ref(), &context.root)))
}
