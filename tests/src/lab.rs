//! A collector with agents and operators, all of them the real programs, in a temporary folder.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use tempfile::TempDir;

use crate::process::{Answer, Process};
use crate::{binaries, eventually};

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where a collector listens, from its `listening.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Listening {
    /// The agents' port.
    pub agents: String,
    /// The operators' port.
    pub operators: String,
    /// Health, readiness and metrics.
    pub probes: String,
}

/// The end of the collector's output if a port is in use.
const PORT_IS_TAKEN: &str = "Address already in use (os error 98)";

/// A running collector with its own data folder.
#[derive(Debug)]
pub struct Lab {
    folder: TempDir,
    /// The store's URL, if it is not the file in the data folder.
    store_url: Option<String>,
    collector: Option<Process>,
    listening: Listening,
    /// More flags of `serve`.
    flags: Vec<String>,
    /// The limit of open files of the collector, if it is not the one of the test.
    descriptors: Option<u32>,
    /// The program of the collector.
    program: &'static str,
}

impl Lab {
    /// Initialises a collector and starts it on free ports.
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn start() -> Result<Self> {
        Self::ready(None)?.started()
    }

    /// Initialises and starts a collector on the store with this URL.
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn start_on(store_url: &str) -> Result<Self> {
        Self::ready(Some(store_url.to_owned()))?.started()
    }

    /// Initialises and starts a collector with these settings (TOML).
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn start_with_settings(settings: &str) -> Result<Self> {
        let mut lab = Self::ready(None)?;
        lab.write_settings(settings)?;
        lab.started()
    }

    /// Initialises and starts a collector with these settings that may open only so many files.
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn start_with_descriptors(limit: u32, settings: &str) -> Result<Self> {
        let mut lab = Self::ready(None)?;
        lab.write_settings(settings)?;
        lab.descriptors = Some(limit);
        lab.started()
    }

    /// Initialises and starts a collector with these settings (TOML) and a clock of its own, which [`Lab::later`] sets. Its
    /// seal key has the origin `muster.example.com`.
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn start_with_own_clock(settings: &str) -> Result<Self> {
        let mut lab = Self::ready(None)?;
        lab.program = "muster-collector-later";
        lab.write_settings(settings)?;
        let mut init = lab.collector_command("init")?;
        Answer::of(init.args(["--origin", "muster.example.com"]))?.expect_code(0).context("muster-collector init")?;
        lab.serve()?;
        Ok(lab)
    }

    /// Sets the collector's own clock to so many seconds ahead.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn later(&self, seconds: u64) -> Result<()> {
        Ok(std::fs::write(self.later_file(), seconds.to_string())?)
    }

    fn later_file(&self) -> PathBuf {
        self.folder.path().join("later")
    }

    /// Writes the settings file that `serve` reads from now on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_settings(&mut self, settings: &str) -> Result<()> {
        let file = self.folder.path().join("settings.toml");
        std::fs::write(&file, settings)?;
        self.flags = vec!["--config".to_owned(), file.display().to_string()];
        Ok(())
    }

    /// Starts another collector on this one's store, with this one's CA, seal key and admin token.
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn join(&self) -> Result<Self> {
        let lab = Self::ready(self.store_url.clone())?;
        std::fs::DirBuilder::new().mode(0o700).create(lab.data_dir())?;
        for name in ["ca.pem", "ca.key", "seal.key", "seal.pub", "admin.token"] {
            std::fs::copy(self.data_dir().join(name), lab.data_dir().join(name))?;
        }
        lab.started()
    }

    fn ready(store_url: Option<String>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-lab-").tempdir()?;
        let nowhere = Listening { agents: String::new(), operators: String::new(), probes: String::new() };
        Ok(Self {
            folder,
            store_url,
            collector: None,
            listening: nowhere,
            flags: Vec::new(),
            descriptors: None,
            program: "muster-collector",
        })
    }

    fn started(mut self) -> Result<Self> {
        Answer::of(&mut self.collector_command("init")?)?.expect_code(0).context("muster-collector init")?;
        self.serve()?;
        Ok(self)
    }

    /// Starts the collector again with the same data and the same agents' port, so that agents find it. If another process
    /// has taken the port in the meantime, this waits for it.
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn serve(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.serve_once() {
                Err(error) if Instant::now() < end && format!("{error:#}").ends_with(PORT_IS_TAKEN) => {}
                served => return served,
            }
        }
    }

    /// As [`serve`](Self::serve), with these flags from now on.
    ///
    /// # Errors
    /// It did not start. The error has its output.
    pub fn serve_with(&mut self, flags: &[&str]) -> Result<()> {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.serve()
    }

    fn serve_once(&mut self) -> Result<()> {
        let had = &self.listening.agents;
        let agents = if had.is_empty() { "127.0.0.1:0" } else { had };
        let mut command = self.collector_command("serve")?;
        command.args(["--agents-listen", agents]);
        command.args(["--operators-listen", "127.0.0.1:0", "--probes-listen", "127.0.0.1:0"]).args(&self.flags);
        let note = self.data_dir().join("listening.json");
        if note.exists() {
            std::fs::remove_file(&note)?;
        }
        if let Some(limit) = self.descriptors {
            command = limited(&command, limit);
        }
        let mut collector = Process::start(command, &self.folder.path().join("collector.log"))?;
        let listening = eventually("the collector listens", PATIENCE, || {
            if let Some(status) = collector.ended()? {
                // The process has ended; the caller reports its output.
                return Ok(Some(Err(status)));
            }
            if !note.exists() {
                return Ok(None);
            }
            Ok(Some(Ok(serde_json::from_str::<Listening>(&std::fs::read_to_string(&note)?)?)))
        });
        match listening.with_context(|| format!("the collector printed:\n{}", collector.output()))? {
            Ok(listening) => self.listening = listening,
            Err(status) => {
                anyhow::bail!("the collector ended with {status} and printed:\n{}", collector.output().trim_end())
            }
        }
        self.collector = Some(collector);
        Ok(())
    }

    /// The collector's process.
    ///
    /// # Errors
    /// It is not running.
    pub fn collector(&mut self) -> Result<&mut Process> {
        self.collector.as_mut().context("the collector is not running")
    }

    /// `kill -9` of the collector.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill_collector(&mut self) -> Result<()> {
        self.collector()?.kill()?;
        self.collector = None;
        Ok(())
    }

    /// Stops the collector as a service manager does.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop_collector(&mut self) -> Result<()> {
        let status = self.collector()?.stop(PATIENCE)?;
        let printed = self.collector()?.output();
        self.collector = None;
        anyhow::ensure!(status.success(), "the collector stopped with {status}:\n{printed}");
        Ok(())
    }

    /// A command of `muster-collector` with this data folder.
    ///
    /// # Errors
    /// It has not been built.
    pub fn collector_command(&self, verb: &str) -> Result<Command> {
        let mut command = Command::new(binaries::find(self.program)?);
        quiet(&mut command);
        command.env("MUSTER_TEST_LATER", self.later_file());
        command.args(verb.split(' ')).arg("--data-dir").arg(self.data_dir());
        if let Some(url) = &self.store_url {
            command.env("MUSTER_COLLECTOR__STORE__URL", url);
        }
        Ok(command)
    }

    /// Where it listens.
    #[must_use]
    pub const fn listening(&self) -> &Listening {
        &self.listening
    }

    /// The collector's data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("collector")
    }

    /// The certificate of its CA.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.data_dir().join("ca.pem")
    }

    /// The private key of its CA, for tests that play a thief.
    ///
    /// # Errors
    /// The file does not exist.
    pub fn ca_key(&self) -> Result<PathBuf> {
        let key = self.data_dir().join("ca.key");
        anyhow::ensure!(key.is_file(), "{} does not exist", key.display());
        Ok(key)
    }

    /// The temporary folder of the lab.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new enrollment token.
    ///
    /// # Errors
    /// `muster-collector` refused.
    pub fn token(&self, uses: u32, expires: &str) -> Result<String> {
        let mut command = self.collector_command("tokens create")?;
        command.args(["--site", "lab", "--uses", &uses.to_string(), "--expires", expires]);
        let answer = Answer::of(&mut command)?.expect_code(0).context("muster-collector tokens create")?;
        Ok(answer.stdout.trim().to_owned())
    }

    /// Runs `muster` against this collector.
    ///
    /// # Errors
    /// It could not be started.
    pub fn muster(&self, arguments: &[&str]) -> Result<Answer> {
        Answer::of(self.muster_command()?.args(arguments))
    }

    /// The operators' program with the connection to this collector, before it is started.
    ///
    /// # Errors
    /// The program was not built.
    pub fn muster_command(&self) -> Result<Command> {
        self.muster_command_by(&self.data_dir().join("admin.token"))
    }

    /// The operators' program as the account whose token is in this file.
    ///
    /// # Errors
    /// The program is not built, or the collector does not run.
    pub fn muster_command_by(&self, token: &Path) -> Result<Command> {
        let mut command = Command::new(binaries::find("muster")?);
        quiet(&mut command);
        command.env("HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command.args(["--server", &format!("https://{}", self.listening.operators)]);
        command.arg("--token-file").arg(token);
        command.arg("--ca-file").arg(self.ca());
        Ok(command)
    }

    /// Requests a path of the collector's port for health and metrics: HTTP status and body.
    ///
    /// # Errors
    /// It did not answer.
    pub fn probe(&self, path: &str) -> Result<(u16, String)> {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(&self.listening.probes)
            .context("connect to the port for health and metrics")?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?;
        Ok((status.parse()?, body.to_owned()))
    }

    /// An agent with its own state folder. It is not enrolled yet.
    #[must_use]
    pub fn agent(&self, name: &str) -> Agent {
        Agent {
            name: name.to_owned(),
            folder: self.folder.path().join(format!("agent-{name}")),
            collector: self.listening.agents.clone(),
        }
    }

    /// An agent that is enrolled with its own token.
    ///
    /// # Errors
    /// The enrollment was refused.
    pub fn enrolled_agent(&self, name: &str) -> Result<Agent> {
        let agent = self.agent(name);
        agent.enroll(&self.token(1, "1h")?)?.expect_code(0).with_context(|| format!("enroll {name}"))?;
        Ok(agent)
    }

    /// Waits until the judge queue is empty.
    ///
    /// # Errors
    /// It did not become empty in time.
    pub fn judged(&self) -> Result<()> {
        eventually("everything is judged", PATIENCE, || {
            let boards = self.muster(&["board", "-o", "json"])?;
            let boards = boards.json()?;
            let waiting = boards.as_array().into_iter().flatten().any(|board| board["judge_queue"] != 0);
            let judged = boards.as_array().is_some_and(|boards| !boards.is_empty());
            Ok((judged && !waiting).then_some(()))
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(collector) = &self.collector
        {
            // The test has failed; the collector's output may say why.
            let _ = writeln!(std::io::stderr(), "--- the collector printed:\n{}", collector.output());
        }
    }
}

/// An agent: its name and its state folder. No process runs between two commands.
#[derive(Debug, Clone)]
pub struct Agent {
    name: String,
    folder: PathBuf,
    collector: String,
}

impl Agent {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its state folder.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.folder
    }

    /// A command of `muster-agent` with this state folder.
    ///
    /// # Errors
    /// It has not been built.
    pub fn command(&self, verb: &str) -> Result<Command> {
        let mut command = Command::new(binaries::find("muster-agent")?);
        quiet(&mut command);
        // An empty settings file, so that the agent does not read this machine's settings.
        let config = self.folder.with_extension("toml");
        std::fs::write(&config, "")?;
        command.arg(verb).arg("--config").arg(config).arg("--state-dir").arg(&self.folder);
        Ok(command)
    }

    /// Enrolls with a token.
    ///
    /// # Errors
    /// `muster-agent` could not be started.
    pub fn enroll(&self, token: &str) -> Result<Answer> {
        self.enroll_at(&self.collector, token)
    }

    /// Enrolls with a token at an address.
    ///
    /// # Errors
    /// `muster-agent` could not be started.
    pub fn enroll_at(&self, address: &str, token: &str) -> Result<Answer> {
        let file = self.folder.with_extension("token");
        write_owner_only(&file, token)?;
        let mut command = self.command("enroll")?;
        command.args(["--collector", &format!("https://{address}")]).arg("--token-file").arg(&file);
        Answer::of(&mut command)
    }

    /// Scans the root once and delivers.
    ///
    /// # Errors
    /// `muster-agent` could not be started.
    pub fn once(&self, root: &Path) -> Result<Answer> {
        Answer::of(self.command("once")?.arg("--root").arg(root))
    }

    /// Scans the root once and delivers, and requires success.
    ///
    /// # Errors
    /// It failed.
    pub fn report(&self, root: &Path) -> Result<Answer> {
        self.once(root)?.expect_code(0).with_context(|| format!("{} reports", self.name))
    }
}

/// The same command with a limit of open files.
fn limited(command: &Command, limit: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\""));
    shell.arg(command.get_program()).args(command.get_args());
    quiet(&mut shell);
    shell
}

/// Removes the developer's settings from the environment of a program under test.
fn quiet(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("MUSTER_") || text == "RUST_LOG" || text == "NO_COLOR" {
            command.env_remove(&name);
        }
    }
}

/// Writes a file that only its owner may read: a token.
///
/// # Errors
/// It could not be written.
pub fn write_owner_only(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("write {}", path.display()))
}
