//! A collector in memory with two sites, and what a browser sends to its pages.

mod fleet;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use muster_proto::model::{AccountName, CaPin, Holder, Lane, OrderId, Role, RosterRow, SiteId, Timestamp};
use muster_strict_html::Element;
use tonic::body::Body;

use crate::actions::{self, AccountRequest, Caller, SessionTimes};
use crate::api::probes::Readiness;
use crate::api::web::{Web, WebParts};
use crate::api::{Access, ResourceWatch};
use crate::store::{self, NewToken, Store, admin, contract};
use crate::telemetry::Metrics;

pub(super) const ORDER: &str = "us-bis-icts-2021-002";
/// Another order under which hosts can be judged.
pub(super) const OTHER_ORDER: &str = "de-bsi-2022-03-15";
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
    pub(super) fn html(&self) -> Element {
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8", "{} {}", self.status, self.text);
        muster_strict_html::read(&self.text).unwrap_or_else(|fault| panic!("{fault} in\n{}", self.text))
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
    /// The name of the cookie.
    pub(super) const COOKIE: &str = "__Host-muster-aeaqcaib";

    /// Two sites with a host, duties and entries of the roster each.
    pub(super) async fn start() -> Self {
        Self::start_with(&[ORDER]).await
    }

    /// The same with one waiver and one change of the host of `north`.
    pub(super) async fn start_with_exceptions() -> Self {
        let lab = Self::start().await;
        lab.waiver("asker", None).await;
        lab.notes(1).await;
        lab.retire().await;
        lab
    }

    /// The same with these orders active.
    pub(super) async fn start_with(orders: &[&str]) -> Self {
        let lab = Self::with_orders(orders).await;
        for (n, site) in (1..).zip(["north", "south"]) {
            lab.host(n, &format!("host-{site}"), site, &[("curl", "8.1"), ("kesl", "12.0")]).await;
            lab.duties(contract::host(n)).await;
        }
        let row = |site: &str| RosterRow { name: format!("pc-{site}"), site: site.to_owned(), ..RosterRow::default() };
        lab.roster(vec![row("north"), row("south")]).await;
        lab
    }

    pub(super) async fn empty() -> Self {
        Self::with_orders(&[ORDER]).await
    }

    async fn with_orders(orders: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        let active: Vec<OrderId> = orders.iter().map(|order| order.parse().expect("an id")).collect();
        let rules = crate::rules::load(None).expect("rules").with_active(&active).expect("usable orders");
        let rules = Arc::new(ArcSwap::from_pointee(rules));
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
            timelines: crate::reports::Timelines::default(),
            readiness: Arc::new(Readiness::default()),
            resources: Arc::new(ResourceWatch::new(metrics, None, None)),
            agents_url: "https://muster.example:7443".to_owned(),
            pin: CaPin::from_bytes([1; 32]),
            sessions: SessionTimes { whole: Duration::from_secs(12 * 3600), idle: Duration::from_secs(3600) },
            waivers: crate::config::Waivers::default(),
            has_company_certificate: false,
            passwords: Arc::default(),
            public_url: Some("https://board.example".to_owned()),
            provider: None,
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
        let kept = |order: &crate::rules::Order| admin::orders::KeptOrder {
            id: order.id.clone(),
            patience: order.patience,
            platforms: order.scope.platforms.clone(),
            sites: order.scope.sites.clone(),
        };
        let set = admin::orders::KeptRules {
            version: rules.version.clone(),
            revision: 0,
            active: rules.active_orders().map(kept).collect(),
            shortest: rules.shortest_patience(),
            packs: [shipped.into(), overlay.into(), overlay.into()],
            kept_at: self.now(),
        };
        let keep = move |tx: &mut dyn admin::AdminTx| admin::orders::keep(tx, &set);
        admin::write(self.store(), "rules_keep", self.acting(), keep).await.expect("keeps");
        self.store.rules_adopt(&rules.version, self.now()).await.expect("adopts");
    }

    /// A judged host in the lane `replace`.
    pub(super) async fn host(&self, n: u8, name: &str, site: &str, software: &[(&str, &str)]) {
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

    /// What a program sends.
    pub(super) async fn get_with_token(&self, address: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send("GET", address, "", None, &[("authorization", bearer.as_str())].into()).await
    }

    /// An answer whose body is read by the caller.
    pub(super) async fn open(&self, address: &str, cookie: Option<&str>, token: Option<&str>) -> Response<Body> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers = bearer.as_deref().map(|bearer| ("authorization", bearer)).into_iter().collect();
        self.ask("GET", address, "", cookie, &headers).await
    }

    /// Waits until no use of a session is being noted.
    pub(super) async fn quiet(&self) {
        self.web.quiet().await;
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

    /// Sends a form with fields and files: their fields, their names and their bytes.
    pub(super) async fn upload(
        &self,
        address: &str,
        fields: &[(&str, &str)],
        files: &[(&str, &str, &str)],
        cookie: &str,
    ) -> Answer {
        let mut body = String::new();
        for (field, value) in fields {
            body += &format!("--edge\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
        }
        for (field, name, bytes) in files {
            body += &format!(
                "--edge\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n{bytes}\r\n"
            );
        }
        body += "--edge--\r\n";
        let headers =
            [("sec-fetch-site", "same-origin"), ("content-type", "multipart/form-data; boundary=edge")].into();
        self.send("POST", address, &body, Some(cookie), &headers).await
    }

    async fn send(
        &self,
        method: &str,
        address: &str,
        form: &str,
        cookie: Option<&str>,
        headers: &BTreeMap<&str, &str>,
    ) -> Answer {
        let response = self.ask(method, address, form, cookie, headers).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        self.quiet().await;
        Answer { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).expect("text") }
    }

    async fn ask(
        &self,
        method: &str,
        address: &str,
        form: &str,
        cookie: Option<&str>,
        headers: &BTreeMap<&str, &str>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(address);
        if !headers.contains_key("content-type") {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let body = Body::new(http_body_util::Full::new(bytes::Bytes::from(form.to_owned())));
        self.web.clone().answer(request.body(body).expect("a request")).await
    }
}
