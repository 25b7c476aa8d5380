//! The packages: built from the programs at hand, installed, upgraded and removed in separate roots. Nothing on this machine
//! changes: dpkg, rpm and the packages' scripts work below a directory. The test under a running systemd is in `booted`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_tests::process::Answer;
use muster_tests::{binaries, left_out};

use crate::roots::{machines, tools};

const IDENTITY: &str = "var/lib/muster-agent/identity/identity.json";

/// Whether the tools exist, and this process may change the owner of files.
fn can(tools: &[&str]) -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && tools.iter().all(|tool| Command::new(tool).arg("--version").output().is_ok())
}

pub(crate) fn packages(kind: &str, version: &str, out: &Path) -> Result<Vec<PathBuf>> {
    let mut package = Command::new(binaries::repository().join("deploy/linux/package"));
    package.arg("--programs").arg(binaries::folder()?).args(["--version", version, "--fast", kind]);
    let answer = Answer::of(package.arg("--out").arg(out))?.expect_code(0)?;
    Ok(answer.stdout.lines().map(PathBuf::from).collect())
}

/// A root with accounts and nothing else.
fn bare(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    for (path, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("var/lib/dpkg/status", ""),
        ("var/lib/dpkg/updates/.keep", ""),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().context("a parent")?)?;
        std::fs::write(path, text)?;
    }
    std::fs::remove_file(root.join("var/lib/dpkg/updates/.keep"))?;
    Ok(root)
}

/// Writes the files of an enrolled and configured host.
fn use_it(root: &Path) -> Result<()> {
    let identity = root.join(IDENTITY);
    std::fs::create_dir_all(identity.parent().context("a parent")?)?;
    std::fs::write(identity, "{\"who\": \"I am\"}")?;
    let config = root.join("etc/muster/agent.toml");
    let text = std::fs::read_to_string(&config)?;
    Ok(std::fs::write(config, format!("collector = \"https://muster.example.org:7443\"\n{text}"))?)
}

fn assert_kept(root: &Path) -> Result<()> {
    ensure!(std::fs::read_to_string(root.join(IDENTITY))? == "{\"who\": \"I am\"}", "the identity is not what it was");
    let config = root.join("etc/muster");
    let kept = std::fs::read_dir(&config)?
        .filter_map(Result::ok)
        .any(|file| std::fs::read_to_string(file.path()).is_ok_and(|text| text.starts_with("collector = ")));
    ensure!(kept, "the settings are not in {}", config.display());
    Ok(())
}

fn version_of(root: &Path, program: &str) -> Result<String> {
    Ok(Answer::of(Command::new(root.join("usr/bin").join(program)).arg("version"))?.expect_code(0)?.stdout)
}

#[test]
fn the_deb_is_installed_upgraded_with_its_identity_removed_and_purged() -> Result<()> {
    if !can(&["dpkg", "dpkg-deb", "systemctl", "systemd-sysusers"]) {
        left_out("the deb packages", "it needs root, dpkg and systemd's programs");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let root = bare(folder.path())?;
    let dpkg = |arguments: &[&std::ffi::OsStr]| -> Result<Answer> {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", root.display())).arg("--force-script-chrootless");
        Answer::of(command.args(arguments))?.expect_code(0)
    };
    let first = packages("deb", "0.1.0", folder.path())?;
    dpkg(&["-i".as_ref(), first[0].as_ref(), first[1].as_ref()])?;
    ensure!(version_of(&root, "muster-agent")?.starts_with("muster-agent "));
    ensure!(version_of(&root, "muster-collector")?.contains("muster-collector"));
    for program in ["muster", "muster-agent", "muster-collector"] {
        let script = std::fs::read_to_string(root.join("usr/share/bash-completion/completions").join(program))?;
        ensure!(script.contains(&format!("-o default {program}\n")), "{program}: {script}");
    }
    let enabled = root.join("etc/systemd/system/multi-user.target.wants/muster-agent.service");
    ensure!(enabled.is_symlink(), "the service is not enabled");
    let accounts = std::fs::read_to_string(root.join("etc/passwd"))?;
    ensure!(accounts.contains("muster-agent:x:") && accounts.contains("muster:x:"), "{accounts}");
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let state = std::fs::metadata(root.join("var/lib/muster-agent"))?;
    ensure!(state.permissions().mode() & 0o777 == 0o700 && state.uid() != 0, "{state:?}");

    use_it(&root)?;
    std::fs::remove_file(&enabled)?;
    let second = packages("deb", "0.1.1", folder.path())?;
    dpkg(&["-i".as_ref(), second[0].as_ref()])?;
    assert_kept(&root)?;
    ensure!(!enabled.is_symlink(), "an upgrade enables what an administrator has disabled");

    dpkg(&["--remove".as_ref(), "muster-agent".as_ref()])?;
    ensure!(!root.join("usr/bin/muster-agent").exists());
    assert_kept(&root)?;
    dpkg(&["--purge".as_ref(), "muster-agent".as_ref(), "muster-collector".as_ref()])?;
    ensure!(!root.join("var/lib/muster-agent").exists() && !root.join("etc/muster/agent.toml").exists());
    Ok(())
}

#[test]
fn the_rpm_and_its_scripts_install_upgrade_with_its_identity_and_remove() -> Result<()> {
    if !tools::can("the rpm packages", &["rpm", "rpmbuild"])? {
        return Ok(());
    }
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        left_out("the rpm packages", "no right to mount, and the scripts need a /proc");
        return Ok(());
    }
    // The scripts run inside the root and need a shell and systemd's programs there.
    let Some(debian) = machines::debian()? else { return Ok(()) };
    let root = debian.path();
    let folder = tempfile::tempdir()?;
    let rpm = |arguments: &[&std::ffi::OsStr]| -> Result<Answer> {
        // systemd's programs need a /proc in the root.
        let mut command = Command::new("unshare");
        let rpm = "mount -t proc proc \"$0/proc\" && exec rpm --root \"$0\" --dbpath /var/lib/rpm \"$@\"";
        command.args(["--mount", "sh", "-c", rpm]).arg(root);
        let answer = Answer::of(command.args(arguments))?.expect_code(0)?;
        ensure!(!answer.stderr.contains("scriptlet failed"), "{}", answer.stderr);
        Ok(answer)
    };
    let enabled = root.join("etc/systemd/system/multi-user.target.wants/muster-agent.service");
    let first = packages("rpm", "0.1.0", folder.path())?;
    rpm(&["-i".as_ref(), "--nodeps".as_ref(), first[0].as_ref(), first[1].as_ref()])?;
    ensure!(version_of(root, "muster-agent")?.starts_with("muster-agent "));
    ensure!(enabled.is_symlink(), "the service is not enabled");
    let accounts = std::fs::read_to_string(root.join("etc/passwd"))?;
    ensure!(accounts.contains("muster-agent:x:") && accounts.contains("muster:x:"), "{accounts}");
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let state = std::fs::metadata(root.join("var/lib/muster-agent"))?;
    ensure!(state.permissions().mode() & 0o777 == 0o700 && state.uid() != 0, "{state:?}");

    use_it(root)?;
    std::fs::remove_file(&enabled)?;
    let second = packages("rpm", "0.1.1", folder.path())?;
    rpm(&["-U".as_ref(), "--nodeps".as_ref(), second[0].as_ref()])?;
    ensure!(rpm(&["-q".as_ref(), "muster-agent".as_ref()])?.stdout.contains("0.1.1"));
    assert_kept(root)?;
    ensure!(!enabled.is_symlink(), "an upgrade enables what an administrator has disabled");

    std::os::unix::fs::symlink("/usr/lib/systemd/system/muster-agent.service", &enabled)?;
    rpm(&["-e".as_ref(), "--nodeps".as_ref(), "muster-agent".as_ref(), "muster-collector".as_ref()])?;
    ensure!(!root.join("usr/bin/muster-agent").exists());
    ensure!(!enabled.is_symlink(), "what was removed is still enabled");
    assert_kept(root)
}
