//! The tools that make roots: whether they are there, and how they are run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use muster_tests::left_out;

/// Set by `deploy/ci/test`: 1 if the tools cannot be installed, and the tests then report that they are left out; `needed`
/// if everything is there and no test may be left out.
pub(super) const LEFT_OUT: &str = "MUSTER_TEST_WITHOUT_ROOTS";

/// Whether a test can run: it needs these tools and root. Without root it is left out; without the tools it is left out
/// only if [`LEFT_OUT`] allows that.
pub(crate) fn can(what: &str, tools: &[&str]) -> Result<bool> {
    let missing: Vec<&&str> = tools.iter().filter(|tool| which(tool).is_none()).collect();
    let is_root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    if missing.is_empty() && is_root {
        return Ok(true);
    }
    let why = if is_root { format!("{missing:?} are missing") } else { "only root can make roots".to_owned() };
    if std::env::var(LEFT_OUT).is_ok_and(|value| value == "1") || !is_root {
        left_out(what, &why);
        return Ok(false);
    }
    bail!("{what}: {why}: install them (deploy/ci/test does), or set {LEFT_OUT}=1")
}

fn which(tool: &str) -> Option<PathBuf> {
    path().split(':').map(|dir| Path::new(dir).join(tool)).find(|place| place.is_file())
}

/// The search path with the folders of debootstrap, which not every user has.
pub(super) fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// Runs a tool and returns what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {}: {stderr}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes a file below a root, with the folders that it needs.
pub(super) fn write(root: &Path, place: &str, text: impl AsRef<[u8]>) -> Result<()> {
    let path = root.join(place);
    std::fs::create_dir_all(path.parent().context("a folder")?)?;
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}
