//! Passwords: one of an account, found by its name, and gone with the sessions that it opened.

use std::sync::Arc;

use muster_proto::model::{AccountId, AccountName, AccountReport, EntryKind, Holder, Role};

use super::Backend;
use super::kit::{acting, assert_healthy, at, create_viewer, ledger, revoke_account};
use super::sessions::{find as find_session, id, new_session};
use crate::store::admin::accounts::{self, NewAccount, NewAccountToken};
use crate::store::admin::passwords::{self, NewPassword, PasswordHash, StoredPassword, Whose};
use crate::store::admin::sessions::{self, NewSession};
use crate::store::{AccountRefusal, AdminTx, SiteScope, Store, admin};

fn new_password(name: &str, second: u64) -> NewPassword {
    let hash = PasswordHash { salt: [1; 16], hash: [2; 32], memory_kib: 65_536, passes: 3 };
    NewPassword { id: id(name), hash, now: at(second) }
}

fn of(name: &str) -> Whose {
    Whose::Of(SiteScope::default(), name.to_owned())
}

async fn set(store: &Arc<dyn Store>, whose: Whose, name: &str, second: u64) -> Result<AccountReport, AccountRefusal> {
    let new = new_password(name, second);
    let set = move |tx: &mut dyn AdminTx| passwords::set(tx, &whose, &new);
    admin::write(store.as_ref(), "password_set", acting(second), set).await.expect("asks")
}

async fn remove(store: &Arc<dyn Store>, whose: Whose, second: u64) -> Result<AccountReport, AccountRefusal> {
    let remove = move |tx: &mut dyn AdminTx| passwords::remove(tx, &whose);
    admin::write(store.as_ref(), "password_remove", acting(second), remove).await.expect("asks")
}

async fn by_name(store: &Arc<dyn Store>, name: &str) -> Option<StoredPassword> {
    let name = AccountName::new(name).expect("a name");
    admin::read(store.as_ref(), "password_find", move |tx| passwords::by_name(tx, &name)).await.expect("asks")
}

async fn open(store: &Arc<dyn Store>, name: &str, password: &str, second: u64) {
    let new = NewSession { token: id(password), ..new_session(name, "ada", second) };
    let open = move |tx: &mut dyn AdminTx| sessions::open(tx, &new);
    admin::write(store.as_ref(), "session_open", acting(second), open).await.expect("opens");
}

pub(crate) async fn a_password_is_set_changed_and_removed_and_its_sessions_end_with_it(backend: impl Backend) {
    let store = backend.open();
    for name in ["ada", "bob"] {
        create_viewer(&store, name, &["hq"]).await;
    }
    assert!(by_name(&store, "ada").await.is_none());
    let report = set(&store, of("ada"), "p-1", 10).await.expect("sets");
    assert_eq!((report.name.as_str(), report.password_set_at), ("ada", Some(at(10))));
    let found = by_name(&store, "ada").await.expect("is there");
    assert_eq!((found.id, found.hash), (id("p-1"), new_password("p-1", 10).hash));
    assert_eq!(
        (found.account.as_str(), found.name.as_str(), found.sites.to_string()),
        ("id-ada", "ada", "hq".to_owned())
    );
    assert!(by_name(&store, "bob").await.is_none());
    // It opens sessions, which are listed, and which expire with no token.
    open(&store, "one", "p-1", 11).await;
    let session = find_session(&store, "one").await.expect("is there");
    assert_eq!(
        (session.holder.name.as_str(), session.holder.expires_at, session.holder.is_revoked),
        ("ada", None, false)
    );
    let list = |tx: &mut dyn AdminTx| sessions::list(tx, at(12), at(0));
    let listed = admin::read(store.as_ref(), "session_list", list).await.expect("lists");
    assert_eq!(listed.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["one"]);
    // One of a token ends with another password, too, in case it was stolen.
    open(&store, "token", "t-ada", 12).await;
    let own = Whose::Own(AccountId::new("id-ada").expect("an id"));
    set(&store, own.clone(), "p-2", 13).await.expect("sets");
    assert!(find_session(&store, "one").await.is_none() && find_session(&store, "token").await.is_none());
    assert_eq!(by_name(&store, "ada").await.expect("is there").id, id("p-2"));
    // The old one opens nothing any more, nor does that of another account.
    open(&store, "late", "p-1", 14).await;
    assert!(find_session(&store, "late").await.is_none());
    set(&store, of("bob"), "p-bob", 14).await.expect("sets");
    open(&store, "other", "p-bob", 14).await;
    assert!(find_session(&store, "other").await.is_none());
    // Only by somebody who may manage the account.
    let elsewhere = Whose::Of(SiteScope::of(&["lab".parse().expect("a site")]), "ada".to_owned());
    assert_eq!(set(&store, elsewhere.clone(), "p-3", 15).await.unwrap_err(), AccountRefusal::Unknown);
    assert_eq!(remove(&store, elsewhere, 15).await.unwrap_err(), AccountRefusal::Unknown);
    assert_eq!(set(&store, of("eve"), "p-3", 15).await.unwrap_err(), AccountRefusal::Unknown);
    // Removed once.
    open(&store, "two", "p-2", 16).await;
    assert_eq!(remove(&store, own.clone(), 17).await.expect("removes").password_set_at, None);
    assert!(find_session(&store, "two").await.is_none() && by_name(&store, "ada").await.is_none());
    assert_eq!(remove(&store, own, 18).await.unwrap_err(), AccountRefusal::NoPassword);
    // A new token ends it, because a person who had the one before may have set it.
    set(&store, of("ada"), "p-5", 18).await.expect("sets");
    let rotate = |tx: &mut dyn AdminTx| {
        let new = NewAccountToken { id: id("t-new"), secret_hash: [3; 32], expires_at: None };
        accounts::rotate(tx, &SiteScope::default(), "ada", &new, at(18), at(18))
    };
    admin::write(store.as_ref(), "account_rotate", acting(18), rotate).await.expect("asks").expect("rotates");
    assert!(by_name(&store, "ada").await.is_none());
    // Programs have tokens.
    let program = |tx: &mut dyn AdminTx| {
        let token = NewAccountToken { id: id("t-ci"), secret_hash: [4; 32], expires_at: None };
        let name = AccountName::new("ci").expect("a name");
        let id = AccountId::new("id-ci").expect("an id");
        let (role, holder, sites) = (Role::Viewer, Holder::Machine, Vec::new());
        accounts::create(tx, &SiteScope::default(), &NewAccount { id, name, role, holder, sites, token, now: at(18) })
    };
    admin::write(store.as_ref(), "account_create", acting(18), program).await.expect("asks").expect("creates");
    assert_eq!(set(&store, of("ci"), "p-6", 18).await.unwrap_err(), AccountRefusal::NoPerson);
    // It ends with its account.
    revoke_account(&store, "bob", 19).await;
    assert!(by_name(&store, "bob").await.is_none());
    assert_eq!(set(&store, of("bob"), "p-4", 20).await.unwrap_err(), AccountRefusal::Revoked);
    let rows = ledger(&store, 0, 100).await;
    let count = |kind: EntryKind| rows.iter().filter(|row| row.entry.kind() == kind).count();
    assert_eq!((count(EntryKind::PasswordSet), count(EntryKind::PasswordRemoved)), (4, 2));
    assert_healthy(&store).await;
}

/// Everything that can be done with passwords, for the comparison of both databases.
pub(super) fn all(tx: &mut dyn AdminTx) {
    for name in ["p-1", "p-2"] {
        passwords::set(tx, &of("ada"), &new_password(name, 50)).expect("asks").expect("sets");
    }
    let name = AccountName::new("ada").expect("a name");
    assert_eq!(passwords::by_name(tx, &name).expect("asks").expect("is there").id, id("p-2"));
    passwords::remove(tx, &of("ada")).expect("asks").expect("removes");
}
