//! `deploy/quickstart` and `deploy/ci/test` on machines without Rust or a C compiler. The machine is a folder of programs, which
//! is the only one on the `PATH`: the usual small tools, and scripts in place of apt-get, sudo and curl that note their calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use muster_tests::binaries;
use muster_tests::process::Answer;
use tempfile::TempDir;

/// What a minimal Debian has and the scripts use.
const BASE: [&str; 15] =
    ["bash", "cat", "chmod", "cut", "dirname", "env", "head", "id", "mkdir", "rm", "sed", "sh", "sort", "tail", "true"];

/// Programs that only note that they were called, so that nothing is built here.
const RUST: &str =
    "case $1 in --version) echo \"${0##*/} 1.96.0 (Debian)\" ;; *) echo \"${0##*/} $*\" >>\"$CALLS\"; exit 1 ;; esac";

struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A Debian 12 that knows these versions of the packages `rustc` and `rustc-web`.
    fn debian(rustc: &str, rustc_web: &str) -> Result<Self> {
        let machine = Self { folder: tempfile::Builder::new().prefix("muster-fresh-").tempdir()? };
        std::fs::create_dir_all(machine.programs())?;
        for tool in BASE {
            let found =
                ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(tool)).find(|path| path.exists());
            let found = found.with_context(|| format!("{tool} is neither in /usr/bin nor in /bin"))?;
            std::os::unix::fs::symlink(found, machine.programs().join(tool))?;
        }
        machine.script(
            "apt-cache",
            &format!(
                "case $2 in rustc) v='{rustc}' ;; *) v='{rustc_web}' ;; esac; printf 'rustc:\\n  Candidate: %s\\n' \"$v\""
            ),
        )?;
        let install = format!(
            "echo \"apt-get $*\" >>\"$CALLS\"\n\
             for package in \"$@\"; do\n\
             case $package in rustc*) names='rustc' ;; cargo*) names=cargo ;; gcc) names=cc ;; curl) names= ;; *) continue ;; esac\n\
             for name in $names; do printf '#!/bin/sh\\n%s\\n' '{RUST}' >\"$PATH/$name\"; chmod 755 \"$PATH/$name\"; done\n\
             done"
        );
        machine.script("apt-get", &install)?;
        Ok(machine)
    }

    fn programs(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// Adds a program.
    fn script(&self, name: &str, text: &str) -> Result<()> {
        let path = self.programs().join(name);
        // A link to the real program must not be written through.
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(())
    }

    /// The user of the machine, by id. A sudo that needs a password refuses.
    fn user(&self, id: u32, sudo: bool) -> Result<()> {
        self.script("id", &format!("echo {id}"))?;
        let allowed = "echo \"sudo $*\" >>\"$CALLS\"; [ \"$1\" = -n ] && shift; exec \"$@\"";
        self.script("sudo", if sudo { allowed } else { "exit 1" })
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(binaries::repository().join(script));
        command.args(arguments).env_clear().env("PATH", self.programs()).env("HOME", self.folder.path());
        command.env("CALLS", self.folder.path().join("calls"));
        Answer::of(&mut command)
    }

    /// The calls of the scripts so far, one a line.
    fn calls(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

#[test]
fn with_no_install_the_commands_are_named_and_none_is_run() -> Result<()> {
    for (script, arguments, more) in [
        ("deploy/quickstart", ["--once", "--no-install"], "cargo-web"),
        (
            "deploy/ci/test",
            ["--no-install", "quick"],
            "rust-web-clippy rustc-web cargo-web ca-certificates rustfmt-web",
        ),
    ] {
        let machine = Machine::debian("1.63.0+dfsg1-2", "1.96.0+dfsg1-1~deb12u2")?;
        machine.user(0, false)?;
        let answer = machine.run(script, &arguments)?.expect_code(1)?;
        for part in ["apt-get install", " gcc libc6-dev", " rustc-web ", " ca-certificates", more] {
            assert!(answer.stderr.contains(part), "{script}: {part:?} is missing:\n{}", answer.stderr);
        }
        assert!(!answer.stderr.contains("sudo"), "{}", answer.stderr);
        assert_eq!(machine.calls(), "", "{script}");
    }
    Ok(())
}

#[test]
fn what_the_checks_for_windows_and_macos_need_is_named() -> Result<()> {
    let machine = Machine::debian("1.63.0+dfsg1-2", "1.96.0+dfsg1-1~deb12u2")?;
    machine.user(0, false)?;
    let answer = machine.run("deploy/ci/test", &["--no-install", "windows", "apple"])?.expect_code(1)?;
    for part in [" wine wine64", " gcc-mingw-w64-x86-64-win32", " wixl", " msitools", " python3"] {
        assert!(answer.stderr.contains(part), "{part:?} is missing:\n{}", answer.stderr);
    }
    // A Debian with the source of Rust builds its own standard library.
    if !Path::new("/usr/lib/rustlib/src/rust/library").exists() {
        let rustup = "--target=aarch64-apple-darwin --target=x86_64-apple-darwin --target=x86_64-pc-windows-gnu; } || env DEBIAN_FRONTEND";
        for part in [rustup, " rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web"] {
            assert!(answer.stderr.contains(part), "{part:?} is missing:\n{}", answer.stderr);
        }
    }
    assert_eq!(machine.calls(), "");
    Ok(())
}

#[test]
fn rust_and_a_compiler_are_installed_before_the_build() -> Result<()> {
    for (script, arguments) in [("deploy/quickstart", ["--once"]), ("deploy/ci/test", ["layers"])] {
        let machine = Machine::debian("1.63.0+dfsg1-2", "1.96.0+dfsg1-1~deb12u2")?;
        machine.user(0, false)?;
        let answer = machine.run(script, &arguments)?;
        let calls = machine.calls();
        let lines: Vec<&str> = calls.lines().collect();
        assert!(lines.len() >= 3 && lines[0].starts_with("apt-get update"), "{script}: {calls}\n{}", answer.stderr);
        assert!(lines[1].contains(" rustc-web cargo-web ca-certificates"), "{script}: {calls}");
        assert!(lines[2].starts_with("cargo build"), "{script}: {calls}");
        assert!(answer.stderr.contains("installing: "), "{script}: {}", answer.stderr);
    }
    Ok(())
}

#[test]
fn a_user_installs_with_sudo_if_it_asks_for_no_password() -> Result<()> {
    let machine = Machine::debian("1.89.0+dfsg1-1", "(none)")?;
    machine.user(1000, true)?;
    machine.run("deploy/quickstart", &["--once"])?;
    let calls = machine.calls();
    assert!(calls.contains("sudo -n apt-get update") && calls.contains(" rustc cargo ca-certificates"), "{calls}");
    assert!(calls.contains("cargo build"), "{calls}");
    Ok(())
}

#[test]
fn a_user_without_sudo_is_given_the_commands() -> Result<()> {
    let machine = Machine::debian("1.63.0+dfsg1-2", "1.96.0+dfsg1-1~deb12u2")?;
    machine.user(1000, false)?;
    let answer = machine.run("deploy/quickstart", &["--once"])?.expect_code(1)?;
    assert!(answer.stderr.contains("  sudo env DEBIAN_FRONTEND=noninteractive apt-get install"), "{}", answer.stderr);
    assert_eq!(machine.calls(), "");
    Ok(())
}

#[test]
fn without_a_new_enough_package_rust_comes_from_rustup_into_the_home() -> Result<()> {
    let installer = format!(
        "p=\"$HOME/.cargo/bin\"; mkdir -p \"$p\"\n\
         for name in cargo rustc; do printf '#!/bin/sh\\n%s\\n' '{RUST}' >\"$p/$name\"; chmod 755 \"$p/$name\"; done"
    );
    // Debian's Rust is too old in the lists, or an old one is installed already and is left alone.
    for installed in [false, true] {
        let machine = Machine::debian("1.63.0+dfsg1-2", if installed { "1.96.0" } else { "1.85.0+dfsg3-1" })?;
        machine.user(1000, false)?;
        machine.script("cc", "exit 0")?;
        if installed {
            for name in ["cargo", "rustc"] {
                machine.script(name, &format!("echo '{name} 1.63.0'"))?;
            }
        }
        std::fs::write(machine.folder.path().join("installer"), &installer)?;
        machine.script("curl", "echo \"curl $*\" >>\"$CALLS\"; cat \"$HOME/installer\"")?;
        let answer = machine.run("deploy/quickstart", &["--once"])?;
        let calls = machine.calls();
        assert!(calls.starts_with("curl ") && calls.contains("rustup"), "{calls}\n{}", answer.stderr);
        assert!(calls.contains("cargo build") && !calls.contains("apt-get"), "{calls}\n{}", answer.stderr);
    }
    Ok(())
}

#[test]
fn help_names_every_option_of_the_quickstart() -> Result<()> {
    let answer =
        Answer::of(Command::new(binaries::repository().join("deploy/quickstart")).arg("--help"))?.expect_code(0)?;
    for option in ["--once", "--no-install", "--dir DIR", "--root DIR", "--all-orders"] {
        assert!(
            answer.stdout.lines().any(|line| line.starts_with(&format!("  {option}"))),
            "{option} is not explained"
        );
    }
    Ok(())
}
