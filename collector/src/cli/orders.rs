//! `muster orders`: who demands what by when.

use muster_proto::model::{OrderReport, Timestamp};

use super::args::OrdersArgs;
use super::client::Client;
use super::render::{Answer, Paint, Screen, clean, instant, when};

const HEADER: [&str; 7] = ["id", "active", "due", "binding", "issuer", "jurisdiction", "title"];

pub(super) async fn run(mut client: Client, asked: OrdersArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let orders = client.orders(asked.all).await?;
    let now = screen.now();
    let answer = Answer { whole: &orders, header: &HEADER };
    screen.show(&answer, &orders, || orders.iter().map(row).collect(), |paint| page(&orders, now, paint))?;
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

fn page(orders: &[OrderReport], now: Timestamp, paint: &Paint) -> String {
    if orders.is_empty() {
        return "no order is active (muster orders --all shows all)\n".to_owned();
    }
    let mut text = String::new();
    for order in orders {
        let state = if order.active { "" } else { "  (not active)" };
        text.push_str(&format!("{}{state}\n  {}\n", paint.bold(order.id.as_str()), clean(&order.title)));
        text.push_str(&format!("  {} ({}), {}\n", clean(&order.issuer), clean(&order.jurisdiction), order.binding));
        let due = order.due.map_or_else(|| "no due date".to_owned(), |due| format!("due {}", when(due, now)));
        text.push_str(&format!("  {due}\n"));
        for (at, what) in &order.milestones {
            text.push_str(&format!("    {at}  {}\n", clean(what)));
        }
        for source in &order.sources {
            text.push_str(&format!("    {}\n", paint.dim(&clean(source))));
        }
        text.push('\n');
    }
    text.push_str(&format!("{} order(s)\n", orders.len()));
    text
}
