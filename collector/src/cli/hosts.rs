//! `muster hosts`: a list of hosts with their lane under each order.

use std::collections::BTreeSet;

use muster_proto::model::{HostRow, OrderId, Timestamp};

use super::args::HostsFilterArgs;
use super::client::{Client, HostsFilter};
use super::render::{Answer, Cell, Paint, Screen, Table, ago, counted, instant, or_dash};

const HEADER: [&str; 9] = ["id", "hostname", "site", "platform", "os_name", "last_seen", "order", "lane", "overdue"];

pub(super) async fn run(mut client: Client, asked: HostsFilterArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let HostsFilterArgs { order, lanes, sites, name, limit } = asked;
    let mut hosts = client.hosts(&HostsFilter { order, lanes, sites, name, limit }).await?;
    hosts.sort_by(|a, b| (&a.hostname, a.id).cmp(&(&b.hostname, b.id)));
    let now = screen.now();
    let answer = Answer { whole: &hosts, header: &HEADER };
    screen.show(&answer, &hosts, || rows(&hosts), |paint| page(&hosts, now, paint))?;
    Ok(0)
}

/// One row per host and order.
fn rows(hosts: &[HostRow]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for host in hosts {
        let mut row = |order: &str, lane: &str, overdue: &str| {
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
            ];
            rows.push(cells.to_vec());
        };
        for (order, lane) in &host.lanes {
            row(order.as_str(), lane.name(), if host.overdue.contains(order) { "true" } else { "false" });
        }
        // A host without a verdict must not be missing from the CSV.
        if host.lanes.is_empty() {
            row("", "", "");
        }
    }
    rows
}

fn page(hosts: &[HostRow], now: Timestamp, paint: &Paint) -> String {
    let orders: BTreeSet<&OrderId> = hosts.iter().flat_map(|host| host.lanes.keys()).collect();
    let mut header = vec!["id", "host", "site", "platform", "os", "last seen"];
    header.extend(if orders.len() == 1 { vec!["lane"] } else { orders.iter().map(|order| order.as_str()).collect() });
    let mut table = Table::new(&header).dispensable(&["platform", "os", "site"]);
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
            Some(lane) => Cell::marked_lane(*lane, host.overdue.contains(order)),
            None => Cell::text("-"),
        };
        cells.extend(orders.iter().map(lane));
        table.row(cells);
    }
    let total = format!("{}\n", counted(hosts.len(), "host"));
    if hosts.is_empty() { total } else { format!("{}\n{total}", table.text(paint)) }
}
