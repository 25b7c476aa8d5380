//! Tests of the fleet model.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Digest, Platform, SourceName};

use super::machine::{Kaspersky, Machine};
use super::{Model, Profile, Report, Shares};

/// The version of a watchlist.
const WATCHLIST: u64 = 20_261_125_028_450;

fn model(seed: u64, profile: Profile) -> Model {
    Model { seed, profile, shares: Shares::default() }
}

fn reports(model: &Model, hosts: u64, day: u64) -> Vec<Report> {
    (0..hosts).map(|host| Report::of(&model.sight(host, day, WATCHLIST))).collect()
}

fn sections(reports: &[Report]) -> Vec<Digest> {
    reports.iter().flat_map(|report| report.sections.iter().map(|(digest, _)| *digest)).collect()
}

#[test]
fn the_same_seed_gives_the_same_digests_and_another_seed_others() {
    for profile in [Profile::Images, Profile::Distinct] {
        let first = sections(&reports(&model(1, profile), 20, 3));
        assert_eq!(first, sections(&reports(&model(1, profile), 20, 3)));
        assert_ne!(first, sections(&reports(&model(2, profile), 20, 3)));
    }
}

#[test]
fn hosts_of_one_image_share_nearly_all_their_sections() {
    let reports = reports(&model(7, Profile::Images), 800, 0);
    let all = sections(&reports);
    let different: BTreeSet<Digest> = all.iter().copied().collect();
    assert!(different.len() * 6 < all.len(), "{} different of {} sections", different.len(), all.len());
    let snapshots: BTreeSet<Digest> = reports.iter().map(|report| report.snapshot_digest).collect();
    assert!(
        snapshots.len() * 5 < reports.len() * 2,
        "{} different snapshots of {} hosts",
        snapshots.len(),
        reports.len()
    );
}

#[test]
fn distinct_hosts_share_no_section_on_any_day() {
    let model = model(7, Profile::Distinct);
    let mut all = sections(&reports(&model, 200, 0));
    all.extend(sections(&reports(&model, 200, 7)));
    let different: BTreeSet<Digest> = all.iter().copied().collect();
    assert_eq!(different.len(), all.len());
}

#[test]
fn a_distinct_host_has_three_hundred_observations_of_a_likely_size() {
    let model = model(7, Profile::Distinct);
    let mut bytes = 0;
    for host in 0..100 {
        let sight = model.sight(host, 0, WATCHLIST);
        let seen: usize = sight.sections.iter().map(|section| section.observations().len()).sum();
        assert_eq!(seen, 300, "host {host}");
        bytes += Report::of(&sight).size();
    }
    let mean = bytes / 100;
    assert!((18_000..28_000).contains(&mean), "{mean} bytes for a report");
}

#[test]
fn a_host_changes_its_snapshot_when_a_patch_level_comes_and_not_every_day() {
    let model = model(7, Profile::Images);
    let mut changes = BTreeMap::new();
    for host in 0..100 {
        let snapshots: Vec<Digest> =
            (0..21).map(|day| Report::of(&model.sight(host, day, WATCHLIST)).snapshot_digest).collect();
        *changes.entry(snapshots.windows(2).filter(|pair| pair[0] != pair[1]).count()).or_insert(0) += 1;
    }
    assert_eq!(changes.keys().copied().collect::<Vec<_>>(), [2, 3], "changes in three weeks: {changes:?}");
}

#[test]
fn shares_are_kept_and_no_user_stands_in_a_section() {
    let model = model(7, Profile::Images);
    let hosts = 1000;
    let windows = (0..hosts).filter(|host| model.machine(*host).platform == Platform::Windows).count();
    assert!((650..750).contains(&windows), "{windows} hosts with Windows of {hosts}");
    let awake = (0..hosts).filter(|host| model.is_awake(*host, 1)).count();
    assert!((800..900).contains(&awake), "{awake} hosts awake of {hosts}");
    let own = Shares { user_software: 100, rare: 0, kaspersky: 0, ..Shares::default() };
    let model = Model { shares: own, ..model };
    let sight = model.sight(0, 0, WATCHLIST);
    let paths = sight.sections.iter().flat_map(|section| section.observations()).filter(|seen| seen.path.contains('~'));
    assert!(paths.clone().count() > 0 && paths.clone().all(|seen| seen.path.starts_with("~/")));
}

#[test]
fn most_hosts_have_nothing_prohibited_and_few_stop_reporting() {
    let model = model(7, Profile::Images);
    let hosts = 1000;
    let count = |is: &dyn Fn(&Machine) -> bool| (0..hosts).filter(|host| is(&model.machine(*host))).count();
    assert!((30..70).contains(&count(&|machine| machine.kaspersky == Kaspersky::Installed)));
    assert!((3..20).contains(&count(&|machine| machine.kaspersky == Kaspersky::Remnant)));
    assert!((30..70).contains(&count(&|machine| machine.platform == Platform::Macos)));
    assert!((8..35).contains(&count(&|machine| machine.unreadable)));
    let had_kaspersky = |machine: &Machine| machine.kaspersky != Kaspersky::None;
    let share = count(&|machine| machine.protected) * 100 / count(&had_kaspersky);
    assert!((15..45).contains(&share), "{share} % of the hosts with Kaspersky are protected");
    let silent: Vec<u64> = (0..hosts).filter(|host| model.machine(*host).silent).collect();
    assert!((8..35).contains(&silent.len()));
    assert!(silent.iter().any(|host| model.is_awake(*host, 0)));
    assert!((1..20).all(|day| !silent.iter().any(|host| model.is_awake(*host, day))));
}

#[test]
fn only_sources_that_use_the_watchlist_name_its_version() {
    for profile in [Profile::Images, Profile::Distinct] {
        for host in 0..50 {
            for entry in model(7, profile).sight(host, 0, WATCHLIST).snapshot.entries() {
                let limited =
                    [SourceName::WatchPaths, SourceName::Processes, SourceName::Registry].contains(&entry.source);
                assert_eq!(entry.watchlist == WATCHLIST, limited, "{}", entry.source);
            }
        }
    }
}

#[test]
fn every_section_can_be_read_back_as_the_collector_reads_it() {
    for profile in [Profile::Images, Profile::Distinct] {
        for report in reports(&model(3, profile), 50, 2) {
            muster_proto::canonical::read_snapshot(&report.snapshot).unwrap();
            for (digest, bytes) in &report.sections {
                let section = muster_proto::canonical::read_section(bytes).unwrap();
                assert_eq!(muster_proto::canonical::section_digest(&section), *digest);
            }
        }
    }
}
