//! The form that switches an order on or off.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use muster_proto::model::OrderId;

use super::act::{finish, see};
use super::form::Form;
use super::format::clean;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, OrdersAsked};

/// `POST /orders/ORDER`.
pub(super) async fn switch(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(order): Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    let form = form.fields(&["switch"])?;
    let id: OrderId = order.parse().map_err(|wrong| Refusal::asked(format!("This is no order: {wrong}.")))?;
    let page = format!("/orders/{id}");
    let asked = match form.get("switch") {
        "on" => OrdersAsked::Activate(id),
        "off" => OrdersAsked::Deactivate(id),
        other => return Err(Refusal::asked(format!("\"{}\" is neither on nor off.", clean(other, 64)))),
    };
    visitor.must_have_proved_lately(&state, &page)?;
    let (store, rules, now) = (Arc::clone(&state.store), state.rules.load_full(), state.now());
    let caller = visitor.caller().clone();
    let change = async move { actions::orders_change(store.as_ref(), &caller, &rules, &asked, false, now).await };
    let done = finish(&state, change).await?;
    tracing::info!(rules.version = %done.rules.version, by = %visitor.caller().name, "changed orders");
    see(&page)
}
