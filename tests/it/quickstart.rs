//! `deploy/quickstart --once`, as a newcomer runs it: what it prints, how it exits, and that it leaves nothing running.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use muster_tests::canned::Root;
use muster_tests::lab::PATIENCE;
use muster_tests::process::{Answer, Process};
use muster_tests::web_client::WebClient;
use muster_tests::{binaries, eventually};
use tempfile::TempDir;

/// Until it stays: cargo may have to build first.
const BUILDING: Duration = Duration::from_secs(600);

struct Quickstart {
    folder: TempDir,
}

impl Quickstart {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("muster-quickstart-").tempdir()? })
    }

    fn run(&self, arguments: &[&str]) -> Result<Answer> {
        Answer::of(&mut self.command(arguments)?)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binaries::repository().join("deploy/quickstart"));
        command.args(arguments);
        // Where cargo has built already, so that the script finds its work done.
        if let Some(target) = binaries::folder()?.parent() {
            command.env("CARGO_TARGET_DIR", target);
        }
        command.env("XDG_STATE_HOME", self.folder.path().join("state")).env("TMPDIR", self.folder.path());
        command.env_remove("NO_COLOR");
        Ok(command)
    }

    fn once(&self, root: &Path) -> Result<Answer> {
        let folder = self.folder.path().join("data");
        let text = |path: &Path| path.display().to_string();
        self.run(&["--once", "--dir", &text(&folder), "--root", &text(root)])
    }

    /// The file with the CA of the collector whose data is in this folder.
    fn ca(folder: &str) -> PathBuf {
        Path::new(folder).join("collector/ca.pem")
    }

    /// Processes that were started from this folder and are still there.
    fn left_running(&self) -> Result<Vec<String>> {
        let mark = self.folder.path().display().to_string();
        let mut left = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let line = std::fs::read(entry?.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&mark) {
                left.push(line);
            }
        }
        Ok(left)
    }
}

#[test]
fn this_machine_gets_its_verdict_without_a_question() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let answer = quickstart.run(&["--once"])?;
    assert!(
        matches!(answer.code, Some(0 | 3 | 4 | 5)),
        "exit code {:?}\n{}\n{}",
        answer.code,
        answer.stdout,
        answer.stderr
    );
    assert!(answer.stdout.contains("us-bis-icts-2021-002"), "{}", answer.stdout);
    // The folder is the user's own, and it is named.
    let folder = quickstart.folder.path().join("state/muster-quickstart");
    assert!(folder.is_dir() && (answer.stdout + &answer.stderr).contains(&folder.display().to_string()));
    assert_eq!(quickstart.left_running()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_root_with_kaspersky_raises_the_flag_with_reasons() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let root = Root::debian("planted")?.with_kaspersky()?;
    let answer = quickstart.once(root.path())?.expect_code(5)?;
    for part in ["replace", "kesl", "klnagent64", "12.0.0-6672"] {
        assert!(answer.stdout.contains(part), "{part} is missing:\n{}", answer.stdout);
    }
    assert_eq!(quickstart.left_running()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_root_with_a_removed_kaspersky_shows_a_remnant() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let answer = quickstart.once(Root::debian("leftover")?.with_kaspersky_removed()?.path())?;
    assert_ne!(answer.code, Some(0), "{}", answer.stdout);
    assert!(answer.stdout.contains("remnant"), "{}\n{}", answer.stdout, answer.stderr);
    Ok(())
}

#[test]
fn roots_with_broken_databases_are_unknown_and_never_clear() -> Result<()> {
    let quickstart = Quickstart::new()?;
    for (what, root) in [
        ("truncated", Root::debian("truncated")?.with_database_truncated()?),
        ("unreadable", Root::debian("unreadable")?.with_database_unreadable()?),
        ("missing", Root::debian("missing")?.without_database()?),
    ] {
        // The same folder each time: a second run over it is no trouble.
        let answer = quickstart.once(root.path())?;
        assert!(matches!(answer.code, Some(4 | 5)), "{what}: exit code {:?}\n{}", answer.code, answer.stderr);
        assert!(answer.stdout.contains("\u{2192} unknown"), "{what}:\n{}", answer.stdout);
        assert!(!answer.stdout.contains("\u{2192} clear"), "{what}:\n{}", answer.stdout);
    }
    assert_eq!(quickstart.left_running()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_clean_root_ends_with_zero() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let answer = quickstart.once(Root::debian("clean")?.path())?.expect_code(0)?;
    assert!(answer.stdout.contains("\u{2192} clear"), "{}", answer.stdout);
    // The collector starts again as printed, and the last line logs in to its board.
    let serve = answer.stdout.lines().map(str::trim).find(|line| line.contains("muster-collector serve"));
    let mut command = Command::new("bash");
    command.args(["-c", &format!("exec {}", serve.context("how to start the collector again")?)]);
    let mut collector = Process::start(command, &quickstart.folder.path().join("again.log"))?;
    let folder = quickstart.folder.path().join("data").display().to_string();
    let used = link_is_used_once(&answer.stdout, &folder);
    collector.stop(PATIENCE)?;
    used
}

/// The last line of the output is a link that logs in once, and whose secret is in no log.
fn link_is_used_once(said: &str, folder: &str) -> Result<()> {
    let link = said.lines().map(str::trim).rfind(|line| line.contains("/login/link?")).context("a link")?;
    let printed = said.lines().map(str::trim).rfind(|line| !line.is_empty() && *line != "Press Ctrl-C to stop.");
    anyhow::ensure!(printed == Some(link), "the link is not the last line:\n{said}");
    let (server, path) = link.strip_prefix("https://").and_then(|link| link.split_once('/')).context("an address")?;
    let (path, question) = path.split_once('?').context("a question")?;
    let client = WebClient::new(server, &Quickstart::ca(folder))?;
    let page = eventually("the collector answers", PATIENCE, || Ok(client.get(&format!("/{path}?{question}")).ok()))?;
    anyhow::ensure!(page.page()?.all("button").len() == 1, "{}", page.text);
    let opened = client.post(&format!("/{path}"), question)?;
    anyhow::ensure!(opened.status == 303 && opened.header("set-cookie").contains("__Host-muster"), "{opened:?}");
    let again = client.post(&format!("/{path}"), question)?;
    anyhow::ensure!(again.status == 410 && again.header("set-cookie").is_empty(), "{again:?}");
    anyhow::ensure!(again.text.contains("was used"), "{}", again.text);
    let secret = question.rsplit('.').next().context("a secret")?;
    for log in ["collector.log", "init.log", "link.log"] {
        let text = std::fs::read_to_string(Path::new(folder).join(log)).unwrap_or_default();
        anyhow::ensure!(!text.contains(secret), "{log} has the secret of the link");
    }
    Ok(())
}

#[test]
fn all_orders_are_judged_when_asked_for() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let root = Root::debian("bound")?.with_kaspersky()?;
    let place = root.path().display().to_string();
    let folder = quickstart.folder.path().join("data").display().to_string();
    let answer = quickstart.run(&["--once", "--all-orders", "--dir", &folder, "--root", &place])?.expect_code(5)?;
    let lanes = answer.stdout.lines().filter(|line| line.starts_with("  lane  ")).count();
    assert!(lanes > 10, "only {lanes} orders were judged:\n{}", answer.stdout);
    assert_eq!(quickstart.left_running()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_second_run_over_the_same_folder_is_the_same_host() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let root = Root::debian("again")?;
    let host = |answer: &Answer| {
        let line = answer.stdout.lines().find(|line| line.starts_with("again  ")).unwrap_or_default().to_owned();
        line.trim_start_matches("again").trim().to_owned()
    };
    let first = host(&quickstart.once(root.path())?.expect_code(0)?);
    let second = host(&quickstart.once(root.path())?.expect_code(0)?);
    assert_eq!(first.len(), 36, "{first}");
    assert_eq!(first, second);
    // The collector's data is lost: the agent enrolls anew instead of giving up.
    std::fs::remove_dir_all(quickstart.folder.path().join("data/collector"))?;
    let third = host(&quickstart.once(root.path())?.expect_code(0)?);
    assert!(third.len() == 36 && third != first, "{third}");
    Ok(())
}

#[test]
fn the_next_steps_work_as_printed() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let root = Root::debian("next")?;
    // A shell must be told of the space.
    let folder = quickstart.folder.path().join("two words").display().to_string();
    let command = quickstart.command(&["--dir", &folder, "--root", &root.path().display().to_string()])?;
    let mut process = Process::start(command, &quickstart.folder.path().join("log"))?;
    let waited = eventually("the quickstart stays", BUILDING, || {
        Ok(process.output().contains("Press Ctrl-C to stop").then_some(()))
    });
    let said = process.output();
    let used = waited.and_then(|()| link_is_used_once(&said, &folder));
    process.stop(PATIENCE)?;
    used?;
    let line = |begin: &str| {
        let line = said.lines().map(str::trim).find(|line| line.starts_with(begin));
        line.with_context(|| format!("no line begins with {begin:?}:\n{said}"))
    };
    let shell = |text: String| Answer::of(Command::new("bash").args(["-c", &text]))?.expect_code(0);
    let environment = line(". ")?;
    // Served anew as it says, operators are served where the environment looks for them.
    let server = shell(format!("{environment} && printf %s \"$MUSTER_SERVER\""))?.stdout;
    let serve = line("muster-collector serve")?;
    let listens = format!("--operators-listen {} ", server.trim_start_matches("https://"));
    assert!(server.len() > 8 && serve.contains(&listens), "{serve} and {server}");
    let token = shell(format!("{environment} && {}", line("muster-collector tokens create")?))?.stdout;
    assert!(!token.trim().is_empty());
    shell(format!("test -d {folder:?}/collector && {environment} && {} --help", serve.replace("THIS-HOST", "here")))?;
    assert_eq!(quickstart.left_running()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_wrong_option_is_a_usage_error() -> Result<()> {
    let quickstart = Quickstart::new()?;
    let answer = quickstart.run(&["--wat"])?.expect_code(2)?;
    assert!(answer.stderr.contains("--wat"), "{}", answer.stderr);
    let answer = quickstart.run(&["--root"])?.expect_code(2)?;
    assert!(answer.stderr.contains("--root"), "{}", answer.stderr);
    let missing = quickstart.folder.path().join("nowhere");
    let answer = quickstart.once(&missing)?;
    assert!(matches!(answer.code, Some(1 | 2)), "{:?}", answer.code);
    assert!(answer.stderr.contains("nowhere"), "{}", answer.stderr);
    Ok(())
}
