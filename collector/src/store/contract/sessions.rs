//! Sessions of the web board: bounded, and no longer accepted than their token and their account.

use std::sync::Arc;

use muster_proto::model::{AccountId, EntryKind, TokenId};

use super::Backend;
use super::kit::{acting, assert_healthy, at, create_viewer, ledger, revoke_account};
use crate::store::admin::sessions::{self, NewSession, StoredSession};
use crate::store::{AdminTx, Store, admin};

pub(super) fn id(name: &str) -> TokenId {
    TokenId::new(name).expect("an id")
}

pub(super) fn new_session(name: &str, account: &str, second: u64) -> NewSession {
    NewSession {
        id: id(name),
        secret_hash: [7; 32],
        account: AccountId::new(format!("id-{account}")).expect("an id"),
        token: id(&format!("t-{account}")),
        link: None,
        proved_at: at(second),
        now: at(second),
        expires_at: at(second + 1_000),
        idle_since: at(second.saturating_sub(100)),
    }
}

async fn open(store: &Arc<dyn Store>, name: &str, account: &str, second: u64) {
    let new = new_session(name, account, second);
    let open = move |tx: &mut dyn AdminTx| sessions::open(tx, &new);
    admin::write(store.as_ref(), "session_open", acting(second), open).await.expect("opens");
}

pub(super) async fn find(store: &Arc<dyn Store>, name: &str) -> Option<StoredSession> {
    let id = id(name);
    admin::read(store.as_ref(), "session_find", move |tx| sessions::find(tx, &id)).await.expect("asks")
}

pub(crate) async fn sessions_are_opened_found_and_end_with_their_account(backend: impl Backend) {
    let store = backend.open();
    for name in ["ada", "bob"] {
        create_viewer(&store, name, &["hq"]).await;
    }
    open(&store, "one", "bob", 10).await;
    let found = find(&store, "one").await.expect("is there");
    assert_eq!((found.holder.name.as_str(), found.holder.secret_hash, found.token), ("bob", [7; 32], id("t-bob")));
    assert_eq!((found.expires_at, found.seen_at, found.holder.scope_text()), (at(1_010), at(10), "hq".to_owned()));
    assert_eq!((found.proved_at, found.held_by), (at(10), muster_proto::model::Holder::Person));
    assert!(!found.holder.is_revoked && found.holder.expires_at == Some(at(1_000)), "those of the token");
    assert!(find(&store, "two").await.is_none());
    // It is used, and never earlier than before.
    for (second, seen) in [(50, 50), (40, 50)] {
        let note = move |tx: &mut dyn AdminTx| sessions::seen(tx, &id("one"), at(second));
        admin::write(store.as_ref(), "session_seen", acting(second), note).await.expect("notes");
        assert_eq!(find(&store, "one").await.expect("is there").seen_at, at(seen));
    }
    // Those that are over go when another one is opened: unused for a hundred seconds, or at their end.
    open(&store, "two", "ada", 60).await;
    open(&store, "three", "ada", 151).await;
    assert!(find(&store, "one").await.is_none() && find(&store, "two").await.is_some());
    // Beyond the bound of an account those go that were not used for the longest time, and those of others stay.
    open(&store, "bobs", "bob", 152).await;
    for n in 0..18 {
        open(&store, &format!("s{n}"), "ada", 153).await;
    }
    let note = move |tx: &mut dyn AdminTx| sessions::seen(tx, &id("two"), at(155));
    admin::write(store.as_ref(), "session_seen", acting(155), note).await.expect("notes");
    open(&store, "s18", "ada", 155).await;
    assert!(find(&store, "two").await.is_some(), "the oldest one is in use");
    assert!(find(&store, "three").await.is_none(), "it was not used");
    assert!(find(&store, "s0").await.is_some() && find(&store, "bobs").await.is_some());
    // Those that are not over are listed by account.
    let listed = |second: u64| {
        let list = move |tx: &mut dyn AdminTx| sessions::list(tx, at(second), at(second.saturating_sub(100)));
        admin::read(store.as_ref(), "session_list", list)
    };
    let open_now = listed(156).await.expect("lists");
    assert_eq!((open_now.len(), open_now[0].name.as_str(), open_now[20].name.as_str()), (21, "ada", "bob"));
    let twos = open_now.iter().find(|session| session.id == id("two")).expect("is there");
    assert_eq!((twos.created_at, twos.seen_at, twos.by_link), (at(60), at(155), false));
    assert_eq!(listed(254).await.expect("lists").iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["two", "s18"]);
    assert!(listed(1_000).await.expect("lists").is_empty(), "the tokens have expired");
    // Ended once.
    let end = |tx: &mut dyn AdminTx| sessions::end(tx, &id("s0"));
    assert!(admin::write(store.as_ref(), "session_end", acting(155), end).await.expect("ends"));
    assert!(!admin::write(store.as_ref(), "session_end", acting(155), end).await.expect("is over"));
    // An account that is revoked takes its sessions along, and a later account of the same name has none.
    revoke_account(&store, "bob", 156).await;
    assert!(find(&store, "bobs").await.is_none());
    // All of one account, each with an entry.
    let end_all = |tx: &mut dyn AdminTx| sessions::end_all(tx, &AccountId::new("id-ada").expect("an id"));
    assert_eq!(admin::write(store.as_ref(), "session_end_all", acting(157), end_all).await.expect("ends"), 19);
    assert!(find(&store, "two").await.is_none() && find(&store, "s18").await.is_none());
    let kinds: Vec<EntryKind> = ledger(&store, 0, 100).await.iter().map(|row| row.entry.kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == EntryKind::SessionOpened).count(), 23);
    assert_eq!(kinds.iter().filter(|kind| **kind == EntryKind::SessionEnded).count(), 21, "s0, three, and all of ada");
    assert_healthy(&store).await;
}

/// Everything that can be done with sessions, for the comparison of both databases.
pub(super) fn all(tx: &mut dyn AdminTx) {
    // More than the bound of all accounts together.
    for (account, count) in [("ada", 20), ("zed", 15)] {
        for n in 0..count {
            sessions::open(tx, &new_session(&format!("{account}-{n}"), account, 30)).expect("opens");
        }
    }
    sessions::seen(tx, &id("zed-3"), at(40)).expect("notes");
    assert!(!sessions::list(tx, at(41), at(0)).expect("lists").is_empty());
    assert!(sessions::find(tx, &id("zed-14")).expect("asks").is_some());
    assert!(sessions::end(tx, &id("zed-14")).expect("ends"));
    let zed = AccountId::new("id-zed").expect("an id");
    assert!(sessions::end_all(tx, &zed).expect("ends") > 0);
}
