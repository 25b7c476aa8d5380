//! Backup and restore: the disk is lost under load, and damaged, unfinished and misplaced backups are refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster_proto::canonical;
use muster_proto::model::{Digest, HostId, Section, Snapshot};
use muster_tests::canned::Root;
use muster_tests::lab::{Agent, Lab};
use muster_tests::left_out;
use muster_tests::player::{Player, snapshot_of};
use muster_tests::postgres::{Database, Server};
use muster_tests::process::Answer;

use crate::disk::Tiny;
use crate::{crash, together};

const PLAYERS: usize = 3;

/// The store that is lost.
enum Store {
    File,
    Database(Database),
}

impl Store {
    fn start(&self) -> Result<Lab> {
        match self {
            Self::File => Lab::start(),
            Self::Database(database) => Lab::start_on(&database.url()),
        }
    }

    /// Destroys the data directory and the store.
    fn destroy(&self, lab: &Lab) -> Result<()> {
        std::fs::remove_dir_all(lab.data_dir())?;
        if let Self::Database(database) = self {
            database.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")?;
        }
        Ok(())
    }

    /// Replaces the key of a host by one that nobody has.
    fn forget_key(&self, lab: &Lab, host: &HostId) -> Result<()> {
        let id = data_encoding::HEXLOWER.encode(host.as_bytes());
        let of_host = format!(
            "WHERE host = (SELECT no FROM host WHERE id = {})",
            match self {
                Self::File => format!("x'{id}'"),
                Self::Database(_) => format!("'\\x{id}'::bytea"),
            }
        );
        match self {
            Self::File => {
                let database = rusqlite::Connection::open(lab.data_dir().join("muster.db"))?;
                database.execute(&format!("UPDATE host_key SET fingerprint = randomblob(32) {of_host}"), [])?;
            }
            Self::Database(database) => {
                database.sql(&format!("UPDATE host_key SET fingerprint = sha256('nobody') {of_host}"))?;
            }
        }
        Ok(())
    }

    fn history(&self, lab: &Lab) -> Result<BTreeMap<HostId, Vec<Digest>>> {
        match self {
            Self::File => crash::history(&lab.data_dir()),
            Self::Database(database) => together::history(database),
        }
    }
}

/// A player that delivers new snapshots as fast as they are answered, and remembers what was acknowledged.
struct Reporter {
    player: Player,
    acknowledged: Vec<Digest>,
    last: Option<(Snapshot, Vec<Section>)>,
}

impl Reporter {
    async fn run(mut self, stop: Arc<AtomicBool>, acknowledged: Arc<std::sync::Mutex<Vec<Digest>>>) -> Self {
        let mut next = 0;
        while !stop.load(Ordering::SeqCst) {
            next += 1;
            let own = format!("{}-package-{next}", self.player.host);
            let (snapshot, sections) = snapshot_of(&["adduser", "dpkg", &own]);
            let answer = tokio::time::timeout(Duration::from_secs(20), self.player.deliver(&snapshot, &sections)).await;
            if !matches!(answer, Ok(Ok(true))) {
                break;
            }
            let digest = canonical::snapshot_digest(&snapshot);
            self.acknowledged.push(digest);
            acknowledged.lock().unwrap().push(digest);
            self.last = Some((snapshot, sections));
        }
        self
    }
}

fn backup(lab: &Lab, name: &str) -> Result<PathBuf> {
    let folder = lab.folder().join(name);
    Answer::of(lab.collector_command("backup")?.arg("--to").arg(&folder))?.expect_code(0).context("backup")?;
    Ok(folder)
}

fn verify(lab: &Lab, folder: &Path) -> Result<Answer> {
    Answer::of(lab.collector_command("backup verify")?.arg(folder))
}

fn restore(lab: &Lab, folder: &Path) -> Result<Answer> {
    Answer::of(lab.collector_command("restore")?.arg(folder))
}

fn host(lab: &Lab, name: &str) -> Result<serde_json::Value> {
    lab.muster(&["host", name, "-o", "json"])?.json()
}

/// The disk is lost while agents report; the backup was made while they reported too.
fn lose_the_disk(store: &Store) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut lab = store.start()?;
    let (root, agent) = (Root::debian("stays")?, lab.enrolled_agent("stays")?);
    agent.report(root.path())?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut running = Vec::new();
    for number in 0..PLAYERS {
        let player = runtime.block_on(Player::enroll(&lab, &format!("reporter-{number}")))?;
        let (shared, host) = (Arc::<std::sync::Mutex<Vec<Digest>>>::default(), player.host);
        let reporter = Reporter { player, acknowledged: Vec::new(), last: None };
        running.push((host, Arc::clone(&shared), runtime.spawn(reporter.run(Arc::clone(&stop), shared))));
    }
    std::thread::sleep(Duration::from_millis(1500));
    let before: Vec<(HostId, Vec<Digest>)> =
        running.iter().map(|(host, shared, _)| (*host, shared.lock().unwrap().clone())).collect();
    let folder = backup(&lab, "backup")?;
    // What is reported from here on is in no backup; the agents have their newest snapshots.
    root.install("after-the-backup", "1")?;
    agent.report(root.path())?;
    let (late_root, late) = (Root::debian("late")?, lab.enrolled_agent("late")?);
    late.report(late_root.path())?;
    let late_before = host(&lab, "late")?;
    std::thread::sleep(Duration::from_millis(700));
    lab.kill_collector()?;
    stop.store(true, Ordering::SeqCst);
    let mut reporters = Vec::new();
    for (.., task) in running {
        reporters.push(runtime.block_on(task)?);
    }
    store.destroy(&lab)?;

    let verified = verify(&lab, &folder)?.expect_code(0).context("verify")?;
    ensure!(!verified.stdout.contains("FAULT") && !verified.stdout.contains("note"), "{}", verified.stdout);
    restore(&lab, &folder)?.expect_code(0).context("restore")?;
    Answer::of(&mut lab.collector_command("check")?)?.expect_code(0).context("check after the restore")?;
    let kept = store.history(&lab)?;
    for (host, acknowledged) in &before {
        ensure!(acknowledged.len() > 3, "there was no load: {}", acknowledged.len());
        let kept = kept.get(host).context("a host is lost")?;
        let found: Vec<&Digest> = kept.iter().filter(|digest| acknowledged.contains(digest)).collect();
        ensure!(
            found.into_iter().eq(acknowledged.iter()),
            "a snapshot that was acknowledged before is not in the backup"
        );
    }
    // As if this agent had renewed its key after the backup.
    store.forget_key(&lab, &reporters[0].player.host)?;
    lab.serve()?;
    for reporter in &mut reporters {
        ensure!(reporter.acknowledged.len() > 5, "there was no load after the backup");
        let (snapshot, sections) = reporter.last.take().context("it has reported")?;
        runtime.block_on(reporter.player.reconnect(&lab.listening().agents, &lab.ca()))?;
        ensure!(
            runtime.block_on(reporter.player.deliver(&snapshot, &sections))?,
            "the last snapshot is not accepted again"
        );
        let now = host(&lab, &reporter.player.host.to_string())?;
        ensure!(now["snapshot"] == canonical::snapshot_digest(&snapshot).to_string(), "{now}");
    }
    // An agent that knows its snapshot as acknowledged sends it again, because the collector asks for it.
    let sent =
        Answer::of(agent.command("once")?.args(["-o", "json", "--root"]).arg(root.path()))?.expect_code(0)?.json()?;
    ensure!(sent["snapshot_sent"] == true, "{sent}");
    ensure!(host(&lab, "stays")?["snapshot"] == sent["snapshot"], "{sent}");
    // The store of the backup has never heard of this one. It keeps its id and its site.
    late.report(late_root.path()).context("a host that enrolled after the backup")?;
    let late_after = host(&lab, "late")?;
    for field in ["id", "site", "snapshot"] {
        ensure!(late_before[field] == late_after[field], "{field}: {late_before} {late_after}");
    }
    lab.judged()?;
    lab.stop_collector()?;
    Answer::of(&mut lab.collector_command("check")?)?.expect_code(0).context("check at the end")?;
    // What is restored can be backed up again, and goes on from there.
    backup(&lab, "second")?;
    Ok(())
}

#[test]
fn a_fleet_on_sqlite_goes_on_after_the_disk_is_lost_under_load() -> Result<()> {
    lose_the_disk(&Store::File)
}

#[test]
fn a_fleet_on_postgresql_goes_on_after_the_disk_is_lost_under_load() -> Result<()> {
    let server = Server::shared()?;
    lose_the_disk(&Store::Database(server.database()?))
}

/// A stopped collector with one host, and its backup.
fn backed_up(store: &Store) -> Result<(Lab, Agent, PathBuf)> {
    let mut lab = store.start()?;
    let (root, agent) = (Root::debian("one")?, lab.enrolled_agent("one")?);
    agent.report(root.path())?;
    let folder = backup(&lab, "backup")?;
    lab.stop_collector()?;
    Ok((lab, agent, folder))
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

fn damaged_backups_are_refused(store: &Store) -> Result<()> {
    let (lab, _, folder) = backed_up(store)?;
    for path in files(&folder)? {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{} has mode {mode:03o}", path.display());
    }
    store.destroy(&lab)?;
    let largest = files(&folder.join("store"))?.into_iter().max_by_key(|path| path.metadata().map_or(0, |m| m.len()));
    let victims = [largest.context("no store")?, folder.join("collector/ca.key"), folder.join("manifest.json")];
    for victim in victims {
        let sound = std::fs::read(&victim)?;
        let name = victim.strip_prefix(&folder)?.display().to_string();
        let mut flipped = sound.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for (what, bytes) in [("truncated", Some(&sound[..middle])), ("flipped", Some(&flipped[..])), ("missing", None)]
        {
            match bytes {
                Some(bytes) => std::fs::write(&victim, bytes)?,
                None => std::fs::remove_file(&victim)?,
            }
            let refused = verify(&lab, &folder)?.expect_code(1).with_context(|| format!("verify, {name} {what}"))?;
            ensure!(format!("{}{}", refused.stdout, refused.stderr).contains(&name), "{what}: {refused:?}");
            let refused = restore(&lab, &folder)?.expect_code(1).with_context(|| format!("restore, {name} {what}"))?;
            ensure!(refused.stderr.contains(&name), "{what}: {}", refused.stderr);
            ensure!(!lab.data_dir().exists(), "the target was touched: {name} {what}");
        }
        std::fs::write(&victim, &sound)?;
    }
    verify(&lab, &folder)?.expect_code(0)?;
    restore(&lab, &folder)?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_truncated_a_changed_and_a_missing_file_are_named_and_nothing_is_restored_on_sqlite() -> Result<()> {
    damaged_backups_are_refused(&Store::File)
}

#[test]
fn a_truncated_a_changed_and_a_missing_file_are_named_and_nothing_is_restored_on_postgresql() -> Result<()> {
    let server = Server::shared()?;
    damaged_backups_are_refused(&Store::Database(server.database()?))
}

#[test]
fn a_restore_overwrites_nothing_and_a_backup_goes_into_an_empty_directory_only() -> Result<()> {
    let (mut lab, _, folder) = backed_up(&Store::File)?;
    let refused = restore(&lab, &folder)?.expect_code(1)?;
    for name in ["ca.pem", "ca.key", "admin.token", "muster.db"] {
        let path = lab.data_dir().join(name).display().to_string();
        ensure!(refused.stderr.contains(&path), "{name}: {}", refused.stderr);
    }
    lab.serve()?;
    let refused = restore(&lab, &folder)?.expect_code(1)?;
    ensure!(refused.stderr.contains("another collector"), "{}", refused.stderr);
    let taken = Answer::of(lab.collector_command("backup")?.arg("--to").arg(&folder))?.expect_code(1)?;
    ensure!(taken.stderr.contains("is not empty"), "{}", taken.stderr);
    verify(&lab, &folder)?.expect_code(0).context("the earlier backup is whole")?;
    // A database alone is in the way too.
    lab.stop_collector()?;
    for name in ["ca.pem", "ca.key", "admin.token", "server.pem"] {
        std::fs::remove_file(lab.data_dir().join(name))?;
    }
    let refused = restore(&lab, &folder)?.expect_code(1)?;
    ensure!(refused.stderr.contains("muster.db") && !refused.stderr.contains("ca.pem"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_restore_into_a_database_with_tables_or_of_another_kind_is_refused() -> Result<()> {
    let server = Server::shared()?;
    let store = Store::Database(server.database()?);
    let (lab, _, folder) = backed_up(&store)?;
    std::fs::remove_dir_all(lab.data_dir())?;
    let refused = restore(&lab, &folder)?.expect_code(1)?;
    ensure!(refused.stderr.contains("in the way") && refused.stderr.contains("tables"), "{}", refused.stderr);
    ensure!(!lab.data_dir().exists(), "the target was touched");
    let mut other = lab.collector_command("restore")?;
    other.env_remove("MUSTER_COLLECTOR__STORE__URL").arg(&folder);
    let refused = Answer::of(&mut other)?.expect_code(1)?;
    ensure!(refused.stderr.contains("PostgreSQL") && refused.stderr.contains("SQLite"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_full_disk_leaves_no_backup_and_no_restored_collector() -> Result<()> {
    let (lab, agent, folder) = backed_up(&Store::File)?;
    let place = lab.folder().join("small");
    let Some(disk) = Tiny::mount(&place, "128k")? else {
        left_out("a backup to a full disk", "no permission to mount a filesystem");
        return Ok(());
    };
    let full = Answer::of(lab.collector_command("backup")?.arg("--to").arg(place.join("backup")))?.expect_code(1)?;
    ensure!(full.stderr.contains("no space left") || full.stderr.contains("No space left"), "{}", full.stderr);
    ensure!(!place.join("backup").exists(), "the half backup is still there");
    // Into the root of the file system, which exists already and stays.
    Answer::of(lab.collector_command("backup")?.arg("--to").arg(&place))?.expect_code(1)?;
    ensure!(std::fs::read_dir(&place)?.next().is_none(), "the half backup is still there");
    let mut small = Command::new(muster_tests::binaries::find("muster-collector")?);
    small.arg("restore").arg(&folder).arg("--data-dir").arg(place.join("data"));
    let full = Answer::of(&mut small)?.expect_code(1)?;
    ensure!(full.stderr.contains("no space left"), "{}", full.stderr);
    let left: Vec<PathBuf> = files(&place.join("data"))?;
    ensure!(left.iter().all(|path| path.ends_with("collector.lock")), "{left:?}");
    drop((disk, agent));
    Ok(())
}

#[test]
fn a_collector_does_not_start_on_a_restore_that_was_interrupted() -> Result<()> {
    let (lab, _, folder) = backed_up(&Store::File)?;
    std::fs::remove_dir_all(lab.data_dir())?;
    // As a power failure leaves it: the CA is there, the database is not.
    let restored = restore(&lab, &folder)?.expect_code(0)?;
    let again = format!("muster-collector serve --data-dir {}", lab.data_dir().display());
    ensure!(restored.stdout.contains(&again), "the next command lacks the options: {}", restored.stdout);
    std::fs::remove_file(lab.data_dir().join("muster.db"))?;
    std::fs::write(lab.data_dir().join("restore.unfinished"), "")?;
    let backup = format!("backup --to {}", lab.folder().join("half").display());
    for verb in ["init", "serve", "check", "accounts", "tokens", &backup] {
        let refused = Answer::of(&mut lab.collector_command(verb)?)?.expect_code(1)?;
        let text = format!("{}{}", refused.stdout, refused.stderr);
        ensure!(text.contains("was interrupted") && text.contains("run the restore again"), "{verb}: {text}");
        ensure!(!lab.data_dir().join("muster.db").exists(), "{verb} made a database");
    }
    let refused = restore(&lab, &folder)?.expect_code(1)?;
    ensure!(refused.stderr.contains("was interrupted"), "{}", refused.stderr);
    std::fs::remove_dir_all(lab.data_dir())?;
    restore(&lab, &folder)?.expect_code(0)?;
    Ok(())
}

#[test]
fn accounts_and_tokens_create_no_tables_in_an_empty_database() -> Result<()> {
    let database = Server::shared()?.database()?;
    let place = tempfile::tempdir()?;
    let command = |verb: &str| -> Result<Answer> {
        let mut command = Command::new(muster_tests::binaries::find("muster-collector")?);
        command.arg(verb).arg("--data-dir").arg(place.path()).args(["--store-url", &database.url()]);
        Answer::of(&mut command)
    };
    for verb in ["accounts", "tokens"] {
        let refused = command(verb)?.expect_code(1)?;
        ensure!(refused.stderr.contains("has no collector yet"), "{verb}: {}", refused.stderr);
    }
    let checked = command("check")?.expect_code(1)?;
    ensure!(checked.stdout.contains("is empty"), "{}", checked.stdout);
    Ok(())
}
