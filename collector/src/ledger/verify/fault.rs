//! What is wrong with a ledger.

use crate::ledger::tree::Hash;

/// One thing that is wrong. Each says which entries it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Entries are missing between others or before the first.
    #[error("{} before entry {next}", missing(*.first, *.next - 1))]
    Missing {
        /// The first that is missing.
        first: u64,
        /// The entry that is there instead.
        next: u64,
    },
    /// An entry comes a second time or too late.
    #[error("entry {no} follows entry {after}")]
    Order {
        /// The entry.
        no: u64,
        /// The entry before it.
        after: u64,
    },
    /// An entry is not as it was sealed.
    #[error("entry {no} was changed after it was sealed{}", and_more(*.others))]
    Changed {
        /// The first such entry.
        no: u64,
        /// How many others follow.
        others: u64,
    },
    /// An entry is as it was sealed, and the hash beside it is not.
    #[error("the stored hash of entry {no} was changed; the entry itself is as it was sealed{}", and_more(*.others))]
    HashChanged {
        /// The first such entry.
        no: u64,
        /// How many others follow.
        others: u64,
    },
    /// An entry has no hash, although a checkpoint or a sealed entry after it says that it was sealed.
    #[error("the stored hash of entry {no} is missing, although the ledger is sealed beyond it")]
    HashMissing {
        /// The entry.
        no: u64,
    },
    /// Entries and hashes agree, and not with a signed checkpoint.
    #[error(
        "the ledger was rewritten between entries {} and {size}: its root at {size} entries is {found}, and the signed \
         checkpoint has {signed}",
        *.after + 1
    )]
    Rewritten {
        /// The size of the largest checkpoint that agrees; 0 if none does.
        after: u64,
        /// The size of the first checkpoint that does not.
        size: u64,
        /// The root of the ledger at this size.
        found: Hash,
        /// The root of the checkpoint.
        signed: Hash,
    },
    /// A checkpoint covers more entries than there are.
    #[error("the end of the ledger is missing: a signed checkpoint covers {size} entries, and there are {entries}")]
    Truncated {
        /// The size of the largest checkpoint.
        size: u64,
        /// How many entries there are.
        entries: u64,
    },
    /// An entry differs from the one that was exported.
    #[error("entry {no} is not the one that was exported{}", and_more(*.others))]
    Differs {
        /// The first such entry.
        no: u64,
        /// How many others follow.
        others: u64,
    },
    /// The export has more entries than there are.
    #[error("the end of the ledger is missing: the export has {exported} entries, and there are {entries}")]
    ShorterThanExport {
        /// How many the export has.
        exported: u64,
        /// How many the ledger has.
        entries: u64,
    },
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Order { .. } | Self::HashMissing { .. } => {
                "compare the store with a backup: somebody has changed its tables, or it is damaged"
            }
            Self::Changed { .. } => {
                "compare the entry with an earlier export or a backup, which have it as it was sealed"
            }
            Self::HashChanged { .. } => "restore the store from a backup; the entries themselves are good",
            Self::Rewritten { .. } => {
                "compare with an export that was made before; without one, the first entry that differs cannot be found"
            }
            Self::Truncated { .. } | Self::ShorterThanExport { .. } => {
                "find out whether the store was restored from a backup older than this; if not, entries were deleted"
            }
            Self::Differs { .. } => "keep the export: it has the entries that were handed out",
        }
    }
}

fn missing(first: u64, last: u64) -> String {
    if first == last { format!("entry {first} is missing") } else { format!("entries {first} to {last} are missing") }
}

fn and_more(others: u64) -> String {
    match others {
        0 => String::new(),
        1 => " (and another after it)".to_owned(),
        more => format!(" (and {more} others after it)"),
    }
}
