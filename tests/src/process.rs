//! Child processes that are killed by their id when the value that holds them is dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::eventually;

/// A running program with its output in a file. Dropping it kills the process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command and appends its output to the log file.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        let errors = output.try_clone().context("share the log file")?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status if it has ended.
    ///
    /// # Errors
    /// The system call failed.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("ask for the state of a process")
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        eventually("the end of a process", deadline, || self.ended())
            .with_context(|| format!("its output:\n{}", self.output()))
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// The system refused.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("kill a process")?;
        self.child.wait().context("wait for a killed process")?;
        Ok(())
    }

    /// Stops it with SIGTERM, as a service manager does, and waits.
    ///
    /// # Errors
    /// It did not stop in time.
    pub fn stop(&mut self, deadline: Duration) -> Result<ExitStatus> {
        signal(self.id(), "-TERM")?;
        self.wait(deadline)
    }

    /// Pauses it with SIGSTOP until the result is dropped.
    ///
    /// # Errors
    /// The system refused.
    pub fn pause(&self) -> Result<Paused> {
        signal(self.id(), "-STOP").map(|()| Paused(self.id()))
    }

    /// The number of lines with this text in its output.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn log_lines(&self, text: &str) -> Result<usize> {
        let log = std::fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        Ok(String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count())
    }

    /// Its output so far; only the end if it is long.
    #[must_use]
    pub fn output(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let mut from = text.len().saturating_sub(16 * 1024);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text[from..].to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is no caller to report a failure to, and the process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(id: u32, signal: &str) -> Result<()> {
    let status = Command::new("kill").args([signal, &id.to_string()]).status().context("run kill")?;
    anyhow::ensure!(status.success(), "kill {signal} {id} failed");
    Ok(())
}

/// A process that does nothing. It goes on when this is dropped.
#[derive(Debug)]
pub struct Paused(u32);

impl Drop for Paused {
    fn drop(&mut self) {
        // A process that has ended need not go on.
        let _ = signal(self.0, "-CONT");
    }
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// It could not be started.
    pub fn of(command: &mut Command) -> Result<Self> {
        Self::with_input(command, Stdio::null())
    }

    /// Runs a command to its end, with this as its standard input.
    ///
    /// # Errors
    /// It could not be started.
    pub fn with_input(command: &mut Command, input: impl Into<Stdio>) -> Result<Self> {
        let output = command.stdin(input).output();
        let output = output.with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Requires an exit code.
    ///
    /// # Errors
    /// The code is different. The error has the output.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        anyhow::ensure!(
            self.code == Some(code),
            "exit code {:?} and not {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// Standard output as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}\n{}", self.stdout, self.stderr))
    }

    /// Standard output as lines of JSON.
    ///
    /// # Errors
    /// A line is not JSON.
    pub fn ndjson(&self) -> Result<Vec<serde_json::Value>> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
            .collect()
    }
}
