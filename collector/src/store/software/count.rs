//! How many hosts have each edition, and which hosts have any.
//!
//! ```text
//!  group of editions ──► sections ──► snapshots ──► hosts, each counted once
//! ```
//!
//! Sections and snapshots are replaced by their positions in dense lists first, so that counting follows positions and looks
//! nothing up.

use hashbrown::HashMap;
use muster_proto::model::{SoftwareCount, SoftwareEdition, SoftwareHost};

use super::{Editions, PAGE, Pairs};
use crate::store::fault::Step;
use crate::store::number_set::NumberSet;
use crate::store::{SearchBudget, SoftwareQuery};

/// What a search has found, from editions to hosts.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Trail<'a> {
    pub(in crate::store) editions: &'a Editions,
    /// The sections of each edition.
    pub(in crate::store) sections: &'a Pairs,
    /// The snapshots of each section.
    pub(in crate::store) snapshots: &'a Pairs,
    /// The hosts with each snapshot.
    pub(in crate::store) hosts: &'a Pairs,
}

/// The result of counting.
#[derive(Debug)]
pub(in crate::store) struct Counted {
    /// Those on most hosts first.
    pub(in crate::store) editions: Vec<SoftwareCount>,
    /// How many more there are.
    pub(in crate::store) more: u64,
    /// The hosts that have any of the editions.
    pub(in crate::store) everyone: NumberSet,
    /// How many they are.
    pub(in crate::store) hosts: u64,
}

/// Lists of positions, one after the other.
struct Lists {
    ends: Vec<usize>,
    members: Vec<u32>,
}

impl Lists {
    /// The lists of these keys, which are ascending. `pairs` are sorted; `place` says which member a pair is.
    fn of(keys: &[i64], pairs: &Pairs, place: impl Fn(i64) -> Option<u32>) -> Self {
        let (mut ends, mut members) = (Vec::with_capacity(keys.len()), Vec::new());
        let mut pairs = pairs.iter().peekable();
        for key in keys {
            while let Some((from, to)) = pairs.next_if(|(from, _)| from <= key) {
                members.extend(place(to).filter(|_| from == *key));
            }
            ends.push(members.len());
        }
        Self { ends, members }
    }

    fn list(&self, at: u32) -> &[u32] {
        let at = at as usize;
        let from = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.members[from..self.ends[at]]
    }
}

/// The position of each number.
fn places(numbers: &[i64]) -> HashMap<i64, u32> {
    (0_u32..).zip(numbers).map(|(at, number)| (*number, at)).collect()
}

/// Counts the hosts of each edition. All pairs of the trail are settled.
pub(in crate::store) fn count(trail: Trail<'_>, query: &SoftwareQuery) -> Step<Counted> {
    let budget = &query.budget;
    let sections = trail.sections.targets();
    let mut snapshots: Vec<i64> = trail.hosts.iter().map(|(snapshot, _)| snapshot).collect();
    snapshots.dedup();
    budget.spend(0, (sections.len() + snapshots.len()) * PLACE_BYTES)?;
    let (of_section, of_snapshot) = (places(&sections), places(&snapshots));
    // Snapshots that no host has any more are left out here.
    let by_section = Lists::of(&sections, trail.snapshots, |snapshot| of_snapshot.get(&snapshot).copied());
    let by_snapshot = Lists::of(&snapshots, trail.hosts, |host| u32::try_from(host).ok());
    let last = by_snapshot.members.iter().max().map_or(0, |host| *host as usize);
    budget.spend(0, (last + 1) * size_of::<u32>())?;
    // The group that has counted a host last.
    let mut counted_by = vec![0_u32; last + 1];
    let mut everyone = NumberSet::default();
    let mut hosts_total = 0;
    // The editions of one image are all in the same sections, so their hosts are counted once.
    let mut known: HashMap<Vec<u32>, u64> = HashMap::new();
    let (mut counted, mut named) = (Vec::new(), Vec::new());
    for (stamp, numbers) in (1_u32..).zip(trail.editions.by_group().chunk_by(|a, b| a.0 == b.0)) {
        named.clear();
        for (_, number) in numbers {
            let of_number = trail.sections.of(i64::from(*number));
            named.extend(of_number.filter_map(|section| of_section.get(&section).copied()));
        }
        if numbers.len() > 1 {
            named.sort_unstable();
            named.dedup();
        }
        budget.spend(1 + named.len(), 0)?;
        let hosts = match known.get(named.as_slice()) {
            Some(hosts) => *hosts,
            None => {
                let mut hosts = 0;
                for snapshot in named.iter().flat_map(|section| by_section.list(*section)) {
                    let of_snapshot = by_snapshot.list(*snapshot);
                    budget.spend(1 + of_snapshot.len(), 0)?;
                    for host in of_snapshot {
                        let before = std::mem::replace(&mut counted_by[*host as usize], stamp);
                        hosts += u64::from(before != stamp);
                        if before == 0 {
                            everyone.insert(i64::from(*host));
                            hosts_total += 1;
                        }
                    }
                }
                budget.spend(1, named.len() * size_of::<u32>() + PLACE_BYTES)?;
                known.insert(named.clone(), hosts);
                hosts
            }
        };
        if hosts > 0 {
            counted.push((numbers[0].0, hosts));
        }
    }
    let (editions, more) = foremost(trail.editions, counted, query.editions)?;
    Ok(Counted { editions, more, everyone, hosts: hosts_total })
}

/// The memory of a number and its position, in a list and a map.
const PLACE_BYTES: usize = 32;

/// The editions on most hosts, at most `most` of them, and how many were dropped.
fn foremost(editions: &Editions, mut counted: Vec<(u32, u64)>, most: usize) -> Step<(Vec<SoftwareCount>, u64)> {
    let order = |a: &(u32, u64), b: &(u32, u64)| b.1.cmp(&a.1).then_with(|| editions.compare(a.0, b.0));
    let more = counted.len().saturating_sub(most);
    if more > 0 && most > 0 {
        // Sorting all of them would take as long as everything else.
        counted.select_nth_unstable_by(most, order);
    }
    counted.truncate(most);
    counted.sort_unstable_by(order);
    let count = |(group, hosts): (u32, u64)| Ok(SoftwareCount { edition: editions.edition(group)?, hosts });
    Ok((counted.into_iter().map(count).collect::<Step<_>>()?, more as u64))
}

/// The memory of an edition with its texts, as it is shown.
const SHOWN_BYTES: usize = 256;

/// The editions that each of some sections has: of those on a page, because all of them would be far more.
pub(in crate::store) struct OfSections<'a> {
    editions: &'a Editions,
    groups: HashMap<i64, Vec<u32>>,
}

impl<'a> OfSections<'a> {
    /// Of these sections.
    pub(in crate::store) fn new(trail: Trail<'a>, sections: &NumberSet, budget: &SearchBudget) -> Step<Self> {
        let editions = trail.editions;
        let mut groups: HashMap<i64, Vec<u32>> = HashMap::new();
        let mut by_number = editions.by_group();
        by_number.sort_unstable_by_key(|(_, number)| *number);
        let mut rest = by_number.as_slice();
        for (number, section) in trail.sections.iter() {
            while rest.first().is_some_and(|(_, of)| i64::from(*of) < number) {
                rest = &rest[1..];
            }
            if sections.contains(section)
                && let Some((group, _)) = rest.first().filter(|(_, of)| i64::from(*of) == number)
            {
                budget.spend(1, size_of::<u32>())?;
                groups.entry(section).or_default().push(*group);
            }
        }
        Ok(Self { editions, groups })
    }

    /// Those of the editions that a host with these sections has.
    pub(in crate::store) fn of_host(&self, sections: &[i64], budget: &SearchBudget) -> Step<Vec<SoftwareEdition>> {
        let mut groups: Vec<u32> =
            sections.iter().filter_map(|section| self.groups.get(section)).flatten().copied().collect();
        groups.sort_unstable();
        groups.dedup();
        budget.spend(1 + groups.len(), groups.len() * SHOWN_BYTES)?;
        groups.sort_unstable_by(|a, b| self.editions.compare(*a, *b));
        groups.into_iter().map(|group| self.editions.edition(group)).collect()
    }
}

/// These hosts, each with the sections of its snapshot, with those of the editions that they have. Ends after about
/// [`PAGE`] editions.
pub(in crate::store) fn filled(
    hosts: Vec<(SoftwareHost, Vec<i64>)>,
    of_sections: &OfSections<'_>,
    budget: &SearchBudget,
) -> Step<Vec<SoftwareHost>> {
    let (mut filled, mut shown) = (Vec::with_capacity(hosts.len()), 0);
    for (host, sections) in hosts {
        if shown > PAGE {
            break;
        }
        let editions = of_sections.of_host(&sections, budget)?;
        shown += editions.len();
        filled.push(SoftwareHost { editions, ..host });
    }
    Ok(filled)
}
