//! The budgets as a state machine.

use std::time::Duration;

use muster_proto::limits;

use super::*;

fn host(number: u8) -> HostId {
    HostId::from_bytes([number; 16])
}

/// So many minutes after a full hour.
fn at(minutes: u64) -> Timestamp {
    Timestamp::from_millis(490_000 * HOUR_MS).plus(Duration::from_secs(60 * minutes))
}

fn small() -> config::Budgets {
    config::Budgets {
        host_bytes_per_hour: 1_000,
        host_sections_per_hour: 5,
        host_editions_per_hour: 100,
        host_uploads_per_hour: 3,
        host_changes_per_hour: 2,
        host_renewals_per_hour: 2,
        store_bytes_per_hour: 2_500,
        store_editions_per_hour: 250,
    }
}

fn budget(outcome: Result<(), Spent>) -> Option<(Budget, bool)> {
    outcome.err().map(|spent| (spent.budget, spent.is_news))
}

/// Spends a budget of host 1.
type Spend = fn(&Budgets) -> Result<(), Spent>;

#[test]
fn each_budget_of_a_host_ends_its_uploads_until_the_next_full_hour_and_no_one_elses() {
    let section = |budgets: &Budgets, bytes| budgets.section(host(1), bytes, at(10));
    let cases: [(Budget, Spend); 4] = [
        (Budget::HostBytes, |budgets| (0..2).try_for_each(|_| budgets.section(host(1), 501, at(10)))),
        (Budget::HostSections, |budgets| (0..6).try_for_each(|_| budgets.section(host(1), 1, at(10)))),
        (Budget::HostUploads, |budgets| (0..4).try_for_each(|_| budgets.upload(host(1), at(10)))),
        (Budget::HostEditions, |budgets| Err(budgets.editions_exceeded(host(1), at(10)))),
    ];
    for (expected, spend) in cases {
        let budgets = Budgets::new(small());
        assert_eq!(budget(spend(&budgets)), Some((expected, true)));
        assert_eq!(budget(budgets.upload(host(1), at(59))), Some((expected, false)), "the same, but no news");
        assert_eq!(budget(section(&budgets, 0)), Some((expected, false)), "also for an upload that is under way");
        assert_eq!(budget(budgets.upload(host(2), at(59))), None);
        let until = at(60);
        assert_eq!(budgets.throttled(at(30)), [Throttled { host: host(1), budget: expected, until }]);
        assert_eq!(budgets.throttled(until), []);
        assert_eq!(budget(budgets.upload(host(1), until)), None);
    }
}

#[test]
fn what_all_hosts_send_together_is_bounded_and_makes_none_of_them_throttled() {
    let budgets = Budgets::new(small());
    for number in 1..=2 {
        assert_eq!(budget(budgets.section(host(number), 1_000, at(10))), None);
    }
    assert_eq!(budget(budgets.section(host(3), 501, at(10))), Some((Budget::StoreBytes, true)));
    assert_eq!(budget(budgets.upload(host(4), at(11))), Some((Budget::StoreBytes, false)));
    assert_eq!(budgets.throttled(at(11)), []);

    let budgets = Budgets::new(small());
    for number in 1..=2 {
        assert_eq!(budgets.editions(host(number), at(10)), 100);
        budgets.editions_taken(host(number), 100, at(10));
    }
    assert_eq!((budgets.editions(host(1), at(10)), budgets.editions(host(3), at(10))), (0, 50));
    assert_eq!(budgets.editions_exceeded(host(3), at(10)).budget, Budget::StoreEditions);
    assert_eq!(budgets.editions_exceeded(host(1), at(10)).budget, Budget::HostEditions);
}

#[test]
fn changes_have_a_budget_that_does_not_end_uploads() {
    let budgets = Budgets::new(small());
    assert_eq!(budgets.changes(host(1), at(10)), 2);
    budgets.changed(host(1), 1, 10, at(10));
    budgets.changed(host(1), 0, 1_000_000, at(10));
    budgets.changed(host(1), 1, 10, at(10));
    assert_eq!(budgets.changes(host(1), at(10)), 0);
    let spent = budgets.changes_exceeded(host(1), at(10));
    assert_eq!((spent.budget, spent.is_news, spent.until), (Budget::HostChanges, true, at(60)));
    assert!(!budgets.changes_exceeded(host(1), at(10)).is_news);
    assert_eq!(budget(budgets.upload(host(1), at(10))), None);
    assert_eq!(budget(budgets.section(host(1), 981, at(10))), Some((Budget::HostBytes, true)), "states count as bytes");
    assert_eq!(budgets.changes(host(1), at(60)), 2);
}

#[test]
fn renewals_have_a_budget_that_ends_nothing_else() {
    let budgets = Budgets::new(small());
    let renewal = |minutes| budget(budgets.renewal(host(1), at(minutes)));
    assert_eq!((renewal(10), renewal(20)), (None, None));
    assert_eq!((renewal(30), renewal(40)), (Some((Budget::HostRenewals, true)), Some((Budget::HostRenewals, false))));
    let waiting = Throttled { host: host(1), budget: Budget::HostRenewals, until: at(60) };
    assert_eq!(budgets.throttled(at(50)), [waiting]);
    assert_eq!(budget(budgets.upload(host(1), at(50))), None);
    assert_eq!(budgets.changes(host(1), at(50)), 2);
    assert_eq!(budget(budgets.renewal(host(2), at(50))), None);
    assert_eq!(renewal(60), None);
}

#[test]
fn only_hosts_that_have_sent_something_in_this_hour_take_memory() {
    let budgets = Budgets::new(config::Budgets::default());
    for number in 0..200 {
        assert!(budgets.changes(host(number), at(1)) > 0 && budgets.editions(host(number), at(1)) > 0);
        budgets.editions_taken(host(number), 0, at(1));
    }
    assert_eq!(budgets.hour(at(1)).hosts.len(), 0);
    (0..200).for_each(|number| budgets.editions_taken(host(number), 1, at(1)));
    let held = |now| budgets.hour(now).hosts.len();
    assert_eq!((held(at(1)), held(at(60))), (200, 0));
}

/// One hour of an honest host: each upload is its sections, in bytes and new editions.
fn reports(budgets: &Budgets, host: HostId, uploads: u64, sections: &[(usize, u64)], now: Timestamp) {
    for _ in 0..uploads {
        budgets.changed(host, 1, 4_000, now);
        assert!(budgets.changes(host, now) > 0);
        budgets.upload(host, now).expect("an upload fits");
        for (bytes, editions) in sections {
            budgets.section(host, *bytes, now).expect("a section fits");
            assert!(budgets.editions(host, now) >= *editions);
            budgets.editions_taken(host, *editions, now);
        }
    }
}

#[test]
fn honest_hosts_do_not_reach_the_defaults() {
    // The first day of 10,000 hosts with 3,000 packages, none of which shares a section with another; one in five
    // packages is known to nobody else yet. All of it comes within an hour.
    let budgets = Budgets::new(config::Budgets::default());
    for number in 0..10_000_u128 {
        let host = HostId::from_bytes(number.to_be_bytes());
        let all = [(330_000, if number < 100 { 3_000 } else { 50 }), (60_000, 60), (40_000, 20), (2_000, 1), (500, 0)];
        reports(&budgets, host, 1, &all, at(0));
    }
    // All sections of 3,000 packages change every day: the agent reports it every five minutes of that hour.
    reports(&budgets, host(201), 12, &[(330_000, 3_000), (60_000, 400), (40_000, 200)], at(0));
    // The upgrade of a release: 280 scans in one hour, 6,000 packages in three states, and nobody has upgraded before.
    reports(&budgets, host(202), 280, &[(660_000, 18_000_u64.div_ceil(280)), (60_000, 4), (500, 1)], at(0));
    assert_eq!(budgets.throttled(at(59)), []);
}

#[test]
fn the_largest_snapshot_of_the_contract_is_complete_after_some_hours() {
    let least = config::Budgets {
        host_bytes_per_hour: limits::SECTION_BYTES as u64,
        host_sections_per_hour: 1,
        host_editions_per_hour: limits::OBSERVATIONS_PER_SECTION as u64,
        host_uploads_per_hour: 1,
        ..config::Budgets::default()
    };
    let budgets = Budgets::new(least);
    let (mut missing, mut hours) = (limits::SOURCES_PER_SNAPSHOT, 0);
    while missing > 0 {
        let now = at(60 * hours);
        hours += 1;
        budgets.upload(host(1), now).expect("one upload an hour");
        while missing > 0 {
            if budgets.section(host(1), limits::SECTION_BYTES, now).is_err() {
                break;
            }
            assert_eq!(budgets.editions(host(1), now), limits::OBSERVATIONS_PER_SECTION as u64);
            budgets.editions_taken(host(1), limits::OBSERVATIONS_PER_SECTION as u64, now);
            missing -= 1;
        }
    }
    assert_eq!(hours, limits::SOURCES_PER_SNAPSHOT as u64);
}
