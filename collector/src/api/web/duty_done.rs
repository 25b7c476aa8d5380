//! The form that notes that a duty is done.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;

use super::act::{finish, see};
use super::form::{Form, place};
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions;

/// `POST /duties/NUMBER`.
pub(super) async fn done(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    form: Form,
) -> Result<Response, Refusal> {
    let form = form.fields(&["reference", "back"])?;
    let (store, rules, now) = (Arc::clone(&state.store), state.rules.load_full(), state.now());
    let (caller, reference) = (visitor.caller().clone(), form.get("reference").to_owned());
    let done =
        async move { actions::duty_finish(store.as_ref(), &caller, &rules, number, &reference, None, now).await };
    let (duty, _) = finish(&state, done).await?;
    tracing::info!(duty = number, order.id = %duty.order, by = %visitor.caller().name, "a duty is done");
    see(if form.has("back") { place(form.get("back")) } else { "/duties" })
}
