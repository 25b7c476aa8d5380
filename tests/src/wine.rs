//! A Windows for tests: the prefix of Wine that `deploy/ci/windows` makes and starts. Every command writes to files and never
//! to a pipe, because the server of the prefix keeps a pipe open and its reader waits for ever.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::Answer;

/// Names the folder of the prefix, as for Wine itself.
const PREFIX: &str = "WINEPREFIX";
/// Names the agent for Windows.
const AGENT: &str = "MUSTER_TEST_WINDOWS_AGENT";
/// Seconds after which a command is killed. Each takes a few seconds at most, also on a busy machine.
const PATIENCE: &str = "120";

/// A prefix whose server runs.
#[derive(Debug)]
pub struct Wine {
    prefix: PathBuf,
    agent: PathBuf,
    outputs: TempDir,
    /// How many programs were started.
    runs: AtomicUsize,
}

impl Wine {
    /// The prefix that `deploy/ci/windows` has started.
    ///
    /// # Errors
    /// The test was not started by that script.
    pub fn started() -> Result<Self> {
        let named = |name: &str| -> Result<PathBuf> {
            let value = std::env::var_os(name);
            Ok(value.with_context(|| format!("{name} is not set: deploy/ci/windows runs this test"))?.into())
        };
        Ok(Self {
            prefix: named(PREFIX)?,
            agent: named(AGENT)?,
            outputs: tempfile::tempdir()?,
            runs: AtomicUsize::new(0),
        })
    }

    /// The same Windows with a copy of the agent in a folder of `C:`, as an administrator puts it there.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn with_agent_in(self, folder: &str) -> Result<Self> {
        let (to, name) = (self.on_drive(folder), "muster-agent.exe");
        std::fs::create_dir_all(&to)?;
        std::fs::copy(&self.agent, to.join(name)).with_context(|| self.agent.display().to_string())?;
        for path in [to.join(name), to] {
            std::fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        Ok(Self { agent: format!(r"C:\{folder}\{name}").into(), ..self })
    }

    /// The path on Linux of a path on `C:`, which may have either slash.
    #[must_use]
    pub fn on_drive(&self, path: &str) -> PathBuf {
        self.prefix.join("drive_c").join(path.replace('\\', "/"))
    }

    /// The path on Windows of a file of this machine.
    #[must_use]
    pub fn path_of(file: &Path) -> String {
        format!("Z:{}", file.display()).replace('/', r"\")
    }

    /// Runs a program of Windows to its end.
    ///
    /// # Errors
    /// It could not be started. One that does not end is killed and has the exit code 124.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Result<Answer> {
        // Two programs may run at once.
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.outputs.path().join(format!("{name}-{number}")));
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", PATIENCE, "wine"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let status = command.status().context("start Wine")?;
        let text = |file: &Path| std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Answer { code: status.code(), stdout: text(&stdout)?, stderr: text(&stderr)? })
    }

    /// Runs the agent.
    ///
    /// # Errors
    /// It could not be started.
    pub fn agent(&self, arguments: &[&str]) -> Result<Answer> {
        self.run(&self.agent, arguments)
    }

    /// The command that starts the agent, for one that runs on. Its process is that of the agent itself. Nothing of it may go to
    /// a pipe.
    #[must_use]
    pub fn agent_command(&self) -> Command {
        let mut command = Command::new("wine");
        command.arg(&self.agent).stdin(Stdio::null());
        command
    }

    /// Writes to the registry: the lines of a `.reg` file without its first line. Without the slash of the 32-bit view, keys
    /// are those of the 64-bit view.
    ///
    /// # Errors
    /// Wine refused it.
    pub fn register(&self, lines: &str) -> Result<()> {
        let file = self.outputs.path().join("keys.reg");
        let text = format!("\u{feff}Windows Registry Editor Version 5.00\r\n\r\n{}\r\n", lines.replace('\n', "\r\n"));
        std::fs::write(&file, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())?;
        let answer = self.run(Path::new("reg"), &["import", &Self::path_of(&file), "/reg:64"])?;
        ensure!(answer.code == Some(0), "reg import: {answer:?}");
        Ok(())
    }
}
