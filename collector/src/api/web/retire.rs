//! The forms about hosts that left the fleet: retiring them, and deciding as the second person.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use muster_proto::limits;
use muster_proto::model::DispositionKind;

use super::act::{HOST_KEYS, HostsMeant, finish, see};
use super::form::Form;
use super::format::clean;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, ActionError, DispositionAsked};

/// Where the result is seen.
const PAGE: &str = "/dispositions?all=1";
/// Where somebody decides.
const WAITING: &str = "/dispositions";

/// `POST /dispositions`: retires hosts, or asks for it where a second person is needed.
pub(super) async fn retire(Extract(state): Extract<State>, visitor: Visitor, form: Form) -> Result<Response, Refusal> {
    let form = form.fields(&[&HOST_KEYS[..], &["kind", "evidence"]].concat())?;
    let kind: Option<DispositionKind> = form.one("kind")?;
    let kind = kind.ok_or_else(|| Refusal::asked("Say why the hosts left."))?;
    let meant = HostsMeant::read(&form)?;
    visitor.must_have_proved_lately(&state, &meant.link())?;
    let most = limits::HOSTS_PER_RETIREMENT;
    let hosts = meant.select_to_act(&state, &visitor, &form, most).await?;
    if hosts.len() > most {
        return state.or_refused(Err(ActionError::TooManyRetired));
    }
    let (hosts, evidence) = (hosts.iter().map(|host| host.id).collect(), form.get("evidence").to_owned());
    let asked = DispositionAsked { kind, hosts, evidence, file: None };
    let (store, rules, now) = (Arc::clone(&state.store), state.rules.load_full(), state.now());
    let caller = visitor.caller().clone();
    let retire = async move { actions::hosts_retire(store.as_ref(), &caller, &rules, asked, now).await };
    let report = finish(&state, retire).await?;
    let (retired, waiting) = (report.retired, report.waiting);
    tracing::info!(kind = kind.name(), retired, waiting, by = %visitor.caller().name, "retired hosts");
    see(PAGE)
}

/// `POST /dispositions/NUMBER`: approves or refuses one.
pub(super) async fn decide(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    form: Form,
) -> Result<Response, Refusal> {
    let form = form.fields(&["decision"])?;
    let approve = match form.get("decision") {
        "approve" => true,
        "refuse" => false,
        other => return Err(Refusal::asked(format!("\"{}\" is no decision.", clean(other, 64)))),
    };
    if approve {
        visitor.must_have_proved_lately(&state, WAITING)?;
    }
    let (store, caller, settings, now) =
        (Arc::clone(&state.store), visitor.caller().clone(), state.waivers, state.now());
    let decide =
        async move { actions::disposition_decide(store.as_ref(), &caller, &settings, number, approve, now).await };
    finish(&state, decide).await?;
    tracing::info!(disposition = number, approve, by = %visitor.caller().name, "decided about a disposition");
    see(PAGE)
}
