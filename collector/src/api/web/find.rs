//! The search box of every page: leads to the host that is meant, or to the hosts that have the text.

use axum::extract::{RawQuery, State as Extract};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::candidates;
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
    let asked = query.name("q")?;
    let to = match visitor.context.host_id(&asked).await {
        Ok(host) => format!("/hosts/{host}"),
        Err(ReportError::Ambiguous { hosts, .. }) => return candidates::show(&state, &visitor, &asked, &hosts),
        Err(ReportError::NoHost { .. }) if asked.is_empty() => "/hosts".to_owned(),
        // Perhaps it is a part of a name, of a serial number, or of an owner.
        Err(ReportError::NoHost { .. }) => Query::default().with("where", &quoted(&asked)).link("/hosts"),
        Err(failed) => return state.or_refusal(Err(failed)),
    };
    let place = HeaderValue::try_from(to).map_err(|_| Refusal::of_code(StatusCode::BAD_REQUEST))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response())
}

/// A filter that searches for exactly this text.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Condition, Filter};

    #[test]
    fn a_searched_text_is_a_filter_for_this_text() {
        for text in ["web-1", "00:1B:44:11:3a:b7", "a \"b\" \\ c", "-x", "any", "a,b*"] {
            let filter = Filter::parse(&quoted(text)).expect(text);
            let terms: Vec<_> = filter.terms().iter().map(|term| (term.negated, &term.condition)).collect();
            assert!(matches!(terms.as_slice(), [(false, Condition::Search(_))]), "{text}: {terms:?}");
        }
    }
}
