//! The size of a store.

/// How large a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// Bytes on its disk.
    pub bytes: u64,
    /// Free bytes of its disk; `None` if it is the disk of a database server.
    pub free_bytes: Option<u64>,
}
