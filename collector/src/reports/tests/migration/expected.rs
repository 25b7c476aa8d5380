//! What follows from the log of a migration: the lane of every machine at an instant, by the words of the order and of the table of
//! lanes alone. Nothing of the code that is tested is used here but the names of lanes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_proto::model::{Lane, Timestamp};

use super::log::{Event, Log, Seen};

const DAY: Duration = Duration::from_secs(86_400);

/// Machines in some part of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) lanes: BTreeMap<Lane, u64>,
    pub(super) out_of_scope: u64,
    pub(super) silent: u64,
    /// The true lanes of waived hosts, and those of retired ones at their last report.
    pub(super) waived: BTreeMap<Lane, u64>,
    pub(super) retired: BTreeMap<Lane, u64>,
}

/// What a board must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Expected {
    /// Of the roster; without a roster, of all hosts.
    pub(super) counted: Counts,
    pub(super) outside: Option<Counts>,
    pub(super) listed: u64,
    pub(super) excused: u64,
}

impl Expected {
    /// All machines by lane; `None` is out of scope.
    pub(super) fn all(&self) -> BTreeMap<Option<Lane>, u64> {
        let mut all = BTreeMap::new();
        for counts in [Some(&self.counted), self.outside.as_ref()].into_iter().flatten() {
            for (lane, machines) in &counts.lanes {
                *all.entry(Some(*lane)).or_default() += machines;
            }
            if counts.out_of_scope > 0 {
                *all.entry(None).or_default() += counts.out_of_scope;
            }
        }
        all
    }
}

/// What is known of a host.
struct Host {
    site: &'static str,
    last_report: Timestamp,
    seen: Option<Seen>,
    /// A report that says nothing new is judged once a day.
    last_judged: Timestamp,
    /// The product was found and no complete scan has refuted it; the number of the start under which it was found last.
    positive: Option<u32>,
    removal: Option<Removal>,
    is_retired: bool,
}

struct Removal {
    present_under: u32,
    was_restarted: bool,
    /// Complete scans without the product, a day apart.
    clean_scans: u32,
    last_clean: Timestamp,
}

impl Host {
    fn reports(&mut self, at: Timestamp, seen: Seen) {
        self.last_report = at;
        self.is_retired = false;
        if self.seen == Some(seen) && at.since(self.last_judged) < DAY {
            return;
        }
        self.last_judged = at;
        self.seen = Some(seen);
        if !seen.is_readable {
            return;
        }
        if seen.product {
            self.positive = Some(seen.boot);
            self.removal = None;
        } else if let Some(present_under) = self.positive.take() {
            let was_restarted = seen.boot != present_under;
            self.removal = Some(Removal { present_under, was_restarted, clean_scans: 1, last_clean: at });
        } else if let Some(removal) = &mut self.removal {
            removal.was_restarted |= seen.boot != removal.present_under;
            if at.since(removal.last_clean) >= DAY {
                removal.clean_scans += 1;
                removal.last_clean = at;
            }
        }
    }

    /// The lane while it reports.
    fn awake(&self) -> Lane {
        let Some(seen) = self.seen else { return Lane::Unknown };
        let is_protected = seen.is_readable && seen.protection;
        match (&self.positive, &self.removal) {
            (Some(_), _) if is_protected => Lane::Remove,
            (Some(_), _) => Lane::Replace,
            _ if !seen.is_readable => Lane::Unknown,
            (None, None) => Lane::Clear,
            (None, Some(_)) if !is_protected => Lane::Protect,
            (None, Some(removal)) if removal.was_restarted && removal.clean_scans >= 2 => Lane::Done,
            (None, Some(_)) => Lane::Confirm,
        }
    }
}

/// What is known of a machine of the roster.
struct Machine {
    site: &'static str,
    host: Option<u32>,
    is_excused: bool,
}

/// What is known of everything.
#[derive(Default)]
struct World {
    hosts: BTreeMap<u32, Host>,
    machines: BTreeMap<u32, Machine>,
    /// The hosts of each waiver, and until when it is in force.
    waivers: BTreeMap<u64, (BTreeSet<u32>, Timestamp)>,
    patience: Duration,
    sites: &'static [&'static str],
}

/// Whether work is left on a machine; `None` if it was taken out of the count.
pub(super) type HasWork = Option<bool>;

/// A host, or a machine of the roster, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counted {
    Host(u32),
    Machine(u32),
}

impl Log {
    /// On which machines work is left at an instant, whatever waivers they have, under the rules of an instant that may be earlier.
    pub(super) fn work(&self, at: Timestamp, rules_of: Timestamp) -> BTreeMap<Counted, HasWork> {
        let mut world = World::default();
        for (then, event) in self.until(at) {
            if then <= rules_of || !matches!(event, Event::Rules { .. }) {
                world.happens(then, event);
            }
        }
        world.work(at)
    }

    /// What a board must show at an instant.
    pub(super) fn at(&self, at: Timestamp) -> Expected {
        let mut world = World::default();
        for (then, event) in self.until(at) {
            world.happens(then, event);
        }
        world.expected(at)
    }
}

impl World {
    fn happens(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Enrolled { host, site } => {
                let (seen, positive, removal) = (None, None, None);
                let (last_report, last_judged) = (at, at);
                let new = Host { site, last_report, seen, last_judged, positive, removal, is_retired: false };
                self.hosts.insert(*host, new);
            }
            Event::Reported { host, seen } => {
                if let Some(host) = self.hosts.get_mut(host) {
                    host.reports(at, *seen);
                }
            }
            Event::Listed { machine, site } => {
                self.machines.insert(*machine, Machine { site, host: None, is_excused: false });
            }
            Event::Matched { machine, host } => {
                if let Some(machine) = self.machines.get_mut(machine) {
                    machine.host = Some(*host);
                }
            }
            Event::Excused { machine } => {
                if let Some(machine) = self.machines.get_mut(machine) {
                    machine.is_excused = true;
                }
            }
            Event::Waived { waiver, hosts, until } => {
                self.waivers.insert(*waiver, (hosts.iter().copied().collect(), *until));
            }
            Event::WaiverEnded { waiver } => {
                self.waivers.remove(waiver);
            }
            Event::Retired { host } => self.set_retired(*host, true),
            Event::TakenBack { host } => self.set_retired(*host, false),
            Event::Rules { patience_days, sites } => {
                self.patience = DAY * u32::try_from(*patience_days).expect("few days");
                self.sites = sites;
                // New rules judge every host.
                self.hosts.values_mut().for_each(|host| host.last_judged = at);
            }
        }
    }

    fn set_retired(&mut self, host: u32, is_retired: bool) {
        if let Some(host) = self.hosts.get_mut(&host) {
            host.is_retired = is_retired;
        }
    }

    fn is_in_scope(&self, site: &str) -> bool {
        self.sites.is_empty() || self.sites.contains(&site)
    }

    fn expected(&self, at: Timestamp) -> Expected {
        let on_roster: BTreeSet<u32> = self.machines.values().filter_map(|machine| machine.host).collect();
        let mut expected = Expected::default();
        let mut outside = Counts::default();
        for (number, host) in &self.hosts {
            let is_counted = self.machines.is_empty() || on_roster.contains(number);
            let counts = if is_counted { &mut expected.counted } else { &mut outside };
            self.count(*number, host, at, counts);
        }
        for machine in self.machines.values() {
            if machine.is_excused {
                expected.excused += 1;
                continue;
            }
            expected.listed += 1;
            if machine.host.is_some() {
                continue;
            }
            if self.is_in_scope(machine.site) {
                *expected.counted.lanes.entry(Lane::Missing).or_default() += 1;
            } else {
                expected.counted.out_of_scope += 1;
            }
        }
        expected.outside = (!self.machines.is_empty()).then_some(outside);
        expected
    }

    fn work(&self, at: Timestamp) -> BTreeMap<Counted, HasWork> {
        let host = |(number, host): (&u32, &Host)| {
            let is_finished = matches!(self.without_decision(host, at), Lane::Done | Lane::Clear);
            let is_left = host.is_retired || !self.is_in_scope(host.site);
            (Counted::Host(*number), (!is_left).then_some(!is_finished))
        };
        let machine = |(number, machine): (&u32, &Machine)| {
            let is_left = machine.is_excused || !self.is_in_scope(machine.site);
            (Counted::Machine(*number), (!is_left).then_some(machine.host.is_none()))
        };
        self.hosts.iter().map(host).chain(self.machines.iter().map(machine)).collect()
    }

    fn without_decision(&self, host: &Host, at: Timestamp) -> Lane {
        let awake = host.awake();
        let stays = matches!(awake, Lane::Replace | Lane::Remove);
        if at.since(host.last_report) > self.patience && !stays { Lane::Silent } else { awake }
    }

    fn count(&self, number: u32, host: &Host, at: Timestamp, counts: &mut Counts) {
        if !self.is_in_scope(host.site) {
            counts.out_of_scope += 1;
            return;
        }
        let awake = host.awake();
        let is_silent = at.since(host.last_report) > self.patience;
        let without_decision = self.without_decision(host, at);
        let is_waived = self.waivers.values().any(|(hosts, until)| hosts.contains(&number) && at < *until);
        let lane = if host.is_retired {
            *counts.retired.entry(awake).or_default() += 1;
            Lane::Retired
        } else if is_waived {
            *counts.waived.entry(without_decision).or_default() += 1;
            Lane::Waived
        } else {
            without_decision
        };
        *counts.lanes.entry(lane).or_default() += 1;
        counts.silent += u64::from(is_silent && !host.is_retired);
    }
}
