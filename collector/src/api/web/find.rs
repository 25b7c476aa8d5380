//! The search box of every page: leads to the host that is meant, or to the hosts whose names have the text.

use axum::extract::{RawQuery, State as Extract};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::ReportError;

/// `GET /find?q=`: a name, an id, a serial number, a hardware UUID, an asset tag or the address of a network card.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &["q"])?;
    let asked = query.get("q");
    let to = match visitor.context.host_id(asked).await {
        Ok(host) => format!("/hosts/{host}"),
        // Several hosts, or none: the list shows those whose names have the text.
        Err(ReportError::NoHost { .. } | ReportError::Ambiguous { .. }) if asked.is_empty() => "/hosts".to_owned(),
        Err(ReportError::NoHost { .. } | ReportError::Ambiguous { .. }) => {
            Query::default().with("name", asked).link("/hosts")
        }
        Err(failed) => return state.or_refusal(Err(failed)),
    };
    let place = HeaderValue::try_from(to).map_err(|_| Refusal::of_code(StatusCode::BAD_REQUEST))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response())
}
