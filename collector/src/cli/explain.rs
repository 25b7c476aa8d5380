//! `muster explain`: the evidence from observation to lane, and how to fix it.

use muster_proto::model::{Explanation, Reason, Timestamp, VerdictReport};

use super::args::ExplainArgs;
use super::client::Client;
use super::duties;
use super::exit::of_verdicts;
use super::host::{facts, products, sources, verdict_head, what_to_do};
use super::past;
use super::render::{Answer, Paint, Screen, clean};

const HEADER: [&str; 14] = [
    "id",
    "hostname",
    "order",
    "lane",
    "presence",
    "protection",
    "kind",
    "rule",
    "product",
    "source",
    "observation",
    "path",
    "reason",
    "true_lane",
];

pub(super) async fn run(mut client: Client, asked: ExplainArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    if let Some(as_of) = asked.past.as_of {
        return past::host(client, (&asked.host, asked.order.as_ref()), as_of, true, screen).await;
    }
    let explanation = client.explain(&asked.host, asked.order.as_ref()).await?;
    let now = screen.now();
    let answer = Answer { whole: &explanation, header: &HEADER };
    let lines = std::slice::from_ref(&explanation);
    screen.show(&answer, lines, || rows(&explanation), |paint| page(&explanation, now, paint))?;
    Ok(of_verdicts(&explanation.host.verdicts))
}

/// One row per reason, then one per command, which has the kind `uninstall`. A verdict without reasons has one row.
fn rows(explanation: &Explanation) -> Vec<Vec<String>> {
    let host = &explanation.host;
    let row = |verdict: &VerdictReport, reason: Option<&Reason>| {
        let evidence = reason.and_then(|reason| reason.evidence.as_ref());
        let product = reason.and_then(|reason| reason.product.as_ref());
        let of_reason = |field: fn(&Reason) -> &String| reason.map(field).cloned().unwrap_or_default();
        vec![
            host.id.to_string(),
            host.facts.hostname.clone(),
            verdict.order.id.to_string(),
            verdict.lane.to_string(),
            verdict.presence.to_string(),
            verdict.protection.to_string(),
            reason.map(|reason| reason.kind.to_string()).unwrap_or_default(),
            of_reason(|reason| &reason.rule),
            product.map(|product| product.id.to_string()).unwrap_or_default(),
            evidence.map(|evidence| evidence.source.to_string()).unwrap_or_default(),
            evidence.map(ToString::to_string).unwrap_or_default(),
            evidence.map(|evidence| evidence.path.clone()).unwrap_or_default(),
            of_reason(|reason| &reason.text),
            verdict.true_lane.to_string(),
        ]
    };
    let mut rows = Vec::new();
    for verdict in &host.verdicts {
        rows.extend(verdict.reasons.iter().chain(&verdict.commands).map(|reason| row(verdict, Some(reason))));
        if verdict.reasons.is_empty() {
            rows.push(row(verdict, None));
        }
    }
    rows
}

pub(super) fn page(explanation: &Explanation, now: Timestamp, paint: &Paint) -> String {
    let host = &explanation.host;
    let mut text = facts(host, now, paint);
    for verdict in &host.verdicts {
        text.push_str(&format!("\n{}", verdict_head(verdict, now, paint)));
        if verdict.in_scope {
            text.push_str(&chain(verdict, paint));
            let duties = explanation.duties.iter().filter(|duty| duty.order == verdict.order.id);
            text.push_str(&duties::of_host(duties, now, paint));
        }
        text.push_str(&history(explanation, verdict, paint));
    }
    text.push_str(&format!("\n{}\n{}", products(host, paint), sources(host, paint)));
    text.push_str(&format!("\n{}\n", paint.dim(&format!("judged with rules version {}", explanation.rules_version))));
    text
}

/// source → observation → rule → presence → lane
fn chain(verdict: &VerdictReport, paint: &Paint) -> String {
    let mut text = String::from("  because\n");
    for (number, reason) in verdict.reasons.iter().enumerate() {
        text.push_str(&format!("    {}. {}\n", number + 1, clean(&reason.text)));
        let mut steps = Vec::new();
        if let Some(evidence) = &reason.evidence {
            let path = &evidence.path;
            // The name of some observations is their path.
            let is_named = path.is_empty() || evidence.name == *path;
            let at = if is_named { String::new() } else { format!(" at {path}") };
            steps.push(evidence.source.name().to_owned());
            steps.push(format!("{evidence}{at}"));
        }
        steps.push(format!("rule {}", reason.rule));
        if let Some(product) = &reason.product {
            steps.push(product.id.to_string());
        }
        text.push_str(&format!("       {}\n", paint.dim(&clean(&steps.join(" \u{2192} ")))));
    }
    if verdict.reasons.is_empty() {
        text.push_str("    no reason recorded\n");
    }
    let mut lane = paint.lane(verdict.lane, verdict.lane.name());
    if verdict.decision.is_some() {
        lane = format!("{} \u{2192} {lane}", paint.lane(verdict.true_lane, verdict.true_lane.name()));
    }
    let (presence, protection) = (verdict.presence, verdict.protection);
    text.push_str(&format!("  result      presence {presence}, protection {protection} \u{2192} {lane}\n"));
    text.push_str(&what_to_do(verdict));
    text
}

fn history(explanation: &Explanation, verdict: &VerdictReport, paint: &Paint) -> String {
    let entries: Vec<_> = explanation.history.iter().filter(|change| change.order == verdict.order.id).collect();
    if entries.is_empty() {
        return String::new();
    }
    let lines = entries.iter().map(|change| {
        let lane = paint.lane(change.lane, &format!("{:<7}", change.lane.name()));
        format!("    {}  {lane}  {}\n", change.since.whole_seconds(), paint.dim(change.cause.name()))
    });
    format!("  history\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::host;
    use super::*;

    #[test]
    fn a_command_is_no_reason_and_has_a_section_and_a_kind_of_its_own() {
        let explanation =
            Explanation { host: host(), history: Vec::new(), rules_version: "r".to_owned(), duties: Vec::new() };
        let page = page(&explanation, Timestamp::default(), &Paint::plain());
        let because = page.find("  because\n").expect("reasons");
        let to_do = page.find("  what to do\n").expect("what to do");
        assert!(because < to_do && !page[because..to_do].contains("purge"), "{page}");
        assert!(page[to_do..].contains("      apt-get purge kesl  # Kaspersky Endpoint Security 12.2\n"), "{page}");
        let rows = rows(&explanation);
        let kinds: Vec<&str> = rows.iter().map(|row| row[6].as_str()).collect();
        assert_eq!((kinds, HEADER[6], HEADER.len()), (vec!["lane", "uninstall"], "kind", rows[0].len()));
    }
}
