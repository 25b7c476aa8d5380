//! Every address of the pages, with the methods of FleetService that it answers like.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension};
use axum::handler::Handler;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use super::refusal::Refusal;
use super::state::State;
use super::upload::LONGEST;
use super::visitor::Answers;
use super::{
    about, account_change, accounts, assets, board, catalogue, change, changes, coverage, dispositions, duties,
    duty_done, entry, exceptions, find, findings, host, host_action, hosts, ledger, login, login_link, login_password,
    order, order_switch, orders, provider, retire, roster_upload, sessions, software, timeline, tokens, waiver,
};
use crate::api::methods::LOGIN_LINK;
use crate::oidc::CALLBACK;

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

/// What a form of a page does. Its rule is that of its one method.
pub(super) struct FormRoute {
    pub(super) path: &'static str,
    pub(super) methods: &'static [&'static str; 1],
    handler: MethodRouter<State>,
}

fn form<H, T>(path: &'static str, methods: &'static [&'static str; 1], handler: H) -> FormRoute
where
    H: Handler<T, State>,
    T: 'static,
{
    FormRoute { path, methods, handler: post(handler) }
}

/// A form that sends files.
fn upload<H, T>(path: &'static str, methods: &'static [&'static str; 1], handler: H) -> FormRoute
where
    H: Handler<T, State>,
    T: 'static,
{
    FormRoute { path, methods, handler: post(handler).layer(DefaultBodyLimit::max(LONGEST)) }
}

/// What the forms of all pages do.
pub(super) fn forms() -> Vec<FormRoute> {
    vec![
        form("/change", &["ChangeHosts"], change::change),
        form("/exceptions", &["AskWaiver"], waiver::ask),
        form("/exceptions/{waiver}", &["DecideWaiver"], waiver::decide),
        form("/dispositions", &["RetireHosts"], retire::retire),
        form("/dispositions/{disposition}", &["DecideDisposition"], retire::decide),
        form("/duties/{duty}", &["FinishDuty"], duty_done::done),
        upload("/coverage", &["ImportRoster"], roster_upload::import),
        form("/coverage/{entry}/match", &["MatchRosterEntry"], entry::is_host),
        form("/coverage/{entry}/unmatch", &["UnmatchRosterEntry"], entry::is_another),
        form("/coverage/{entry}/excuse", &["ExcuseRosterEntry"], entry::excuse),
        form("/orders/{order}", &["SwitchOrder"], order_switch::switch),
        form("/hosts/{host}/revoke", &["RevokeHosts"], host_action::revoke),
        form("/hosts/{host}/release", &["ReleaseHosts"], host_action::release),
        form("/hosts/{host}/review", &["ReviewHosts"], host_action::review),
        form("/hosts/{host}/unretire", &["UnretireHosts"], host_action::unretire),
        form("/tokens", &["CreateEnrollmentToken"], tokens::create),
        form("/tokens/{token}/revoke", &["RevokeEnrollmentToken"], tokens::revoke),
        form("/accounts", &["CreateAccount"], account_change::create),
        form("/accounts/{account}/rotate", &["RotateAccount"], account_change::rotate),
        form("/accounts/{account}/revoke", &["RevokeAccount"], account_change::revoke),
    ]
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
        route("/exceptions", &["ListWaivers", "ListDispositions", "ListOrders"], exceptions::show),
        route("/exceptions/{waiver}", &["GetWaiver"], waiver::show),
        route("/change", &["ChangeHosts", "ListBulkChanges"], change::show),
        route("/change/{change}", &["GetBulkChange"], change::progress),
        route("/exceptions.csv", &["ListWaivers"], exceptions::download),
        route("/dispositions", &["ListDispositions"], dispositions::show),
        route("/dispositions/{disposition}", &["GetDisposition"], retire::show),
        route("/dispositions.csv", &["ListDispositions"], dispositions::download),
        route("/catalogue", &["ListProducts"], catalogue::show),
        route("/catalogue/{product}", &["GetProduct"], catalogue::one),
        route("/tokens", &["ListEnrollmentTokens"], tokens::show),
        route("/accounts", &["ListAccounts"], accounts::show),
        route("/software", &["SearchSoftware"], software::show),
        route("/coverage", &["ListRoster", "GetBoard"], coverage::show),
        route("/coverage/{entry}", &["GetRosterEntry"], entry::show),
        route("/coverage.csv", &["ListRoster"], coverage::download),
        route("/changes", &["ListChanges", "ListOrders"], changes::show),
        route("/changes.csv", &["ListChanges"], changes::download),
        route("/timeline", &["GetTimeline", "GetForecast", "ListOrders"], timeline::show),
        route("/timeline.csv", &["GetTimeline"], timeline::download),
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
        .route("/login/password", named("/login/password", post(login_password::login)))
        .route(LOGIN_LINK, named(LOGIN_LINK, get(login_link::show).post(login_link::login)))
        .route("/login/provider", named("/login/provider", post(provider::begin)))
        .route(CALLBACK, named(CALLBACK, get(provider::callback)))
        .route("/logout", named("/logout", post(login::logout)))
        .route("/logout/everywhere", named("/logout/everywhere", post(login::logout_everywhere)))
        .route("/assets/{name}", named("/assets", get(assets::asset)));
    for Route { path, methods, handler } in pages() {
        router = router.route(path, named(path, handler.layer(Extension(Answers(methods)))));
    }
    for (path, methods, handler) in [
        // Who may revoke an account may end its sessions.
        ("/accounts/sessions/{session}/end", &["RevokeAccount"][..], post(sessions::end)),
        ("/about/sessions/{session}/end", &["GetCaller"][..], post(sessions::end_own)),
    ] {
        router = router.route(path, named(path, handler.layer(Extension(Answers(methods)))));
    }
    for FormRoute { path, methods, handler } in forms() {
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
