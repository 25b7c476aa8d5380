//! `muster hosts`: a list of hosts with their lane under each order.

use std::collections::BTreeSet;

use muster_proto::model::{HostMark, HostRow, OrderId, Timestamp};

use super::args::HostsFilterArgs;
use super::client::{Client, HostsFilter, PageArgs, Part};
use super::past;
use super::render::{Answer, Cell, Paint, Screen, Table, ago, instant, or_dash};

const HEADER: [&str; 14] = [
    "id",
    "hostname",
    "site",
    "platform",
    "os_name",
    "last_seen",
    "order",
    "lane",
    "overdue",
    "silent",
    "marks",
    "labels",
    "owner",
    "true_lane",
];

/// The JSON document.
#[derive(serde::Serialize)]
struct Document<'a> {
    /// The number of hosts of the whole list; absent if these do not begin at its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// The value of `--after` that continues after these hosts; null at the end of the list.
    next: Option<&'a str>,
    hosts: &'a [HostRow],
}

pub(super) async fn run(mut client: Client, asked: HostsFilterArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    if let Some(as_of) = asked.past.as_of {
        return past::hosts(client, asked, as_of, screen).await;
    }
    let HostsFilterArgs {
        order,
        lanes,
        sites,
        name,
        silent,
        quarantined,
        revoked,
        two_holders,
        throttled,
        purged,
        returned,
        enrolled_with,
        filter,
        sort,
        limit,
        after,
        past: _,
    } = asked;
    let marks = [
        (quarantined, HostMark::Quarantined),
        (revoked, HostMark::Revoked),
        (two_holders, HostMark::TwoHolders),
        (throttled, HostMark::Throttled),
        (purged, HostMark::Purged),
        (returned, HostMark::Returned),
    ];
    let marks = marks.into_iter().filter(|(asked, _)| *asked).map(|(_, mark)| mark).collect();
    let page_asked = PageArgs { sort, limit, after };
    let filter = HostsFilter { order, lanes, sites, name, silent, marks, enrolled_with, filter, page: page_asked };
    let part = client.hosts(&filter).await?;
    let now = screen.now();
    let document = Document { total: part.total, next: part.next.as_deref(), hosts: &part.rows };
    let answer = Answer { whole: &document, header: &HEADER };
    screen.show(&answer, &part.rows, || rows(&part.rows), |paint| page(&part, now, paint))?;
    Ok(0)
}

/// One row per host and order.
fn rows(hosts: &[HostRow]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for host in hosts {
        let mut row = |order: &str, lane: &str, true_lane: &str, overdue: &str, silent: &str| {
            let cells = [
                host.id.to_string(),
                host.hostname.clone(),
                host.site.to_string(),
                host.platform.to_string(),
                host.os_name.clone(),
                instant(host.last_seen),
                order.to_owned(),
                lane.to_owned(),
                overdue.to_owned(),
                silent.to_owned(),
                marks_of(host),
                labels_of(host),
                host.owner.clone(),
                true_lane.to_owned(),
            ];
            rows.push(cells.to_vec());
        };
        for (order, lane) in &host.lanes {
            let (overdue, silent) = (host.overdue.contains(order), host.silent.contains(order));
            let true_lane = host.true_lanes.get(order).unwrap_or(lane);
            row(order.as_str(), lane.name(), true_lane.name(), &overdue.to_string(), &silent.to_string());
        }
        // A host without a verdict must not be missing from the CSV.
        if host.lanes.is_empty() {
            row("", "", "", "", "");
        }
    }
    rows
}

fn marks_of(host: &HostRow) -> String {
    host.marks.iter().map(|mark| mark.name()).collect::<Vec<_>>().join(", ")
}

fn labels_of(host: &HostRow) -> String {
    host.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", ")
}

fn page(part: &Part<HostRow>, now: Timestamp, paint: &Paint) -> String {
    let hosts = &part.rows;
    let orders: BTreeSet<&OrderId> = hosts.iter().flat_map(|host| host.lanes.keys()).collect();
    let mut header = vec!["id", "host", "site", "platform", "os", "last seen"];
    header.extend(if orders.len() == 1 { vec!["lane"] } else { orders.iter().map(|order| order.as_str()).collect() });
    let has_marks = hosts.iter().any(|host| !host.marks.is_empty());
    if has_marks {
        header.push("marks");
    }
    let has_labels = hosts.iter().any(|host| !host.labels.is_empty());
    if has_labels {
        header.push("labels");
    }
    let mut table = Table::new(&header).dispensable(&["platform", "os", "site", "labels"]);
    for host in hosts {
        let seen = host.last_seen.map_or_else(|| "never".to_owned(), |at| ago(at, now));
        let mut cells = vec![
            Cell::text(host.id.to_string().get(..8).unwrap_or_default()),
            Cell::text(or_dash(&host.hostname)),
            Cell::text(host.site.as_str()),
            Cell::text(host.platform.name()),
            Cell::text(or_dash(&host.os_name)),
            Cell::text(seen),
        ];
        let lane = |order: &&OrderId| match host.lanes.get(*order) {
            Some(lane) => match host.true_lanes.get(*order) {
                Some(true_lane) => Cell::text(format!("{lane} ({true_lane})")),
                None => Cell::marked_lane(*lane, host.overdue.contains(order)),
            },
            None => Cell::text("-"),
        };
        cells.extend(orders.iter().map(lane));
        if has_marks {
            cells.push(Cell::text(marks_of(host)));
        }
        if has_labels {
            cells.push(Cell::text(labels_of(host)));
        }
        table.row(cells);
    }
    let total = format!("{}\n", part.size("host"));
    if hosts.is_empty() { total } else { format!("{}\n{total}", table.text(paint)) }
}
