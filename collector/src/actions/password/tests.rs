//! Passwords against a real store: set, checked, counted, removed.

use std::net::IpAddr;

use muster_proto::model::{Holder, Role};

use super::*;
use crate::actions::{AccountRequest, SessionTimes, account_create, session_find, session_open};
use crate::store::{self, AccountRefusal};

const GOOD: &str = "velvet cactus orbit";

struct Stand {
    store: Arc<dyn Store>,
    passwords: Passwords,
    _folder: tempfile::TempDir,
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_000_000_000)
}

fn root() -> Caller {
    Caller::collector("root")
}

async fn stand() -> Stand {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
    let name = AccountName::new("ada").expect("a name");
    let new = AccountRequest { name, role: Role::Admin, holder: Holder::Person, sites: Vec::new(), lifetime: None };
    account_create(store.as_ref(), &root(), new, now()).await.expect("creates");
    Stand { store, passwords: Passwords::default(), _folder: folder }
}

impl Stand {
    async fn set(&self, password: &str) -> Result<AccountReport, ActionError> {
        let of = PasswordOf::Account("ada".to_owned());
        password_set(self.store.as_ref(), &self.passwords, &root(), &of, password, now()).await
    }

    async fn check(&self, name: &str, password: &str, address: u8) -> Result<Option<Caller>, ActionError> {
        let address = AddressKey::of(IpAddr::from([192, 0, 2, address]));
        password_check(self.store.as_ref(), &self.passwords, name, password.to_owned(), Some(address)).await
    }
}

#[tokio::test]
async fn the_right_password_is_the_account_and_nothing_else_is() {
    let stand = stand().await;
    assert!(stand.check("ada", GOOD, 1).await.expect("asks").is_none(), "it has none yet");
    let report = stand.set(GOOD).await.expect("sets");
    assert_eq!(report.password_set_at, Some(now()));
    let caller = stand.check("ada", GOOD, 1).await.expect("asks").expect("the account");
    assert_eq!((caller.name.as_str(), caller.role), ("ada", Role::Admin));
    for (name, password) in [("ada", "velvet cactus orbi"), ("ada", ""), ("bob", GOOD), ("", GOOD), ("Ada \u{7}", GOOD)]
    {
        assert!(stand.check(name, password, 1).await.expect("asks").is_none(), "{name} {password}");
    }
    let times = SessionTimes { whole: Duration::from_secs(600), idle: Duration::from_secs(300) };
    let session = session_open(stand.store.as_ref(), &caller, times, now()).await.expect("opens");
    let is_open = async || session_find(stand.store.as_ref(), &session, times, now()).await.expect("asks").is_some();
    assert!(is_open().await);
    stand.set("another plum tractor").await.expect("sets");
    assert!(!is_open().await, "another password ends the session");
    assert!(stand.check("ada", GOOD, 1).await.expect("asks").is_none());
    // A session that is opened with a password that was changed meanwhile is nobody's.
    let late = session_open(stand.store.as_ref(), &caller, times, now()).await.expect("opens");
    assert!(session_find(stand.store.as_ref(), &late, times, now()).await.expect("asks").is_none());
    let of = PasswordOf::Account("ada".to_owned());
    let removed = password_remove(stand.store.as_ref(), &root(), &of, now()).await.expect("removes");
    assert_eq!(removed.password_set_at, None);
    assert!(stand.check("ada", "another plum tractor", 1).await.expect("asks").is_none());
    let again = password_remove(stand.store.as_ref(), &root(), &of, now()).await;
    assert!(matches!(again, Err(ActionError::Account { refusal: AccountRefusal::NoPassword, .. })));
    assert!(matches!(stand.set("password1234").await, Err(ActionError::Password(_))));
}

#[tokio::test]
async fn wrong_passwords_make_the_account_and_the_address_wait() {
    let stand = stand().await;
    stand.set(GOOD).await.expect("sets");
    let waits = |outcome: Result<Option<Caller>, ActionError>| matches!(outcome, Err(ActionError::PasswordWait { .. }));
    for n in 0..10 {
        assert!(stand.check("ada", "wrong", n).await.expect("asks").is_none());
    }
    assert!(waits(stand.check("ada", GOOD, 100).await), "the account waits, wherever it is tried");
    assert!(stand.check("bob", "wrong", 0).await.expect("asks").is_none(), "others do not");
    // The address, for whatever account; a name that nobody has is counted, too.
    for n in 0..10 {
        assert!(stand.check(&format!("user-{n}"), "wrong", 200).await.expect("asks").is_none());
    }
    assert!(waits(stand.check("carl", "wrong", 200).await));
    // Another password is set, and its owner may log in.
    stand.set("another plum tractor").await.expect("sets");
    assert!(stand.check("ada", "another plum tractor", 101).await.expect("asks").is_some());
}

#[tokio::test]
async fn two_are_hashed_at_a_time_and_only_so_many_wait() {
    let stand = stand().await;
    // Both turns are taken, so others wait until all places are taken.
    let turns = Arc::clone(&stand.passwords.turns).acquire_many_owned(2).await.expect("turns");
    let places = Arc::clone(&stand.passwords.places).acquire_many_owned(31).await.expect("places");
    let refused = async {
        while stand.passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = stand.check("bob", GOOD, 2).await;
        drop((turns, places));
        refused
    };
    let (waited, refused) = tokio::join!(stand.check("ada", GOOD, 1), refused);
    assert!(waited.expect("its turn came").is_none());
    assert!(matches!(refused, Err(ActionError::TooManyPasswords)));
    assert!(stand.check("bob", GOOD, 2).await.expect("asks").is_none());
}
