//! A collector in memory with two sites, and what a browser sends to its pages.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use muster_proto::model::{
    AccountName, DutySubject, Holder, HostActionKind, HostId, Lane, Role, RosterRow, SiteId, Timestamp,
};
use tonic::body::Body;

use super::html;
use crate::actions::{self, AccountRequest, Caller, SessionTimes};
use crate::api::probes::Readiness;
use crate::api::web::{Web, WebParts};
use crate::api::{Access, ResourceWatch};
use crate::judge::NewDuty;
use crate::store::{self, NewToken, Store, admin, contract};
use crate::telemetry::Metrics;

pub(super) const ORDER: &str = "us-bis-icts-2021-002";
const START: i64 = 1_767_000_000_000;
/// The name of a hostile host.
pub(super) const HOSTILE: &str = "<img src=x onerror=\"alert(1)\">\u{202e}'&amp;</td><script>alert(2)</script>";

pub(super) struct Lab {
    store: Arc<dyn Store>,
    web: Web,
    millis: Arc<AtomicI64>,
    rules: Arc<ArcSwap<crate::rules::RuleSet>>,
    _folder: tempfile::TempDir,
}

/// What a browser gets.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The page, read strictly.
    pub(super) fn html(&self) -> html::Element {
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8", "{} {}", self.status, self.text);
        html::read(&self.text).unwrap_or_else(|fault| panic!("{fault} in\n{}", self.text))
    }

    /// The cookie that it sets, as the browser sends it.
    pub(super) fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
    }
}

pub(super) fn root() -> Caller {
    Caller::collector("root")
}

impl Lab {
    /// Two sites with a host, duties and entries of the roster each.
    pub(super) async fn start() -> Self {
        let lab = Self::empty().await;
        for (n, site) in (1..).zip(["north", "south"]) {
            lab.host(n, &format!("host-{site}"), site, &[("curl", "8.1"), ("kesl", "12.0")]).await;
            lab.duties(contract::host(n)).await;
        }
        let row = |site: &str| RosterRow { name: format!("pc-{site}"), site: site.to_owned(), ..RosterRow::default() };
        lab.roster(vec![row("north"), row("south")]).await;
        lab
    }

    pub(super) async fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        let rules = Arc::new(ArcSwap::from_pointee(crate::rules::load(None).expect("rules")));
        let millis = Arc::new(AtomicI64::new(START));
        let hand = Arc::clone(&millis);
        let clock: crate::clock::Clock = Arc::new(move || Timestamp::from_millis(hand.load(Ordering::SeqCst)));
        let metrics = Metrics::new();
        let web = Web::new(WebParts {
            store: Arc::clone(&store),
            rules: Arc::clone(&rules),
            clock: Arc::clone(&clock),
            access: Access::new(Arc::clone(&store), clock, Arc::clone(&metrics)),
            searches: crate::reports::roomy_searches(),
            readiness: Arc::new(Readiness::default()),
            resources: Arc::new(ResourceWatch::new(metrics, None)),
            sessions: SessionTimes { whole: Duration::from_secs(12 * 3600), idle: Duration::from_secs(3600) },
            page_deadline: Duration::from_secs(60),
        });
        let lab = Self { store, web, millis, rules, _folder: folder };
        lab.keep_rules().await;
        lab
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    pub(super) fn later(&self, seconds: i64) {
        self.millis.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    fn acting(&self) -> store::Acting {
        store::Acting { actor: root().actor, now: self.now() }
    }

    async fn keep_rules(&self) {
        let rules = self.rules.load_full();
        let [shipped, overlay] = rules.base.packs();
        let set = admin::orders::KeptRules {
            version: rules.version.clone(),
            revision: 0,
            active: ORDER.to_owned(),
            packs: [shipped.into(), overlay.into(), overlay.into()],
            kept_at: self.now(),
        };
        let keep = move |tx: &mut dyn admin::AdminTx| admin::orders::keep(tx, &set);
        admin::write(self.store(), "rules_keep", self.acting(), keep).await.expect("keeps");
        self.store.rules_adopt(&rules.version, self.now()).await.expect("adopts");
    }

    /// A judged host in the lane `replace`.
    async fn host(&self, n: u8, name: &str, site: &str, software: &[(&str, &str)]) {
        let token = NewToken {
            id: format!("token-{n}").parse().expect("an id"),
            secret_hash: [9; 32],
            site: SiteId::new(site).expect("a site"),
            created_at: self.now(),
            expires_at: self.now().plus(Duration::from_secs(3600)),
            max_uses: 0,
        };
        let id = token.id.clone();
        let create = move |tx: &mut dyn admin::AdminTx| admin::tokens::create(tx, &token);
        admin::write(self.store(), "token_create", self.acting(), create).await.expect("creates");
        let mut host = contract::enrollment(n);
        host.token = id;
        name.clone_into(&mut host.facts.hostname);
        host.facts.kernel = format!("6.1 of {name}");
        host.now = self.now();
        assert!(matches!(self.store.host_enroll(host).await, Ok(store::Enrolled::Host { .. })));
        let sections = [contract::packages(software)];
        let (now, id) = (self.now(), contract::host(n));
        let sent = contract::delivery(n, 1, 1, &sections, &sections);
        let delivery = store::Delivery { host: id, observed_at: now, now, ..sent };
        assert_eq!(self.store.snapshot_deliver(delivery).await.expect("delivers"), store::Delivered::Accepted);
        self.judge().await;
    }

    async fn judge(&self) {
        let claimed = self.store.queue_claim(500, self.now()).await.expect("claims");
        let judged = || vec![contract::judged(Lane::Replace)];
        let judgements = claimed.iter().map(|host| contract::judgement(host, judged())).collect();
        contract::settled(&self.store, judgements, self.now()).await;
    }

    /// More hosts at the site `north`, with these numbers.
    pub(super) async fn hosts(&self, numbers: Range<u8>) {
        for n in numbers {
            self.host(n, &format!("more-{n:03}"), "north", &[("curl", "8.1")]).await;
        }
    }

    async fn duties(&self, host: HostId) {
        let duty = |second: u64| NewDuty {
            order: ORDER.parse().expect("an id"),
            clock: "report".to_owned(),
            subject: DutySubject::Host(host),
            opened: self.now().plus(Duration::from_secs(second)),
            due: self.now().plus(Duration::from_secs(1_000)),
            once: false,
            by_finding: false,
        };
        let (new, now) = ([0, 1].map(duty).to_vec(), self.now());
        let open = move |tx: &mut dyn admin::AdminTx| admin::duties::open(tx, &new, now);
        admin::write(self.store(), "duties_open", self.acting(), open).await.expect("opens");
    }

    async fn roster(&self, rows: Vec<RosterRow>) {
        let list = actions::ListAsked {
            source: "directory".to_owned(),
            file: "list.csv".to_owned(),
            dry_run: false,
            accept_loss: false,
            rows: rows.len() as u64,
        };
        let (store, now) = (Arc::clone(&self.store), self.now());
        let rules = self.rules.load_full();
        let begun = actions::RosterImport::begin(store, &root(), &rules, Arc::new(move || now), list).await;
        let mut import = begun.expect("begins");
        import.push(rows).await.expect("pushes");
        import.finish().await.expect("imports");
    }

    /// Texts of everybody who may write one, with markup in them.
    pub(super) async fn hostile(&self) {
        let software = [(HOSTILE, "<b>1</b>"), ("<script>alert(3)</script>", "=1+1")];
        self.host(9, HOSTILE, "north", &software).await;
        self.duties(contract::host(9)).await;
        let long = format!("{HOSTILE}{}", "x".repeat(200));
        let row = RosterRow {
            name: HOSTILE.to_owned(),
            owner: long.clone(),
            serial: "<b>serial</b>".to_owned(),
            site: "north".to_owned(),
            ..RosterRow::default()
        };
        // A list that lost its rows would not be imported.
        let other =
            |site: &str| RosterRow { name: format!("pc-{site}"), site: site.to_owned(), ..RosterRow::default() };
        self.roster(vec![other("north"), other("south"), row]).await;
        let reason = "<i onclick=alert(4)>stolen</i>".to_owned();
        let asked = admin::hosts::HostsAsked {
            kind: HostActionKind::Revoke,
            hosts: admin::hosts::HostsMeant::Named(vec![contract::host(9)]),
            sites: store::SiteScope::All,
            reason,
            now: self.now(),
        };
        let act = move |tx: &mut dyn admin::AdminTx| admin::hosts::act(tx, &asked).map(drop);
        admin::write(self.store(), "hosts_revoke", self.acting(), act).await.expect("revokes");
        let rules = self.rules.load_full();
        let (caller, now) = (root(), self.now());
        let done = actions::duty_finish(self.store(), &caller, &rules, 5, "<u>AB-7</u>", None, now).await;
        done.expect("a duty is done");
        self.judge().await;
    }

    pub(super) async fn hostile_host(&self) -> HostId {
        contract::host(9)
    }

    /// A new account; returns its token.
    pub(super) async fn account(&self, name: &str, role: Role, sites: &[&str]) -> String {
        let sites = sites.iter().map(|site| SiteId::new(*site).expect("a site")).collect();
        let name = AccountName::new(name).expect("a name");
        let new = AccountRequest { name, role, holder: Holder::Person, sites, lifetime: None };
        actions::account_create(self.store(), &root(), new, self.now()).await.expect("creates").0.to_string()
    }

    /// The cookie of a new account that has logged in.
    pub(super) async fn login(&self, name: &str, role: Role, sites: &[&str]) -> String {
        self.login_with(&self.account(name, role, sites).await).await.0
    }

    pub(super) async fn login_with(&self, token: &str) -> (String, Answer) {
        let answer = self.post("/login", &format!("token={token}"), None).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"), "{}", answer.text);
        (answer.cookie(), answer)
    }

    pub(super) async fn get(&self, address: &str, cookie: Option<&str>) -> Answer {
        self.send("GET", address, "", cookie, &BTreeMap::new()).await
    }

    /// What the script sends.
    pub(super) async fn refresh(&self, address: &str, cookie: &str) -> Answer {
        self.send("GET", address, "", Some(cookie), &[("x-muster-refresh", "1")].into()).await
    }

    pub(super) async fn post(&self, address: &str, form: &str, cookie: Option<&str>) -> Answer {
        self.post_from(address, form, cookie, Some("same-origin")).await
    }

    pub(super) async fn post_from(
        &self,
        address: &str,
        form: &str,
        cookie: Option<&str>,
        site: Option<&str>,
    ) -> Answer {
        let headers = site.map(|site| ("sec-fetch-site", site)).into_iter().collect();
        self.send("POST", address, form, cookie, &headers).await
    }

    async fn send(
        &self,
        method: &str,
        address: &str,
        form: &str,
        cookie: Option<&str>,
        headers: &BTreeMap<&str, &str>,
    ) -> Answer {
        let mut request =
            Request::builder().method(method).uri(address).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let body = Body::new(http_body_util::Full::new(bytes::Bytes::from(form.to_owned())));
        let response = self.web.clone().answer(request.body(body).expect("a request")).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Answer { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).expect("text") }
    }
}
