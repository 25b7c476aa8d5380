//! Tests of the dictionaries.

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Observation, Section, SourceName};

use super::phrases::Phrases;
use super::*;

fn free() -> Allowance {
    Allowance::unlimited()
}

fn section(names: impl Iterator<Item = String>) -> CanonicalSection {
    let observations = names.map(|name| Observation { version: name.clone(), ..Observation::new(Kind::Deb, name) });
    CanonicalSection::from(&Section::new(Platform::Linux, SourceName::Dpkg, observations.collect()))
}

#[test]
fn an_edition_has_one_number_on_a_platform_also_when_many_ask_at_once() {
    let all = std::sync::Arc::new(Dictionaries::default());
    let (done, finished) = std::sync::mpsc::channel();
    for thread in 0..8_u32 {
        let (all, done) = (std::sync::Arc::clone(&all), done.clone());
        std::thread::spawn(move || {
            for round in 0..200 {
                let section = section((0..20).map(|n| format!("{}", thread * 7 + round * 3 + n)));
                let observations = section.observations();
                let (numbers, _) = all.editions(Platform::Linux, &observations, &free()).expect("no bound");
                all.phrase(&format!("{round}"));
                for (number, seen) in numbers.iter().zip(&observations) {
                    let kept = (&*all).edition(i64::from(*number)).expect("reads").expect("is there");
                    assert_eq!(kept, seen.edition);
                }
            }
            done.send(()).expect("told");
        });
    }
    for _ in 0..8 {
        finished.recv_timeout(std::time::Duration::from_secs(30)).expect("nobody waits for ever");
    }
    let section = section((0..100).map(|n| n.to_string()));
    let observations = section.observations();
    let here = all.editions(Platform::Linux, &observations, &free()).expect("no bound");
    assert_eq!(here, all.editions(Platform::Linux, &observations, &free()).expect("no bound"), "the same again");
    assert_eq!(here.0.iter().collect::<std::collections::BTreeSet<_>>().len(), 100, "no two have one number");
    let (there, _) = all.editions(Platform::Windows, &observations, &free()).expect("no bound");
    assert!(here.0.iter().all(|number| !there.contains(number)), "another platform, another edition");
}

#[test]
fn what_a_lost_transaction_would_have_kept_is_in_the_next_one() {
    let dictionary = Phrases::default();
    dictionary.number(b"one");
    assert_eq!(dictionary.after(dictionary.saved()).0, [(1, b"one".to_vec())]);
    dictionary.number(b"two");
    let (again, up_to) = dictionary.after(dictionary.saved());
    assert_eq!((again.len(), up_to), (2, 2), "nothing was saved");
    dictionary.set_saved(up_to);
    dictionary.number(b"three");
    assert_eq!(dictionary.after(dictionary.saved()).0, [(3, b"three".to_vec())]);
}

#[test]
fn editions_are_written_and_read_again_with_ids_of_every_form() {
    let observation = |name: &str, id: &str| Observation {
        state: if id.is_empty() { String::new() } else { "rc".to_owned() },
        vendor: "Vendor".to_owned(),
        id: id.to_owned(),
        version: "1.0".to_owned(),
        ..Observation::new(Kind::Deb, name)
    };
    let ids =
        ["", "curl", "curl:amd64", "{0123ABCD-4567-89EF-0011-223344556677}", "{0123abcd-4567-89EF-0011-223344556677}"];
    let observations =
        ids.map(|id| observation("curl", id)).into_iter().chain([observation("", "x"), observation("a", "bc")]);
    let section = Section::new(Platform::Linux, SourceName::Dpkg, observations.collect());
    let section = CanonicalSection::from(&section);
    let seen = section.observations();
    let all = Dictionaries::default();
    let (numbers, _) = all.editions(Platform::Linux, &seen, &free()).expect("no bound");
    let sql = Connection::open_in_memory().expect("opens");
    sql.execute_batch(include_str!("../../../../migrations/sqlite/0001_initial.sql")).expect("makes tables");
    let saved = all.save(&sql).expect("saves");
    all.saved(saved);
    let again = Dictionaries::load(&sql, 0).expect("loads");
    for (number, seen) in numbers.iter().zip(&seen) {
        let from_table = Table(&sql).edition(i64::from(*number)).expect("reads").expect("is there");
        let edition = [seen.edition, seen.state.as_bytes()].concat();
        assert_eq!(from_table, edition);
        assert_eq!((&again).edition(i64::from(*number)).expect("reads"), Some(edition));
    }
    assert_eq!(again.editions(Platform::Linux, &seen, &free()), Ok((numbers, 0)), "and none is made again");
    let titles: i64 = sql.query_row("SELECT count(*) FROM title", [], |row| row.get(0)).expect("counts");
    assert_eq!(titles, 3, "a title stands once");
}
