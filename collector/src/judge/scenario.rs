//! Scenarios: a snapshot in, the expected presence, protection, lane and rule out. Data that an analyst can read and
//! write; `muster catalogue check` and the tests run them.

use std::collections::BTreeMap;

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{
    Digest, HostState, Kind, Lane, Observation, OrderId, Outcome, Platform, Presence, Protection, RealtimeEvidence,
    Section, SignatureState, SiteId, Snapshot, SnapshotEntry, SourceName, Timestamp, UnitState,
};

use super::date_scenario;
use super::{HostSituation, Positive, Remediation, Removal, assess, detect, place};
use crate::rules::{Entries, RuleFault, RuleFile, RuleSet, TomlReader};

/// One scenario of a file.
#[derive(Debug, Clone)]
struct Scenario {
    line: usize,
    name: String,
    order: String,
    /// The orders that are active; empty means those that the rules name.
    active: Vec<OrderId>,
    platform: Platform,
    site: String,
    now: Timestamp,
    last_seen: Option<Timestamp>,
    boot_id: String,
    state: HostState,
    remediation: Remediation,
    sources: BTreeMap<SourceName, ScenarioSource>,
    expect: Expect,
}

/// What one source contributed.
#[derive(Debug, Clone)]
struct ScenarioSource {
    outcome: Outcome,
    reason: String,
    watchlist: Option<u64>,
    observations: Vec<Observation>,
}

/// The expected result. A field that is not given is not compared.
#[derive(Debug, Clone, Default)]
struct Expect {
    presence: Option<Presence>,
    protection: Option<Protection>,
    lane: Option<Lane>,
    covered: Option<bool>,
    overdue: Option<bool>,
    silent: Option<bool>,
    in_scope: Option<bool>,
    rules: Vec<String>,
    advice: Vec<String>,
    says: Vec<String>,
    never_says: Vec<String>,
}

/// Reads and runs the scenarios of a file. Returns how many there are, and a fault for every unexpected result.
pub(super) fn run(rules: &RuleSet, file: &RuleFile) -> (usize, Vec<RuleFault>) {
    let ((scenarios, dates), mut faults) = TomlReader::read(file, |entries| {
        let scenarios = entries.tables("scenario", scenario);
        let dates = entries.tables("date", date_scenario::read);
        if scenarios.is_empty() && dates.is_empty() {
            entries.fault(1, "the file has no [[scenario]] and no [[date]]");
        }
        (scenarios, dates)
    });
    if !faults.is_empty() {
        return (0, faults);
    }
    let watchlist = rules.watchlist().version;
    for scenario in &scenarios {
        for difference in scenario.differences(rules, watchlist) {
            let reason = format!("{:?}: {difference}", scenario.name);
            faults.push(RuleFault { file: file.place.clone(), line: scenario.line, reason });
        }
    }
    for date in &dates {
        if let Some(difference) = date.difference(rules) {
            let reason = format!("{:?}: {difference}", date.name);
            faults.push(RuleFault { file: file.place.clone(), line: date.line, reason });
        }
    }
    (scenarios.len() + dates.len(), faults)
}

impl Scenario {
    fn differences(&self, rules: &RuleSet, watchlist: u64) -> Vec<String> {
        let activated = (!self.active.is_empty()).then(|| rules.with_active(&self.active));
        let rules = match &activated {
            None => rules,
            Some(Ok(activated)) => activated,
            Some(Err(refused)) => return vec![format!("`active`: {refused}")],
        };
        let Some(order) = rules.order(&self.order) else { return vec![format!("unknown order {:?}", self.order)] };
        let Ok(site) = SiteId::new(self.site.clone()) else {
            return vec![format!("{:?} is not a valid site", self.site)];
        };
        let (snapshot, hits) = self.snapshot(rules, watchlist);
        let assessment = assess(order, &rules.catalogue, &snapshot, &hits, &self.state, self.now);
        let remediation = self.remediation.advance(&assessment, self.now, &self.boot_id);
        let situation = HostSituation {
            platform: self.platform,
            site: &site,
            labels: &[],
            last_seen: self.last_seen,
            remediation: &remediation,
            has_two_holders: false,
            decision: None,
        };
        let verdict = place(order, Some(&assessment), &situation, self.now);
        let mut differences = Vec::new();
        let expect = &self.expect;
        differ(&mut differences, "presence", expect.presence, assessment.presence);
        differ(&mut differences, "protection", expect.protection, assessment.protection);
        differ(&mut differences, "lane", expect.lane, verdict.lane);
        differ(&mut differences, "covered", expect.covered, assessment.covered);
        differ(&mut differences, "overdue", expect.overdue, verdict.overdue);
        differ(&mut differences, "silent", expect.silent, verdict.silent);
        differ(&mut differences, "in_scope", expect.in_scope, verdict.in_scope);
        let given: Vec<&str> = verdict.reasons.iter().map(|reason| reason.rule.as_str()).collect();
        for rule in expect.rules.iter().filter(|rule| !given.iter().any(|given| given.starts_with(rule.as_str()))) {
            differences.push(format!("no reason has the rule {rule:?}; the rules are {}", given.join(", ")));
        }
        let advice = verdict.advice_line();
        for text in expect.advice.iter().filter(|text| !advice.contains(text.as_str())) {
            differences.push(format!("the advice is {advice:?} and does not say {text:?}"));
        }
        let texts: String = verdict.reasons.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("\n");
        for text in expect.says.iter().filter(|text| !texts.contains(text.as_str())) {
            differences.push(format!("no reason says {text:?}; the reasons are {texts:?}"));
        }
        for text in expect.never_says.iter().filter(|text| texts.contains(text.as_str())) {
            differences.push(format!("a reason says {text:?}"));
        }
        for text in expect.never_says.iter().filter(|text| advice.contains(text.as_str())) {
            differences.push(format!("the advice says {text:?}: {advice:?}"));
        }
        differences
    }

    fn snapshot(&self, rules: &RuleSet, current: u64) -> (Snapshot, Vec<super::Hit>) {
        let mut hits = Vec::new();
        let mut entries = Vec::new();
        for (source, given) in &self.sources {
            let section = Section::new(self.platform, *source, given.observations.clone());
            hits.extend(detect(&rules.catalogue, &CanonicalSection::from(&section)));
            entries.push(SnapshotEntry {
                source: *source,
                outcome: given.outcome,
                reason: given.reason.clone(),
                watchlist: given.watchlist.unwrap_or(current),
                // Assessments read the hits and not the section, so any digest that differs between sources is enough.
                section: (!section.observations().is_empty()).then(|| Digest::of(source.name().as_bytes())),
            });
        }
        (Snapshot::new(self.platform, entries), hits)
    }
}

fn differ<T: PartialEq + std::fmt::Display>(differences: &mut Vec<String>, what: &str, expected: Option<T>, is: T) {
    if let Some(expected) = expected.filter(|expected| *expected != is) {
        differences.push(format!("{what} is {is}, expected {expected}"));
    }
}

fn scenario(entries: &mut Entries<'_, '_>) -> Scenario {
    let name = entries.required("name").value;
    let platform = entries.name("platform").unwrap_or(Platform::Linux);
    let now = entries.instant("now").unwrap_or_else(|| Timestamp::from_millis(DEFAULT_NOW));
    let mut sources = complete(platform, entries.flag("read_everywhere").unwrap_or(true));
    for (source, given) in entries.tables("source", source).into_iter().flatten() {
        sources.insert(source, given);
    }
    // `why` is only for people; it is asked for so that it is not reported as an unknown key.
    entries.text("why");
    let mut state = HostState {
        units_outcome: entries.name("units"),
        realtime_outcome: entries.name("realtime_outcome"),
        ..HostState::default()
    };
    for (key, active) in [("running", true), ("stopped", false)] {
        state.units.extend(entries.texts(key).into_iter().map(|name| UnitState { name, active }));
    }
    // A scenario that lists units means that all of them were read, unless it gives another outcome.
    if !state.units.is_empty() && state.units_outcome.is_none() {
        state.units_outcome = Some(Outcome::Found);
    }
    state.signatures = entries.tables("signature", |table| SignatureState {
        place: table.required("place").value,
        version: table.text("version").map_or_else(String::new, |text| text.value),
        released: table.instant("released"),
    });
    state.realtime = entries.tables("realtime", |table| RealtimeEvidence {
        place: table.required("place").value,
        on: table.flag("on").unwrap_or(true),
    });
    Scenario {
        line: entries.line(),
        name,
        order: entries.text("order").map_or_else(|| "us-bis-icts-2021-002".to_owned(), |text| text.value),
        active: entries.ids("active"),
        platform,
        site: entries.text("site").map_or_else(|| "main".to_owned(), |text| text.value),
        now,
        last_seen: Some(entries.instant("last_seen").unwrap_or(now)),
        boot_id: entries.text("boot_id").map_or_else(|| "boot-now".to_owned(), |text| text.value),
        state,
        remediation: entries.table("past", past).unwrap_or_default(),
        sources,
        expect: entries.table("expect", expect).unwrap_or_default(),
    }
}

/// 2026-11-23T12:00:00Z, for scenarios that do not give a time.
const DEFAULT_NOW: i64 = 1_795_435_200_000;

/// A snapshot in which every source was read completely and is empty; a scenario only gives what differs.
fn complete(platform: Platform, read_everywhere: bool) -> BTreeMap<SourceName, ScenarioSource> {
    use SourceName as S;
    let empty = |outcome| ScenarioSource { outcome, reason: String::new(), watchlist: None, observations: Vec::new() };
    let complete: &[SourceName] = match platform {
        Platform::Linux => &[S::Host, S::Dpkg, S::SystemdUnits, S::WatchPaths],
        Platform::Windows => &[S::Host, S::UninstallKeys, S::Services, S::Drivers, S::SecurityCenter],
        Platform::Macos => &[S::Host, S::AppBundles, S::Launchd, S::SystemExtensions, S::Receipts],
    };
    if !read_everywhere {
        return BTreeMap::new();
    }
    let mut sources: BTreeMap<_, _> = complete.iter().map(|source| (*source, empty(Outcome::Empty))).collect();
    if platform == Platform::Linux {
        // The default host is a Debian one, which has no rpm database.
        sources.insert(S::Rpm, empty(Outcome::NotApplicable));
    }
    sources
}

fn source(entries: &mut Entries<'_, '_>) -> Option<(SourceName, ScenarioSource)> {
    let name = entries.required_name("name");
    let observations = entries.tables("see", observation);
    let default = if observations.is_empty() { Outcome::Empty } else { Outcome::Found };
    let given = ScenarioSource {
        outcome: entries.name("outcome").unwrap_or(default),
        reason: entries.text("reason").map_or_else(String::new, |text| text.value),
        watchlist: entries.number("watchlist"),
        observations: observations.into_iter().flatten().collect(),
    };
    Some((name?, given))
}

fn observation(entries: &mut Entries<'_, '_>) -> Option<Observation> {
    let kind: Kind = entries.required_name("kind")?;
    let mut observation = Observation::new(kind, "");
    for (key, text) in [
        ("name", &mut observation.name),
        ("vendor", &mut observation.vendor),
        ("version", &mut observation.version),
        ("id", &mut observation.id),
        ("path", &mut observation.path),
        ("state", &mut observation.state),
    ] {
        *text = entries.text(key).map_or_else(String::new, |text| text.value);
    }
    Some(observation)
}

fn past(entries: &mut Entries<'_, '_>) -> Remediation {
    let had_since = entries.instant("had_since");
    let present_boot_id = entries.text("boot_id").map_or_else(|| "boot-before".to_owned(), |text| text.value);
    let clean_scans: Vec<Timestamp> = entries
        .list("clean_scans")
        .into_iter()
        .filter_map(|text| {
            let instant = Timestamp::parse_rfc3339(&text.value).ok();
            if instant.is_none() {
                entries.fault(text.line, format!("`clean_scans`: {:?} is not a date and time", text.value));
            }
            instant
        })
        .collect();
    let new_boot = entries.flag("new_boot").unwrap_or(false);
    // A clean scan refutes the positive, as it does in `Remediation::advance`.
    let positive = had_since.filter(|_| clean_scans.is_empty()).map(|since| Positive {
        since,
        last_seen: since,
        presence: Presence::Installed,
        reasons: Vec::new(),
        products: BTreeMap::new(),
        gone: Vec::new(),
    });
    let removal = clean_scans.first().map(|since| Removal {
        since: *since,
        present_boot_id: present_boot_id.clone(),
        new_boot,
        clean_scans: clean_scans.clone(),
        was: None,
    });
    Remediation { positive, removal, present_boot_id, ..Remediation::default() }
}

fn expect(entries: &mut Entries<'_, '_>) -> Expect {
    Expect {
        presence: entries.name("presence"),
        protection: entries.name("protection"),
        lane: entries.name("lane"),
        covered: entries.flag("covered"),
        overdue: entries.flag("overdue"),
        silent: entries.flag("silent"),
        in_scope: entries.flag("in_scope"),
        rules: entries.texts("rule"),
        advice: entries.texts("advice"),
        says: entries.texts("says"),
        never_says: entries.texts("never_says"),
    }
}
