//! What all pages have around their content, and how a page becomes an answer.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use tracing::error;

use super::assets::{ICON, SCRIPT, STYLE};
use super::format::Moment;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::store::SiteScope;

/// The pages in the navigation: address, name, and the method that it answers like.
const NAVIGATION: [(&str, &str, &str); 11] = [
    ("/", "Board", "GetBoard"),
    ("/findings", "Findings", "ListFindings"),
    ("/hosts", "Hosts", "ListHosts"),
    ("/software", "Software", "SearchSoftware"),
    ("/coverage", "Coverage", "ListRoster"),
    ("/changes", "Changes", "ListChanges"),
    ("/timeline", "Timeline", "GetTimeline"),
    ("/orders", "Orders", "ListOrders"),
    ("/duties", "Duties", "ListDuties"),
    ("/exceptions", "Exceptions", "ListWaivers"),
    ("/ledger", "Ledger", "ListLedger"),
];

/// An entry of the navigation.
pub(super) struct NavigationItem {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) is_current: bool,
}

/// What a page has around its content.
pub(super) struct Chrome {
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
    pub(super) navigation: Vec<NavigationItem>,
    /// Who is logged in.
    pub(super) account: String,
    pub(super) role: &'static str,
    /// The sites to which the account is bound; empty means all.
    pub(super) sites: String,
    pub(super) as_of: Moment,
    /// What is wrong with the collector, for every page.
    pub(super) warnings: Vec<String>,
}

impl Chrome {
    /// `path` is the page's own in the navigation.
    pub(super) fn new(state: &State, visitor: &Visitor, path: &str) -> Self {
        let shown = NAVIGATION.into_iter().filter(|(_, _, method)| visitor.may(method));
        let navigation = shown.map(|(place, name, _)| NavigationItem { path: place, name, is_current: place == path });
        let caller = visitor.caller();
        let sites = match &caller.scope {
            SiteScope::All => String::new(),
            bound @ SiteScope::Only(_) => bound.to_string(),
        };
        Self {
            style: &STYLE.path,
            script: &SCRIPT.path,
            icon: &ICON.path,
            navigation: navigation.collect(),
            account: caller.name.clone(),
            role: caller.role.name(),
            sites,
            as_of: Moment::at(state.now()),
            warnings: warnings(state),
        }
    }
}

fn warnings(state: &State) -> Vec<String> {
    let refused = state.readiness.rules_note.load();
    let rules = refused.as_ref().map(|note| {
        let told = &note.told;
        let since = told.since.whole_seconds();
        format!("The rules on disk are refused since {since}, and older rules are in force: {}", told.fault)
    });
    let refuses = state.readiness.store_refuses.load();
    let writes = refuses.as_ref().map(|refuses| {
        let since = refuses.since.whole_seconds();
        format!("The store accepts no writes since {since}: {}. These numbers do not change.", refuses.reason)
    });
    rules.into_iter().chain(writes).collect()
}

/// The answer with a page.
pub(super) fn page(template: &impl Template) -> Result<Response, Refusal> {
    let text = template.render().map_err(|failed| {
        error!(error = %failed, "a template failed");
        Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR)
    })?;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
