//! The sealed ledger with the real programs: it is verified, exported, read by Go's own packages, and a change of it is found.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_tests::binaries::repository;
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::left_out;
use serde_json::Value;

/// The newest checkpoint, once it covers every entry.
fn checkpoint(lab: &Lab, name: &str) -> Result<String> {
    eventually("the ledger is sealed", PATIENCE, || {
        let verified = lab.muster(&["ledger", "verify", "-o", "json"])?.json()?;
        Ok(Some(())
            .filter(|()| verified["sealed"] == verified["entries"] && verified["covered"] == verified["entries"]))
    })?;
    let note = lab.muster(&["ledger", "checkpoint"])?.expect_code(0)?.stdout;
    let place = lab.folder().join(name);
    std::fs::write(&place, &note)?;
    Ok(place.display().to_string())
}

fn faults(lab: &Lab, arguments: &[&str]) -> Result<Vec<String>> {
    let answer = lab.muster(&[&["ledger", "verify", "-o", "json"], arguments].concat())?.expect_code(1)?.json()?;
    let faults = answer["faults"].as_array().context("faults")?;
    Ok(faults.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect())
}

#[test]
fn a_sealed_ledger_is_verified_exported_and_a_change_of_it_is_found() -> Result<()> {
    let mut lab = Lab::start()?;
    lab.muster(&["accounts", "create", "ada", "--role", "viewer"])?.expect_code(0)?;
    let old = checkpoint(&lab, "old.txt")?;
    let key = lab.data_dir().join("seal.pub").display().to_string();
    let export = lab.folder().join("export").display().to_string();
    lab.muster(&["ledger", "export", &export, "--key", &key])?.expect_code(0)?;
    lab.muster(&["accounts", "create", "bob", "--role", "viewer"])?.expect_code(0)?;
    checkpoint(&lab, "new.txt")?;
    let checked = ["ledger", "verify", "--key", &key, "--checkpoint", &old, "--against", &export];
    let good = lab.muster(&checked)?.expect_code(0)?.stdout;
    ensure!(good.starts_with("good: ") && good.contains("by 2 checkpoints"), "{good}");
    let again = lab.muster(&["ledger", "export", &export])?.expect_code(0)?.stdout;
    ensure!(again.contains("new entr"), "{again}");
    read_by_go(&lab, &key, Path::new(&export))?;

    // One byte of one entry, changed in the file.
    lab.stop_collector()?;
    let change = |statement: &str| -> Result<()> {
        let database = rusqlite::Connection::open(lab.data_dir().join("muster.db"))?;
        ensure!(database.execute(statement, [])? > 0, "{statement}");
        Ok(())
    };
    change("UPDATE ledger SET entry = replace(entry, 'viewer', 'viewes') WHERE no = (SELECT max(no) FROM ledger)")?;
    let check = lab.collector_command("check")?.output()?;
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    ensure!(!check.status.success() && said.contains("was changed after it was sealed"), "{said}");
    lab.serve()?;
    let found = faults(&lab, &["--key", &key])?;
    ensure!(found.len() == 1 && found[0].contains("was changed after it was sealed"), "{found:?}");

    // The whole ledger, rewritten and sealed anew: only an older checkpoint and an export show it.
    lab.stop_collector()?;
    let database = rusqlite::Connection::open(lab.data_dir().join("muster.db"))?;
    database.execute_batch(
        "UPDATE ledger SET entry = replace(entry, 'viewer', 'admin'); DELETE FROM ledger_leaf; DELETE FROM ledger_tree;",
    )?;
    drop(database);
    lab.serve()?;
    checkpoint(&lab, "rewritten.txt")?;
    lab.muster(&["ledger", "verify"])?.expect_code(0)?;
    let found = faults(&lab, &["--key", &key, "--checkpoint", &old])?;
    ensure!(found.iter().any(|fault| fault.contains("the ledger was rewritten")), "{found:?}");
    let found = faults(&lab, &["--key", &key, "--against", &export])?;
    ensure!(found.iter().any(|fault| fault.contains("is not the one that was exported")), "{found:?}");
    Ok(())
}

/// Go's packages for transparency logs accept the export, and refuse one with a changed byte.
fn read_by_go(lab: &Lab, key: &str, export: &Path) -> Result<()> {
    const PACKAGES: &str = "/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog";
    if Command::new("go").arg("version").output().is_err() || !Path::new(PACKAGES).exists() {
        left_out("the export of the ledger read by Go", "golang-go or golang-golang-x-mod-dev is not installed");
        return Ok(());
    }
    let program = lab.folder().join("verify");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(repository().join("tests/ledger/verify.go"))
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOFLAGS", "")
        .env("GOCACHE", lab.folder().join("go-cache"))
        .output()?;
    ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let verify = || -> Result<(bool, String)> {
        let output = Command::new(&program).arg(std::fs::read_to_string(key)?.trim_end()).arg(export).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
    };
    let (is_good, said) = verify()?;
    ensure!(is_good && said.starts_with("verified: "), "{said}");
    let bundles = export.join("tile/entries/000.p");
    // An export that was continued has the earlier bundles too.
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u64>().ok();
    let all = std::fs::read_dir(&bundles)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let bundle = all.into_iter().max_by_key(number).context("a bundle")?;
    let good = std::fs::read(&bundle)?;
    let mut bad = good.clone();
    *bad.last_mut().context("a byte")? ^= 1;
    std::fs::write(&bundle, bad)?;
    let changed = verify()?;
    std::fs::write(&bundle, good)?;
    ensure!(!changed.0, "a changed entry is refused: {}", changed.1);
    Ok(())
}
