//! What the collector of the tests knows: hosts, duties, the roster, notes, waivers and dispositions.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{DispositionKind, DutySubject, HostActionKind, HostId, Role, RosterRow, WaiverReason};

use super::{HOSTILE, Lab, ORDER, root};
use crate::actions::{self, Caller, DispositionAsked};
use crate::judge::NewDuty;
use crate::store::{self, admin, contract};

impl Lab {
    /// More hosts at the site `north`, with these numbers.
    pub(in crate::api::web::tests) async fn hosts(&self, numbers: Range<u8>) {
        for n in numbers {
            self.host(n, &format!("more-{n:03}"), "north", &[("curl", "8.1")]).await;
        }
    }

    pub(super) async fn duties(&self, host: HostId) {
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

    pub(in crate::api::web::tests) async fn roster(&self, rows: Vec<RosterRow>) {
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
        let clock: crate::clock::Clock = Arc::new(move || now);
        actions::roster_advance(&self.store, &self.rules.load_full(), &clock).await.expect("matches");
    }

    /// Texts of everybody who may write one, with markup in them.
    pub(in crate::api::web::tests) async fn hostile(&self) {
        let software = [(HOSTILE, "<b>1</b>"), ("<script>alert(3)</script>", "=1+1")];
        self.host(8, "=1+1", "north", &software).await;
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
        let formula = RosterRow { name: "sum".to_owned(), owner: "=1+1".to_owned(), ..row.clone() };
        self.roster(vec![other("north"), other("south"), row, RosterRow { serial: "S2".to_owned(), ..formula }]).await;
        let asked = DispositionAsked {
            hosts: vec![contract::host(9)],
            kind: DispositionKind::Lost,
            evidence: HOSTILE.to_owned(),
            file: None,
        };
        let (asker, rules) = (self.caller("hostile").await, self.rules.load_full());
        actions::hosts_retire(self.store(), &asker, &rules, asked, self.now()).await.expect("asks");
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

    /// Two hosts of one name.
    pub(in crate::api::web::tests) async fn twins(&self) {
        for n in [20, 21] {
            self.host(n, "twin", "north", &[("curl", "8.1")]).await;
        }
    }

    /// So many notes of the host of `north`, with long texts.
    pub(in crate::api::web::tests) async fn notes(&self, count: usize) {
        let found = self.store.host_select(store::HostQuery { rows: 10, ..store::HostQuery::default() }).await;
        let found: Vec<_> = found.expect("selects").into_iter().filter(|host| host.id == contract::host(1)).collect();
        for n in 0..count {
            self.later(1);
            let note = actions::BulkChange::Note(format!("note-{n:03} {}", "n".repeat(1_500)));
            let now = self.now();
            let clock: crate::clock::Clock = Arc::new(move || now);
            actions::hosts_change(self.store(), &root(), &note, &found, &self.rules.load(), &clock)
                .await
                .expect("notes");
        }
    }

    /// A waiver of the host of `north`, asked for by a new account, and approved by another one if it is named.
    pub(in crate::api::web::tests) async fn waiver(&self, asker: &str, approver: Option<&str>) {
        let (asker, rules, now) = (self.caller(asker).await, self.rules.load_full(), self.now());
        let asked = actions::WaiverAsked {
            order: ORDER.parse().expect("an id"),
            reason: WaiverReason::Research,
            control: "a test".to_owned(),
            until: now.plus(Duration::from_secs(86_400)),
            beyond_milestone: true,
        };
        let (settings, hosts) = (crate::config::Waivers::default(), [contract::host(1)].into());
        let clock: crate::clock::Clock = Arc::new(move || now);
        let number = actions::waiver_ask(self.store(), &asker, &rules, &settings, &asked, hosts, &clock).await;
        let number = number.expect("asks");
        if let Some(approver) = approver {
            let approver = self.caller(approver).await;
            let approve = actions::WaiverDecision::Approve;
            actions::waiver_decide(self.store(), &approver, &settings, number, approve, now).await.expect("approves");
        }
    }

    /// Asks for the retirement of the host of `north`, which is not finished.
    pub(in crate::api::web::tests) async fn retire(&self) {
        let asked = DispositionAsked {
            hosts: vec![contract::host(1)],
            kind: DispositionKind::Sold,
            evidence: "receipt 7".to_owned(),
            file: None,
        };
        let (asker, rules) = (self.caller("seller").await, self.rules.load_full());
        actions::hosts_retire(self.store(), &asker, &rules, asked, self.now()).await.expect("asks");
    }

    /// A new operator of the whole fleet.
    async fn caller(&self, name: &str) -> Caller {
        let token = self.account(name, Role::Operator, &[]).await.parse().expect("a token");
        let found = actions::account_by_token(self.store(), &token, self.now()).await;
        found.expect("reads").expect("is there")
    }

    /// How many entries the ledger has.
    pub(in crate::api::web::tests) async fn ledger_entries(&self) -> usize {
        contract::ledger(&self.store, 0, 10_000).await.len()
    }

    pub(in crate::api::web::tests) async fn hostile_host(&self) -> HostId {
        contract::host(9)
    }
}
