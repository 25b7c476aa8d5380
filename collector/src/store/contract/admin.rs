//! The door to the administrative tables, accounts, and reading the ledger.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use muster_proto::model::{AccountId, AccountReport, Budget, EntryKind, HostActionKind, Role, SiteId};

use super::kit::{
    account_acting, acting, all_judged, assert_healthy, at, create, enrolled, enrollment, host, host_action,
    host_revoke, hosts_asked, ledger, new_account, new_account_token, new_token, revoked_entry, site, small_fleet,
    token_create, token_id, token_list, token_revoke, whole,
};
use super::{Backend, duties};
use crate::ledger::actor::{Actor, ActorId};
use crate::ledger::entry::Entry;
use crate::store::admin::accounts::{self, NewAccount};
use crate::store::admin::hosts::HostsMeant;
use crate::store::admin::ledger::{ByActor, LedgerPage, LedgerQuery};
use crate::store::{AccountRefusal, AdminTx, NewToken, SiteScope, Store, StoreError, admin};

async fn accounts_of(store: &Arc<dyn Store>) -> Vec<AccountReport> {
    admin::read(store.as_ref(), "account_list", accounts::list).await.expect("lists")
}

pub(crate) async fn administrative_work_is_one_transaction_with_an_actor(backend: impl Backend) {
    const TOUCH: &str = "UPDATE enrollment_token SET uses = uses + 1";
    let store = backend.open();
    let no_entry = |tx: &mut dyn AdminTx| tx.execute(TOUCH, &[]).map(drop);
    token_create(&store, new_token(0)).await.expect("token");
    let error = admin::write(store.as_ref(), "touch", acting(1), no_entry).await.expect_err("no entry");
    assert_eq!(error.to_string(), "touch: administrative rows were changed without a ledger entry");
    assert_eq!(token_list(&store).await[0].uses, 0, "rolled back");
    // A read cannot write, and a statement that fails undoes what came before it.
    let error = admin::read(store.as_ref(), "touch", no_entry).await.expect_err("a read");
    assert_eq!(error.to_string(), "touch: an administrative read tried to write");
    let only_entry = |tx: &mut dyn AdminTx| {
        tx.record(Entry::TokenRevoked { token: token_id() });
        Ok(())
    };
    let error = admin::read(store.as_ref(), "note", only_entry).await.expect_err("a read");
    assert_eq!(error.to_string(), "note: an administrative read tried to write");
    let twice = |tx: &mut dyn AdminTx| {
        let new = NewToken { id: "other".parse().expect("an id"), ..new_token(0) };
        admin::tokens::create(tx, &new)?;
        admin::tokens::create(tx, &new)
    };
    let error = admin::write(store.as_ref(), "twice", acting(2), twice).await.expect_err("one id twice");
    assert!(matches!(error, StoreError::Operation { operation: "twice", .. }), "{error}");
    assert_eq!(token_list(&store).await.len(), 1);
    // Work that changes nothing needs no entry and leaves none.
    assert!(!token_revoke(&store, "nobody".parse().expect("an id"), 3).await);
    let entries = ledger(&store, 0, 10).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    // The same user of the machine keeps one number; an account is named by its id.
    assert!(token_revoke(&store, new_token(0).id, 4).await);
    let revoke = |tx: &mut dyn AdminTx| {
        admin::tokens::create(tx, &NewToken { id: "third".parse().expect("an id"), ..new_token(0) })
    };
    admin::write(store.as_ref(), "token_create", account_acting("ada", 5), revoke).await.expect("creates");
    let actors: Vec<ActorId> = ledger(&store, 0, 10).await.into_iter().map(|row| row.actor).collect();
    assert_eq!(actors[0], ActorId::Collector { user: 1 });
    assert_eq!(actors[1], actors[0]);
    assert_eq!(actors[2].account().map(AccountId::as_str), Some("id-ada"));
    assert_healthy(&store).await;
}

pub(crate) async fn a_host_that_administration_requeues_is_judged_again(backend: impl Backend) {
    let store = backend.open();
    small_fleet(&store).await;
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 0);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let requeue = move |tx: &mut dyn AdminTx| {
        counted.fetch_add(1, Ordering::Relaxed);
        let id = host(1);
        for row in tx.query("SELECT no FROM host_row WHERE id = $1", &[id.as_bytes().as_slice().into()])? {
            tx.requeue(row.int(0)?);
            tx.requeue(row.int(0)?);
        }
        Ok(())
    };
    admin::write(store.as_ref(), "requeue", acting(30), requeue).await.expect("requeues");
    assert!(runs.load(Ordering::Relaxed) >= 1);
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 1);
    let claimed = store.queue_claim(10, at(31)).await.expect("claims");
    assert_eq!(claimed.iter().map(|queued| queued.host).collect::<Vec<_>>(), [host(1)]);
    all_judged(&store, muster_proto::model::Lane::Clear, 100).await;
    assert_healthy(&store).await;
}

pub(crate) async fn accounts_are_created_rotated_and_revoked(backend: impl Backend) {
    let store = backend.open();
    create(&store, new_account("ada", Role::Admin, &[], 1)).await.expect("creates");
    let bob = create(&store, new_account("bob", Role::Operator, &["lab", "hq", "lab"], 2)).await.expect("creates");
    assert_eq!(bob.sites.iter().map(SiteId::as_str).collect::<Vec<_>>(), ["hq", "lab"]);
    assert_eq!(accounts_of(&store).await[1], bob, "it is read as it was created");
    let again = create(&store, new_account("bob", Role::Viewer, &[], 3)).await;
    assert_eq!(again, Err(AccountRefusal::NameTaken));
    // The caller's scope counts, also for what exists.
    let hq = SiteScope::of(&[site()]);
    let scope = hq.clone();
    let wide = move |tx: &mut dyn AdminTx| accounts::create(tx, &scope, &new_account("eve", Role::Viewer, &["lab"], 3));
    let refused = admin::write(store.as_ref(), "account_create", acting(3), wide).await.expect("asks");
    assert_eq!(refused, Err(AccountRefusal::BeyondCaller));
    let find = move |tx: &mut dyn AdminTx| accounts::find(tx, &hq, "bob");
    let found = admin::read(store.as_ref(), "account_get", find).await.expect("asks");
    assert_eq!(found, Err(AccountRefusal::Unknown), "bob sees more than the caller");
    // Rotation: the new token is valid, the old one ends when it should.
    let rotate = |tx: &mut dyn AdminTx| accounts::rotate(tx, &whole(), "bob", &new_account_token("t2"), at(50), at(40));
    let rotated = admin::write(store.as_ref(), "account_rotate", acting(40), rotate).await.expect("asks");
    let tokens = rotated.expect("rotates").tokens;
    assert_eq!(tokens.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), ["t2", "t-bob"]);
    assert!(tokens[0].is_valid(at(60)) && tokens[1].is_valid(at(49)) && !tokens[1].is_valid(at(50)));
    let by_token = |id: &'static str| {
        let store = Arc::clone(&store);
        async move {
            let find = move |tx: &mut dyn AdminTx| accounts::by_token(tx, &id.parse().expect("an id"));
            admin::read(store.as_ref(), "account_by_token", find).await.expect("asks")
        }
    };
    let holder = by_token("t2").await.expect("known");
    assert_eq!((holder.name.as_str(), holder.role, holder.secret_hash), ("bob", Role::Operator, [5; 32]));
    assert!(!holder.is_revoked && holder.scope_text() == "hq, lab");
    assert!(by_token("nobody").await.is_none());
    // The last administrator stays; others go, with all their tokens.
    let revoke = |name: &'static str, second: u64| {
        let store = Arc::clone(&store);
        async move {
            let revoke = move |tx: &mut dyn AdminTx| accounts::revoke(tx, &whole(), name, at(second));
            admin::write(store.as_ref(), "account_revoke", acting(second), revoke).await.expect("asks")
        }
    };
    assert_eq!(revoke("ada", 60).await, Err(AccountRefusal::LastAdmin));
    assert_eq!(revoke("bob", 61).await.expect("revokes").revoked_at, Some(at(61)));
    assert_eq!(revoke("bob", 62).await.expect("again").revoked_at, Some(at(61)), "the first revocation counts");
    assert!(by_token("t2").await.expect("known").is_revoked);
    let kinds: Vec<EntryKind> = ledger(&store, 0, 100).await.iter().map(|row| row.entry.kind()).collect();
    let created = EntryKind::AccountCreated;
    assert_eq!(kinds, [created, created, EntryKind::AccountRotated, EntryKind::AccountRevoked]);
    // The name is free again, and old tokens of an account that rotates for ever are dropped.
    let new = NewAccount { id: AccountId::new("id-2").expect("an id"), ..new_account("bob", Role::Viewer, &[], 70) };
    let token = new_account_token("t3");
    create(&store, NewAccount { token, ..new }).await.expect("creates");
    for n in 0..30_u64 {
        let token = new_account_token(&format!("r{n}"));
        let rotate = move |tx: &mut dyn AdminTx| accounts::rotate(tx, &whole(), "id-2", &token, at(80 + n), at(80 + n));
        admin::write(store.as_ref(), "account_rotate", acting(80 + n), rotate).await.expect("asks").expect("rotates");
    }
    let kept = accounts_of(&store).await.into_iter().find(|account| account.id.as_str() == "id-2").expect("is there");
    assert_eq!((kept.tokens.len(), kept.tokens[0].id.as_str()), (10, "r29"));
    assert_healthy(&store).await;
}

pub(crate) async fn tokens_that_expired_long_ago_leave_space(backend: impl Backend) {
    const YEAR: u64 = 366 * 86_400;
    let store = backend.open();
    // The first token adds the site.
    token_create(&store, new_token(1)).await.expect("creates");
    // Twenty transactions of 500 rows, the most that one may have, reach the limit.
    for batch in 0..20_u64 {
        let fill = move |tx: &mut dyn AdminTx| {
            for n in 0..500_u64 {
                let id = format!("t{}", batch * 500 + n).parse().expect("an id");
                // The first hundred expire long before the others.
                let expires_at = at(if batch == 0 && n < 100 { 10 } else { YEAR });
                admin::tokens::create(tx, &NewToken { id, expires_at, ..new_token(1) })?;
            }
            Ok(())
        };
        admin::write(store.as_ref(), "fill", acting(1), fill).await.expect("fills");
    }
    let space = |second: u64| {
        let store = Arc::clone(&store);
        async move {
            let ask = move |tx: &mut dyn AdminTx| {
                tx.record(Entry::TokenRevoked { token: token_id() });
                admin::tokens::has_space(tx, at(second))
            };
            admin::write(store.as_ref(), "has_space", acting(second), ask).await.expect("asks")
        }
    };
    assert!(!space(2).await, "none expired long ago");
    assert_eq!(token_list(&store).await.len(), 10_001);
    assert!(space(11 + YEAR).await);
    assert_eq!(token_list(&store).await.len(), 9_901);
}

pub(crate) async fn the_ledger_is_filtered_and_paged(backend: impl Backend) {
    let store = backend.open();
    create(&store, new_account("ada", Role::Admin, &[], 0)).await.expect("creates");
    enrolled(&store, 3).await;
    all_judged(&store, muster_proto::model::Lane::Replace, 10).await;
    let by_ada = HostsMeant::Named(vec![host(2)]);
    host_action(&store, account_acting("ada", 20), HostActionKind::Revoke, by_ada).await.expect("revokes");
    assert!(host_revoke(&store, host(3), 30).await.expect("revokes"));
    let list = |query: LedgerQuery| {
        let store = Arc::clone(&store);
        async move {
            let list = move |tx: &mut dyn AdminTx| admin::ledger::list(tx, &query);
            admin::read(store.as_ref(), "ledger_list", list).await.expect("lists")
        }
    };
    let all = LedgerQuery { rows: 100, ..LedgerQuery::default() };
    let kinds = |page: &LedgerPage| page.rows.iter().map(|row| row.entry.kind()).collect::<Vec<_>>();
    let revoked = EntryKind::HostsRevoked;
    let whole = list(all.clone()).await;
    assert!(whole.rows.is_sorted_by(|one, next| one.number > next.number), "newest first");
    assert_eq!((whole.rows.len(), whole.next), (8, None), "{:?}", kinds(&whole));
    let page = list(LedgerQuery { kind: Some(revoked), ..all.clone() }).await;
    assert_eq!(kinds(&page), [revoked, revoked]);
    let ada = ByActor::Account(AccountId::new("id-ada").expect("an id"));
    let page = list(LedgerQuery { by: Some(ada), ..all.clone() }).await;
    assert_eq!(page.rows.iter().flat_map(|row| row.entry.hosts()).collect::<Vec<_>>(), [&host(2)]);
    assert_eq!(page.names.accounts.values().collect::<Vec<_>>(), ["ada"]);
    assert_eq!(page.names.hosts.values().collect::<Vec<_>>(), ["host-002"]);
    assert_eq!(page.names.notes.values().collect::<Vec<_>>(), ["a test"]);
    let page = list(LedgerQuery { by: Some(ByActor::Agent), ..all.clone() }).await;
    assert_eq!(kinds(&page), [EntryKind::HostEnrolled; 3]);
    let page = list(LedgerQuery { host: Some(host(2)), ..all.clone() }).await;
    assert_eq!(kinds(&page), [revoked, EntryKind::LanesChanged, EntryKind::HostEnrolled]);
    let page = list(LedgerQuery { since: Some(at(20)), ..all.clone() }).await;
    assert_eq!(kinds(&page), [revoked, revoked]);
    assert_eq!(page.names.users.values().collect::<Vec<_>>(), ["root"]);
    // Older entries that do not match make no next page.
    for (exact, query) in [
        (3, LedgerQuery { host: Some(host(2)), ..all.clone() }),
        (2, LedgerQuery { since: Some(at(20)), ..all.clone() }),
        (3, LedgerQuery { by: Some(ByActor::Agent), ..all.clone() }),
    ] {
        for rows in [exact, exact - 1] {
            let page = list(LedgerQuery { rows, ..query.clone() }).await;
            assert_eq!((page.rows.len(), page.next.is_some()), (rows, rows < exact), "{query:?}");
        }
    }
    // Pages, one after the other, are the whole.
    let mut paged = Vec::new();
    let mut before = None;
    loop {
        let page = list(LedgerQuery { rows: 3, before, ..LedgerQuery::default() }).await;
        paged.extend(page.rows);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole.rows);
    let number = whole.rows[0].number;
    let get = move |tx: &mut dyn AdminTx| admin::ledger::get(tx, number);
    let (row, _) = admin::read(store.as_ref(), "ledger_get", get).await.expect("asks").expect("is there");
    assert_eq!((row.entry, row.at), (revoked_entry(3), at(30)));
    let none = move |tx: &mut dyn AdminTx| admin::ledger::get(tx, 999_999);
    assert!(admin::read(store.as_ref(), "ledger_get", none).await.expect("asks").is_none());
}

/// The work of one transaction.
type AdminWork = Box<dyn Fn(&mut dyn AdminTx) + Send + Sync>;

/// Does everything that administration can do, in a fixed order, and notes each statement with its rows.
pub(crate) async fn all_of_administration(store: &Arc<dyn Store>) -> Vec<admin::recorder::Statement> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let recorded = |second: u64, work: AdminWork| {
        let (store, log) = (Arc::clone(store), Arc::clone(&log));
        async move {
            let run = move |tx: &mut dyn AdminTx| {
                let mut recorder = admin::recorder::Recorder::new(tx);
                work(&mut recorder);
                Ok(recorder.statements())
            };
            let statements = admin::write(store.as_ref(), "recorded", acting(second), run).await.expect("runs");
            log.lock().expect("no panic").extend(statements);
        }
    };
    let sites: [&[&str]; 3] = [&[], &["zoo", "hq"], &["hq"]];
    for (n, (name, sites)) in ["ada", "Zed", "bob"].map(str::to_lowercase).into_iter().zip(sites).enumerate() {
        let new = new_account(&name, [Role::Admin, Role::Viewer, Role::Operator][n], sites, 5);
        let create = move |tx: &mut dyn AdminTx| drop(accounts::create(tx, &whole(), &new).expect("creates"));
        recorded(5, Box::new(create)).await;
    }
    for id in ["tok-1", "a", "b"] {
        let new = NewToken { id: id.parse().expect("an id"), ..new_token(7) };
        recorded(6, Box::new(move |tx| admin::tokens::create(tx, &new).expect("creates"))).await;
    }
    assert!(matches!(store.host_enroll(enrollment(1)).await, Ok(crate::store::Enrolled::Host { .. })));
    all_judged(store, muster_proto::model::Lane::Remove, 10).await;
    for second in [11, 12] {
        let rotate = move |tx: &mut dyn AdminTx| {
            let token = new_account_token(&format!("r{second}"));
            // The door asks for the actor's number by itself, so it is asked here once more.
            drop(admin::system_users::actor_id(tx, &Actor::Collector { user: "kim".to_owned() }).expect("adds"));
            drop(accounts::rotate(tx, &whole(), "zed", &token, at(second), at(second)).expect("rotates"));
            accounts::revoke(tx, &whole(), "bob", at(second)).expect("asks").expect("revokes");
            assert!(admin::tokens::revoke(tx, &"a".parse().expect("an id"), &|_| true, at(second)).expect("revokes"));
            for kind in [HostActionKind::Revoke, HostActionKind::Release, HostActionKind::Review] {
                let token = HostsMeant::EnrolledWith { token: token_id(), after: 0 };
                for hosts in [HostsMeant::Named(vec![host(1)]), token] {
                    admin::hosts::act(tx, &hosts_asked(kind, hosts, at(second))).expect("acts").expect("a token");
                }
            }
            let revoke = hosts_asked(HostActionKind::Revoke, HostsMeant::Named(vec![host(1)]), at(second));
            admin::hosts::act(tx, &revoke).expect("acts");
        };
        recorded(second, Box::new(rotate)).await;
    }
    for second in [13, 14 + 2 * 86_400] {
        let throttle = move |tx: &mut dyn AdminTx| {
            admin::throttled::unmark(tx, at(second)).expect("takes marks");
            admin::throttled::mark(tx, &[host(1), host(99)], Budget::HostBytes, at(second)).expect("marks");
        };
        recorded(second, Box::new(throttle)).await;
    }
    recorded(25, Box::new(|tx| super::roster::all(tx))).await;
    recorded(26, Box::new(|tx| super::filters::matched(tx))).await;
    recorded(27, Box::new(|tx| super::filters::all(tx))).await;
    recorded(28, Box::new(|tx| super::decisions::all(tx))).await;
    duties::found(store, 1, 1, 30).await;
    recorded(40, Box::new(|tx| duties::all(tx))).await;
    recorded(18, Box::new(super::sessions::all)).await;
    recorded(18, Box::new(super::login_links::all)).await;
    recorded(18, Box::new(super::passwords::all)).await;
    recorded(18, Box::new(super::provider_logins::all)).await;
    let forget = |tx: &mut dyn AdminTx| {
        assert_eq!(admin::tokens::prune(tx, at(400 * 86_400)).expect("prunes"), 2, "all but the newest");
        accounts::forget(tx, &AccountId::new("id-bob").expect("an id")).expect("forgets");
        tx.record(Entry::AccountRevoked { account: AccountId::new("id-bob").expect("an id") });
    };
    recorded(19, Box::new(forget)).await;
    let claim = |tx: &mut dyn AdminTx| {
        // Both read; settling writes.
        let order = muster_proto::model::OrderId::new("an-order").expect("an id");
        assert_eq!(admin::attestations::newest(tx, host(1), &order).expect("reads"), None);
        assert_eq!(admin::attestations::page(tx, &whole(), None, 10).expect("reads"), (Vec::new(), None));
        let claimed = ["one", "two"].map(|key| admin::seal::claim(tx, key, at(19)).expect("claims"));
        assert_eq!(claimed, ["one", "one"], "the first stays");
    };
    recorded(19, Box::new(claim)).await;
    recorded(21, Box::new(super::orders::changes_everything)).await;
    store.rules_adopt("r1", at(26)).await.expect("adopts");
    super::past::check_in_is_written(store, host(1)).await;
    let read = |tx: &mut dyn AdminTx| {
        super::orders::reads_everything(tx);
        super::past::reads_everything(tx);
        assert!(admin::tokens::has_space(tx, at(20)).expect("asks"));
        drop(accounts::get(tx, &AccountId::new("id-zed").expect("an id")).expect("asks"));
        drop(accounts::list(tx).expect("lists"));
        drop(tx.query(accounts::FIRST_UNTIL, &[]).expect("asks"));
        drop(accounts::by_token(tx, &"r12".parse().expect("an id")).expect("asks"));
        drop(admin::tokens::list(tx).expect("lists"));
        drop(admin::roster::entries::of_host(tx, host(1), &whole()).expect("asks"));
        drop(admin::hosts::count(tx, &SiteScope::All).expect("counts"));
        drop(admin::ledger::follow(tx, 0, 100).expect("reads"));
        let all = LedgerQuery { rows: 100, ..LedgerQuery::default() };
        let by = Some(ByActor::Account(AccountId::new("id-ada").expect("an id")));
        for query in
            [all.clone(), LedgerQuery { kind: Some(EntryKind::HostEnrolled), ..all.clone() }, LedgerQuery { by, ..all }]
        {
            drop(admin::ledger::list(tx, &query).expect("lists"));
        }
        drop(admin::ledger::get(tx, 2).expect("asks"));
    };
    recorded(20, Box::new(read)).await;
    recorded(22, Box::new(super::sealing::all)).await;
    let log = log.lock().expect("no panic");
    log.clone()
}
