//! The agent against a door of the same contract: what is kept, what is delivered after a restart, and what a refusal
//! may and may not do to the credentials.

use std::path::Path;

use muster_proto::canonical;
use muster_proto::model::{EnrollmentToken, RefusalClass};

use super::service::turn;
use super::*;
use crate::config::{Flags, Settings, load};
use crate::identity::IdentityStore;
use crate::schedule::Rhythm;
use crate::sources::root::Root;
use crate::uplink::Target;
use crate::uplink::tests::door::{Door, Pki, Script, open};

struct Host {
    state: tempfile::TempDir,
    root: tempfile::TempDir,
    settings: Settings,
    door: Door,
    token: EnrollmentToken,
}

impl Host {
    async fn enrolled() -> Self {
        let (door, target) = open(Pki::new("localhost", 2020..2090), Script::default()).await;
        let state = tempfile::tempdir().expect("temporary directory");
        let root = tempfile::tempdir().expect("temporary directory");
        let token = door.pki.token();
        let settings = settings(state.path(), &target);
        enroll(&settings, &token).await.expect("enrolled");
        let host = Self { state, root, settings, door, token };
        host.install("base-files");
        host
    }

    /// Changes what a scan sees.
    fn install(&self, package: &str) {
        let write = |path: &str, text: &str| {
            let file = self.root.path().join(path);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            std::fs::write(file, text).expect("written");
        };
        write("etc/os-release", "ID=debian\n");
        write("var/lib/dpkg/status", &format!("Package: {package}\nStatus: install ok installed\nVersion: 1\n\n"));
    }

    /// One life of the agent.
    async fn once(&self) -> Result<Report, AppError> {
        Agent::open(self.settings.clone())?.scan_and_deliver(Root::below(self.root.path())?).await
    }

    fn refuse(&self, class: Option<RefusalClass>) {
        self.door.script.lock().expect("unpoisoned").refuse = class;
    }

    /// The digests of all scans that the door has heard of, in their order.
    fn heard(&self) -> Vec<Vec<u8>> {
        let script = self.door.script.lock().expect("unpoisoned");
        script.check_ins.iter().map(|request| request.snapshot_digest.to_vec()).collect()
    }

    fn waiting(&self) -> usize {
        Agent::open(self.settings.clone()).expect("opened").waiting()
    }

    fn identity(&self) -> crate::identity::Identity {
        identity_of(&self.settings).expect("readable").expect("enrolled")
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
async fn a_snapshot_that_nobody_took_is_delivered_by_the_next_life_before_the_newer_one() {
    let host = Host::enrolled().await;
    host.refuse(Some(RefusalClass::Later));
    let error = host.once().await.expect_err("refused");
    assert!(matches!(error, AppError::Uplink(ref error) if error.class() == Some(RefusalClass::Later)), "{error}");
    host.install("something-else");
    host.once().await.expect_err("refused again");
    assert_eq!((host.waiting(), host.heard().len()), (2, 0));
    host.refuse(None);
    let report = host.once().await.expect("delivered");
    assert!(report.accepted && report.snapshots_delivered == 2, "{report:?}");
    let heard = host.heard();
    assert_eq!((heard.len(), heard[1].as_slice()), (2, report.snapshot.as_bytes().as_slice()));
    assert_ne!(heard[0], heard[1]);
    assert_eq!(host.waiting(), 0);
    let snapshot = crate::scan::scan_root(Root::below(host.root.path()).expect("a root"), &Default::default()).snapshot;
    assert_eq!(canonical::snapshot_digest(&snapshot), report.snapshot);
}

#[tokio::test]
async fn an_unchanged_snapshot_is_told_by_its_digest_and_not_kept_again() {
    let host = Host::enrolled().await;
    let first = host.once().await.expect("delivered");
    let second = host.once().await.expect("delivered");
    assert_eq!(first.snapshot, second.snapshot);
    assert_eq!((second.sections_sent, second.snapshot_sent, host.waiting()), (0, false, 0));
    assert_eq!(host.heard().len(), 2);
}

#[tokio::test]
async fn a_withdrawn_host_stops_sending_keeps_everything_and_can_enroll_again() {
    let host = Host::enrolled().await;
    host.refuse(Some(RefusalClass::Revoked));
    host.once().await.expect_err("refused");
    assert_eq!(host.identity().refused, Some(RefusalClass::Revoked));
    host.refuse(None);
    let error = host.once().await.expect_err("not sent");
    assert!(matches!(error, AppError::Refused(RefusalClass::Revoked)), "{error}");
    assert_eq!((host.heard().len(), host.waiting()), (0, 1));
    IdentityStore::below(&host.settings.state_dir).key(1).expect("the key is still there");
    enroll(&host.settings, &host.token).await.expect("enrolled again");
    assert_eq!((host.identity().key, host.identity().refused), (2, None));
    assert!(host.once().await.expect("delivered").accepted);
}

#[tokio::test]
async fn a_host_that_a_restored_collector_knows_again_goes_on() {
    let host = Host::enrolled().await;
    host.refuse(Some(RefusalClass::Unknown));
    host.once().await.expect_err("refused");
    assert_eq!(host.identity().refused, Some(RefusalClass::Unknown));
    host.refuse(None);
    assert!(host.once().await.expect("delivered").accepted);
    assert_eq!((host.identity().refused, host.identity().key), (None, 1));
}

#[tokio::test]
async fn no_other_refusal_touches_the_credentials() {
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
async fn a_certificate_is_renewed_in_time_and_the_old_key_goes_when_the_new_one_worked() {
    let host = Host::enrolled().await;
    let mut identity = host.identity();
    identity.issued = Timestamp::from_millis(0);
    identity.expires = now().plus(Duration::from_secs(3600));
    IdentityStore::below(&host.settings.state_dir).save(&identity).expect("kept");
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
async fn a_renewed_key_that_does_not_work_gives_way_to_the_old_one() {
    let host = Host::enrolled().await;
    let mut identity = host.identity();
    identity.issued = Timestamp::from_millis(0);
    identity.expires = now().plus(Duration::from_secs(3600));
    IdentityStore::below(&host.settings.state_dir).save(&identity).expect("kept");
    host.refuse(Some(RefusalClass::Unknown));
    host.once().await.expect_err("renewed, and refused");
    assert_eq!((host.identity().key, host.identity().refused), (1, None), "{}", host.state.path().display());
}

#[tokio::test]
async fn one_state_directory_has_one_agent() {
    let host = Host::enrolled().await;
    let _held = Agent::open(host.settings.clone()).expect("opened");
    assert!(matches!(host.once().await, Err(AppError::Busy(_))));
}

#[tokio::test]
async fn what_a_service_watched_is_told_while_it_is_at_work_only() {
    let host = Host::enrolled().await;
    let dir = &host.settings.state_dir;
    assert!(!at_work(dir).expect("asked"));
    let service = Agent::open(host.settings.clone()).expect("opened");
    let summary = crate::watch::Summary { directories: 72, ..Default::default() };
    state_files::keep_watching(dir, &summary).expect("kept");
    assert!(at_work(dir).expect("asked"));
    assert_eq!(watching(dir).expect("asked"), Some(summary));
    // It ends without a word, as one that is killed does.
    drop(service);
    assert!(!at_work(dir).expect("asked"));
    assert_eq!(watching(dir).expect("asked"), None);
    // And whoever works there next is not taken for it.
    let _other = Agent::open(host.settings.clone()).expect("opened");
    assert_eq!(watching(dir).expect("asked"), None);
}

thread_local! {
    static SIMULATED: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

/// The clock of a simulated agent; the tests of one thread have one.
fn simulated() -> Timestamp {
    Timestamp::from_millis(SIMULATED.get())
}

/// Where nobody listens.
async fn nowhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("https://127.0.0.1:{}", listener.local_addr().expect("bound").port())
}

#[tokio::test]
async fn a_day_without_the_collector_is_kept_with_its_dates_and_told_in_order_afterwards() {
    const TEN_MINUTES: i64 = 600_000;
    let host = Host::enrolled().await;
    let begin = now().millis();
    SIMULATED.set(begin);
    let away = Settings { collector: Some(nowhere().await), ..host.settings.clone() };
    let open = |settings: &Settings| Agent::open(settings.clone()).expect("opened").with_clock(simulated);
    let mut agent = open(&away);
    let (mut rhythm, mut next_call, mut calls) = (Rhythm::default(), begin, 0);
    // Something is installed every ten minutes; the agent is woken by it, and calls when its time has come.
    for step in 0..144 {
        SIMULATED.set(begin + step * TEN_MINUTES);
        host.install(&format!("package-{step}"));
        let woken = SIMULATED.get() < next_call;
        let root = Root::below(host.root.path()).expect("a root");
        let pause = turn(&mut agent, &mut rhythm, root, woken).await.expect("goes on");
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
    assert_eq!((agent.waiting(), host.heard().len()), (144, 0));

    agent.reconfigure(host.settings.clone());
    SIMULATED.set(next_call);
    let root = Root::below(host.root.path()).expect("a root");
    turn(&mut agent, &mut rhythm, root, false).await.expect("delivered");
    assert_eq!((agent.waiting(), rhythm.failures()), (0, 0));
    let script = host.door.script.lock().expect("unpoisoned");
    let dates: Vec<i64> = script.check_ins.iter().map(|request| request.observed_at_ms).collect();
    let expected: Vec<i64> = (0..144).map(|step| begin + step * TEN_MINUTES).collect();
    assert_eq!(dates, expected, "each scan arrives once, in order, with the time at which it was made");
}

#[tokio::test]
async fn a_change_while_the_collector_asks_for_patience_is_kept_and_not_told_before_the_time() {
    let host = Host::enrolled().await;
    SIMULATED.set(now().millis());
    let mut agent = Agent::open(host.settings.clone()).expect("opened").with_clock(simulated);
    let mut rhythm = Rhythm::default();
    let root = || Root::below(host.root.path()).expect("a root");
    host.refuse(Some(RefusalClass::Later));
    let pause = turn(&mut agent, &mut rhythm, root(), false).await.expect("goes on");
    host.refuse(None);
    host.install("something-new");
    let rest = turn(&mut agent, &mut rhythm, root(), true).await.expect("goes on");
    assert_eq!((rest.as_millis(), agent.waiting(), host.heard().len()), (pause.as_millis(), 2, 0));
    SIMULATED.set(SIMULATED.get() + i64::try_from(pause.as_millis()).expect("short"));
    turn(&mut agent, &mut rhythm, root(), true).await.expect("delivered");
    assert_eq!((agent.waiting(), host.heard().len()), (0, 2));
}
