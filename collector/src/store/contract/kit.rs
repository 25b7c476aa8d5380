//! Test data for the suite: a small fleet, snapshots, judgements.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::model::{
    AccountId, AccountName, AccountReport, Digest, Holder, HostActionKind, HostFacts, HostId, HostState,
    KeyFingerprint, Kind, Lane, MachineIdentity, Observation, OrderId, Outcome, Platform, Presence, Protection, Role,
    RunId, Section, SiteId, Snapshot, SnapshotEntry, SourceName, Timestamp, TokenId, TokenReport,
};

use crate::judge::Remediation;
use crate::ledger::actor::Actor;
use crate::ledger::entry::{Entry, HostAction};
use crate::store::admin::accounts::{self, NewAccount, NewAccountToken};
use crate::store::admin::hosts::{HostsAsked, HostsMeant, PortionDone};
use crate::store::{
    AccountRefusal, Acting, AdminTx, Allowance, CheckIn, CheckInAnswer, Delivered, Delivery, Enrolled, Enrollment,
    JudgedOrder, Judgement, LedgerRow, NewToken, QueuedHost, Settlement, SiteScope, Store, StoreError, admin,
};

pub(super) const START: i64 = 1_726_000_000_000;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START).plus(Duration::from_secs(seconds))
}

pub(super) fn token_id() -> TokenId {
    TokenId::new("tok-1").expect("valid")
}

pub(super) fn order() -> OrderId {
    OrderId::new("us-bis-icts-2021-002").expect("valid")
}

pub(super) fn site() -> SiteId {
    SiteId::new("hq").expect("valid")
}

pub(crate) fn key(n: u8) -> KeyFingerprint {
    KeyFingerprint::from_bytes([n; 32])
}

pub(crate) fn facts(hostname: &str) -> HostFacts {
    HostFacts {
        hostname: hostname.to_owned(),
        platform: Platform::Linux,
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0-25-amd64".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "0.1.0".to_owned(),
        offline_root: false,
        identity: MachineIdentity::default(),
    }
}

pub(crate) fn new_token(max_uses: u64) -> NewToken {
    NewToken { id: token_id(), secret_hash: [9; 32], site: site(), created_at: at(0), expires_at: at(3600), max_uses }
}

pub(crate) fn enrollment(n: u8) -> Enrollment {
    Enrollment {
        token: token_id(),
        secret_hash: [9; 32],
        key: key(n),
        host: host(n),
        facts: facts(&format!("host-{n:03}")),
        fingerprint: vec![n; 32],
        now: at(1),
    }
}

pub(crate) fn host(n: u8) -> HostId {
    HostId::from_bytes([n; 16])
}

pub(super) fn run(n: u8) -> RunId {
    RunId::from_bytes([n; 16])
}

/// What a user of the collector's machine does at this second.
pub(crate) fn acting(seconds: u64) -> Acting {
    Acting { actor: Actor::Collector { user: "root".to_owned() }, now: at(seconds) }
}

pub(crate) async fn token_create(store: &Arc<dyn Store>, token: NewToken) -> Result<(), StoreError> {
    admin::write(store.as_ref(), "token_create", acting(0), move |tx| admin::tokens::create(tx, &token)).await
}

pub(crate) async fn token_list(store: &Arc<dyn Store>) -> Vec<TokenReport> {
    admin::read(store.as_ref(), "token_list", admin::tokens::list).await.expect("lists")
}

pub(crate) async fn token_revoke(store: &Arc<dyn Store>, id: TokenId, seconds: u64) -> bool {
    let revoke = move |tx: &mut dyn AdminTx| admin::tokens::revoke(tx, &id, &|_| true, at(seconds));
    admin::write(store.as_ref(), "token_revoke", acting(seconds), revoke).await.expect("revokes")
}

/// Whether the host was revoked by this call.
pub(crate) async fn host_revoke(store: &Arc<dyn Store>, host: HostId, seconds: u64) -> Result<bool, StoreError> {
    let done = host_action(store, acting(seconds), HostActionKind::Revoke, HostsMeant::Named(vec![host])).await?;
    Ok(done.changed.len() == 1)
}

pub(super) fn hosts_asked(kind: HostActionKind, hosts: HostsMeant, now: Timestamp) -> HostsAsked {
    HostsAsked { kind, hosts, sites: SiteScope::All, reason: "a test".to_owned(), now }
}

/// Does an action on hosts; panics if there is no such token.
pub(super) async fn host_action(
    store: &Arc<dyn Store>,
    acting: Acting,
    kind: HostActionKind,
    hosts: HostsMeant,
) -> Result<PortionDone, StoreError> {
    let asked = hosts_asked(kind, hosts, acting.now);
    let act = move |tx: &mut dyn AdminTx| admin::hosts::act(tx, &asked);
    Ok(admin::write(store.as_ref(), "host_action", acting, act).await?.expect("a known token"))
}

/// The entry of a revocation by [`host_revoke`].
pub(crate) fn revoked_entry(n: u8) -> Entry {
    let reason = Digest::of(b"a test");
    Entry::HostsRevoked(HostAction { hosts: vec![host(n)], token: None, reason })
}

/// The ledger after a number, oldest entry first.
pub(crate) async fn ledger(store: &Arc<dyn Store>, after: u64, most: usize) -> Vec<LedgerRow> {
    let follow = move |tx: &mut dyn AdminTx| admin::ledger::follow(tx, after, most);
    admin::read(store.as_ref(), "ledger_follow", follow).await.expect("reads")
}

/// Creates the token and enrolls hosts 1 to `n`.
pub(crate) async fn enrolled(store: &Arc<dyn Store>, n: u8) {
    token_create(store, new_token(0)).await.expect("token");
    for n in 1..=n {
        let answer = store.host_enroll(enrollment(n)).await.expect("enrolls");
        assert_eq!(answer, Enrolled::Host { host: host(n), site: site() });
    }
}

pub(crate) fn packages(names: &[(&str, &str)]) -> Section {
    let package = |(name, version): &(&str, &str)| Observation {
        vendor: "Debian".to_owned(),
        version: (*version).to_owned(),
        id: format!("{name}:amd64"),
        state: "install ok installed".to_owned(),
        ..Observation::new(Kind::Deb, *name)
    };
    Section::new(Platform::Linux, SourceName::Dpkg, names.iter().map(package).collect())
}

pub(super) fn units(names: &[&str]) -> Section {
    let unit = |name: &&str| Observation {
        path: format!("/lib/systemd/system/{name}"),
        ..Observation::new(Kind::Service, *name)
    };
    Section::new(Platform::Linux, SourceName::SystemdUnits, names.iter().map(unit).collect())
}

/// The snapshot of these sections.
pub(crate) fn snapshot(sections: &[Section]) -> Snapshot {
    let entry = |section: &Section| SnapshotEntry {
        source: section.source(),
        outcome: Outcome::Found,
        reason: String::new(),
        watchlist: 0,
        section: Some(canonical::section_digest(section)),
    };
    Snapshot::new(Platform::Linux, sections.iter().map(entry).collect())
}

pub(super) fn part(section: &Section) -> CanonicalSection {
    CanonicalSection::from(section)
}

/// A delivery of the snapshot of `sections` in which only `sent` are uploaded.
pub(crate) fn delivery(n: u8, seq: u64, seconds: u64, sections: &[Section], sent: &[Section]) -> Delivery {
    let snapshot = snapshot(sections);
    Delivery {
        host: host(n),
        run: run(n),
        seq,
        observed_at: at(seconds),
        now: at(seconds),
        digest: canonical::snapshot_digest(&snapshot),
        snapshot: Some(snapshot),
        sections: sent.iter().map(part).collect(),
        allowance: Allowance::unlimited(),
    }
}

pub(crate) fn check_in(n: u8, seq: u64, seconds: u64, sections: &[Section]) -> CheckIn {
    CheckIn {
        host: host(n),
        run: run(n),
        seq,
        observed_at: at(seconds),
        now: at(seconds),
        snapshot: canonical::snapshot_digest(&snapshot(sections)),
        facts: None,
        state: None,
        fingerprint: Vec::new(),
        patience: None,
        allowance: Allowance::unlimited(),
    }
}

/// Checks in with these sections and uploads those that the store wants.
pub(crate) async fn reports(store: &Arc<dyn Store>, n: u8, seq: u64, seconds: u64, sections: &[Section]) {
    match store.check_in(check_in(n, seq, seconds, sections)).await.expect("checks in") {
        CheckInAnswer::Current => {}
        CheckInAnswer::SnapshotWanted | CheckInAnswer::SectionsWanted(_) => {
            let answer = store.snapshot_deliver(delivery(n, seq, seconds, sections, sections)).await.expect("delivers");
            assert_eq!(answer, Delivered::Accepted);
        }
        other @ (CheckInAnswer::StateWanted
        | CheckInAnswer::NewRun
        | CheckInAnswer::Contradicts(_)
        | CheckInAnswer::Throttled
        | CheckInAnswer::HostUnknown) => panic!("{other:?}"),
    }
}

pub(crate) async fn current(store: &Arc<dyn Store>, n: u8) -> Option<Digest> {
    store.host_get(host(n)).await.expect("gets").expect("is there").snapshot.map(|snapshot| snapshot.digest)
}

pub(crate) fn judged(lane: Lane) -> JudgedOrder {
    JudgedOrder {
        order: order(),
        awake_lane: lane,
        in_scope: true,
        presence: Presence::None,
        protection: Protection::NotRequired,
        due: Some(at(10_000)),
        reason: format!("it is in {lane}"),
        advice: "nothing is to be done".to_owned(),
        remediation: Remediation::default(),
        attestation: None,
        opens_duties: false,
    }
}

pub(crate) fn judgement(host: &QueuedHost, orders: Vec<JudgedOrder>) -> Judgement {
    let snapshot = host.snapshot.map(|(digest, _)| digest);
    let state_key = Some(Digest::of(host.state.boot_id.as_bytes()));
    Judgement { host: host.host, ticket: host.ticket, snapshot, state_key, orders }
}

/// Settles judgements under the first rules.
pub(crate) async fn settled(store: &Arc<dyn Store>, judgements: Vec<Judgement>, now: Timestamp) {
    settled_under("r1", store, judgements, now).await;
}

/// Settles judgements under these rules.
pub(crate) async fn settled_under(rules: &str, store: &Arc<dyn Store>, judgements: Vec<Judgement>, now: Timestamp) {
    let rules_version = rules.to_owned();
    let settlement = Settlement { judgements, rules_version, now, ..Settlement::default() };
    store.queue_settle(settlement).await.expect("settles");
}

/// Judges every host that waits into this lane.
pub(super) async fn all_judged(store: &Arc<dyn Store>, lane: Lane, seconds: u64) {
    let claimed = store.queue_claim(1000, at(seconds)).await.expect("claims");
    let judgements = claimed.iter().map(|host| judgement(host, vec![judged(lane)])).collect();
    settled(store, judgements, at(seconds)).await;
}

pub(crate) async fn assert_healthy(store: &Arc<dyn Store>) {
    assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new());
}

pub(super) fn state(boot: &str) -> HostState {
    HostState { boot_id: boot.to_owned(), addresses: vec!["192.0.2.7".to_owned()], ..HostState::default() }
}

/// Two hosts with snapshots and verdicts: the store then has a row of every kind that the check reads.
pub(crate) async fn small_fleet(store: &Arc<dyn Store>) {
    enrolled(store, 2).await;
    let all = [packages(&[("kesl", "12"), ("adduser", "3")]), units(&["kesl.service"])];
    reports(store, 1, 1, 10, &all).await;
    reports(store, 2, 1, 10, &all[..1]).await;
    all_judged(store, Lane::Replace, 11).await;
}

/// Another snapshot and another lane for both hosts of the small fleet.
pub(crate) async fn second_snapshot(store: &Arc<dyn Store>) {
    for n in 1..=2 {
        reports(store, n, 2, 20, &[packages(&[("adduser", "3.1")])]).await;
    }
    all_judged(store, Lane::Clear, 21).await;
}

/// A delivery of host 1 that takes megabytes.
pub(crate) async fn large_delivery(store: &Arc<dyn Store>) -> Result<Delivered, StoreError> {
    let names: Vec<String> = (0..4_500).map(|n| format!("{:0>400}", n * 7919)).collect();
    let rows: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let all = [packages(&rows)];
    store.snapshot_deliver(delivery(1, 2, 20, &all, &all)).await
}

/// The scope of those who act on the whole fleet.
pub(super) fn whole() -> SiteScope {
    SiteScope::default()
}

pub(super) fn new_account(name: &str, role: Role, sites: &[&str], second: u64) -> NewAccount {
    NewAccount {
        id: AccountId::new(format!("id-{name}")).expect("an id"),
        name: AccountName::new(name).expect("a name"),
        role,
        holder: Holder::Person,
        sites: sites.iter().map(|site| SiteId::new(*site).expect("a site")).collect(),
        token: new_account_token(&format!("t-{name}")),
        now: at(second),
    }
}

pub(super) fn new_account_token(id: &str) -> NewAccountToken {
    NewAccountToken { id: TokenId::new(id).expect("an id"), secret_hash: [5; 32], expires_at: Some(at(1_000)) }
}

pub(super) async fn create(store: &Arc<dyn Store>, new: NewAccount) -> Result<AccountReport, AccountRefusal> {
    let now = new.now;
    let create = move |tx: &mut dyn AdminTx| accounts::create(tx, &whole(), &new);
    let acting = Acting { now, ..acting(0) };
    admin::write(store.as_ref(), "account_create", acting, create).await.expect("asks")
}

/// What an account does.
pub(super) fn account_acting(name: &str, second: u64) -> Acting {
    let account = AccountId::new(format!("id-{name}")).expect("an id");
    Acting { actor: Actor::Account { account, token: TokenId::new("t").expect("an id") }, now: at(second) }
}

/// A viewer with this token: `t-NAME`.
pub(super) async fn create_viewer(store: &Arc<dyn Store>, name: &str, sites: &[&str]) {
    create(store, new_account(name, Role::Viewer, sites, 1)).await.expect("creates");
}

/// Revokes an account.
pub(super) async fn revoke_account(store: &Arc<dyn Store>, name: &'static str, second: u64) {
    let revoke = move |tx: &mut dyn AdminTx| accounts::revoke(tx, &whole(), name, at(second));
    admin::write(store.as_ref(), "account_revoke", acting(second), revoke).await.expect("asks").expect("revokes");
}
