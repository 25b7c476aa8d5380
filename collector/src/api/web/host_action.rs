//! The forms of a host's page: they revoke, release and review the host, and take a retired one back.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use http::StatusCode;
use muster_proto::model::{HostActionKind, HostId};

use super::act::{finish, see};
use super::form::Form;
use super::format::clean;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, HostSelection};

/// `POST /hosts/HOST/revoke`: the collector refuses the host's certificate from now on.
pub(super) async fn revoke(
    state: Extract<State>,
    visitor: Visitor,
    host: Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    act(state, visitor, host, form, HostActionKind::Revoke).await
}

/// `POST /hosts/HOST/release`: the host may report again.
pub(super) async fn release(
    state: Extract<State>,
    visitor: Visitor,
    host: Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    act(state, visitor, host, form, HostActionKind::Release).await
}

/// `POST /hosts/HOST/review`: a person has looked at what the host is marked with.
pub(super) async fn review(
    state: Extract<State>,
    visitor: Visitor,
    host: Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    act(state, visitor, host, form, HostActionKind::Review).await
}

async fn act(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
    form: Form,
    kind: HostActionKind,
) -> Result<Response, Refusal> {
    let (host, page) = host_of(&state, &visitor, &asked).await?;
    let form = form.fields(&["reason"])?;
    if kind == HostActionKind::Release {
        visitor.must_have_proved_lately(&state, &page)?;
    }
    let (store, caller, now) = (Arc::clone(&state.store), visitor.caller().clone(), state.now());
    let reason = form.get("reason").to_owned();
    let act = async move {
        let selection = HostSelection::Named(vec![host]);
        actions::host_action(store.as_ref(), &caller, kind, selection, &reason, now).await
    };
    let report = finish(&state, act).await?;
    tracing::info!(action = kind.name(), hosts = report.changed, by = %visitor.caller().name, "changed hosts");
    see(&page)
}

/// `POST /hosts/HOST/unretire`: takes a retired host back.
pub(super) async fn unretire(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    let (host, page) = host_of(&state, &visitor, &asked).await?;
    let form = form.fields(&["reason"])?;
    visitor.must_have_proved_lately(&state, &page)?;
    let (store, caller, now) = (Arc::clone(&state.store), visitor.caller().clone(), state.now());
    let reason = form.get("reason").to_owned();
    let unretire = async move { actions::hosts_unretire(store.as_ref(), &caller, vec![host], &reason, now).await };
    let report = finish(&state, unretire).await?;
    tracing::info!(hosts = report.changed, by = %visitor.caller().name, "took retired hosts back");
    see(&page)
}

/// The host of an address by its id, if it is at the visitor's sites; and its page.
async fn host_of(state: &State, visitor: &Visitor, asked: &str) -> Result<(HostId, String), Refusal> {
    let none = || Refusal::new(StatusCode::NOT_FOUND, format!("There is no host \"{}\".", clean(asked, 64)));
    let id: HostId = asked.parse().map_err(|_| none())?;
    state.or_refusal(visitor.context.host_id(&id.to_string()).await)?;
    Ok((id, format!("/hosts/{id}")))
}
