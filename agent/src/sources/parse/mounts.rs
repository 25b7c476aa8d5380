//! The mount table: which directories are on network file systems.

/// Types of network file systems, and of automounts that may turn into one on access.
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "autofs",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "ncpfs",
    "9p",
    "coda",
    "orangefs",
    "pvfs2",
    "ocfs2",
    "gfs2",
    "davfs",
    "fuse",
];
/// FUSE file systems whose data is local.
const LOCAL_PROGRAMS: &[&str] =
    &["fuseblk", "fuse.ntfs-3g", "fuse.ntfs", "fuse.exfat", "fuse.overlayfs", "fuse.fuse-overlayfs"];

/// Mount points in mount order, each with whether it is a network file system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mounts(Vec<(String, bool)>);

impl Mounts {
    /// Parses `/proc/self/mountinfo`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(mount).collect())
    }

    /// Whether a path is on a network file system. Of two mounts at one point the later one counts.
    #[must_use]
    pub fn is_on_network(&self, path: &str) -> bool {
        let within = |point: &str| {
            let rest = path.strip_prefix(point.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // `max_by_key` returns the last of equal ones, which is the mount on top.
        let deepest =
            self.0.iter().filter(|(point, _)| within(point)).max_by_key(|(point, _)| point.trim_end_matches('/').len());
        deepest.is_some_and(|(_, network)| *network)
    }
}

/// Parses `36 35 98:0 /root /point options… - type source options`.
fn mount(line: &str) -> Option<(String, bool)> {
    // The number of optional fields varies, and a hyphen ends them (proc_pid_mountinfo(5)).
    let (before, after) = line.split_once(" - ")?;
    let point = unescape(before.split(' ').nth(4)?);
    let kind = after.split(' ').next()?;
    let network = NETWORK.contains(&kind) || (kind.starts_with("fuse.") && !LOCAL_PROGRAMS.contains(&kind));
    Some((point, network))
}

/// Decodes the octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    // The backslash comes last: decoded first, it could form another escape with the digits behind it.
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_deepest_mount_of_a_path_counts() {
        let mounts = Mounts::parse(
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
             30 22 0:40 / /home rw - autofs systemd-1 rw,fd=1\n\
             31 30 0:41 / /home/jane rw - nfs4 server:/x rw\n\
             32 22 8:2 / /home/local rw - ext4 /dev/sda2 rw\n\
             33 22 0:42 / /srv/my\\040share rw - cifs //x/y rw\n\
             34 22 8:3 / /data rw - nfs a rw\n35 22 8:3 / /data rw - ext4 b rw\n",
        );
        for (path, network) in [
            ("/home/jane", true),
            ("/home/jane/.config", true),
            ("/home/ola", true),
            ("/home/local/x", false),
            ("/homework", false),
            ("/srv/my share/x", true),
            ("/data/x", false),
            ("/", false),
        ] {
            assert_eq!(mounts.is_on_network(path), network, "{path}");
        }
        assert!(!Mounts::default().is_on_network("/home/jane"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), path in any::<String>()) {
            let _ = Mounts::parse(&text).is_on_network(&path);
        }
    }
}
