//! Whether the system needs a restart: by the marker files of package managers, or, without those, by what was replaced
//! since boot.

use muster_proto::model::Timestamp;

use super::super::native::{ReadBy, package_source};
use crate::sources::{ScanContext, is_absent};

/// Marker files: Debian and derivatives; SUSE; image-based systems with a staged deployment.
const MARKS: &[&str] = &["/run/reboot-required", "/run/reboot-needed", "/run/ostree/staged-deployment"];
const TREES: &[&str] = &["/usr/lib/modules", "/lib/modules"];
/// Programs and libraries whose old copies stay in use until a restart. Their `ctime` is compared, because packages set the
/// `mtime` to the time of the build.
const CORE: &[&str] =
    &["/usr/lib/systemd/systemd", "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6", "/usr/bin/dbus-broker"];

pub(super) fn is_pending(context: &ScanContext) -> Option<bool> {
    for mark in MARKS {
        match context.root.kind_at(mark) {
            Ok(Some(_)) => return Some(true),
            Ok(None) => {}
            // Unknown is not the same as "not needed".
            Err(_) => return None,
        }
    }
    match package_source(context)? {
        // The marker is the only evidence there, so its absence counts.
        ReadBy::Dpkg => Some(false),
        ReadBy::Rpm => replaced_since_start(context),
        ReadBy::Pacman => kernel_is_gone(context),
        ReadBy::Apk
        | ReadBy::Snap
        | ReadBy::Directories
        | ReadBy::Control
        | ReadBy::Plist
        | ReadBy::Inventory
        | ReadBy::Image
        | ReadBy::Nothing => None,
    }
}

/// Whether the kernel or a core library was replaced since boot, as `needs-restarting` of Red Hat decides.
fn replaced_since_start(context: &ScanContext) -> Option<bool> {
    let started = started(context)?;
    // Most systems have only some of these files, so a missing one is no error.
    let newer = |path: &str| context.root.times(path).is_ok_and(|times| times.changed > started);
    let kernels = TREES.iter().flat_map(|tree| {
        let releases = context.root.list(tree).unwrap_or_default();
        releases.into_iter().map(move |release| format!("{tree}/{}/vmlinuz", release.name))
    });
    Some(CORE.iter().any(|path| newer(path)) || kernels.into_iter().any(|kernel| newer(&kernel)))
}

/// Arch keeps the modules of one kernel only. If those of the running kernel are missing, another one was installed.
fn kernel_is_gone(context: &ScanContext) -> Option<bool> {
    let running = context.root.read_text("/proc/sys/kernel/osrelease").ok()?;
    let tree = context.root.list(TREES[0]).ok().filter(|releases| !releases.is_empty())?;
    Some(!tree.iter().any(|release| release.name == running.trim()))
}

fn started(context: &ScanContext) -> Option<Timestamp> {
    let bytes = match context.root.read("/proc/stat", 4 * 1024 * 1024) {
        Ok(bytes) => bytes,
        Err(error) if is_absent(&error) => return None,
        Err(_) => return None,
    };
    let text = String::from_utf8_lossy(&bytes);
    let seconds: i64 = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::Watchlist;

    use super::super::super::canned::Canned;
    use super::*;
    use crate::sources::root::Root;

    fn pending(root: &Canned) -> Option<bool> {
        is_pending(&ScanContext::new(Root::below(root.path()).expect("a root"), Watchlist::default()))
    }

    #[test]
    fn a_marker_means_a_restart_and_its_absence_counts_only_where_it_is_used() {
        assert_eq!(pending(&Canned::new("debian")), Some(false));
        assert_eq!(pending(&Canned::new("debian").file("run/reboot-required", "")), Some(true));
        assert_eq!(pending(&Canned::new("opensuse-leap").file("run/reboot-needed", "")), Some(true));
        assert_eq!(pending(&Canned::new("fedora").file("run/ostree/staged-deployment", "x")), Some(true));
        assert_eq!(pending(&Canned::new("alpine")), None);
        assert_eq!(pending(&Canned::new("nobody-knows")), None);
    }

    #[test]
    fn a_kernel_replaced_since_boot_needs_a_restart() {
        let root = |btime: u64| {
            Canned::new("rocky")
                .file("proc/stat", format!("cpu 1 2\nbtime {btime}\n"))
                .file("usr/lib/modules/5.14/vmlinuz", "")
        };
        assert_eq!(pending(&root(1_000_000_000)), Some(true));
        assert_eq!(pending(&root(9_000_000_000)), Some(false));
        assert_eq!(pending(&Canned::new("rocky")), None);
    }

    #[test]
    fn a_running_kernel_without_its_modules_needs_a_restart() {
        let root = |release: &str| {
            Canned::new("arch")
                .file("proc/sys/kernel/osrelease", "6.9.1-arch1\n")
                .directory(&format!("usr/lib/modules/{release}"))
        };
        assert_eq!(pending(&root("6.9.1-arch1")), Some(false));
        assert_eq!(pending(&root("6.9.2-arch1")), Some(true));
        assert_eq!(pending(&Canned::new("arch").file("proc/sys/kernel/osrelease", "6.9.1\n")), None);
    }
}
