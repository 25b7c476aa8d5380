//! What one source may read from the registry, and what it may keep, of all keys together. Every user owns a hive and can fill
//! it; the bounds of one key are those of the hive reader.

use crate::memory;

/// Keys that a source asks for. A source that reads 200,000 keys asks for each up to four times.
const KEYS: usize = 1024 * 1024;
/// Bytes of the names and values that a source reads. 200,000 keys with a name of 40 characters and 1 KiB of values have
/// 220 MiB. They are not in memory at the same time.
const READ_BYTES: usize = 512 * 1024 * 1024;
/// Bytes of an entry of a list beside its text.
pub(super) const ENTRY_BYTES: usize = 64;

/// A bound of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Keys,
    ReadBytes,
    KeptBytes,
}

/// What a source may still use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) keys: usize,
    pub(super) read_bytes: usize,
    pub(super) kept_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { keys: KEYS, read_bytes: READ_BYTES, kept_bytes: memory::REGISTRY_KEPT_BYTES }
    }
}

impl Bound {
    /// Why a source that reaches it is incomplete.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Keys => "the registry has more keys than one source reads",
            Self::ReadBytes => "the registry has larger names and values than one source reads",
            Self::KeptBytes => "the registry has more than one source keeps in memory",
        }
    }
}

impl Budget {
    /// Sets half of what may be kept aside for the observations, while a table is read that they are made of. The caller adds
    /// it again.
    pub(super) const fn set_aside(&mut self) -> usize {
        let half = self.kept_bytes / 2;
        self.kept_bytes -= half;
        half
    }

    /// Takes an amount; `false` if there is not enough left. After that there is nothing left, so that no work follows.
    pub(super) fn spend(&mut self, bound: Bound, amount: usize) -> bool {
        let left = match bound {
            Bound::Keys => &mut self.keys,
            Bound::ReadBytes => &mut self.read_bytes,
            Bound::KeptBytes => &mut self.kept_bytes,
        };
        let after = left.checked_sub(amount);
        *left = after.unwrap_or_default();
        after.is_some()
    }
}
