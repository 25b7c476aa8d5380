//! What people do in a migration: they import a roster, decide about its machines, waive hosts and retire them.

use std::collections::BTreeMap;

use muster_proto::model::{ApprovalRule, Digest, DispositionKind, RosterRow, WaiverReason};

use super::super::*;
use super::fleet::{Simulation, id, name, number, serial};
use super::log::Event;
use super::{machines, moment, script};
use crate::ledger::actor::Actor;
use crate::store::Acting;
use crate::store::admin::dispositions::decide as disposition;
use crate::store::admin::dispositions::retire::{RetireAsked, UnretireAsked, retire, unretire};
use crate::store::admin::roster::by_hand::{self, ByHand};
use crate::store::admin::roster::entries::{self, EntriesAsked};
use crate::store::admin::waivers::ask::{self, HostList, NewWaiver};
use crate::store::admin::waivers::decide::{self as waiver, DecideAsked, WaiverAct};
use crate::store::admin::{self, AdminTx};
use crate::store::contract::{import, match_all};

impl Simulation {
    pub(super) async fn roster(&mut self, day: u64) {
        let second = seconds(moment(day, 10_000));
        let now = moment(day, 10_000);
        if day == script::ROSTER {
            let row = |machine: u32, serial: String, id: String| RosterRow {
                external_id: id,
                name: name(machine),
                serial,
                site: script::site(machine).to_owned(),
                ..RosterRow::default()
            };
            let certain = (0..machines()).filter(|machine| script::is_on_roster(*machine));
            let mut rows: Vec<RosterRow> = certain.map(|n| row(n, serial(n), n.to_string())).collect();
            let unclear = (0..machines()).filter(|machine| script::is_ambiguous(*machine));
            rows.extend(unclear.map(|n| row(n, String::new(), format!("x{n}"))));
            import(&self.store, "ad", &rows, second).await;
            for machine in (0..machines()).filter(|n| script::is_on_roster(*n) || script::is_ambiguous(*n)) {
                self.log.add(now, Event::Listed { machine, site: script::site(machine) });
            }
            self.entries = entries_by_name(&self.store).await;
        }
        match_all(&self.store, second).await;
        if day >= script::ROSTER {
            // Those of earlier days match with the import.
            let is_new =
                |n: &u32| script::enrolls_on(*n).is_some_and(|on| on == day || day == script::ROSTER && on < day);
            for machine in (0..machines()).filter(|n| script::is_on_roster(*n)).filter(is_new) {
                self.log.add(now, Event::Matched { machine, host: machine });
            }
        }
        for machine in (0..machines()).filter(|n| script::is_excused(*n) && day == script::EXCUSED) {
            self.decides(machine, ByHand::Excuse("in storage".to_owned()), now).await;
            self.log.add(now, Event::Excused { machine });
        }
        for machine in (0..machines()).filter(|n| script::is_reimaged(*n) && day == script::REIMAGED) {
            let host = script::reimaged(machine);
            self.decides(machine, ByHand::Match(id(host)), now).await;
            self.log.add(now, Event::Matched { machine, host });
        }
    }

    async fn decides(&self, machine: u32, decision: ByHand, now: Timestamp) {
        let entry = self.entries[&name(machine)];
        let work = move |tx: &mut dyn AdminTx| by_hand::decide(tx, entry, &decision, &SiteScope::All, now);
        let done = admin::write(self.store.as_ref(), "by_hand", acting("ada", now), work).await.expect("decides");
        assert_eq!(done, Ok(()), "{}", name(machine));
    }

    pub(super) async fn waivers(&mut self, day: u64) {
        for (number, planned) in (1..).zip(&script::WAIVERS) {
            let hosts: Vec<u32> =
                self.agents.keys().copied().filter(|n| *n < machines() && (planned.is_of)(*n)).collect();
            let (until, now) = (moment(planned.until.0, planned.until.1), moment(day, 20_000));
            if day == planned.asked {
                let new = NewWaiver {
                    order: self.order.clone(),
                    reason: WaiverReason::LegacySystem,
                    control: "its network is separate".to_owned(),
                    until,
                    beyond_milestone: true,
                    requested_by: "id-ada".to_owned(),
                };
                let ids: Vec<HostId> = hosts.iter().map(|n| id(*n)).collect();
                let work = move |tx: &mut dyn AdminTx| {
                    let prepared = ask::prepare(tx, &new, ids.len() as u64, now)?.expect("there is space");
                    assert_eq!(ask::add(tx, &prepared, &ids, &SiteScope::All)?, Ok(()));
                    let list = HostList { count: ids.len() as u64, digest: Digest::of(b"hosts"), named: Vec::new() };
                    ask::request(tx, &prepared, &new, &list, now)
                };
                let asked = admin::write(self.store.as_ref(), "ask", acting("ada", now), work).await.expect("asks");
                assert_eq!(asked, Ok(()));
            }
            let act = match day {
                day if day == planned.asked + 1 => Some(WaiverAct::Approve),
                day if planned.ended == Some(day) => Some(WaiverAct::End),
                _ => None,
            };
            let Some(act) = act else { continue };
            let asked = decide_asked(number, now);
            let work = move |tx: &mut dyn AdminTx| waiver::decide(tx, &asked, act);
            let done = admin::write(self.store.as_ref(), "decide", acting("bob", now), work).await.expect("decides");
            assert_eq!(done, Ok(()));
            let event = match act {
                WaiverAct::End => Event::WaiverEnded { waiver: number },
                // Hosts that enroll later are not in it.
                WaiverAct::Approve | WaiverAct::Refuse => Event::Waived { waiver: number, hosts, until },
            };
            self.log.add(now, event);
        }
    }

    pub(super) async fn retirements(&mut self, day: u64) {
        let now = moment(day, 30_000);
        let of = |is_of: fn(u32) -> bool| -> Vec<u32> {
            self.agents.keys().copied().filter(|n| *n < machines() && is_of(*n)).collect()
        };
        let leaving = match day {
            script::RETIRED => Some((of(script::is_retired), DispositionKind::Sold)),
            day if day == script::REIMAGED + 1 => Some((of(script::is_reimaged), DispositionKind::Reimaged)),
            _ => None,
        };
        if let Some((hosts, kind)) = leaving {
            let asked = RetireAsked {
                hosts: hosts.iter().map(|n| id(*n)).collect(),
                kind,
                evidence: "receipt 7".to_owned(),
                file: None,
                account: "id-ada".to_owned(),
                sites: SiteScope::All,
                is_unfinished: Arc::new(|_| true),
                now,
            };
            let work = move |tx: &mut dyn AdminTx| retire(tx, &asked);
            let done = admin::write(self.store.as_ref(), "retire", acting("ada", now), work).await.expect("asks");
            assert_eq!(done.waiting, hosts.len() as u64);
            for number in done.dispositions {
                let asked = decide_asked(number, now);
                let work = move |tx: &mut dyn AdminTx| disposition::decide(tx, &asked, true);
                let done = admin::write(self.store.as_ref(), "approve", acting("bob", now), work).await;
                assert_eq!(done.expect("approves"), Ok(()));
            }
            hosts.iter().for_each(|host| self.log.add(now, Event::Retired { host: *host }));
        }
        if day == script::TAKEN_BACK {
            let hosts = of(script::is_taken_back).iter().map(|n| id(*n)).collect();
            let (account, reason) = ("id-bob".to_owned(), "it was another one".to_owned());
            let asked = UnretireAsked { hosts, account, reason, sites: SiteScope::All, now };
            let work = move |tx: &mut dyn AdminTx| unretire(tx, &asked);
            let done = admin::write(self.store.as_ref(), "unretire", acting("bob", now), work).await.expect("ends");
            assert!(!done.0.is_empty());
            done.0.iter().for_each(|host| self.log.add(now, Event::TakenBack { host: number(host.id) }));
        }
    }
}

/// Seconds after the beginning of the time of the contract suite.
fn seconds(at: Timestamp) -> u64 {
    at.since(store::contract::at(0)).as_secs()
}

fn acting(name: &str, now: Timestamp) -> Acting {
    let (account, token) = (format!("id-{name}").parse().expect("an id"), format!("t-{name}").parse().expect("an id"));
    Acting { actor: Actor::Account { account, token }, now }
}

fn decide_asked(number: u64, now: Timestamp) -> DecideAsked {
    let (account, rule) = ("id-bob".to_owned(), ApprovalRule::TwoPeople);
    DecideAsked { number, account, sites: SiteScope::All, rule, now }
}

/// The numbers of all entries by the names of their machines.
async fn entries_by_name(store: &Arc<dyn Store>) -> BTreeMap<String, u64> {
    let (mut numbers, mut after) = (BTreeMap::new(), None);
    loop {
        let asked = EntriesAsked { rows: 500, after, ..EntriesAsked::default() };
        let list = move |tx: &mut dyn AdminTx| entries::list(tx, &asked);
        let page = admin::read(store.as_ref(), "list", list).await.expect("lists");
        numbers.extend(page.entries.into_iter().map(|entry| (entry.name, entry.number)));
        after = page.next;
        if after.is_none() {
            return numbers;
        }
    }
}
