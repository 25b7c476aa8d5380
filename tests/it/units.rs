//! The shipped units: systemd accepts them, and they are hardened.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_tests::process::Answer;
use muster_tests::{binaries, left_out};

/// Exposure limits by `systemd-analyze security`, in tenths. The agent needs access to all files, all processes and the
/// network; nothing may be added unnoticed.
const MOST: [(&str, &str, u32); 2] = [("muster-agent", "run", 23), ("muster-collector", "serve", 11)];

fn has_systemd() -> bool {
    Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn unit(name: &str) -> Result<String> {
    let path = binaries::repository().join(format!("deploy/linux/{name}.service"));
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The unit with the path of the program built here, because systemd checks that it exists.
fn placed(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = folder.join(format!("{name}.service"));
    let program = binaries::find(name)?;
    std::fs::write(&path, unit(name)?.replace(&format!("/usr/bin/{name}"), &program.display().to_string()))?;
    Ok(path)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() -> Result<()> {
    if !has_systemd() {
        left_out("the units by systemd-analyze", "there is no systemd-analyze");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    for (name, ..) in MOST {
        let mut verify = Command::new("systemd-analyze");
        let answer = Answer::of(verify.args(["verify", "--man=no"]).arg(placed(folder.path(), name)?))?;
        ensure!(answer.code == Some(0) && answer.stderr.is_empty(), "{name}: {answer:?}");
    }
    Ok(())
}

#[test]
fn the_units_expose_no_more_than_they_have_to() -> Result<()> {
    if !has_systemd() {
        left_out("the units by systemd-analyze", "there is no systemd-analyze");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    for (name, _, most) in MOST {
        let unit = placed(folder.path(), name)?;
        let security = |most: u32| {
            let mut security = Command::new("systemd-analyze");
            security.args(["security", "--offline=true", "--no-pager", &format!("--threshold={most}")]).arg(&unit);
            Answer::of(&mut security)
        };
        security(most)?.expect_code(0).with_context(|| format!("{name} is above {most}"))?;
        // The limit must be tight, or it would detect nothing.
        ensure!(security(most - 2)?.code != Some(0), "{name} has become better than its bound; lower it");
    }
    Ok(())
}

#[test]
fn the_units_run_what_the_programs_offer_and_give_them_their_own_directories() -> Result<()> {
    for (name, verb, _) in MOST {
        let text = unit(name)?;
        ensure!(text.contains(&format!("\nExecStart=/usr/bin/{name} {verb}\n")), "{name}:\n{text}");
        Answer::of(Command::new(binaries::find(name)?).args([verb, "--help"]))?.expect_code(0)?;
    }
    for (name, key) in [("agent", "state_dir"), ("collector", "data_dir")] {
        let config = std::fs::read_to_string(binaries::repository().join(format!("deploy/config/{name}.toml")))?;
        let service = unit(&format!("muster-{name}"))?;
        let directory = service.lines().find_map(|line| line.strip_prefix("StateDirectory=")).context("a directory")?;
        ensure!(config.contains(&format!("\n{key} = \"/var/lib/{directory}\"\n")), "{name} works elsewhere: {config}");
        let tmpfiles = binaries::repository().join(format!("deploy/linux/tmpfiles/muster-{name}.conf"));
        let tmpfiles = std::fs::read_to_string(&tmpfiles)?;
        ensure!(tmpfiles.contains(&format!("d /var/lib/{directory} 0700 ")), "{name}: {tmpfiles}");
    }
    Ok(())
}
