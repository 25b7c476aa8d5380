//! Where links and commands of units lead: to `/dev/null`, or to a program that is missing.

use crate::sources::ScanContext;
use crate::sources::root::FileKind;

/// Where systemd searches a command without a path.
const SEARCH: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Whether a link's target is `/dev/null`, however it is written.
pub(super) fn is_null(target: &str) -> bool {
    target == "/dev/null" || (target.starts_with("../") && target.trim_start_matches("../") == "dev/null")
}

/// Whether a program is certain not to exist.
pub(super) fn is_missing(context: &ScanContext, program: &str) -> bool {
    let absent = |path: &str| matches!(context.root.kind_at(path), Ok(None | Some(FileKind::BrokenLink)));
    if program.starts_with('/') {
        absent(program)
    } else {
        SEARCH.iter().all(|dir| absent(&format!("{dir}/{program}")))
    }
}
