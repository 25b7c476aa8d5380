//! Sources and facts that are the same on every platform.

pub(super) mod machine;
pub(super) mod watch_paths;
