//! Sources and facts that are the same on every platform.

pub(super) mod addresses;
pub(super) mod extensions;
pub(super) mod machine;
mod tree;
pub(super) mod unread;
pub(super) mod watch_paths;
