//! What all programs have in common on the command line: exit codes when nobody reads, names with hidden characters, the width
//! of a terminal, completions, help and the output format.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use muster_proto::terminal::{is_hidden, width};
use muster_tests::binaries;
use muster_tests::canned::Root;
use muster_tests::lab::Lab;
use muster_tests::process::Answer;

/// Every list of names that the programs know in advance.
#[test]
fn completions_know_the_closed_lists() -> Result<()> {
    let script = |program: &str, shell: &str| -> Result<String> {
        let mut command = Command::new(binaries::find(program)?);
        Ok(Answer::of(command.args(["completions", shell]))?.expect_code(0)?.stdout)
    };
    for shell in ["bash", "zsh", "fish"] {
        for (program, words) in [
            ("muster", &["replace", "confirm", "ndjson", "findings"][..]),
            ("muster-agent", &["dpkg", "watch-paths", "watchlist", "ndjson", "scan"]),
            ("muster-collector", &["json", "tokens", "serve"]),
        ] {
            let script = script(program, shell)?;
            for word in words {
                assert!(script.contains(word), "{program} completions {shell} lacks {word}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_program_has_its_global_options_under_a_heading_of_their_own() -> Result<()> {
    for (program, arguments, global) in [
        ("muster", &["hosts", "--help"][..], "--server"),
        ("muster-agent", &["scan", "--help"], "--state-dir"),
        ("muster-collector", &["tokens", "create", "--help"], "--data-dir"),
    ] {
        let mut command = Command::new(binaries::find(program)?);
        let help = Answer::of(command.args(arguments))?.expect_code(0)?.stdout;
        let (local, others) = help.split_once("\nGlobal options:\n").with_context(|| help.clone())?;
        assert!(others.contains(global) && !local.contains(global), "{program}: {help}");
    }
    Ok(())
}

#[test]
fn every_program_prints_its_version_as_json() -> Result<()> {
    for program in ["muster", "muster-agent", "muster-collector"] {
        let mut command = Command::new(binaries::find(program)?);
        let version = Answer::of(command.args(["version", "-o", "json"]))?.expect_code(0)?.json()?;
        assert_eq!(version["program"], program);
        assert!(version["version"].is_string(), "{version}");
    }
    Ok(())
}

/// Runs a command whose standard output and standard error are closed pipes, as after `| head -0`.
fn unread(command: &mut Command) -> Result<Option<i32>> {
    let pipe = || -> Result<std::io::PipeWriter> {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        Ok(writer)
    };
    Ok(command.stdin(Stdio::null()).stdout(pipe()?).stderr(pipe()?).status()?.code())
}

#[test]
fn a_closed_pipe_changes_no_exit_code() -> Result<()> {
    let lab = Lab::start()?;
    lab.enrolled_agent("plant-7")?.report(Root::debian("plant-7")?.with_kaspersky()?.path())?;
    lab.judged()?;
    for verb in ["findings", "board", "host plant-7", "explain plant-7"] {
        for form in ["table", "json", "ndjson", "csv"] {
            let mut command = lab.muster_command()?;
            command.args(verb.split(' ')).args(["-o", form]);
            assert_eq!(unread(&mut command)?, Some(5), "{verb} -o {form}");
        }
    }
    // An error of the program itself keeps its code, too.
    assert_eq!(unread(lab.muster_command()?.args(["host", "nobody"]))?, Some(1));
    let empty = tempfile::tempdir()?;
    for form in ["table", "json"] {
        let mut check = Command::new(binaries::find("muster-collector")?);
        assert_eq!(unread(check.args(["check", "-o", form, "--data-dir"]).arg(empty.path()))?, Some(1), "check");
        let mut check = Command::new(binaries::find("muster-agent")?);
        assert_eq!(unread(check.args(["check", "-o", form, "--state-dir"]).arg(empty.path()))?, Some(1), "agent check");
    }
    Ok(())
}

/// A person reads only what the reader takes: no complaint about the pipe follows on standard error.
#[test]
fn a_closed_pipe_is_not_reported() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut check = Command::new(binaries::find("muster-collector")?);
    let empty = tempfile::tempdir()?;
    let child = check.args(["check", "--data-dir"]).arg(empty.path()).stdout(writer).stderr(Stdio::piped()).spawn()?;
    assert_eq!(String::from_utf8(child.wait_with_output()?.stderr)?, "");
    Ok(())
}

/// What a command writes to a terminal of this width.
fn on_a_terminal(command: &Command, columns: u16) -> Result<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    // `script` gives the command a terminal and copies what it writes.
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &words.join(" "), "/dev/null"]);
    script.env("COLUMNS", columns.to_string()).env("TERM", "xterm").env_remove("NO_COLOR");
    let text = Answer::of(&mut script)?.stdout;
    Ok(text.replace("\r\n", "\n"))
}

#[test]
fn a_terminal_gets_rows_that_fit_and_no_hidden_characters() -> Result<()> {
    let lab = Lab::start()?;
    let name = format!("plant\u{202e}\u{2066}\u{200b}{}", "x".repeat(200));
    let root = Root::debian(&name)?.with_kaspersky()?;
    lab.enrolled_agent("plant-7")?.report(root.path())?;
    lab.judged()?;
    let mut scan = Command::new(binaries::find("muster-agent")?);
    scan.args(["scan", "--root"]).arg(root.path());
    let mut commands = vec![("scan", scan)];
    for verb in ["findings", "hosts", "software", "catalogue"] {
        let mut command = lab.muster_command()?;
        command.arg(verb).args(match verb {
            "software" => &["kesl", "--hosts"][..],
            "catalogue" => &["list"],
            _ => &[],
        });
        commands.push((verb, command));
    }
    for (verb, command) in commands {
        let text = on_a_terminal(&command, 80)?;
        let plain = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[1;31m", "\u{1b}[32m", "\u{1b}[33m"]
            .iter()
            .fold(text.clone(), |text, code| text.replace(code, ""));
        assert!(!plain.chars().any(|c| c != '\n' && is_hidden(c)), "{verb}: {plain:?}");
        let is_row = |line: &&str| line.contains("  ") && !line.contains("not shown here") && !line.contains(": ");
        let rows: Vec<&str> = plain.lines().filter(is_row).collect();
        assert!(!rows.is_empty(), "{verb} printed no table: {text}");
        for row in rows {
            assert!(width(row) <= 80, "{verb}: {} columns: {row}", width(row));
        }
    }
    // A pipe gets the whole name. The agent has replaced what cannot be seen, because the collector refuses it.
    let sent = name.replace(['\u{202e}', '\u{2066}', '\u{200b}'], "\u{fffd}");
    let hosts = lab.muster(&["hosts"])?.expect_code(0)?.stdout;
    assert!(hosts.contains(&sent), "{hosts}");
    let json = lab.muster(&["hosts", "-o", "json"])?.expect_code(0)?;
    assert!(json.json()?.to_string().contains(&sent), "{}", json.stdout);
    Ok(())
}

#[test]
fn long_work_shows_a_bar_on_a_terminal_and_leaves_nothing_behind() -> Result<()> {
    let mut check = Command::new(binaries::find("muster")?);
    check.args(["catalogue", "check"]);
    let text = on_a_terminal(&check, 80)?;
    assert!(text.contains("checking the rules"), "{text:?}");
    let (_, rest) = text.rsplit_once("\u{1b}[K").context("no bar was removed")?;
    assert!(rest.starts_with("ok: ") && text.matches("ok: ").count() == 1, "{text:?}");
    let stdout = Answer::of(&mut check)?.expect_code(0)?.stdout;
    assert!(stdout.starts_with("ok: ") && !stdout.contains("checking"), "{stdout}");
    Ok(())
}
