//! Every address of the pages, with the methods of FleetService that it answers like.

use axum::Router;
use axum::extract::Extension;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};

use super::refusal::Refusal;
use super::state::State;
use super::visitor::Answers;
use super::{
    about, assets, board, changes, coverage, duties, find, findings, host, hosts, ledger, login, order, orders,
    software,
};

/// A page that only somebody who is logged in may see.
pub(super) struct Route {
    pub(super) path: &'static str,
    /// Its rules are those of these methods.
    pub(super) methods: &'static [&'static str],
    handler: MethodRouter<State>,
}

fn route<H, T>(path: &'static str, methods: &'static [&'static str], handler: H) -> Route
where
    H: Handler<T, State>,
    T: 'static,
{
    Route { path, methods, handler: get(handler) }
}

/// Every page.
pub(super) fn pages() -> Vec<Route> {
    vec![
        route("/", &["GetBoard", "ListDuties"], board::show),
        route("/findings", &["ListFindings", "ListOrders"], findings::show),
        route("/findings.csv", &["ListFindings"], findings::download),
        route("/hosts", &["ListHosts", "ListOrders"], hosts::show),
        route("/hosts.csv", &["ListHosts"], hosts::download),
        route("/hosts/{host}", &["ExplainHost", "GetRosterEntry"], host::show),
        route("/find", &["GetHost"], find::show),
        route("/software", &["SearchSoftware"], software::show),
        route("/coverage", &["ListRoster", "GetBoard"], coverage::show),
        route("/coverage.csv", &["ListRoster"], coverage::download),
        route("/changes", &["ListChanges", "ListOrders"], changes::show),
        route("/changes.csv", &["ListChanges"], changes::download),
        route("/orders", &["ListOrders"], orders::show),
        route("/orders/{order}", &["ListOrders", "GetOrderFiles"], order::show),
        route("/duties", &["ListDuties", "ListOrders"], duties::show),
        route("/duties.csv", &["ListDuties"], duties::download),
        route("/ledger", &["ListLedger"], ledger::show),
        route("/ledger.csv", &["ListLedger"], ledger::download),
        route("/about", &["GetStatus", "GetCaller"], about::show),
    ]
}

/// All addresses.
pub(super) fn router(state: State) -> Router {
    let mut router = Router::new()
        .route("/login", get(login::form).post(login::login))
        .route("/logout", post(login::logout))
        .route("/assets/{name}", get(assets::asset));
    for Route { path, methods, handler } in pages() {
        router = router.route(path, handler.layer(Extension(Answers(methods))));
    }
    router.fallback(|| async { Refusal::of_code(http::StatusCode::NOT_FOUND) }).with_state(state)
}
