//! `muster hosts show` and its short form `muster host`: one host with its lanes, products and sources.

use muster_proto::model::{HostReport, Losses, Outcome, Reason, ReasonKind, SourceReport, Timestamp, VerdictReport};

use super::args::HostArgs;
use super::client::Client;
use super::exit::of_verdicts;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, instant, or_dash, when};

const HEADER: [&str; 13] = [
    "id",
    "hostname",
    "site",
    "last_seen",
    "snapshot",
    "order",
    "lane",
    "in_scope",
    "overdue",
    "silent",
    "presence",
    "protection",
    "advice",
];

pub(super) async fn run(mut client: Client, asked: HostArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let host = client.host(&asked.host).await?;
    let now = screen.now();
    let answer = Answer { whole: &host, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&host), || rows(&host), |paint| page(&host, now, paint))?;
    Ok(of_verdicts(&host.verdicts))
}

/// One row per order.
fn rows(host: &HostReport) -> Vec<Vec<String>> {
    let row = |verdict: &VerdictReport| {
        vec![
            host.id.to_string(),
            host.facts.hostname.clone(),
            host.site.to_string(),
            instant(host.last_seen),
            host.snapshot.clone(),
            verdict.order.id.to_string(),
            verdict.lane.to_string(),
            verdict.in_scope.to_string(),
            verdict.overdue.to_string(),
            verdict.silent.to_string(),
            verdict.presence.to_string(),
            verdict.protection.to_string(),
            verdict.advice.clone(),
        ]
    };
    host.verdicts.iter().map(row).collect()
}

fn page(host: &HostReport, now: Timestamp, paint: &Paint) -> String {
    let mut text = facts(host, now, paint);
    for verdict in &host.verdicts {
        text.push_str(&format!("\n{}", verdict_head(verdict, now, paint)));
        if !verdict.in_scope {
            continue;
        }
        let reasons: Vec<&Reason> = because(verdict).collect();
        for reason in reasons.iter().take(8) {
            text.push_str(&format!("    - {}\n", clean(&reason.text)));
        }
        if reasons.len() > 8 {
            let more = counted(reasons.len() - 8, "more reason");
            text.push_str(&format!("    - {more}; for all of them run `muster explain`\n"));
        }
        text.push_str(&to_fix(verdict));
    }
    text.push_str(&format!("\n{}", products(host, paint)));
    text.push_str(&format!("\n{}", sources(host, paint)));
    text
}

/// The reasons for the lane. Uninstall commands are no reasons for it; [`to_fix`] shows them.
pub(super) fn because(verdict: &VerdictReport) -> impl Iterator<Item = &Reason> {
    verdict.reasons.iter().filter(|reason| reason.kind != ReasonKind::Uninstall)
}

/// The advice, with one line for each uninstall command, so that a command can be copied.
pub(super) fn to_fix(verdict: &VerdictReport) -> String {
    let mut commands: Vec<&str> = Vec::new();
    for command in verdict.reasons.iter().filter_map(|reason| reason.command.as_deref()) {
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    // The advice ends with the commands in one line where they apply to the lane.
    let sentence = verdict.advice.strip_suffix(&commands.join("; ")).filter(|_| !commands.is_empty());
    let (sentence, commands) = sentence.map_or((verdict.advice.as_str(), Vec::new()), |text| (text, commands));
    if sentence.is_empty() {
        return String::new();
    }
    let lines = commands.iter().map(|command| format!("                {}\n", clean(command)));
    format!("  to fix      {}\n{}", clean(sentence.trim_end()), lines.collect::<String>())
}

pub(super) fn facts(host: &HostReport, now: Timestamp, paint: &Paint) -> String {
    let facts = &host.facts;
    let name = if facts.hostname.is_empty() { "(no name)".to_owned() } else { clean(&facts.hostname) };
    let mut text = format!("{}  {}\n", paint.bold(&name), host.id);
    let root = if facts.offline_root { ", scanned as a mounted image" } else { "" };
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<11} {}\n", clean(value)));
    line("system", &format!("{}, {} {}{root}", or_dash(&facts.os_name), facts.platform, facts.architecture));
    line("kernel", or_dash(&facts.kernel));
    line("site", host.site.as_str());
    line("agent", or_dash(&facts.agent_version));
    if !host.state.addresses.is_empty() {
        line("addresses", &host.state.addresses.join(", "));
    }
    line("enrolled", &when(host.enrolled_at, now));
    line("last seen", &host.last_seen.map_or_else(|| "never".to_owned(), |at| when(at, now)));
    match (host.observed_at, host.snapshot_since) {
        (Some(observed), Some(since)) => {
            let digest: String = host.snapshot.chars().take(12).collect();
            line(
                "snapshot",
                &format!("{digest}, scanned {}, unchanged since {}", when(observed, now), since.whole_seconds()),
            );
        }
        _ => line("snapshot", "none received yet"),
    }
    let losses = host.state.losses;
    if losses.total() > 0 {
        let Losses { coalesced, dropped, damaged } = losses;
        let counts =
            format!("{dropped} dropped, {damaged} damaged, {coalesced} replaced by a later one before delivery");
        line("lost scans", &counts);
    }
    text
}

pub(super) fn verdict_head(verdict: &VerdictReport, now: Timestamp, paint: &Paint) -> String {
    let order = &verdict.order;
    let mut text = format!("{}  {}\n", paint.bold(order.id.as_str()), clean(&order.title));
    if !verdict.in_scope {
        text.push_str("  out of scope: the order does not apply to this host\n");
        return text;
    }
    let mut marks = Vec::new();
    if verdict.overdue {
        marks.push(paint.alarm("overdue"));
    }
    if verdict.silent {
        marks.push("silent".to_owned());
    }
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    let lane = paint.lane(verdict.lane, verdict.lane.name());
    text.push_str(&format!("  lane        {lane}{marks}, since {}\n", when(verdict.since, now)));
    let due = order.due.map_or_else(|| "no due date".to_owned(), |due| when(due, now));
    text.push_str(&format!("  due         {due}\n"));
    text.push_str(&format!("  presence    {}\n  protection  {}\n", verdict.presence, verdict.protection));
    text
}

pub(super) fn products(host: &HostReport, paint: &Paint) -> String {
    if host.hits.is_empty() {
        return nothing_found(&host.sources);
    }
    let mut table = Table::new(&["product", "vendor", "category", "presence", "version", "sources"])
        .dispensable(&["category", "vendor", "sources"]);
    for hit in &host.hits {
        let mut seen: Vec<&str> = hit.evidence.iter().map(|evidence| evidence.source.name()).collect();
        seen.sort_unstable();
        seen.dedup();
        table.row(vec![
            Cell::text(format!("{} ({})", hit.name, hit.product)),
            Cell::text(&hit.vendor),
            Cell::text(&hit.category),
            Cell::text(hit.presence.name()),
            Cell::text(or_dash(&hit.version)),
            Cell::text(seen.join(", ")),
        ]);
    }
    table.text(paint)
}

/// An empty answer is not proof of absence if a source was not read completely, so name such sources.
fn nothing_found(sources: &[SourceReport]) -> String {
    let gap = |source: &SourceReport| {
        let how = match source.outcome {
            Outcome::Found | Outcome::Empty | Outcome::NotApplicable => return None,
            Outcome::Partial => "was read only partly",
            Outcome::Denied | Outcome::Failed | Outcome::TimedOut => "could not be read",
        };
        Some(format!("{} {how}", source.source))
    };
    // A source that was not read may hide a product, so the sentence must not sound complete.
    let gaps: Vec<String> = sources.iter().filter_map(gap).collect();
    if gaps.is_empty() {
        return "no security product found\n".to_owned();
    }
    format!("no security product found in the sources that could be read; {}\n", gaps.join(", "))
}

pub(super) fn sources(host: &HostReport, paint: &Paint) -> String {
    if host.sources.is_empty() {
        return "no scan received yet\n".to_owned();
    }
    let mut table = Table::new(&["source", "outcome", "items", "reason"]);
    for source in &host.sources {
        let outcome = source.outcome.name();
        let loud = !matches!(source.outcome, Outcome::Found | Outcome::Empty | Outcome::NotApplicable);
        table.row(vec![
            Cell::text(source.source.name()),
            Cell::text(if loud { outcome.to_uppercase() } else { outcome.to_owned() }),
            Cell::number(source.observations),
            Cell::text(&source.reason),
        ]);
    }
    table.text(paint)
}
