//! `muster waivers`: dated, approved exceptions from an order.

use std::collections::BTreeMap;

use muster_proto::model::{Lane, Timestamp, WaiverReport, WaiverState};
use muster_proto::wire::WaiverDecision;

use super::args::waivers::{AskArgs, WaiversArgs, WaiversFilterArgs, WaiversVerb};
use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, fields, instant, when};
use super::selection::selected;

const HEADER: [&str; 15] = [
    "number",
    "order",
    "state",
    "reason",
    "hosts",
    "until",
    "beyond_milestone",
    "requested_by",
    "requested",
    "decided_by",
    "decided",
    "self_approved",
    "ended_by",
    "ended",
    "control",
];

pub(super) async fn run(mut client: Client, asked: WaiversArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let waiver = match asked.verb {
        None => return list(client, asked.filter, screen).await,
        Some(WaiversVerb::List(filter)) => return list(client, filter, screen).await,
        Some(WaiversVerb::Ask(asked)) => ask(&mut client, &asked).await?,
        Some(WaiversVerb::Show { number, all_hosts }) => client.waiver(number, all_hosts).await?,
        Some(WaiversVerb::Approve { number }) => client.waiver_decide(number, WaiverDecision::Approve).await?,
        Some(WaiversVerb::Refuse { number }) => client.waiver_decide(number, WaiverDecision::Refuse).await?,
        Some(WaiversVerb::End { number }) => client.waiver_decide(number, WaiverDecision::End).await?,
    };
    let now = screen.now();
    let answer = Answer { whole: &waiver, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&waiver), || vec![row(&waiver)], |_| one(&waiver, now))?;
    Ok(0)
}

async fn ask(client: &mut Client, asked: &AskArgs) -> anyhow::Result<WaiverReport> {
    let selection = selected(&asked.selection)?;
    client.waiver_ask(asked, selection).await
}

async fn list(mut client: Client, filter: WaiversFilterArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let waivers = client.waivers(&filter).await?;
    let now = screen.now();
    let answer = Answer { whole: &waivers, header: &HEADER };
    let rows = || waivers.iter().map(row).collect();
    screen.show(&answer, &waivers, rows, |paint| page(&waivers, filter.all, now, paint))?;
    Ok(0)
}

fn row(waiver: &WaiverReport) -> Vec<String> {
    vec![
        waiver.number.to_string(),
        waiver.order.to_string(),
        waiver.state.to_string(),
        waiver.reason.to_string(),
        waiver.hosts.to_string(),
        waiver.until.to_rfc3339(),
        waiver.beyond_milestone.to_string(),
        waiver.requested_by.clone(),
        waiver.requested_at.to_rfc3339(),
        waiver.decided_by.clone(),
        instant(waiver.decided_at),
        waiver.is_self_approved.to_string(),
        waiver.ended_by.clone(),
        instant(waiver.ended_at),
        waiver.control.clone(),
    ]
}

pub(super) fn page(waivers: &[WaiverReport], all: bool, now: Timestamp, paint: &Paint) -> String {
    if waivers.is_empty() {
        let more = if all { "" } else { "; `muster waivers --all` includes those that are over" };
        return format!("no waivers{more}\n");
    }
    let mut table = Table::new(&["no", "state", "hosts", "until", "order", "reason", "asked by", "approved by"])
        .dispensable(&["asked by", "reason", "order"]);
    for waiver in waivers {
        table.row(vec![
            Cell::number(waiver.number),
            Cell::text(waiver.state.name()),
            Cell::number(waiver.hosts),
            Cell::text(when(waiver.until, now)),
            Cell::text(waiver.order.as_str()),
            Cell::text(waiver.reason.name()),
            Cell::text(clean(&waiver.requested_by)),
            Cell::text(approved_by(waiver)),
        ]);
    }
    let waiting = waivers.iter().filter(|waiver| waiver.state == WaiverState::Requested).count();
    let waiting =
        if waiting == 0 { String::new() } else { format!("; {waiting} waiting: `muster waivers approve ID`") };
    format!("{}\n{}{waiting}\n", table.text(paint), counted(waivers.len(), "waiver"))
}

fn approved_by(waiver: &WaiverReport) -> String {
    match (waiver.state, waiver.is_self_approved) {
        (WaiverState::Requested, _) => "waiting".to_owned(),
        (WaiverState::Lapsed, _) => "nobody decided in time".to_owned(),
        (WaiverState::Refused, _) => format!("refused by {}", clean(&waiver.decided_by)),
        (_, true) => format!("{} (self-approved)", clean(&waiver.decided_by)),
        (_, false) => clean(&waiver.decided_by),
    }
}

pub(super) fn one(waiver: &WaiverReport, now: Timestamp) -> String {
    let hosts = counted(waiver.hosts, "host");
    let mut text = format!("waiver {}: {hosts} under {}, {}\n", waiver.number, waiver.order, waiver.state);
    let beyond = if waiver.beyond_milestone { ", beyond the due date of the order" } else { "" };
    let counted_hosts: u64 = waiver.lanes.values().sum();
    let outside = waiver.hosts.saturating_sub(counted_hosts);
    let outside = (outside > 0).then(|| format!("{outside} out of scope"));
    let lanes = Some(lanes_of(&waiver.lanes)).filter(|lanes| !lanes.is_empty());
    let lanes = lanes.into_iter().chain(outside).collect::<Vec<_>>().join(", ");
    text.push_str(&fields(&[
        ("reason", waiver.reason.name()),
        ("control", &waiver.control),
        ("until", &format!("{}{beyond}", when(waiver.until, now))),
        ("asked by", &format!("{}, {}", waiver.requested_by, when(waiver.requested_at, now))),
        ("decision", &approved_by(waiver)),
        ("lanes at the last report", &lanes),
    ]));
    if let Some(ended) = waiver.ended_at {
        text.push_str(&fields(&[("ended by", &format!("{}, {}", waiver.ended_by, when(ended, now)))]));
    }
    text.push_str("  hosts\n");
    for host in &waiver.first_hosts {
        text.push_str(&format!("    {}  {}\n", host.id, clean(&host.hostname)));
    }
    let shown = waiver.first_hosts.len() as u64;
    if shown < waiver.hosts {
        text.push_str(&format!("    and {} more; --all-hosts shows all\n", waiver.hosts - shown));
    }
    if waiver.state == WaiverState::Requested {
        text.push_str(&format!(
            "another person approves it with `muster waivers approve {0}` or refuses it with `muster waivers refuse {0}`\n",
            waiver.number
        ));
    }
    text
}

/// `10 replace, 2 remove`
pub(super) fn lanes_of(lanes: &BTreeMap<Lane, u64>) -> String {
    lanes.iter().map(|(lane, hosts)| format!("{hosts} {lane}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{HostId, HostName, WaiverReason};

    use super::*;

    pub(in crate::cli) fn waiver(state: WaiverState) -> WaiverReport {
        let at = Timestamp::from_millis;
        WaiverReport {
            number: 3,
            order: "us-bis-icts-2021-002".parse().expect("an id"),
            state,
            reason: WaiverReason::LegacySystem,
            control: "its network is separate".to_owned(),
            until: at(86_400_000),
            beyond_milestone: true,
            hosts: 12,
            requested_by: "ada".to_owned(),
            requested_at: at(0),
            decided_by: "ada".to_owned(),
            decided_at: Some(at(1_000)),
            is_self_approved: true,
            ended_by: String::new(),
            ended_at: None,
            first_hosts: vec![HostName { id: HostId::from_bytes([7; 16]), hostname: "press-1".to_owned() }],
            lanes: [(Lane::Replace, 10), (Lane::Remove, 2)].into(),
        }
    }

    #[test]
    fn a_waiver_shows_its_lanes_its_hosts_and_who_approved_it() {
        let shown = one(&waiver(WaiverState::InForce), Timestamp::from_millis(0));
        for part in [
            "waiver 3: 12 hosts under us-bis-icts-2021-002, in-force",
            "10 replace, 2 remove",
            "press-1",
            "and 11 more; --all-hosts shows all",
            "lanes at the last report",
            "ada (self-approved)",
            "beyond the due date of the order",
        ] {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        assert!(!shown.contains("another person"), "{shown}");
        let waiting = one(&waiver(WaiverState::Requested), Timestamp::from_millis(0));
        assert!(waiting.contains("`muster waivers approve 3`") && waiting.contains(" waiting\n"), "{waiting}");
    }

    #[test]
    fn a_list_says_what_waits() {
        let waivers = [waiver(WaiverState::Requested), waiver(WaiverState::InForce)];
        let shown = page(&waivers, false, Timestamp::from_millis(0), &Paint::plain());
        assert!(shown.contains("2 waivers; 1 waiting: `muster waivers approve ID`"), "{shown}");
        let none = page(&[], false, Timestamp::from_millis(0), &Paint::plain());
        assert_eq!(none, "no waivers; `muster waivers --all` includes those that are over\n");
    }
}
