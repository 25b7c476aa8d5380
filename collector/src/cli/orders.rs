//! `muster orders`: who demands what, and by when.

use muster_proto::model::{OrderId, OrderReport, TermReport, Timestamp};

use super::client::{Client, LIST_ORDERS, Refused};
use super::due::{self, doubt};
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, fields, instant, or_dash};
use muster_proto::suggest::did_you_mean;

const HEADER: [&str; 7] = ["id", "active", "due", "binding", "issuer", "jurisdiction", "title"];

pub(super) async fn list(mut client: Client, all: bool, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let orders = client.orders(all).await?;
    let now = screen.now();
    let answer = Answer { whole: &orders, header: &HEADER };
    screen.show(&answer, &orders, || orders.iter().map(row).collect(), |paint| page(&orders, all, now, paint))?;
    Ok(0)
}

pub(super) async fn show(mut client: Client, id: &OrderId, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    // All orders, so that one that is not active is found and the hint knows every id.
    let orders = client.orders(true).await?;
    let order = orders.iter().find(|order| order.id == *id).ok_or_else(|| {
        let ids = orders.iter().map(|order| order.id.as_str());
        Refused::not_found(format!("no order \"{id}\"{}", did_you_mean(id.as_str(), ids)), LIST_ORDERS)
    })?;
    let now = screen.now();
    let answer = Answer { whole: order, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(order), || vec![row(order)], |paint| one(order, now, paint))?;
    Ok(0)
}

fn row(order: &OrderReport) -> Vec<String> {
    vec![
        order.id.to_string(),
        order.active.to_string(),
        instant(order.due),
        order.binding.to_string(),
        order.issuer.clone(),
        order.jurisdiction.clone(),
        order.title.clone(),
    ]
}

pub(super) fn page(orders: &[OrderReport], all: bool, now: Timestamp, paint: &Paint) -> String {
    if orders.is_empty() {
        return "no order is active; `muster orders --all` lists all orders\n".to_owned();
    }
    let mut table = Table::new(&["order", "active", "due", "issuer", "title"]).dispensable(&["issuer", "active"]);
    for order in orders {
        table.row(vec![
            Cell::text(order.id.as_str()),
            Cell::text(if order.active { "yes" } else { "no" }),
            Cell::text(due::or(order, now, "-")),
            Cell::text(&order.issuer),
            Cell::text(&order.title),
        ]);
    }
    let more = if all { "" } else { "; `muster orders --all` includes those that are not active" };
    format!("{}\n{}{more}\n", table.text(paint), counted(orders.len(), "order"))
}

pub(super) fn one(order: &OrderReport, now: Timestamp, paint: &Paint) -> String {
    let mut text = format!("{}  {}\n", paint.bold(order.id.as_str()), clean(&order.title));
    text.push_str(&fields(&[
        ("issuer", &order.issuer),
        ("jurisdiction", &order.jurisdiction),
        ("binding", &order.binding.to_string()),
        ("active", if order.active { "yes" } else { "no; hosts are not judged under it" }),
        ("due", &due::or(order, now, "no due date")),
        ("from", &order.layer),
        ("addendum", or_dash(&order.addendum)),
        ("platforms", &some_or_all(&order.platforms)),
        ("sites", &some_or_all(&order.sites)),
        ("patience", &format!("{}d", order.patience_ms / 86_400_000)),
        ("approved", or_dash(&order.approved.join(" "))),
    ]));
    if !order.milestones.is_empty() {
        text.push_str(&format!("  milestones ({})\n", clean(&order.zone)));
    }
    for milestone in &order.milestones {
        let end = if milestone.at_end { "by  " } else { "from" };
        let (stated, what) = (clean(&milestone.stated), clean(&milestone.what));
        let own = &milestone.addendum;
        let own = if own.is_empty() { String::new() } else { format!(" (addendum {})", clean(own)) };
        text.push_str(&format!("    {end} {stated}  {what}{}{own}\n", doubt(milestone.confirmed)));
    }
    text.push_str(&terms("clocks", &order.clocks));
    text.push_str(&terms("recurring duties", &order.recurring));
    if !order.sources.is_empty() {
        text.push_str("  sources\n");
    }
    for source in &order.sources {
        text.push_str(&format!("    {}\n", paint.dim(&clean(source))));
    }
    text
}

fn some_or_all(names: &[String]) -> String {
    if names.is_empty() { "all".to_owned() } else { clean(&names.join(" ")) }
}

/// What must be done within a time, or again and again.
fn terms(title: &str, terms: &[TermReport]) -> String {
    let mut text = String::new();
    if !terms.is_empty() {
        text.push_str(&format!("  {title}\n"));
    }
    for term in terms {
        let event = match term.starts.split_once(':') {
            None if term.starts == "found" => "of finding it".to_owned(),
            None => format!("from {}", clean(&term.starts)),
            Some(("clock", id)) => format!("of {} being done", clean(id)),
            Some((_, id)) => format!("of {}", clean(id)),
        };
        let from = term.from.map_or_else(String::new, |from| format!(" from {} on", from.whole_seconds()));
        let until = term.until.map_or_else(String::new, |until| format!(" until {}", until.whole_seconds()));
        let per = if term.per == "order" { String::new() } else { format!(", for each {}", clean(&term.per)) };
        let (id, what) = (clean(&term.id), clean(&term.what));
        text.push_str(&format!(
            "    {id}: {} {event}{from}{until}{per}: {what}{}\n",
            clean(&term.term),
            doubt(term.confirmed)
        ));
        for field in &term.fields {
            text.push_str(&format!("      - {}\n", clean(field)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_says_for_which_events_it_runs_and_what_is_not_confirmed() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("valid");
        let first = TermReport {
            id: "first-report".to_owned(),
            starts: "found".to_owned(),
            from: Some(at("2018-10-01T04:00:00Z")),
            until: Some(at("2023-12-04T05:00:00Z")),
            term: "within 1 business day".to_owned(),
            per: "product".to_owned(),
            what: "report it".to_owned(),
            fields: vec!["contract number".to_owned()],
            confirmed: true,
        };
        let status = TermReport {
            id: "status".to_owned(),
            starts: "2018-01-11".to_owned(),
            from: None,
            until: None,
            term: "every 30 days".to_owned(),
            per: "order".to_owned(),
            fields: Vec::new(),
            confirmed: false,
            ..first.clone()
        };
        let shown = terms("clocks", &[first, status]);
        assert_eq!(
            shown,
            "  clocks\n    first-report: within 1 business day of finding it from 2018-10-01T04:00:00Z on until \
             2023-12-04T05:00:00Z, for each product: report it\n      - contract number\n    status: every 30 days from \
             2018-01-11: report it (unconfirmed)\n"
        );
    }
}
