//! Attributes software in home directories to users under pseudonyms. User names never leave the host.
//!
//! A pseudonym is a keyed hash of the home directory with a secret of this host. It stays the same from day to day, so an
//! operator can see that two items belong to one person. It differs on every host, so nobody can be followed through the
//! fleet, and nobody without the secret can test candidate names.

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{Outcome, UserItem, UserScope};

use crate::sources::HomeItem;

/// Hexadecimal digits of a pseudonym: enough to tell the users of one host apart, and no more.
const DIGITS: usize = 16;

/// The items of one source that are reported: as many as the contract allows and one more, which shows that there are more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UserItems {
    /// Whether the watchlist does not name it, and the item: those that it names come first.
    items: BTreeSet<(bool, UserItem)>,
    /// There are items, and no secret to hide their users behind.
    lacks_key: bool,
}

impl UserItems {
    /// The items of a source within the scope, under pseudonyms.
    pub(super) fn of(home_items: Vec<HomeItem>, scope: UserScope, key: Option<&[u8; 32]>) -> Self {
        let in_scope = |one: &HomeItem| match scope {
            UserScope::All => true,
            UserScope::Watchlist => one.watched,
            UserScope::None => false,
        };
        let mut selected = Self::default();
        for one in home_items.into_iter().filter(in_scope) {
            let Some(key) = key else {
                selected.lacks_key = true;
                break;
            };
            selected.add((!one.watched, UserItem { user: pseudonym(&one.home, key), place: one.place }));
        }
        selected
    }

    fn add(&mut self, item: (bool, UserItem)) {
        self.items.insert(item);
        if self.items.len() > limits::USER_ITEMS_PER_HOST + 1 {
            self.items.pop_last();
        }
    }
}

/// The user items for the host state, and how complete they are. Items that the watchlist names come first when not all
/// fit the contract. Without the secret the outcome is `failed`, which is not an absence. Under the scope `none` there is
/// no outcome, because nothing was asked for.
pub(super) fn items(of_sources: Vec<UserItems>, scope: UserScope) -> (Vec<UserItem>, Option<Outcome>) {
    if scope == UserScope::None {
        return (Vec::new(), None);
    }
    if of_sources.iter().any(|items| items.lacks_key) {
        return (Vec::new(), Some(Outcome::Failed));
    }
    let mut all = UserItems::default();
    of_sources.into_iter().flat_map(|items| items.items).for_each(|item| all.add(item));
    if all.items.is_empty() {
        return (Vec::new(), Some(Outcome::Empty));
    }
    let outcome = if all.items.len() > limits::USER_ITEMS_PER_HOST { Outcome::Partial } else { Outcome::Found };
    let mut items: Vec<UserItem> =
        all.items.into_iter().map(|(_, item)| item).take(limits::USER_ITEMS_PER_HOST).collect();
    // The order of what is sent must not depend on which items are watched.
    items.sort();
    (items, Some(outcome))
}

/// The outcome when not every home directory could be read.
pub(super) const fn incomplete(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Found => Outcome::Partial,
        Outcome::Empty => Outcome::Failed,
        Outcome::Partial | Outcome::NotApplicable | Outcome::Denied | Outcome::Failed | Outcome::TimedOut => outcome,
    }
}

fn pseudonym(home: &str, key: &[u8; 32]) -> String {
    let mut digits = blake3::keyed_hash(key, home.as_bytes()).to_hex().to_string();
    digits.truncate(DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As from two sources.
    fn items(mut items: Vec<HomeItem>, scope: UserScope, key: Option<&[u8; 32]>) -> (Vec<UserItem>, Option<Outcome>) {
        let others = items.split_off(items.len() / 2);
        super::items([items, others].map(|items| UserItems::of(items, scope, key)).into(), scope)
    }

    fn item(home: &str, place: &str, watched: bool) -> HomeItem {
        HomeItem { home: home.to_owned(), place: place.to_owned(), watched }
    }

    fn people() -> Vec<HomeItem> {
        vec![
            item("/home/jane", "browser-extension:a", true),
            item("/home/jane", "browser-extension:a", true),
            item("/home/jane", "flatpak:b", false),
            item("/home/ola", "browser-extension:a", true),
        ]
    }

    #[test]
    fn the_scope_decides_which_items_are_reported() {
        let places = |scope| -> Vec<String> {
            items(people(), scope, Some(&[7; 32])).0.into_iter().map(|item| item.place).collect()
        };
        assert_eq!(places(UserScope::None), Vec::<String>::new());
        assert_eq!(places(UserScope::Watchlist), ["browser-extension:a", "browser-extension:a"]);
        assert_eq!(places(UserScope::All).len(), 3);
    }

    #[test]
    fn a_pseudonym_is_stable_on_one_host_and_different_on_another() {
        let here = items(people(), UserScope::All, Some(&[7; 32])).0;
        let users: BTreeSet<&str> = here.iter().map(|item| item.user.as_str()).collect();
        assert_eq!(users.len(), 2);
        assert!(users.iter().all(|user| user.len() == DIGITS && user.bytes().all(|byte| byte.is_ascii_hexdigit())));
        let elsewhere = items(people(), UserScope::All, Some(&[8; 32])).0;
        assert!(elsewhere.iter().all(|item| !users.contains(item.user.as_str())));
        assert_eq!(here, items(people(), UserScope::All, Some(&[7; 32])).0);
    }

    #[test]
    fn watched_items_come_first_when_not_all_fit() {
        let home_items = (0..limits::USER_ITEMS_PER_HOST).map(|n| item("/home/a", &format!("flatpak:{n}"), false));
        let mut home_items: Vec<HomeItem> = home_items.collect();
        home_items.push(item("/home/z", "unit:kesl.service", true));
        let (reported, outcome) = items(home_items, UserScope::All, Some(&[7; 32]));
        assert_eq!(outcome, Some(Outcome::Partial));
        assert_eq!(reported.len(), limits::USER_ITEMS_PER_HOST);
        assert!(reported.iter().any(|item| item.place == "unit:kesl.service"));
    }

    #[test]
    fn without_the_secret_the_outcome_is_failed_and_not_empty() {
        assert_eq!(items(people(), UserScope::All, None), (Vec::new(), Some(Outcome::Failed)));
        assert_eq!(items(people(), UserScope::None, None), (Vec::new(), None));
        assert_eq!(items(Vec::new(), UserScope::All, None), (Vec::new(), Some(Outcome::Empty)));
        let unwatched = vec![item("/home/jane", "flatpak:b", false)];
        assert_eq!(items(unwatched, UserScope::Watchlist, None), (Vec::new(), Some(Outcome::Empty)));
        assert_eq!((incomplete(Outcome::Empty), incomplete(Outcome::Found)), (Outcome::Failed, Outcome::Partial));
    }
}
