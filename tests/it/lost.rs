//! Files of a collector that are lost: the CA, the store, the server key. And the check, which changes no file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::postgres::Server;
use muster_tests::process::{Answer, Process};

/// Starts the collector and lets it end by itself; the answer has what it printed.
fn refused_start(lab: &Lab, more: &[&str]) -> Result<String> {
    let mut command = lab.collector_command("serve")?;
    let nowhere = "127.0.0.1:0";
    command.args(["--agents-listen", nowhere, "--operators-listen", nowhere, "--probes-listen", nowhere]).args(more);
    let mut collector = Process::start(command, &lab.folder().join("refused.log"))?;
    let code = collector.wait(PATIENCE)?.code();
    Ok(Answer { code, stdout: String::new(), stderr: collector.output() }.expect_code(1)?.stderr)
}

/// Every file below a directory with its content.
fn content(directory: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        files.insert(path.clone(), std::fs::read(&path).with_context(|| path.display().to_string())?);
    }
    Ok(files)
}

/// Runs the check and compares all files of the data directory before and after it.
fn check(lab: &Lab, code: i32) -> Result<String> {
    let before = content(&lab.data_dir())?;
    let answer = Answer::of(&mut lab.collector_command("check")?)?.expect_code(code)?;
    let after = content(&lab.data_dir())?;
    ensure!(before.keys().eq(after.keys()), "the check created or removed a file");
    for (path, bytes) in &before {
        ensure!(after[path] == *bytes, "the check changed {}", path.display());
    }
    Ok(answer.stdout)
}

#[test]
fn agents_go_on_once_a_lost_ca_is_back() -> Result<()> {
    let mut lab = Lab::start()?;
    let agent = lab.enrolled_agent("web-1")?;
    let root = Root::debian("web-1")?;
    agent.report(root.path())?;
    lab.stop_collector()?;
    let backup = tempfile::tempdir()?;
    for name in ["ca.pem", "ca.key"] {
        std::fs::rename(lab.data_dir().join(name), backup.path().join(name))?;
    }
    let refused = refused_start(&lab, &[])?;
    for part in ["the CA is lost", "number of hosts in it: 1", "copy ca.pem and ca.key", "muster-collector restore DIR"]
    {
        ensure!(refused.contains(part), "{part} is not in: {refused}");
    }
    ensure!(!lab.data_dir().join("ca.pem").exists(), "another CA was created");
    ensure!(check(&lab, 1)?.contains("the CA is lost"), "the check says nothing");
    for name in ["ca.pem", "ca.key"] {
        std::fs::copy(backup.path().join(name), lab.data_dir().join(name))?;
    }
    lab.serve()?;
    agent.report(root.path())?;
    Ok(())
}

#[test]
fn a_lost_database_is_replaced_only_on_demand() -> Result<()> {
    let mut lab = Lab::start()?;
    lab.enrolled_agent("web-1")?;
    lab.stop_collector()?;
    std::fs::write(lab.data_dir().join("muster.db"), "")?;
    let refused = refused_start(&lab, &[])?;
    for part in ["muster.db is an empty file", "muster-collector restore DIR", "--new-store"] {
        ensure!(refused.contains(part), "{part} is not in: {refused}");
    }
    let tokens = Answer::of(&mut lab.collector_command("tokens")?)?.expect_code(1)?;
    ensure!(tokens.stderr.contains("the store is lost"), "{}", tokens.stderr);
    ensure!(check(&lab, 1)?.contains("muster.db is an empty file"), "the check says nothing");
    let mut init = lab.collector_command("init")?;
    Answer::of(init.arg("--new-store"))?.expect_code(0)?;
    lab.serve()?;
    lab.enrolled_agent("web-2")?.report(Root::debian("web-2")?.path())?;
    Ok(())
}

#[test]
fn a_check_changes_no_file_while_the_collector_runs_and_after_it_was_killed() -> Result<()> {
    // Otherwise the collector writes a little every ten seconds, and does so during the check on a slow machine.
    let mut lab = Lab::start_with_settings("[store]\ncheck_every = \"1h\"\n")?;
    lab.enrolled_agent("web-1")?.report(Root::debian("web-1")?.path())?;
    lab.judged()?;
    // The last change of an idle collector is the time of the last check-in, about a second later.
    let mut before = content(&lab.data_dir())?;
    muster_tests::eventually("the collector writes nothing", PATIENCE, || {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let now = content(&lab.data_dir())?;
        Ok((std::mem::replace(&mut before, now) == before).then_some(()))
    })?;
    ensure!(check(&lab, 0)?.contains(": 1 host, "), "while it runs");
    lab.kill_collector()?;
    ensure!(check(&lab, 0)?.contains(": 1 host, "), "after it was killed");
    lab.serve()?;
    lab.stop_collector()?;
    ensure!(check(&lab, 0)?.contains(": 1 host, "), "after it has stopped");
    Ok(())
}

#[test]
fn a_check_of_a_database_server_creates_no_table_and_no_file() -> Result<()> {
    let server = Server::shared()?;
    let database = server.database()?;
    let mut lab = Lab::start_on(&database.url())?;
    lab.enrolled_agent("web-1")?;
    lab.stop_collector()?;
    let rows = "SELECT (SELECT last_value FROM collector_no), (SELECT count(*) FROM ledger),
                       (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables)";
    let before = database.sql(rows)?;
    ensure!(check(&lab, 0)?.contains(": 1 host, "), "a good store");
    ensure!(database.sql(rows)? == before, "the check wrote");

    let empty = server.database()?;
    let mut command = lab.collector_command("check")?;
    let found = Answer::of(command.args(["--store-url", &empty.url()]))?.expect_code(1)?.stdout;
    ensure!(found.contains("is empty"), "{found}");
    ensure!(empty.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")?.trim() == "0");
    // The CA has signed for a host, so an empty database is a lost one.
    let refused = refused_start(&lab, &["--store-url", &empty.url()])?;
    ensure!(refused.contains("the store is lost") && refused.contains("has never been used"), "{refused}");
    Ok(())
}
