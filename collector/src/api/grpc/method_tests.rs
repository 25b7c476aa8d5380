//! Walks every method with every role, with accounts of the whole fleet, of one site and of another, and without an
//! account.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt as _;
use muster_proto::model::{AccountName, CaPin, DutySubject, Holder, HostId, Lane, Role, SiteId, Timestamp};
use muster_proto::wire;
use prost::Message as _;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::actions::{self, AccountRequest, Caller};
use crate::api::grpc::{Fleet, OperatorsGate, operators_routes};
use crate::api::methods::{METHODS, SERVICE, SiteRule, rule_of};
use crate::api::{Access, ResourceWatch, probes::Readiness};
use crate::judge::NewDuty;
use crate::store::{self, NewToken, SiteScope, Store, admin};
use crate::telemetry::Metrics;

/// Each site has a host, a token and an account that are named after it.
const SITES: [&str; 2] = ["north", "south"];
const START: i64 = 1_767_000_000_000;
const ORDER: &str = "us-bis-icts-2021-002";
/// Duties of each host. Those of `north` have the first numbers.
const DUTIES: u64 = 10;

struct Lab {
    store: Arc<dyn Store>,
    gate: OperatorsGate,
    _folder: tempfile::TempDir,
}

fn now() -> Timestamp {
    Timestamp::from_millis(START)
}

fn root() -> Caller {
    Caller::collector("root")
}

impl Lab {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        let rules = Arc::new(ArcSwap::from_pointee(crate::rules::load(None).expect("rules")));
        keep(&store, &rules.load()).await;
        let metrics = Metrics::new();
        let clock: crate::clock::Clock = Arc::new(now);
        let readiness = Arc::new(Readiness::default());
        let pin = CaPin::from_bytes([1; 32]);
        let fleet = Fleet::new(
            Arc::clone(&store),
            Arc::clone(&rules),
            Arc::clone(&clock),
            pin,
            readiness,
            (crate::reports::roomy_searches(), crate::reports::Timelines::default(), crate::config::Waivers::default()),
            Arc::new(ResourceWatch::new(Arc::clone(&metrics), None, None)),
        );
        let (_, health) = tonic_health::server::health_reporter();
        let routes = operators_routes(fleet, health).expect("routes");
        let access = Access::new(Arc::clone(&store), clock, Arc::clone(&metrics));
        let gate = OperatorsGate::new(routes, access, metrics);
        let lab = Self { store, gate, _folder: folder };
        for (n, site) in (1..).zip(SITES) {
            lab.settle(n, site).await;
        }
        lab.roster(&rules.load()).await;
        lab.waivers(&rules.load_full()).await;
        lab
    }

    /// A host, an enrollment token and an account at a site.
    async fn settle(&self, n: u8, site: &str) {
        let new = NewToken {
            id: format!("token-{site}").parse().expect("an id"),
            secret_hash: [9; 32],
            site: SiteId::new(site).expect("a site"),
            created_at: now(),
            expires_at: Timestamp::from_millis(START + 3_600_000),
            max_uses: 0,
        };
        let id = new.id.clone();
        let create = move |tx: &mut dyn admin::AdminTx| admin::tokens::create(tx, &new);
        let acting = store::Acting { actor: root().actor, now: now() };
        admin::write(self.store.as_ref(), "token_create", acting, create).await.expect("creates");
        let host_id = store::contract::host(n);
        let mut host = store::contract::enrollment(n);
        host.token = id;
        host.facts.hostname = format!("host-{site}");
        host.now = now();
        assert!(matches!(self.store.host_enroll(host).await, Ok(store::Enrolled::Host { .. })));
        // One image: both hosts have the same snapshot.
        let sections = [store::contract::packages(&[("curl", "8.1"), ("kesl", "12.0")])];
        let delivery = store::Delivery {
            host: host_id,
            observed_at: now(),
            now: now(),
            ..store::contract::delivery(n, 1, 1, &sections, &sections)
        };
        assert_eq!(self.store.snapshot_deliver(delivery).await.expect("delivers"), store::Delivered::Accepted);
        let claimed = self.store.queue_claim(10, now()).await.expect("claims");
        let judged = || vec![store::contract::judged(Lane::Replace)];
        let judgements = claimed.iter().map(|host| store::contract::judgement(host, judged())).collect();
        store::contract::settled(&self.store, judgements, now()).await;
        self.duties(host_id).await;
        self.account(&format!("account-{site}"), Role::Viewer, &[site]).await;
    }

    /// Open duties about a host: one to be read, and one for each account to be done.
    async fn duties(&self, host: HostId) {
        let duty = |second: u64| NewDuty {
            order: ORDER.parse().expect("an id"),
            clock: "report".to_owned(),
            subject: DutySubject::Host(host),
            opened: now().plus(std::time::Duration::from_secs(second)),
            due: now().plus(std::time::Duration::from_secs(1_000)),
            once: false,
            by_finding: false,
        };
        let new: Vec<NewDuty> = (0..DUTIES).map(duty).collect();
        let open = move |tx: &mut dyn admin::AdminTx| admin::duties::open(tx, &new, now());
        let acting = store::Acting { actor: root().actor, now: now() };
        admin::write(self.store.as_ref(), "duties_open", acting, open).await.expect("opens");
    }

    /// Two entries of the roster at each site; those of `north` have the first numbers.
    async fn roster(&self, rules: &crate::rules::RuleSet) {
        let list = actions::ListAsked {
            source: "directory".to_owned(),
            file: "list.csv".to_owned(),
            dry_run: false,
            accept_loss: false,
            rows: 4,
        };
        let (store, clock) = (Arc::clone(&self.store), Arc::new(now));
        let mut import = actions::RosterImport::begin(store, &root(), rules, clock, list).await.expect("begins");
        let row = |site: &str, n: u8| wire::RosterRow {
            name: format!("pc-{site}-{n}"),
            site: site.to_owned(),
            ..Default::default()
        };
        let rows = SITES.iter().flat_map(|site| [row(site, 1), row(site, 2)]);
        import.push(rows.map(|row| row.try_into().expect("a row")).collect()).await.expect("pushes");
        import.finish().await.expect("imports");
    }

    /// Waivers of the host of `north` that wait: one to be read, and one for each account to be refused.
    async fn waivers(&self, rules: &crate::rules::RuleSet) {
        let asker = self.caller("asker").await;
        for _ in 0..=DUTIES {
            let asked = actions::WaiverAsked {
                order: ORDER.parse().expect("an id"),
                reason: muster_proto::model::WaiverReason::Research,
                control: "a test".to_owned(),
                until: Timestamp::from_millis(START + 86_400_000),
                beyond_milestone: true,
            };
            let (settings, hosts) = (crate::config::Waivers::default(), [store::contract::host(1)].into());
            let clock: crate::clock::Clock = Arc::new(now);
            let store = self.store.as_ref();
            actions::waiver_ask(store, &asker, rules, &settings, &asked, hosts, &clock).await.expect("asks");
        }
    }

    /// A new operator of the whole fleet.
    async fn caller(&self, name: &str) -> Caller {
        let header = self.account(name, Role::Operator, &[]).await;
        let token = header.trim_start_matches("Bearer ").parse().expect("a token");
        let found = actions::account_by_token(self.store.as_ref(), &token, now()).await;
        found.expect("reads").expect("is there")
    }

    /// The header of a new account.
    async fn account(&self, name: &str, role: Role, sites: &[&str]) -> String {
        let sites = sites.iter().map(|site| SiteId::new(*site).expect("a site")).collect();
        let name = AccountName::new(name).expect("a name");
        let new = AccountRequest { name, role, holder: Holder::Person, sites, lifetime: None };
        let created = actions::account_create(self.store.as_ref(), &root(), new, now()).await;
        format!("Bearer {}", created.expect("creates").0)
    }

    /// The code of the answer, and its bytes.
    async fn call(&self, method: &str, message: &[u8], authorization: Option<&str>) -> (Code, Vec<u8>) {
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
        framed.extend(message);
        let mut request = Request::post(format!("http://collector/{SERVICE}/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(value) = authorization {
            request = request.header("authorization", HeaderValue::from_str(value).expect("a header"));
        }
        let body = Body::new(http_body_util::Full::new(bytes::Bytes::from(framed)));
        let response = self.gate.clone().answer(request.body(body).expect("a request")).await;
        let (head, body) = response.into_parts();
        let collected = body.collect().await.expect("a body");
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let text = |headers: &HeaderMap| Status::from_header_map(headers).map(|status| status.message().to_owned());
        let message = text(&head.headers).or_else(|| text(&trailers)).unwrap_or_default();
        let code = |headers: &HeaderMap| Status::from_header_map(headers).map(|status| status.code());
        let code = code(&head.headers).or_else(|| code(&trailers)).unwrap_or(Code::Unknown);
        // The text of a refusal is a part of the answer, too.
        (code, [collected.to_bytes().to_vec(), message.into_bytes()].concat())
    }
}

/// Keeps rules and puts them in force.
async fn keep(store: &Arc<dyn Store>, rules: &crate::rules::RuleSet) {
    let kept = |order: &crate::rules::Order| admin::orders::KeptOrder {
        id: order.id.clone(),
        patience: order.patience,
        platforms: order.scope.platforms.clone(),
        sites: order.scope.sites.clone(),
    };
    let [shipped, overlay] = rules.base.packs();
    let set = admin::orders::KeptRules {
        version: rules.version.clone(),
        revision: 0,
        active: rules.active_orders().map(kept).collect(),
        packs: [shipped.into(), overlay.into(), overlay.into()],
        shortest: rules.shortest_patience(),
        kept_at: now(),
    };
    let keep = move |tx: &mut dyn admin::AdminTx| admin::orders::keep(tx, &set);
    let acting = store::Acting { actor: root().actor, now: now() };
    admin::write(store.as_ref(), "rules_keep", acting, keep).await.expect("keeps");
    store.rules_adopt(&rules.version, now()).await.expect("adopts");
}

/// A valid request of each method about a site. Requests of methods that change something are valid once.
fn request(method: &str, site: &str, n: usize) -> Vec<u8> {
    let (host, account) = (format!("host-{site}"), format!("account-{site}"));
    match method {
        "GetHost" => wire::GetHostRequest { host }.encode_to_vec(),
        "ExplainHost" => wire::ExplainHostRequest { host, ..Default::default() }.encode_to_vec(),
        "ListPastHosts" => wire::ListPastHostsRequest { as_of_ms: START, ..Default::default() }.encode_to_vec(),
        "GetPastHost" => wire::GetPastHostRequest { host, as_of_ms: START, order: String::new() }.encode_to_vec(),
        "GetTimeline" => {
            wire::GetTimelineRequest { order: ORDER.to_owned(), by: 1, ..Default::default() }.encode_to_vec()
        }
        "GetForecast" => wire::GetForecastRequest { order: ORDER.to_owned(), ..Default::default() }.encode_to_vec(),
        "SearchSoftware" => {
            wire::SearchSoftwareRequest { text: "curl".to_owned(), host_rows: 10, ..Default::default() }.encode_to_vec()
        }
        "GetOrderFiles" => wire::GetOrderFilesRequest { id: ORDER.to_owned(), at_ms: None }.encode_to_vec(),
        "ApplyOrders" => {
            let text = format!("addendum = true\nid = \"acme-{n}\"\norder = \"{ORDER}\"\n");
            let file = wire::OrderFile { name: "acme.toml".to_owned(), text, sha256: String::new() };
            wire::ApplyOrdersRequest { files: vec![file], dry_run: true }.encode_to_vec()
        }
        "SwitchOrder" => wire::SwitchOrderRequest { id: ORDER.to_owned(), change: 2, dry_run: true }.encode_to_vec(),
        "GetProduct" => wire::GetProductRequest { id: "kaspersky-endpoint-security".to_owned() }.encode_to_vec(),
        "CreateEnrollmentToken" => {
            wire::CreateEnrollmentTokenRequest { site: site.to_owned(), ..Default::default() }.encode_to_vec()
        }
        "RevokeEnrollmentToken" => wire::RevokeEnrollmentTokenRequest { id: format!("token-{site}") }.encode_to_vec(),
        "RevokeHosts" | "ReleaseHosts" | "ReviewHosts" | "PurgeHosts" => {
            let (hosts, enrolled_with) = (vec![host], String::new());
            wire::HostActionRequest { hosts, enrolled_with, reason: "a test".to_owned() }.encode_to_vec()
        }
        "GetAccount" => wire::GetAccountRequest { account }.encode_to_vec(),
        "CreateAccount" => wire::CreateAccountRequest {
            name: format!("new-{site}-{n}"),
            role: 1,
            holder: 1,
            sites: vec![site.to_owned()],
            lifetime_ms: 0,
        }
        .encode_to_vec(),
        "RotateAccount" => wire::RotateAccountRequest { account, ..Default::default() }.encode_to_vec(),
        "RevokeAccount" => wire::RevokeAccountRequest { account: format!("spare-{site}-{n}") }.encode_to_vec(),
        "SetPassword" => {
            wire::SetPasswordRequest { account: String::new(), password: Some("velvet cactus orbit".to_owned()) }
                .encode_to_vec()
        }
        "GetAttestation" => wire::GetAttestationRequest { host, order: String::new() }.encode_to_vec(),
        "GetDuty" => wire::GetDutyRequest { number: 1 }.encode_to_vec(),
        "FinishDuty" => {
            // The accounts are counted from 0.
            let number = 2 + n as u64 % 100;
            wire::FinishDutyRequest { number, reference: "a report".to_owned(), evidence: None }.encode_to_vec()
        }
        "ImportRoster" => {
            let list = wire::ImportedList { source: "other".to_owned(), dry_run: true, rows: 1, ..Default::default() };
            let row = wire::RosterRow { name: format!("pc-{n}"), ..Default::default() };
            wire::ImportRosterRequest { list: Some(list), rows: vec![row] }.encode_to_vec()
        }
        "GetRosterEntry" => wire::GetRosterEntryRequest { number: 1 }.encode_to_vec(),
        "MatchRosterEntry" => wire::MatchRosterEntryRequest { number: 1, host }.encode_to_vec(),
        "UnmatchRosterEntry" => wire::UnmatchRosterEntryRequest { number: 1 }.encode_to_vec(),
        "ExcuseRosterEntry" => {
            wire::ExcuseRosterEntryRequest { number: 2, reason: "a test".to_owned() }.encode_to_vec()
        }
        "ChangeHosts" => {
            let selection = wire::HostSelection { filter: format!("name:{host}"), ..Default::default() };
            let (selection, value) = (Some(selection), format!("label-{n}"));
            wire::ChangeHostsRequest { selection, change: 1, value, ..Default::default() }.encode_to_vec()
        }
        "GetBulkChange" => wire::GetBulkChangeRequest { number: 1 }.encode_to_vec(),
        "AskWaiver" => {
            let asked = wire::WaiverAsked {
                order: ORDER.to_owned(),
                reason: 1,
                control: "a test".to_owned(),
                until_ms: START + 86_400_000,
                beyond_milestone: true,
            };
            let selection = Some(wire::HostSelection { by_lines: true, ..Default::default() });
            wire::AskWaiverRequest { asked: Some(asked), selection, lines: vec![store::contract::host(1).to_string()] }
                .encode_to_vec()
        }
        "GetWaiver" => wire::GetWaiverRequest { number: 1, ..Default::default() }.encode_to_vec(),
        "DecideWaiver" => {
            let refuse = wire::WaiverDecision::Refuse;
            wire::DecideWaiverRequest { number: 2 + n as u64 % 100, decision: refuse.into() }.encode_to_vec()
        }
        "RetireHosts" => {
            let selection = Some(wire::HostSelection { by_lines: true, ..Default::default() });
            let (lines, evidence) = (vec![store::contract::host(1).to_string()], "a test".to_owned());
            wire::RetireHostsRequest { selection, lines, kind: 1, evidence, file: None }.encode_to_vec()
        }
        "UnretireHosts" => {
            let selection = Some(wire::HostSelection { by_lines: true, ..Default::default() });
            wire::UnretireHostsRequest {
                selection,
                lines: vec![store::contract::host(1).to_string()],
                reason: "a test".to_owned(),
            }
            .encode_to_vec()
        }
        "GetDisposition" => wire::GetDispositionRequest { number: 1 }.encode_to_vec(),
        "DecideDisposition" => wire::DecideDispositionRequest { number: 1, approve: false }.encode_to_vec(),
        "GetLedgerEntry" => wire::GetLedgerEntryRequest { number: 1 }.encode_to_vec(),
        // The others need no fields.
        _ => Vec::new(),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn every_method_keeps_its_rule_for_every_role_and_site() {
    let lab = Lab::start().await;
    let mut accounts = BTreeMap::new();
    for role in Role::ALL {
        for (kind, sites) in [("fleet", &[][..]), ("own", &["north"][..]), ("foreign", &["south"][..])] {
            accounts.insert((*role, kind), lab.account(&format!("{role}-{kind}"), *role, sites).await);
        }
    }
    let search = request("SearchSoftware", "north", 0);
    let (_, answer) = lab.call("SearchSoftware", &search, Some(&accounts[&(Role::Admin, "fleet")])).await;
    assert!(
        contains(&answer, "host-north") && contains(&answer, "host-south"),
        "the search finds both before the purge"
    );
    for (row, method) in METHODS.iter().enumerate() {
        let name = method.name;
        for (column, ((role, kind), authorization)) in accounts.iter().enumerate() {
            let n = row * 100 + column;
            lab.account(&format!("spare-north-{n}"), Role::Viewer, &["north"]).await;
            // Every request is about the site `north`.
            let (code, answer) = lab.call(name, &request(name, "north", n), Some(authorization)).await;
            let told = format!("{name} by {role} of {kind}: {code:?}");
            if *role < method.role {
                assert_eq!(code, Code::PermissionDenied, "{told}");
                assert!(!contains(&answer, "-north") && !contains(&answer, "-south"), "{told}");
                continue;
            }
            match (method.sites, *kind) {
                // Its host is not `done`.
                (SiteRule::Named, "fleet" | "own") if name == "GetAttestation" => {
                    assert_eq!(code, Code::FailedPrecondition, "{told}");
                }
                // It is of an account of the whole fleet.
                (SiteRule::Named, "own") if name == "GetBulkChange" => assert_eq!(code, Code::NotFound, "{told}"),
                // The first of them takes the entry and its host apart, or refuses the disposition.
                (SiteRule::Named, "fleet" | "own") if ["UnmatchRosterEntry", "DecideDisposition"].contains(&name) => {
                    assert!(matches!(code, Code::Ok | Code::FailedPrecondition), "{told}");
                }
                (SiteRule::NoSite, _) | (_, "fleet") | (SiteRule::Filtered | SiteRule::Named, "own") => {
                    assert_eq!(code, Code::Ok, "{told}");
                }
                (SiteRule::Filtered, _) => assert_eq!(code, Code::Ok, "{told}"),
                (SiteRule::Named, _) => {
                    assert!(matches!(code, Code::NotFound | Code::PermissionDenied), "{told}");
                }
                (SiteRule::WholeFleet, _) => assert_eq!(code, Code::PermissionDenied, "{told}"),
            }
            // No answer names anything of a site that is not the caller's.
            let hidden = match *kind {
                "own" => Some("south"),
                "foreign" => Some("north"),
                _ => None,
            };
            // What the request itself names may come back in a refusal.
            let is_named = |site: &str| code == Code::Ok && contains(&answer, &format!("-{site}"));
            assert!(!hidden.is_some_and(is_named), "{told}: names {hidden:?}");
        }
        let unknown = format!("Bearer nobody.{}", "a".repeat(52));
        for authorization in [None, Some(unknown.as_str()), Some("Basic eA==")] {
            let (code, answer) = lab.call(name, &request(name, "north", 0), authorization).await;
            assert_eq!(code, Code::Unauthenticated, "{name} without an account");
            assert!(!contains(&answer, "-north") && !contains(&answer, "-south"), "{name} without an account");
        }
    }
    // What the lists show to the fleet, so that an empty list cannot pass for a filtered one.
    let fleet = &accounts[&(Role::Admin, "fleet")];
    for (method, texts) in [
        ("ListHosts", ["host-north", "host-south"]),
        ("ListFindings", ["host-north", "host-south"]),
        ("ListPastHosts", ["host-north", "host-south"]),
        ("ListChanges", ["host-north", "host-south"]),
        ("ListDuties", ["host-north", "host-south"]),
        ("ListRoster", ["pc-north-1", "pc-south-2"]),
        ("ListEnrollmentTokens", ["token-north", "token-south"]),
        ("ListAccounts", ["account-north", "account-south"]),
    ] {
        let (_, answer) = lab.call(method, &request(method, "north", 0), Some(fleet)).await;
        assert!(texts.iter().all(|text| contains(&answer, text)), "{method}");
    }
    // Numbers, too, are those of the caller's sites.
    for (kind, hosts) in [("fleet", 2), ("own", 1), ("foreign", 1)] {
        let (_, answer) = lab.call("GetBoard", &[], Some(&accounts[&(Role::Viewer, kind)])).await;
        let boards = wire::GetBoardResponse::decode(&answer[5..]).expect("a board").boards;
        let outside = |board: &wire::Board| board.outside.as_ref().map(|outside| outside.total);
        assert!(!boards.is_empty() && boards.iter().all(|board| outside(board) == Some(hosts)), "{kind}");
        let timeline = request("GetTimeline", "north", 0);
        let (_, answer) = lab.call("GetTimeline", &timeline, Some(&accounts[&(Role::Viewer, kind)])).await;
        let days = wire::GetTimelineResponse::decode(&answer[5..]).expect("a timeline").days;
        let machines = days.last().and_then(|day| day.counts.as_ref()).map(|counts| counts.total);
        // Two machines of the roster at each site never enrolled.
        assert_eq!(machines, Some(hosts * 3), "{kind}");
        let (_, answer) = lab.call("GetStatus", &[], Some(&accounts[&(Role::Viewer, kind)])).await;
        assert_eq!(wire::GetStatusResponse::decode(&answer[5..]).expect("a status").hosts, hosts, "{kind}");
    }
    assert_eq!(lab.store.host_count(&SiteScope::All).await.expect("counts"), 2);
}

#[tokio::test]
async fn a_token_that_expired_or_belongs_to_a_revoked_account_is_refused() {
    let lab = Lab::start().await;
    let name = AccountName::new("ada").expect("a name");
    let lifetime = Some(std::time::Duration::from_secs(60));
    let new = AccountRequest { name, role: Role::Viewer, holder: Holder::Person, sites: Vec::new(), lifetime };
    // Created a minute ago, so it expires now.
    let then = Timestamp::from_millis(START - 60_000);
    let created = actions::account_create(lab.store.as_ref(), &root(), new, then).await.expect("creates");
    let (code, _) = lab.call("GetStatus", &[], Some(&format!("Bearer {}", created.0))).await;
    assert_eq!(code, Code::Unauthenticated);
    let bob = lab.account("bob", Role::Viewer, &[]).await;
    assert_eq!(lab.call("GetStatus", &[], Some(&bob)).await.0, Code::Ok);
    actions::account_revoke(lab.store.as_ref(), &root(), "bob", now()).await.expect("revokes");
    assert_eq!(lab.call("GetStatus", &[], Some(&bob)).await.0, Code::Unauthenticated);
}

#[test]
fn every_method_of_the_contract_has_a_rule_and_no_other_has() {
    let schema = include_str!("../../../../proto/schema/muster/v1/fleet.proto");
    let mut declared: Vec<&str> = schema
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc "))
        .filter_map(|line| line.split('(').next())
        .collect();
    let mut listed = METHODS.map(|method| method.name).to_vec();
    declared.sort_unstable();
    listed.sort_unstable();
    assert_eq!(declared, listed);
}

#[test]
fn methods_that_change_something_are_not_for_viewers() {
    for method in METHODS {
        let reads = ["Get", "List", "Explain", "Search"].iter().any(|verb| method.name.starts_with(verb));
        // Everybody may make a link that logs the own account in, and set the own password.
        let is_own = ["CreateLoginLink", "SetPassword"].contains(&method.name);
        assert!(reads || is_own || method.role > Role::Viewer, "{}", method.name);
    }
    assert_eq!(rule_of("/muster.v1.FleetService/Tomorrow").0, Role::Admin);
    assert_eq!(rule_of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").0, Role::Viewer);
}
