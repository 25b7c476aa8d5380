//! Every address of the pages, with the methods of FleetService that it answers like.

use axum::Router;
use axum::extract::Extension;
use axum::handler::Handler;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use super::refusal::Refusal;
use super::state::State;
use super::visitor::Answers;
use super::{
    about, accounts, assets, board, changes, coverage, dispositions, duties, exceptions, find, findings, host, hosts,
    ledger, login, order, orders, software, tokens,
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

/// The address of a route, as the label of its calls in the metrics; in the answer until it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct RouteName(pub(super) &'static str);

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
        route("/exceptions", &["ListWaivers", "ListDispositions", "ListOrders"], exceptions::show),
        route("/exceptions.csv", &["ListWaivers"], exceptions::download),
        route("/dispositions", &["ListDispositions"], dispositions::show),
        route("/dispositions.csv", &["ListDispositions"], dispositions::download),
        route("/tokens", &["ListEnrollmentTokens"], tokens::show),
        route("/accounts", &["ListAccounts"], accounts::show),
        route("/software", &["SearchSoftware"], software::show),
        route("/coverage", &["ListRoster", "GetBoard"], coverage::show),
        route("/coverage.csv", &["ListRoster"], coverage::download),
        route("/changes", &["ListChanges", "ListOrders"], changes::show),
        route("/changes.csv", &["ListChanges"], changes::download),
        route("/orders", &["ListOrders"], orders::show),
        route("/orders/{order}", &["ListOrders", "GetOrderFiles"], order::show),
        route("/orders/{order}/files/{file}", &["GetOrderFiles"], order::file),
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
        .route("/login", named("/login", get(login::form).post(login::login)))
        .route("/logout", named("/logout", post(login::logout)))
        .route("/logout/everywhere", named("/logout/everywhere", post(login::logout_everywhere)))
        .route("/assets/{name}", named("/assets", get(assets::asset)));
    for Route { path, methods, handler } in pages() {
        router = router.route(path, named(path, handler.layer(Extension(Answers(methods)))));
    }
    router.fallback(|| async { Refusal::of_code(http::StatusCode::NOT_FOUND) }).with_state(state)
}

/// The route with its name in every answer.
fn named(name: &'static str, route: MethodRouter<State>) -> MethodRouter<State> {
    let name = move |mut answer: Response| async move {
        answer.extensions_mut().insert(RouteName(name));
        answer
    };
    route.layer(map_response(name))
}
