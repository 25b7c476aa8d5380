//! The export of the ledger: a directory in the layout of C2SP's tiled transparency logs, which any verifier of such
//! logs reads. <https://c2sp.org/tlog-tiles>
//!
//! ```text
//! checkpoint               size and root, signed; the only file that is ever replaced
//! tile/0/000               the hashes of 256 leaves; the tile after 999 is tile/0/x001/000
//! tile/1/000               the hashes of 256 tiles of level 0, and so on
//! tile/0/273.p/112         a tile that is not full yet: 112 hashes
//! tile/entries/000         256 leaves, each after its length in 16 bits
//! tile/entries/273.p/112   112 leaves
//! ```

mod directory;
mod error;
mod layout;
mod levels;
mod reader;
mod writer;

pub use error::ExportError;
pub use reader::{Export, ExportedLeaf, Leaves};
pub use writer::{TileWriter, Written};

#[cfg(test)]
mod tests;
