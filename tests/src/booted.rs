//! A machine that really runs systemd, as the first process in new namespaces over a root, with its own control group and
//! this machine's network. Dropping the value ends it and all its processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::eventually;
use crate::process::{Answer, Process};

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the first process in the namespaces does before it becomes systemd. As in any container, the machine cannot reach
/// kernel settings, nor devices except the harmless ones.
const START: &str = r#"
set -e
root=$0
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=muster-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=multi-user.target --log-target=journal --show-status=no
"#;

/// A running machine.
#[derive(Debug)]
pub struct Booted {
    /// The process that holds the namespaces; they end with it.
    holder: Process,
    /// The process id of systemd on this machine.
    init: String,
    group: Group,
}

impl Booted {
    /// Starts the systemd of a root. The inner `Err` says why this machine cannot do it.
    ///
    /// # Errors
    /// The log file cannot be written.
    pub fn start(root: &Path, log: &Path) -> Result<Result<Self, String>> {
        if !root.join("lib/systemd/systemd").exists() {
            return Ok(Err("the root has no systemd".to_owned()));
        }
        let group = match Group::make() {
            Ok(group) => group,
            Err(error) => return Ok(Err(format!("cannot make a control group: {error:#}"))),
        };
        // The shell enters the group before it makes the namespaces, which then show the group as the root of the hierarchy.
        let enter = "echo $$ >\"$1/cgroup.procs\" && shift && exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", enter, "sh"]).arg(&group.0);
        command.args(["unshare", "--mount", "--uts", "--ipc", "--cgroup", "--pid", "--fork", "--kill-child"]);
        command.args(["--propagation", "private", "sh", "-c", START]).arg(root);
        let mut holder = Process::start(command, log)?;
        let mut machine = eventually("systemd runs", PATIENCE, || {
            if holder.ended()?.is_some() {
                return Ok(Some(None));
            }
            let Some(init) = child_of(holder.id()) else { return Ok(None) };
            let asked = Answer::of(enter_as(&init).args(["systemctl", "is-system-running"]))?;
            Ok(matches!(asked.stdout.trim(), "running" | "degraded").then_some(Some(init)))
        });
        match machine.as_mut().map(Option::take) {
            Ok(Some(init)) => Ok(Ok(Self { holder, init, group })),
            Ok(None) | Err(_) => {
                let output = holder.output();
                drop(holder);
                Ok(Err(format!("systemd does not start in namespaces: {}", output.trim())))
            }
        }
    }

    /// A command inside the machine, as root, without this environment.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = enter_as(&self.init);
        command.arg(program);
        command
    }

    /// Runs a command inside the machine and returns its standard output.
    ///
    /// # Errors
    /// It failed. The error has its output and the end of the machine's journal.
    pub fn run(&self, line: &[&str]) -> Result<String> {
        let (program, arguments) = line.split_first().context("no command")?;
        let answer = Answer::of(self.command(program).args(arguments))?.expect_code(0);
        Ok(answer.with_context(|| format!("{line:?}; the journal ends with:\n{}", self.journal()))?.stdout)
    }

    /// The end of the machine's journal.
    #[must_use]
    pub fn journal(&self) -> String {
        let asked = Answer::of(self.command("journalctl").args(["--no-pager", "-o", "cat", "-n", "60"]));
        asked.map_or_else(|error| error.to_string(), |answer| answer.stdout)
    }

    /// A property of a unit, as `systemctl show` prints it.
    ///
    /// # Errors
    /// The command failed.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        Ok(self.run(&["systemctl", "show", unit, "--value", "-p", name])?.trim().to_owned())
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // The kernel kills the whole namespace with its first process, and that one with its holder. There is no caller to
        // report a failure to.
        let _ = self.holder.kill();
        let _ = eventually("the control group is empty", PATIENCE, || Ok(self.group.is_removed().then_some(())));
    }
}

fn enter_as(init: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", init, "-m", "-u", "-i", "-p", "-C", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    command.args(["HOME=/root", "LC_ALL=C.UTF-8"]);
    command
}

fn child_of(parent: u32) -> Option<String> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

/// A control group below the root of the unified hierarchy.
#[derive(Debug)]
struct Group(PathBuf);

impl Group {
    fn make() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
        let unified = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, kind) = (fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(place))
        });
        let place = unified.context("cgroup v2 is not mounted")?.join(format!("muster-test-{}", std::process::id()));
        std::fs::create_dir(&place).with_context(|| place.display().to_string())?;
        Ok(Self(place))
    }

    fn is_removed(&self) -> bool {
        remove(&self.0);
        !self.0.exists()
    }
}

/// Removes the groups below this one, then this one. A group that still has processes is kept.
fn remove(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}
