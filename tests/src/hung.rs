//! A machine on which some places are on a disk that never answers: a root with its own mounts, in which the agent is the
//! only program. The disk is a FUSE file system that nobody serves: whatever reads it waits for ever.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::binaries;
use crate::process::Answer;

/// Where the agent is on the machine.
const PROGRAMS: &str = "muster-test";

/// Mounts the hung places and becomes the agent. The descriptors of the disks stay open in the agent: a disk without a
/// server answers every request with an error. The agent finds its own process at `/proc/SELF`.
const START: &str = r#"
set -e
root=$1; shift
mount --bind "$root" "$root"
if [ -d "$root/proc/SELF" ]; then ln -s SELF "$root/proc/$$"; fi
while [ "$1" != -- ]; do
    case $1 in
    program) mount --bind "$2" "$root/muster-test/${2##*/}"; shift 2;;
    folder|file)
        place=$root$2
        mode=100000; [ "$1" = file ] || mode=40000
        exec {disk}<>/dev/fuse
        mount -i -t fuse -o "fd=$disk,rootmode=$mode,user_id=0,group_id=0" none "$place"
        shift 2;;
    esac
done
shift
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"
"#;

/// A machine.
#[derive(Debug)]
pub struct Machine {
    root: PathBuf,
    /// The programs and libraries of this machine that the agent needs.
    programs: Vec<PathBuf>,
    /// How the agent is started there.
    start: Vec<String>,
}

impl Machine {
    /// The machine whose files are in a folder. The inner `Err` says why this machine cannot run it.
    ///
    /// # Errors
    /// The folder cannot be prepared.
    pub fn at(root: &Path) -> Result<Result<Self, String>> {
        let agent = binaries::find("muster-agent")?;
        let mut programs = vec![agent.clone()];
        let listed = Answer::of(Command::new("ldd").arg(&agent));
        // A static program has no libraries.
        let listed =
            listed.ok().filter(|answer| answer.code == Some(0)).map(|answer| answer.stdout).unwrap_or_default();
        programs.extend(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
        let folder = root.join(PROGRAMS);
        std::fs::create_dir_all(&folder)?;
        for program in &programs {
            std::fs::write(folder.join(program.file_name().context("a file")?), "")?;
        }
        let inside = |program: &Path| format!("/{PROGRAMS}/{}", program.file_name().unwrap_or_default().display());
        let loader = programs.iter().find(|program| inside(program).contains("/ld-"));
        let mut start = Vec::new();
        if let Some(loader) = loader {
            start.extend([inside(loader), "--library-path".to_owned(), format!("/{PROGRAMS}")]);
        }
        start.push(inside(&agent));
        let machine = Self { root: root.to_owned(), programs, start };
        let probe = tempfile::tempdir_in(root)?;
        let place = format!("/{}", probe.path().file_name().unwrap_or_default().display());
        let answer = Answer::of(&mut machine.command(&[&place], &["version"]))?;
        if answer.code != Some(0) {
            return Ok(Err(format!("FUSE mounts in a namespace are not offered: {}", answer.stderr.trim())));
        }
        Ok(Ok(machine))
    }

    /// Where the machine's file is on this one.
    #[must_use]
    pub fn file(&self, place: &str) -> PathBuf {
        self.root.join(place.trim_start_matches('/'))
    }

    /// The agent on the machine, while these places do not answer. Each is a file or folder that exists.
    #[must_use]
    pub fn command(&self, hung: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        // An ordinary user is root in a namespace of its own.
        if !is_root() {
            command.arg("--map-root-user");
        }
        command.args(["bash", "-c", START, "bash"]).arg(&self.root);
        for program in &self.programs {
            command.arg("program").arg(program);
        }
        for place in hung {
            let kind = if self.file(place).is_dir() { "folder" } else { "file" };
            command.arg(kind).arg(place);
        }
        command.arg("--").args(&self.start).args(arguments);
        command
    }
}

fn is_root() -> bool {
    let id = Answer::of(Command::new("id").arg("-u"));
    id.is_ok_and(|answer| answer.stdout.trim() == "0")
}
