//! `/orders`: who demands what, and by when.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{OrderReport, Timestamp};

use super::chrome::{Chrome, page};
use super::format::{Moment, clean};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    chrome: Chrome,
    active: Vec<OrderRow>,
    others: Vec<OrderRow>,
}

struct OrderRow {
    id: String,
    title: String,
    issuer: String,
    jurisdiction: String,
    binding: &'static str,
    due: Option<Moment>,
    distance: Option<Moment>,
    is_confirmed: bool,
    layer: String,
}

impl OrderRow {
    fn of(order: &OrderReport, now: Timestamp) -> Self {
        Self {
            id: order.id.to_string(),
            title: clean(&order.title, 300),
            issuer: clean(&order.issuer, 200),
            jurisdiction: clean(&order.jurisdiction, 100),
            binding: order.binding.name(),
            due: order.due.map(Moment::deadline),
            distance: order.due.map(|due| Moment::ago(due, now)),
            is_confirmed: order.due_confirmed,
            layer: clean(&order.layer, 32),
        }
    }
}

/// `GET /orders`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    Query::read(raw.as_deref(), &[])?;
    let now = state.now();
    let (active, others): (Vec<_>, Vec<_>) = visitor.context.orders(true).into_iter().partition(|order| order.active);
    page(&OrdersPage {
        chrome: Chrome::new(&state, &visitor, "/orders"),
        active: active.iter().map(|order| OrderRow::of(order, now)).collect(),
        others: others.iter().map(|order| OrderRow::of(order, now)).collect(),
    })
}
