//! Operating a collector: health, metrics, settings, start and stop.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use muster_tests::binaries;
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::process::{Answer, Process};

fn database(lab: &Lab) -> PathBuf {
    lab.data_dir().join("muster.db")
}

/// Starts the collector on this data folder and lets it end by itself; what it says when it cannot start.
fn refused_start(lab: &Lab) -> Result<Answer> {
    let mut command = lab.collector_command("serve")?;
    let nowhere = "127.0.0.1:0";
    command.args(["--agents-listen", nowhere, "--operators-listen", nowhere, "--probes-listen", nowhere]);
    let mut collector = Process::start(command, &lab.folder().join("refused.log"))?;
    let code = collector.wait(PATIENCE)?.code();
    Ok(Answer { code, stdout: String::new(), stderr: collector.output() })
}

#[test]
fn health_and_metrics_answer_on_their_own_listener() -> Result<()> {
    let lab = Lab::start()?;
    assert_eq!(lab.probe("/livez")?.0, 200);
    muster_tests::eventually("readiness", PATIENCE, || Ok((lab.probe("/readyz")?.0 == 200).then_some(())))?;
    assert_eq!(lab.probe("/nowhere")?.0, 404);
    lab.enrolled_agent("web-1")?.report(Root::debian("web-1")?.path())?;
    let (status, metrics) = lab.probe("/metrics")?;
    assert_eq!(status, 200);
    assert!(metrics.contains("muster_"), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"), "not OpenMetrics: {metrics}");
    Ok(())
}

#[test]
fn a_stop_is_clean_and_a_start_finds_everything() -> Result<()> {
    let mut lab = Lab::start()?;
    let agent = lab.enrolled_agent("web-1")?;
    let root = Root::debian("web-1")?;
    agent.report(root.path())?;
    lab.judged()?;
    let before = lab.muster(&["host", "web-1", "-o", "json"])?.json()?;
    lab.stop_collector()?;
    Answer::of(&mut lab.collector_command("check")?)?.expect_code(0)?;
    lab.serve()?;
    let after = lab.muster(&["host", "web-1", "-o", "json"])?.json()?;
    assert_eq!(before["snapshot"], after["snapshot"]);
    assert_eq!(before["last_seen"], after["last_seen"], "a clean stop loses nothing, not even a second");
    Ok(())
}

#[test]
fn init_does_not_overwrite_what_is_there() -> Result<()> {
    let lab = Lab::start()?;
    let ca = std::fs::read(lab.ca())?;
    let token = std::fs::read(lab.data_dir().join("admin.token"))?;
    let again = Answer::of(&mut lab.collector_command("init")?)?;
    assert_eq!(std::fs::read(lab.ca())?, ca, "{}", again.stderr);
    assert_eq!(std::fs::read(lab.data_dir().join("admin.token"))?, token);
    Ok(())
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() -> Result<()> {
    let mut lab = Lab::start()?;
    lab.stop_collector()?;
    let connection = rusqlite::Connection::open(database(&lab))?;
    let columns = "INSERT INTO schema_version (version, name, digest) VALUES (9999, 'of tomorrow', '')";
    assert_eq!(connection.execute(columns, [])?, 1);
    drop(connection);
    let before = std::fs::read(database(&lab))?;
    let refused = refused_start(&lab)?.expect_code(1)?;
    for word in ["9999", "newer"] {
        assert!(refused.stderr.contains(word), "{word} is missing: {}", refused.stderr);
    }
    assert!(std::fs::read(database(&lab))? == before, "the database was changed");
    Ok(())
}

#[test]
fn a_database_that_is_none_is_refused_by_its_name() -> Result<()> {
    let mut lab = Lab::start()?;
    lab.stop_collector()?;
    for file in ["muster.db-wal", "muster.db-shm"] {
        let file = lab.data_dir().join(file);
        if file.exists() {
            std::fs::remove_file(file)?;
        }
    }
    std::fs::write(database(&lab), vec![0x5a; 64 * 1024])?;
    for verb in ["serve", "check"] {
        let refused =
            if verb == "serve" { refused_start(&lab)? } else { Answer::of(&mut lab.collector_command("check")?)? };
        let refused = refused.expect_code(1)?;
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("muster.db"), "{verb}: {said}");
    }
    assert_eq!(std::fs::read(database(&lab))?, vec![0x5a; 64 * 1024], "it was overwritten");
    Ok(())
}

#[test]
fn check_finds_a_section_that_was_changed_behind_its_back() -> Result<()> {
    let mut lab = Lab::start()?;
    lab.enrolled_agent("web-1")?.report(Root::debian("web-1")?.path())?;
    lab.judged()?;
    lab.stop_collector()?;
    Answer::of(&mut lab.collector_command("check")?)?.expect_code(0)?;
    let connection = rusqlite::Connection::open(database(&lab))?;
    let changed = connection.execute("UPDATE title SET name = 'adduzer' WHERE name = 'adduser'", [])?;
    assert_eq!(changed, 1);
    drop(connection);
    let found = Answer::of(&mut lab.collector_command("check")?)?.expect_code(1)?;
    assert!((found.stdout + &found.stderr).contains("section"), "check does not say what is damaged");
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_named() -> Result<()> {
    let lab = Lab::start()?;
    let mut command = Command::new(binaries::find("muster-collector")?);
    let folder = lab.folder().join("second");
    Answer::of(Command::new(binaries::find("muster-collector")?).args(["init", "--data-dir"]).arg(&folder))?
        .expect_code(0)?;
    let taken = lab.listening().agents.clone();
    command.args(["serve", "--agents-listen", &taken, "--operators-listen", "127.0.0.1:0"]);
    command.args(["--probes-listen", "127.0.0.1:0", "--data-dir"]).arg(&folder);
    let refused = Answer::of(&mut command)?.expect_code(1)?;
    assert!(refused.stderr.contains(&taken), "{}", refused.stderr);
    Ok(())
}

#[test]
fn settings_with_faults_are_refused_with_all_of_them() -> Result<()> {
    let lab = Lab::start()?;
    let file = lab.folder().join("broken.toml");
    std::fs::write(&file, "[agents]\nlisten = \"nonsense\"\nlisden = \"0.0.0.0:1\"\n[pace]\nnext = \"soon\"\n")?;
    let mut command = lab.collector_command("serve")?;
    let refused = Answer::of(command.arg("--config").arg(&file))?.expect_code(1)?;
    for word in ["agents.listen", "lisden", "pace.next"] {
        assert!(refused.stderr.contains(word), "{word} is missing: {}", refused.stderr);
    }
    Ok(())
}
