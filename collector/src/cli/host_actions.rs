//! `muster hosts revoke`, `release`, `review` and `purge`: actions on hosts.

use muster_proto::model::{HostActionKind, HostActionReport, HostName, PurgeCounts, TokenId};

use super::args::host_actions::HostActionArgs;
use super::client::Client;
use super::render::{Answer, Screen, clean, counted};

const HEADER: [&str; 2] = ["id", "hostname"];

pub(super) async fn run(
    mut client: Client,
    kind: HostActionKind,
    asked: HostActionArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let report = client.host_action(kind, &asked).await?;
    let answer = Answer { whole: &report, header: &HEADER };
    let row = |host: &HostName| vec![host.id.to_string(), host.hostname.clone()];
    let rows = || report.hosts.iter().map(row).collect();
    screen.show(&answer, &report.hosts, rows, |_| page(kind, asked.enrolled_with.as_ref(), &report))?;
    Ok(0)
}

fn page(kind: HostActionKind, token: Option<&TokenId>, report: &HostActionReport) -> String {
    let (done, was) = match kind {
        HostActionKind::Revoke => ("revoked the keys of", "revoked already"),
        HostActionKind::Release => ("released", "neither quarantined nor revoked"),
        HostActionKind::Review => ("reviewed", "nothing to review"),
        HostActionKind::Purge => ("purged", "purged already"),
    };
    let hosts = |number: u64| counted(usize::try_from(number).unwrap_or(usize::MAX), "host");
    let mut text = format!("{done} {}\n", hosts(report.changed));
    for host in &report.hosts {
        text.push_str(&format!("  {}  {}\n", host.id, clean(&host.hostname)));
    }
    let more = report.changed.saturating_sub(report.hosts.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    if report.unchanged > 0 {
        text.push_str(&format!("{}: {was}\n", hosts(report.unchanged)));
    }
    if kind == HostActionKind::Purge {
        let count = |number: u64, noun: &str| counted(usize::try_from(number).unwrap_or(usize::MAX), noun);
        let PurgeCounts { snapshots, sections } = report.removed;
        let (snapshots, sections) = (count(snapshots, "snapshot"), count(sections, "section"));
        text.push_str(&format!("removed {snapshots} and {sections} that no other host has\n"));
    }
    if matches!(kind, HostActionKind::Revoke | HostActionKind::Purge) && report.changed > 0 {
        text.push_str("these hosts cannot report until you run `muster hosts release` or they enroll again\n");
        if let Some(token) = token {
            text.push_str(&format!("to stop new enrollments with their token: `muster tokens revoke {token}`\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use muster_proto::model::HostId;

    use super::*;

    #[test]
    fn a_page_says_what_was_changed_what_was_not_and_how_to_undo_it() {
        let host = HostName { id: HostId::from_bytes([1; 16]), hostname: "web-1".to_owned() };
        let report = HostActionReport { hosts: vec![host], changed: 3, unchanged: 1, ..HostActionReport::default() };
        let token = "tok".parse().expect("an id");
        let purged = HostActionReport { removed: PurgeCounts { snapshots: 2, sections: 1 }, ..report.clone() };
        let purged = page(HostActionKind::Purge, None, &purged);
        assert!(purged.contains("removed 2 snapshots and 1 section that no other host has"), "{purged}");
        let page = page(HostActionKind::Revoke, Some(&token), &report);
        for line in [
            "revoked the keys of 3 hosts",
            "  and 2 more",
            "1 host: revoked already",
            "`muster hosts release`",
            "`muster tokens revoke tok`",
        ] {
            assert!(page.contains(line), "no {line:?} in\n{page}");
        }
    }
}
