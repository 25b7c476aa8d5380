//! `/proc/PID/fdinfo`: the kernel hooks that a process holds by a descriptor, fanotify marks and eBPF programs.

/// Permission bits of a fanotify mark: FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM and FAN_PRE_ACCESS.
const PERMISSION_BITS: u64 = 0x1_0000 | 0x2_0000 | 0x4_0000 | 0x10_0000;
/// Types of eBPF programs that observe processes: kprobe, tracepoint, raw tracepoint (and its writable form), tracing, and
/// LSM. Filters of packets and of control groups do not count; systemd uses those.
const PROGRAM_TYPES: &[u32] = &[2, 5, 17, 24, 26, 29];
const LINK_TYPES: &[&str] = &["tracing", "raw_tracepoint", "kprobe_multi"];

/// The hooks of a process, from all its descriptors that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooks {
    /// fanotify permission marks: the kernel asks the process before an access.
    pub permission: bool,
    /// fanotify notification marks.
    pub notification: bool,
    /// eBPF programs that observe processes.
    pub programs: bool,
}

impl Hooks {
    /// Adds the hooks in one file of `fdinfo`.
    pub fn read(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(mark) = line.strip_prefix("fanotify ") {
                self.mark(mark);
            } else if let Some((key, value)) = line.split_once(':') {
                let value = value.trim();
                self.programs |= match key {
                    "prog_type" => value.parse().is_ok_and(|kind: u32| PROGRAM_TYPES.contains(&kind)),
                    "link_type" => LINK_TYPES.contains(&value),
                    _ => false,
                };
            }
        }
    }

    /// Adds the hooks of another process.
    pub fn add(&mut self, other: Self) {
        self.permission |= other.permission;
        self.notification |= other.notification;
        self.programs |= other.programs;
    }

    /// Parses `mnt_id:1a mflags:0 mask:10020 ignored_mask:0`. The line of the group itself has no mask.
    fn mark(&mut self, line: &str) {
        // By whole fields, so that `ignored_mask:` does not match.
        let mask = line.split(' ').find_map(|field| field.strip_prefix("mask:"));
        let Some(mask) = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()) else { return };
        if mask & PERMISSION_BITS != 0 {
            self.permission = true;
        } else if mask != 0 {
            self.notification = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hooks(text: &str) -> Hooks {
        let mut hooks = Hooks::default();
        hooks.read(text);
        hooks
    }

    #[test]
    fn permission_marks_and_notification_marks_are_distinguished() {
        let head = "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1061\nfanotify flags:4 event-flags:8002\n";
        let asks = Hooks { permission: true, ..Hooks::default() };
        let tells = Hooks { notification: true, ..Hooks::default() };
        for (line, expected) in [
            ("fanotify mnt_id:1a mflags:0 mask:10020 ignored_mask:0", asks),
            ("fanotify sdev:800013 mflags:100 mask:40000 ignored_mask:0", asks),
            ("fanotify ino:4f969 sdev:800013 mflags:0 mask:3b ignored_mask:40000000 fhandle-bytes:8", tells),
            ("fanotify mnt_id:1a mflags:0 mask:0 ignored_mask:10020", Hooks::default()),
            ("inotify wd:1 ino:2 sdev:3 mask:10020 ignored_mask:0", Hooks::default()),
            ("fanotify mnt_id:1a mask:nonsense", Hooks::default()),
        ] {
            assert_eq!(hooks(&format!("{head}{line}\n")), expected, "{line}");
        }
        assert_eq!(hooks(head), Hooks::default());
    }

    #[test]
    fn programs_that_observe_processes_and_packet_filters_are_distinguished() {
        let programs = |text: &str| hooks(text).programs;
        assert!(programs("pos:\t0\nprog_type:\t29\nprog_jited:\t1\n"));
        assert!(programs("prog_type:\t2\n") && programs("link_type:\ttracing\nlink_id:\t7\n"));
        assert!(!programs("prog_type:\t8\n") && !programs("link_type:\tcgroup\n") && !programs("prog_type:\tx\n"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(fanotify |mask:|[0-9a-f]{0,20}|prog_type:\t|link_type:| |\n){0,40}") {
            let _ = hooks(&text);
        }
    }
}
