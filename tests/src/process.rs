//! Child processes that end with the value that holds them, by their own id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::eventually;

/// A running program with its output in a file. Dropped, it is killed and waited for.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command; what it prints goes to the end of the log file.
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

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("ask for the state of a process")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        eventually("the end of a process", deadline, || self.ended())
            .with_context(|| format!("its output:\n{}", self.output()))
    }

    /// `kill -9`: no chance to tidy up.
    ///
    /// # Errors
    /// The system refused.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("kill a process")?;
        self.child.wait().context("wait for a killed process")?;
        Ok(())
    }

    /// Asks it to stop, as a service manager does (SIGTERM), and waits.
    ///
    /// # Errors
    /// It did not stop in time.
    pub fn stop(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().context("run kill")?;
        anyhow::ensure!(status.success(), "kill -TERM {id} failed");
        self.wait(deadline)
    }

    /// How many lines with this text it has printed.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn log_lines(&self, text: &str) -> Result<usize> {
        let log = std::fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        Ok(String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count())
    }

    /// What it printed so far; the last part of it when it is much.
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
        // Nobody is left to hear of a failure here, and a process that has ended already is none.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed for machines.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
}

impl Answer {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// It could not be started.
    pub fn of(command: &mut Command) -> Result<Self> {
        let output = command.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Itself, if the exit code is the expected one.
    ///
    /// # Errors
    /// It is another; the error shows what was printed.
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
    /// It is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}\n{}", self.stdout, self.stderr))
    }

    /// Standard output as lines of JSON.
    ///
    /// # Errors
    /// A line is none.
    pub fn ndjson(&self) -> Result<Vec<serde_json::Value>> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
            .collect()
    }
}
