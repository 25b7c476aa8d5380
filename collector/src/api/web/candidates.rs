//! The hosts that a name, a serial number or another identifier may mean, if they are several.

use askama::Template;
use axum::response::Response;
use muster_proto::model::HostCandidate;

use super::chrome::{Chrome, page};
use super::format::{Moment, clean, name};
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;

#[derive(Template)]
#[template(path = "candidates.html")]
struct CandidatesPage {
    chrome: Chrome,
    asked: String,
    hosts: Vec<Candidate>,
}

struct Candidate {
    id: String,
    name: String,
    site: String,
    seen: Option<Moment>,
}

/// The page with these hosts.
pub(super) fn show(
    state: &State,
    visitor: &Visitor,
    asked: &str,
    hosts: &[HostCandidate],
) -> Result<Response, Refusal> {
    let now = state.now();
    let candidate = |host: &HostCandidate| Candidate {
        id: host.id.to_string(),
        name: name(&host.hostname),
        site: host.site.to_string(),
        seen: host.last_seen.map(|seen| Moment::ago(seen, now)),
    };
    page(&CandidatesPage {
        chrome: Chrome::new(state, visitor, "/hosts"),
        asked: clean(asked, 128),
        hosts: hosts.iter().map(candidate).collect(),
    })
}
