//! Who has what: people leave this host under pseudonyms only.
//!
//! A pseudonym is a keyed hash of a home with a secret of this host. It is the same from day to day, so that an operator
//! sees two items as one person's, and it is another on every other host: nobody can be followed through a fleet, and
//! without the secret nobody can try out names.

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{Outcome, SourceName, UserItem, UserScope};

use crate::sources::Owned;

/// Hexadecimal digits of a pseudonym: enough for a host's people, and too few for anything else.
const DIGITS: usize = 16;

/// The sources that scan into homes.
pub(super) const HOME_SOURCES: &[SourceName] =
    &[SourceName::SystemdUnits, SourceName::Flatpak, SourceName::BrowserExtensions];

/// What the state tells of it: what is watched first, as far as the contract has room. Without the secret nothing is
/// told, and that is no absence;
/// under the scope `none` nobody asked.
pub(super) fn items(owned: Vec<Owned>, scope: UserScope, key: Option<&[u8; 32]>) -> (Vec<UserItem>, Option<Outcome>) {
    if scope == UserScope::None {
        return (Vec::new(), None);
    }
    let told = |one: &Owned| match scope {
        UserScope::All => true,
        UserScope::Watchlist => one.watched,
        UserScope::None => false,
    };
    let told: Vec<Owned> = owned.into_iter().filter(told).collect();
    if told.is_empty() {
        return (Vec::new(), Some(Outcome::Empty));
    }
    let Some(key) = key else { return (Vec::new(), Some(Outcome::Failed)) };
    let item = |one: Owned| (!one.watched, UserItem { user: pseudonym(&one.home, key), place: one.place });
    let told: BTreeSet<(bool, UserItem)> = told.into_iter().map(item).collect();
    let outcome = if told.len() > limits::USER_ITEMS_PER_HOST { Outcome::Partial } else { Outcome::Found };
    let mut items: Vec<UserItem> = told.into_iter().map(|(_, item)| item).take(limits::USER_ITEMS_PER_HOST).collect();
    items.sort();
    (items, Some(outcome))
}

/// The outcome where not every home could be looked into.
pub(super) const fn less(outcome: Outcome) -> Outcome {
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

    fn owned(home: &str, place: &str, watched: bool) -> Owned {
        Owned { home: home.to_owned(), place: place.to_owned(), watched }
    }

    fn people() -> Vec<Owned> {
        vec![
            owned("/home/jane", "browser-extension:a", true),
            owned("/home/jane", "browser-extension:a", true),
            owned("/home/jane", "flatpak:b", false),
            owned("/home/ola", "browser-extension:a", true),
        ]
    }

    #[test]
    fn the_scope_says_how_much_is_told() {
        let places = |scope| -> Vec<String> {
            items(people(), scope, Some(&[7; 32])).0.into_iter().map(|item| item.place).collect()
        };
        assert_eq!(places(UserScope::None), Vec::<String>::new());
        assert_eq!(places(UserScope::Watchlist), ["browser-extension:a", "browser-extension:a"]);
        assert_eq!(places(UserScope::All).len(), 3);
    }

    #[test]
    fn a_pseudonym_is_one_persons_on_one_host_and_says_nothing_elsewhere() {
        let here = items(people(), UserScope::All, Some(&[7; 32])).0;
        let users: BTreeSet<&str> = here.iter().map(|item| item.user.as_str()).collect();
        assert_eq!(users.len(), 2);
        assert!(users.iter().all(|user| user.len() == DIGITS && user.bytes().all(|byte| byte.is_ascii_hexdigit())));
        let elsewhere = items(people(), UserScope::All, Some(&[8; 32])).0;
        assert!(elsewhere.iter().all(|item| !users.contains(item.user.as_str())));
        assert_eq!(here, items(people(), UserScope::All, Some(&[7; 32])).0);
    }

    #[test]
    fn what_is_watched_is_told_before_anything_else() {
        let watched_processes =
            (0..limits::USER_ITEMS_PER_HOST).map(|n| owned("/home/a", &format!("flatpak:{n}"), false));
        let mut watched_processes: Vec<Owned> = watched_processes.collect();
        watched_processes.push(owned("/home/z", "unit:kesl.service", true));
        let (told, outcome) = items(watched_processes, UserScope::All, Some(&[7; 32]));
        assert_eq!(outcome, Some(Outcome::Partial));
        assert_eq!(told.len(), limits::USER_ITEMS_PER_HOST);
        assert!(told.iter().any(|item| item.place == "unit:kesl.service"));
    }

    #[test]
    fn without_the_secret_nothing_is_told_and_that_is_no_absence() {
        assert_eq!(items(people(), UserScope::All, None), (Vec::new(), Some(Outcome::Failed)));
        assert_eq!(items(people(), UserScope::None, None), (Vec::new(), None));
        assert_eq!(items(Vec::new(), UserScope::All, None), (Vec::new(), Some(Outcome::Empty)));
        let unwatched = vec![owned("/home/jane", "flatpak:b", false)];
        assert_eq!(items(unwatched, UserScope::Watchlist, None), (Vec::new(), Some(Outcome::Empty)));
        assert_eq!((less(Outcome::Empty), less(Outcome::Found)), (Outcome::Failed, Outcome::Partial));
    }
}
