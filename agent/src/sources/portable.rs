//! Sources and facts that need no system of their own.

pub(super) mod machine;
pub(super) mod watch_paths;
