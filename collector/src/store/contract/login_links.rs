//! Login links: used once, bounded, and no longer accepted than their time, their token and their account.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{AccountId, EntryKind, Timestamp};

use super::Backend;
use super::kit::{acting, assert_healthy, at, create_viewer, ledger, revoke_account};
use super::sessions::{find as find_session, id, new_session};
use crate::store::admin::login_links::{self, NewLoginLink, StoredLoginLink};
use crate::store::admin::sessions::NewSession;
use crate::store::{AdminTx, Store, admin};

fn new_link(name: &str, account: &str, second: u64) -> NewLoginLink {
    NewLoginLink {
        id: id(name),
        secret_hash: [8; 32],
        account: AccountId::new(format!("id-{account}")).expect("an id"),
        token: id(&format!("t-{account}")),
        now: at(second),
        expires_at: at(second + 600),
    }
}

async fn make(store: &Arc<dyn Store>, name: &str, account: &str, second: u64) -> Result<(), Timestamp> {
    let new = new_link(name, account, second);
    let make = move |tx: &mut dyn AdminTx| login_links::create(tx, &new);
    admin::write(store.as_ref(), "login_link_create", acting(second), make).await.expect("asks")
}

async fn find(store: &Arc<dyn Store>, name: &str) -> Option<StoredLoginLink> {
    let id = id(name);
    admin::read(store.as_ref(), "login_link_find", move |tx| login_links::find(tx, &id)).await.expect("asks")
}

/// Opens a session that is named after the link and the second.
async fn use_up(store: &Arc<dyn Store>, name: &str, account: &str, second: u64) -> bool {
    let (link, new) = (id(name), new_session(&format!("{name}-{second}"), account, second));
    let session = NewSession { link: Some(link.clone()), ..new };
    let use_up = move |tx: &mut dyn AdminTx| login_links::use_up(tx, &link, &session);
    admin::write(store.as_ref(), "login_link_use", acting(second), use_up).await.expect("asks")
}

pub(crate) async fn a_login_link_is_used_once_and_ends_with_its_account(backend: impl Backend) {
    let store = backend.open();
    for name in ["ada", "bob"] {
        create_viewer(&store, name, &["hq"]).await;
    }
    assert_eq!(make(&store, "one", "ada", 10).await, Ok(()));
    let found = find(&store, "one").await.expect("is there");
    assert_eq!((found.holder.name.as_str(), found.holder.secret_hash, found.token), ("ada", [8; 32], id("t-ada")));
    assert_eq!((found.expires_at, found.used_at, found.holder.scope_text()), (at(610), None, "hq".to_owned()));
    assert!(find(&store, "two").await.is_none());
    // Used once; the session says so.
    assert!(use_up(&store, "one", "ada", 20).await);
    assert!(!use_up(&store, "one", "ada", 21).await, "it was used");
    assert_eq!(find(&store, "one").await.expect("is there").used_at, Some(at(20)));
    assert!(find_session(&store, "one-20").await.expect("is there").by_link);
    assert!(find_session(&store, "one-21").await.is_none());
    // Over after its time.
    assert_eq!(make(&store, "two", "ada", 30).await, Ok(()));
    assert!(!use_up(&store, "two", "ada", 630).await);
    // An account makes five within their time, used or not, and others are not held up.
    for (name, second) in [("three", 40), ("four", 41), ("five", 42)] {
        assert_eq!(make(&store, name, "ada", second).await, Ok(()));
    }
    assert_eq!(make(&store, "six", "ada", 43).await, Err(at(610)), "the first one ends then");
    assert_eq!(make(&store, "bobs", "bob", 43).await, Ok(()));
    assert_eq!(make(&store, "six", "ada", 610).await, Ok(()));
    assert!(
        find(&store, "one").await.is_none() && find(&store, "two").await.is_some(),
        "the first one was removed for it"
    );
    // Those of all accounts that are over for a day are removed when one is made.
    let day = Duration::from_secs(86_400).as_secs();
    assert_eq!(make(&store, "late", "bob", 643 + day).await, Ok(()));
    assert!(find(&store, "bobs").await.is_none() && find(&store, "two").await.is_none());
    assert!(find(&store, "six").await.is_some());
    // They end with their account.
    revoke_account(&store, "bob", 644 + day).await;
    assert!(find(&store, "late").await.is_none());
    let rows = ledger(&store, 0, 100).await;
    let count = |kind: EntryKind| rows.iter().filter(|row| row.entry.kind() == kind).count();
    assert_eq!(count(EntryKind::LoginLinkCreated), 8);
    assert_eq!(count(EntryKind::SessionOpened), 1);
    let opened = rows.iter().find(|row| row.entry.kind() == EntryKind::SessionOpened).expect("an entry");
    assert!(format!("{:?}", opened.entry).contains("one"), "it names the link: {:?}", opened.entry);
    assert_healthy(&store).await;
}

/// Everything that can be done with login links, for the comparison of both databases.
pub(super) fn all(tx: &mut dyn AdminTx) {
    for n in 0..5 {
        assert_eq!(login_links::create(tx, &new_link(&format!("link-{n}"), "ada", 30 + n)).expect("makes"), Ok(()));
    }
    assert_eq!(login_links::create(tx, &new_link("link-5", "ada", 36)).expect("asks"), Err(at(630)));
    assert_eq!(login_links::create(tx, &new_link("link-6", "ada", 640)).expect("makes"), Ok(()));
    assert!(login_links::find(tx, &id("link-6")).expect("asks").is_some());
    let session = NewSession { link: Some(id("link-6")), ..new_session("by-link", "ada", 650) };
    assert!(login_links::use_up(tx, &id("link-6"), &session).expect("uses"));
    assert!(!login_links::use_up(tx, &id("link-6"), &session).expect("asks"));
}
