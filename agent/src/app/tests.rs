//! Tests of the agent against a fake collector: what is spooled, what is delivered after a restart, and what a refusal
//! does to the identity.

use std::path::Path;

use muster_proto::canonical;
use muster_proto::model::{EnrollmentToken, RefusalClass};

use super::service::turn;
use super::*;
use crate::config::{Flags, Settings, load};
use crate::identity::IdentityStore;
use crate::schedule::CallSchedule;
use crate::sources::root::Root;
use crate::uplink::Target;
use crate::uplink::tests::fake_collector::{FakeCollector, Pki, Script, start};

struct Host {
    state: tempfile::TempDir,
    root: tempfile::TempDir,
    settings: Settings,
    collector: FakeCollector,
    token: EnrollmentToken,
}

impl Host {
    async fn enrolled() -> Self {
        let (collector, target) = start(Pki::new("localhost", 2020..2090), Script::default()).await;
        let state = tempfile::tempdir().expect("temporary directory");
        let root = tempfile::tempdir().expect("temporary directory");
        let token = collector.pki.token();
        let settings = settings(state.path(), &target);
        enroll(&settings, &token, Root::running_system().expect("opens"), now()).await.expect("enrolled");
        let host = Self { state, root, settings, collector, token };
        host.install("base-files");
        host
    }

    /// Replaces the package database of the scanned root.
    fn install(&self, package: &str) {
        let write = |path: &str, text: &str| {
            let file = self.root.path().join(path);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            std::fs::write(file, text).expect("written");
        };
        write("etc/os-release", "ID=debian\n");
        write("var/lib/dpkg/status", &format!("Package: {package}\nStatus: install ok installed\nVersion: 1\n\n"));
    }

    /// One run of the agent process.
    async fn once(&self) -> Result<DeliverySummary, AppError> {
        Agent::open(self.settings.clone())?.scan_and_deliver(Root::below(self.root.path())?).await
    }

    fn refuse(&self, class: Option<RefusalClass>) {
        self.collector.script.lock().expect("unpoisoned").refuse = class;
    }

    /// The digests of all check-ins that the collector received, in order.
    fn received(&self) -> Vec<Vec<u8>> {
        let script = self.collector.script.lock().expect("unpoisoned");
        script.check_ins.iter().map(|request| request.snapshot_digest.to_vec()).collect()
    }

    fn waiting(&self) -> usize {
        Agent::open(self.settings.clone()).expect("opened").waiting()
    }

    fn identity(&self) -> crate::identity::Identity {
        load_identity(&self.settings).expect("readable").expect("enrolled")
    }
}

fn settings(state_dir: &Path, target: &Target) -> Settings {
    let empty = state_dir.join("agent.toml");
    std::fs::write(&empty, "").expect("written");
    let flags = Flags {
        config: Some(empty),
        state_dir: Some(state_dir.join("state")),
        collector: Some(target.url.clone()),
        verbose: 0,
    };
    load(&flags, std::collections::BTreeMap::new()).expect("settings")
}

#[tokio::test]
async fn an_undelivered_snapshot_is_delivered_after_a_restart_before_the_newer_one() {
    let host = Host::enrolled().await;
    host.refuse(Some(RefusalClass::Later));
    let error = host.once().await.expect_err("refused");
    assert!(matches!(error, AppError::Uplink(ref error) if error.class() == Some(RefusalClass::Later)), "{error}");
    host.install("something-else");
    host.once().await.expect_err("refused again");
    assert_eq!((host.waiting(), host.received().len()), (2, 0));
    host.refuse(None);
    let summary = host.once().await.expect("delivered");
    assert!(summary.accepted && summary.snapshots_delivered == 2, "{summary:?}");
    let received = host.received();
    assert_eq!((received.len(), received[1].as_slice()), (2, summary.snapshot.as_bytes().as_slice()));
    assert_ne!(received[0], received[1]);
    assert_eq!(host.waiting(), 0);
    let snapshot = crate::scan::scan_root(Root::below(host.root.path()).expect("a root"), &Default::default()).snapshot;
    assert_eq!(canonical::snapshot_digest(&snapshot), summary.snapshot);
}

#[tokio::test]
async fn an_unchanged_snapshot_is_sent_as_a_digest_and_not_spooled_again() {
    let host = Host::enrolled().await;
    let first = host.once().await.expect("delivered");
    let second = host.once().await.expect("delivered");
    assert_eq!(first.snapshot, second.snapshot);
    assert_eq!((second.sections_sent, second.snapshot_sent, host.waiting()), (0, false, 0));
    assert_eq!(host.received().len(), 2);
}

#[tokio::test]
async fn a_revoked_host_keeps_everything_and_continues_when_it_is_released_or_enrolled_again() {
    let host = Host::enrolled().await;
    host.refuse(Some(RefusalClass::Revoked));
    host.once().await.expect_err("refused");
    assert_eq!(host.identity().refused, Some(RefusalClass::Revoked));
    host.once().await.expect_err("refused again");
    assert_eq!((host.received().len(), host.waiting()), (0, 1));
    host.refuse(None);
    assert!(host.once().await.expect("delivered").accepted, "it was released");
    assert_eq!((host.identity().refused, host.identity().key, host.waiting()), (None, 1, 0));
    host.refuse(Some(RefusalClass::Revoked));
    host.once().await.expect_err("refused");
    host.refuse(None);
    IdentityStore::below(&host.settings.state_dir).key(1).expect("the key is still there");
    enroll(&host.settings, &host.token, Root::running_system().expect("opens"), now()).await.expect("enrolled again");
    assert_eq!((host.identity().key, host.identity().refused), (2, None));
    assert!(host.once().await.expect("delivered").accepted);
}

#[tokio::test]
async fn a_token_that_an_installer_left_enrolls_the_host_and_is_deleted() {
    let host = Host::enrolled().await;
    let leave_token = || {
        let changes = Changes { collector: None, token: Some(host.token.clone()) };
        let file = host.state.path().join("agent.toml");
        configure(&file, &host.settings.state_dir, &changes).expect("configured");
        token_file(&host.settings).expect("left")
    };
    std::fs::remove_dir_all(host.settings.state_dir.join("identity")).expect("forgotten");
    assert!(matches!(host.once().await, Err(AppError::NotEnrolled(_))));
    let token = leave_token();
    assert!(host.once().await.expect("enrolled and delivered").accepted);
    assert!(!token.exists(), "it could enroll other machines");

    leave_token();
    assert!(host.once().await.expect("delivered").accepted);
    assert!(!token.exists(), "the host is enrolled already, so nothing needs it");

    let mut agent = Agent::open(host.settings.clone()).expect("opened");
    let scan = || Root::below(host.root.path()).expect("a root");
    agent.scan_and_deliver(scan()).await.expect("delivered");
    leave_token();
    agent.scan_and_deliver(scan()).await.expect("delivered");
    assert!(token.exists(), "it came while the agent was running, so it is for the next start");
}

#[tokio::test]
async fn a_host_that_a_restored_collector_knows_again_continues() {
    let host = Host::enrolled().await;
    host.refuse(Some(RefusalClass::Unknown));
    host.once().await.expect_err("refused");
    assert_eq!(host.identity().refused, Some(RefusalClass::Unknown));
    host.refuse(None);
    assert!(host.once().await.expect("delivered").accepted);
    assert_eq!((host.identity().refused, host.identity().key), (None, 1));
}

#[tokio::test]
async fn no_other_refusal_changes_the_identity() {
    let host = Host::enrolled().await;
    let before = host.identity();
    for class in RefusalClass::ALL {
        if matches!(class, RefusalClass::Revoked | RefusalClass::Unknown) {
            continue;
        }
        host.refuse(Some(*class));
        host.once().await.expect_err("refused");
        assert_eq!(host.identity(), before, "{class}");
    }
}

#[tokio::test]
async fn a_due_certificate_is_renewed_and_the_old_key_is_removed_once_the_new_one_works() {
    let host = Host::enrolled().await;
    let mut identity = host.identity();
    identity.issued = Timestamp::from_millis(0);
    identity.expires = now().plus(Duration::from_secs(3600));
    IdentityStore::below(&host.settings.state_dir).save(&identity).expect("saved");
    host.refuse(Some(RefusalClass::Later));
    host.once().await.expect_err("renewed, and not delivered");
    assert_eq!((host.identity().key, host.identity().previous.map(|(key, _)| key)), (2, Some(1)));
    host.refuse(None);
    host.once().await.expect("delivered");
    assert_eq!((host.identity().key, host.identity().previous), (2, None));
    let keys = |number: u32| host.settings.state_dir.join(format!("identity/key-{number}.der"));
    assert!(!keys(1).exists() && keys(2).exists());
}

#[tokio::test]
async fn renewal_follows_the_clock_of_the_agent() {
    let host = Host::enrolled().await;
    let agent = || Agent::open(host.settings.clone()).expect("opened").with_clock(simulated);
    let root = || Root::below(host.root.path()).expect("a root");
    SIMULATED.set(now().millis());
    agent().scan_and_deliver(root()).await.expect("delivered");
    assert_eq!(host.identity().key, 1, "the certificate is new");
    SIMULATED.set(host.identity().expires.millis() - 1);
    agent().scan_and_deliver(root()).await.expect("delivered");
    assert_eq!((host.identity().key, host.identity().issued), (2, simulated()));
}

#[tokio::test]
async fn the_new_snapshot_is_delivered_from_memory_and_only_older_ones_from_the_spool() {
    let host = Host::enrolled().await;
    host.refuse(Some(RefusalClass::Later));
    host.once().await.expect_err("refused");
    host.refuse(None);
    host.install("something-else");
    let mut agent = Agent::open(host.settings.clone()).expect("opened");
    let taken = agent.take_snapshot(Root::below(host.root.path()).expect("a root")).await.expect("taken");
    assert_eq!(agent.waiting(), 2);
    let mut files: Vec<_> = std::fs::read_dir(spool_dir(&host.settings))
        .expect("listed")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "snapshot"))
        .collect();
    files.sort();
    // The names begin with the entry's number, so the last file is the new snapshot.
    std::fs::write(&files[1], "damaged").expect("written");
    let summary = agent.deliver_all(&taken).await.expect("delivered");
    assert_eq!((summary.snapshots_delivered, agent.waiting()), (2, 0));
    drop(agent);
    let spool = spool::Spool::open_read_only(&spool_dir(&host.settings), spool_bounds(&host.settings));
    assert_eq!(spool.expect("opened").losses().damaged, 0, "the file of the new snapshot was read");
}

#[tokio::test]
async fn a_renewed_key_that_does_not_work_is_replaced_by_the_old_one() {
    let host = Host::enrolled().await;
    let mut identity = host.identity();
    identity.issued = Timestamp::from_millis(0);
    identity.expires = now().plus(Duration::from_secs(3600));
    IdentityStore::below(&host.settings.state_dir).save(&identity).expect("saved");
    host.refuse(Some(RefusalClass::Unknown));
    host.once().await.expect_err("renewed, and refused");
    assert_eq!((host.identity().key, host.identity().refused), (1, None), "{}", host.state.path().display());
}

#[tokio::test]
async fn a_state_directory_is_used_by_one_agent_at_a_time() {
    let host = Host::enrolled().await;
    let _held = Agent::open(host.settings.clone()).expect("opened");
    assert!(matches!(host.once().await, Err(AppError::Busy(_))));
}

#[tokio::test]
async fn the_watch_summary_is_shown_only_while_the_service_runs() {
    let host = Host::enrolled().await;
    let dir = &host.settings.state_dir;
    assert!(!is_running(dir).expect("asked"));
    let service = Agent::open(host.settings.clone()).expect("opened");
    let summary = crate::watch::Summary { directories: 72, ..Default::default() };
    state_files::save_watch_summary(dir, &summary).expect("saved");
    assert!(is_running(dir).expect("asked"));
    assert_eq!(watch_summary(dir).expect("asked"), Some(summary));
    // It exits without cleaning up, as a killed process does.
    drop(service);
    assert!(!is_running(dir).expect("asked"));
    assert_eq!(watch_summary(dir).expect("asked"), None);
    // The next agent in this directory removes the old summary.
    let _other = Agent::open(host.settings.clone()).expect("opened");
    assert_eq!(watch_summary(dir).expect("asked"), None);
}

thread_local! {
    static SIMULATED: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

/// A simulated clock; each test thread has its own.
fn simulated() -> Timestamp {
    Timestamp::from_millis(SIMULATED.get())
}

/// A URL on which nothing listens.
async fn nowhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("https://127.0.0.1:{}", listener.local_addr().expect("bound").port())
}

#[tokio::test]
async fn snapshots_of_a_day_without_collector_are_delivered_in_order_with_their_times() {
    const TEN_MINUTES: i64 = 600_000;
    let host = Host::enrolled().await;
    let begin = now().millis();
    SIMULATED.set(begin);
    let away = Settings { collector: Some(nowhere().await), ..host.settings.clone() };
    let open = |settings: &Settings| Agent::open(settings.clone()).expect("opened").with_clock(simulated);
    let mut agent = open(&away);
    let (mut schedule, mut next_call, mut calls) = (CallSchedule::default(), begin, 0);
    // A package is installed every ten minutes. Each change wakes the agent, but it calls only when a call is due.
    for step in 0..144 {
        SIMULATED.set(begin + step * TEN_MINUTES);
        host.install(&format!("package-{step}"));
        let woken = SIMULATED.get() < next_call;
        let root = Root::below(host.root.path()).expect("a root");
        let pause = turn(&mut agent, &mut schedule, root, woken).await.expect("no fatal error");
        if !woken {
            calls += 1;
            next_call = SIMULATED.get() + i64::try_from(pause.as_millis()).expect("short");
        }
        if step == 70 {
            // The machine is restarted at noon.
            drop(agent);
            agent = open(&away);
        }
    }
    assert!((24..=48).contains(&calls), "{calls} calls in a day without an answer");
    assert_eq!((agent.waiting(), host.received().len()), (144, 0));

    agent.reconfigure(host.settings.clone());
    SIMULATED.set(next_call);
    let root = Root::below(host.root.path()).expect("a root");
    turn(&mut agent, &mut schedule, root, false).await.expect("delivered");
    assert_eq!((agent.waiting(), schedule.failures()), (0, 0));
    let script = host.collector.script.lock().expect("unpoisoned");
    let dates: Vec<i64> = script.check_ins.iter().map(|request| request.observed_at_ms).collect();
    let expected: Vec<i64> = (0..144).map(|step| begin + step * TEN_MINUTES).collect();
    assert_eq!(dates, expected, "each scan arrives once, in order, with the time at which it was made");
}

#[tokio::test]
async fn a_change_during_hold_off_is_spooled_and_not_sent_early() {
    let host = Host::enrolled().await;
    SIMULATED.set(now().millis());
    let mut agent = Agent::open(host.settings.clone()).expect("opened").with_clock(simulated);
    let mut schedule = CallSchedule::default();
    let root = || Root::below(host.root.path()).expect("a root");
    host.refuse(Some(RefusalClass::Later));
    let pause = turn(&mut agent, &mut schedule, root(), false).await.expect("no fatal error");
    host.refuse(None);
    host.install("something-new");
    let rest = turn(&mut agent, &mut schedule, root(), true).await.expect("no fatal error");
    assert_eq!((rest.as_millis(), agent.waiting(), host.received().len()), (pause.as_millis(), 2, 0));
    SIMULATED.set(SIMULATED.get() + i64::try_from(pause.as_millis()).expect("short"));
    turn(&mut agent, &mut schedule, root(), true).await.expect("delivered");
    assert_eq!((agent.waiting(), host.received().len()), (0, 2));
}
