//! Logins with the identity provider: taken once and bounded, and accounts that belong to a person and never to a name.

use std::sync::Arc;

use muster_proto::model::{AccountId, AccountName, EntryKind, Holder, Role, SiteId};

use super::Backend;
use super::kit::{acting, assert_healthy, at, create_viewer, ledger, new_account_token, revoke_account};
use super::sessions::{find as find_session, id, new_session};
use crate::store::admin::accounts;
use crate::store::admin::provider_logins::{self, Entered, Entering, Identity, NewLogin, TakenLogin};
use crate::store::{AccountRefusal, AdminTx, SiteScope, Store, admin};

const ISSUER: &str = "https://id.example.com";

fn new_login(name: &str, second: u64) -> NewLogin {
    NewLogin {
        id: id(name),
        secret_hash: [6; 32],
        next: "/hosts".to_owned(),
        again: true,
        now: at(second),
        over_since: at(second.saturating_sub(600)),
    }
}

async fn begin(store: &Arc<dyn Store>, name: &str, second: u64) {
    let new = new_login(name, second);
    let begin = move |tx: &mut dyn AdminTx| provider_logins::begin(tx, &new);
    admin::write(store.as_ref(), "provider_login_begin", acting(second), begin).await.expect("begins");
}

async fn take(store: &Arc<dyn Store>, name: &str, secret: u8, second: u64) -> Option<TakenLogin> {
    let id = id(name);
    let since = at(second.saturating_sub(600));
    let take = move |tx: &mut dyn AdminTx| provider_logins::take(tx, &id, &[secret; 32], since);
    admin::write(store.as_ref(), "provider_login_take", acting(second), take).await.expect("asks")
}

pub(crate) async fn a_login_with_the_provider_is_taken_once_and_in_time(backend: impl Backend) {
    let store = backend.open();
    begin(&store, "one", 10).await;
    assert_eq!(take(&store, "one", 7, 20).await, None, "another secret");
    let taken = TakenLogin { next: "/hosts".to_owned(), again: true, begun_at: at(10) };
    assert_eq!(take(&store, "one", 6, 20).await, Some(taken));
    assert_eq!(take(&store, "one", 6, 21).await, None, "it was taken");
    assert_eq!(take(&store, "two", 6, 21).await, None, "it is unknown");
    begin(&store, "late", 30).await;
    assert_eq!(take(&store, "late", 6, 630).await, None, "ten minutes are over");
    // The oldest ends when there are too many.
    for n in 0..21 {
        begin(&store, &format!("n{n}"), 700 + n).await;
    }
    assert_eq!(take(&store, "n0", 6, 730).await, None);
    assert!(take(&store, "n1", 6, 730).await.is_some() && take(&store, "n20", 6, 730).await.is_some());
    // Those that are over are removed when another one begins.
    begin(&store, "next", 1_400).await;
    let left = |tx: &mut dyn AdminTx| tx.query("SELECT count(*) FROM pending_login", &[])?[0].int(0);
    assert_eq!(admin::read(store.as_ref(), "count", left).await.expect("counts"), 1);
    assert!(ledger(&store, 0, 10).await.is_empty(), "nobody has acted");
    assert_healthy(&store).await;
}

fn entering(person: &str, account: &str, name: &str, role: Role, sites: &[&str], second: u64) -> Entering {
    let token = new_account_token(&format!("t-{account}"));
    Entering {
        issuer: ISSUER.to_owned(),
        subject: person.to_owned(),
        name: AccountName::new(name).expect("a name"),
        role,
        sites: sites.iter().map(|site| SiteId::new(*site).expect("a site")).collect(),
        account: AccountId::new(format!("id-{account}")).expect("an id"),
        token: accounts::NewAccountToken { expires_at: None, ..token },
        session: new_session(&format!("{account}-{second}"), account, second),
    }
}

async fn enter(store: &Arc<dyn Store>, second: u64, new: Entering) -> Entered {
    let enter = move |tx: &mut dyn AdminTx| provider_logins::enter(tx, &new);
    admin::write(store.as_ref(), "provider_login_open", acting(second), enter).await.expect("asks")
}

fn let_in(entered: Entered) -> (String, Role, Vec<String>) {
    match entered {
        Entered::In(account) => {
            assert_eq!(account.holder, Holder::ProviderPerson);
            (account.name.to_string(), account.role, account.sites.iter().map(ToString::to_string).collect())
        }
        other @ (Entered::Revoked(_) | Entered::Refused(_) | Entered::Raced) => panic!("{other:?}"),
    }
}

pub(crate) async fn an_account_of_the_provider_belongs_to_its_person(backend: impl Backend) {
    let store = backend.open();
    create_viewer(&store, "ada", &["hq"]).await;
    // A local account of the same name stays what it is.
    let first = enter(&store, 10, entering("s1", "one", "ada", Role::Operator, &["lab"], 10)).await;
    assert_eq!(let_in(first), ("ada-2".to_owned(), Role::Operator, vec!["lab".to_owned()]));
    let find = |person: &'static str| {
        let find = move |tx: &mut dyn AdminTx| provider_logins::identity(tx, ISSUER, person);
        admin::read(store.as_ref(), "provider_identity", find)
    };
    let one = Identity { account: AccountId::new("id-one").expect("an id"), token: id("t-one") };
    assert_eq!(find("s1").await.expect("asks"), Some(one));
    assert_eq!(find("s2").await.expect("asks"), None);
    let session = find_session(&store, "one-10").await.expect("is open");
    assert_eq!((session.held_by, session.holder.name.as_str()), (Holder::ProviderPerson, "ada-2"));
    // The same groups leave the sessions alone.
    let again = enter(&store, 20, entering("s1", "one", "other", Role::Operator, &["lab", "lab"], 20)).await;
    assert_eq!(let_in(again).0, "ada-2", "the name stays");
    assert!(find_session(&store, "one-10").await.is_some() && find_session(&store, "one-20").await.is_some());
    // Another role, and other sites, end them.
    let higher = enter(&store, 30, entering("s1", "one", "ada", Role::Admin, &["lab"], 30)).await;
    assert_eq!(let_in(higher).1, Role::Admin);
    assert!(find_session(&store, "one-10").await.is_none() && find_session(&store, "one-20").await.is_none());
    let wider = enter(&store, 40, entering("s1", "one", "ada", Role::Admin, &[], 40)).await;
    assert_eq!(let_in(wider).2, Vec::<String>::new());
    assert!(find_session(&store, "one-30").await.is_none());
    assert_eq!(find_session(&store, "one-40").await.expect("is open").holder.role, Role::Admin);
    // Somebody was faster.
    let raced = enter(&store, 41, entering("s1", "two", "ada", Role::Admin, &[], 41)).await;
    assert_eq!(raced, Entered::Raced);
    // It gets no token, and does not count as the last administrator.
    let rotate = |tx: &mut dyn AdminTx| {
        accounts::rotate(tx, &SiteScope::All, "ada-2", &new_account_token("new"), at(42), at(42))
    };
    let rotated = admin::write(store.as_ref(), "account_rotate", acting(42), rotate).await.expect("asks");
    assert_eq!(rotated, Err(AccountRefusal::FromProvider));
    // Who is revoked stays out, and another person of the same name is another one.
    revoke_account(&store, "ada-2", 50).await;
    assert!(find_session(&store, "one-40").await.is_none());
    let out = enter(&store, 60, entering("s1", "one", "ada", Role::Admin, &[], 60)).await;
    assert_eq!(out, Entered::Revoked(AccountName::new("ada-2").expect("a name")));
    let other = enter(&store, 61, entering("s2", "two", "ada", Role::Viewer, &[], 61)).await;
    assert_eq!(let_in(other).0, "ada-2");
    let many: Vec<String> = (0..101).map(|n| format!("s{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = enter(&store, 62, entering("s2", "two", "ada", Role::Viewer, &many, 62)).await;
    assert_eq!(refused, Entered::Refused(AccountRefusal::TooManySites));
    let kinds: Vec<EntryKind> = ledger(&store, 0, 100).await.iter().map(|row| row.entry.kind()).collect();
    let count = |kind: EntryKind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((count(EntryKind::AccountCreated), count(EntryKind::AccountChanged)), (3, 2));
    assert_eq!((count(EntryKind::SessionOpened), count(EntryKind::SessionEnded)), (5, 3));
    assert_healthy(&store).await;
}

/// Everything that can be done with them, for the comparison of both databases.
pub(super) fn all(tx: &mut dyn AdminTx) {
    for n in 0..21 {
        provider_logins::begin(tx, &new_login(&format!("pending-{n}"), 30 + n)).expect("begins");
    }
    assert!(provider_logins::take(tx, &id("pending-9"), &[6; 32], at(0)).expect("asks").is_some());
    for (person, account, role, sites) in [
        ("p1", "pone", Role::Viewer, &["hq", "zoo"][..]),
        ("p2", "ptwo", Role::Admin, &[]),
        ("p1", "pone", Role::Operator, &["hq"]),
    ] {
        let second = 40 + u64::from(role.code());
        let entered = provider_logins::enter(tx, &entering(person, account, "ada", role, sites, second));
        drop(let_in(entered.expect("asks")));
    }
    assert!(provider_logins::identity(tx, ISSUER, "p2").expect("asks").is_some());
}
