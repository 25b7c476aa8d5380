//! Answers one request of the pages: refuses forged ones, keeps the time limit, turns every failure into a page, and adds the
//! headers.

use std::time::Instant;

use askama::Template;
use axum::Router;
use axum::response::{IntoResponse, Response as Page};
use http::header::{ACCEPT_RANGES, CONTENT_TYPE, HeaderName, SET_COOKIE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use tonic::body::Body;
use tower::{Service, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use tracing::{Instrument as _, debug, error, info, info_span};

use super::error_page::ErrorPage;
use super::log_limit::path_of;
use super::refusal::Refusal;
use super::routes::RouteName;
use super::state::{State, WebParts};
use super::visitor::page_of;
use super::{forged, headers, routes};
use crate::telemetry::{Call, ListenerName};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Smaller answers are sent as they are, in bytes.
const COMPRESSED_FROM: u64 = 1024;

/// The pages.
#[derive(Clone)]
pub struct Web {
    state: State,
    router: Router,
}

impl Web {
    /// Pages about this collector.
    #[must_use]
    pub fn new(parts: WebParts) -> Self {
        let state = State::new(parts);
        let large = SizeAbove::new(COMPRESSED_FROM).and(NotForContentType::IMAGES);
        // Assets are compressed already, which the layer sees.
        let router = routes::router(state.clone())
            .layer(CatchPanicLayer::custom(panicked))
            .layer(CompressionLayer::new().compress_when(large));
        Self { state, router }
    }

    /// Waits until no use of a session is being noted beside the pages.
    #[cfg(test)]
    pub(super) async fn quiet(&self) {
        while !self.state.last_use.is_quiet() {
            tokio::task::yield_now().await;
        }
    }

    /// Answers one request.
    pub async fn answer(self, request: Request<Body>) -> Response<Body> {
        let began = Instant::now();
        let id = request_id();
        let (method, path) = (request.method().clone(), path_of(request.uri().path()).to_owned());
        // Lines about the request, wherever they are written, have its number.
        let span = info_span!("page", request.id = %id);
        let mut page = self.page(request).instrument(span.clone()).await;
        let _within = span.entered();
        let refusal = page.extensions_mut().remove::<Refusal>();
        let status = page.status();
        let refusal = refusal
            .or_else(|| (status.is_client_error() || status.is_server_error()).then(|| Refusal::of_code(status)));
        if let Some(refusal) = refusal {
            if refusal.is_over
                && let Ok(gone) = HeaderValue::try_from(self.state.cookie.gone())
            {
                page.headers_mut().append(SET_COOKIE, gone);
            }
            if status.is_client_error() || status.is_server_error() {
                let form = (method == Method::POST).then(|| page_of(&path));
                page = told(page, &refusal, form.as_deref(), &id);
            }
        }
        if !status.is_server_error() {
            let took = began.elapsed().as_millis();
            debug!(method = %method, path = %path, status = status.as_u16(), took_ms = took, "a page");
        } else if let Some(left_out) = self.state.failed_lines.line(self.state.now()) {
            error!(method = %method, path = %path, status = status.as_u16(), left_out, "a page failed");
        }
        headers::add(page.headers_mut(), self.state.has_company_certificate);
        page.headers_mut().remove(ACCEPT_RANGES);
        if let Ok(id) = HeaderValue::try_from(&id) {
            page.headers_mut().insert(REQUEST_ID, id);
        }
        let method = page.extensions_mut().remove::<RouteName>().map_or("web", |RouteName(name)| name);
        let (listener, code) = (ListenerName::operators, code_name(status));
        self.state.resources.metrics().call(Call { listener, method, code, took: began.elapsed() });
        page.map(Body::new)
    }

    async fn page(&self, request: Request<Body>) -> Page {
        if !forged::is_ours(request.method(), request.uri(), request.headers(), self.state.public_url.as_deref()) {
            if let Some(left_out) = self.state.refused_lines.line(self.state.now()) {
                let path = path_of(request.uri().path());
                info!(path, left_out, "refused a request that does not come from a page of ours");
            }
            let text = "The request does not come from a page of this board, so nothing was done. Open the board and try again.";
            return Refusal::new(StatusCode::FORBIDDEN, text).into_response();
        }
        let is_form = request.method() == Method::POST;
        let routed = async {
            let mut router = self.router.clone();
            match Service::call(ServiceExt::<Request<Body>>::ready(&mut router).await.unwrap_or_else(never), request)
                .await
            {
                Ok(page) => page.map(axum::body::Body::new),
                Err(never) => match never {},
            }
        };
        match tokio::time::timeout(self.state.page_deadline, routed).await {
            Ok(page) => page,
            Err(_) => {
                let seconds = self.state.page_deadline.as_secs();
                let text = if is_form {
                    format!(
                        "This takes longer than {seconds} s. What had begun goes on, so look at the result before you repeat it; a token \
                         that it made cannot be shown any more, so revoke it."
                    )
                } else {
                    format!(
                        "The page took longer than {seconds} s and was given up. Narrow what you ask for, or try again."
                    )
                };
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        }
    }
}

fn never<T>(never: std::convert::Infallible) -> T {
    match never {}
}

/// The page of an error, with the headers of the answer that failed.
fn told(mut page: Page, refusal: &Refusal, form: Option<&str>, id: &str) -> Page {
    // A template can only fail if writing to a string does.
    let text = ErrorPage::new(refusal, form, id).render().unwrap_or_else(|_| refusal.text.clone());
    *page.body_mut() = text.into();
    let headers = page.headers_mut();
    headers.remove(http::header::CONTENT_LENGTH);
    headers.remove(http::header::CONTENT_ENCODING);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    page
}

/// A page that panicked is a defect. The panic itself is in the log already.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Page {
    Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// The number of a request, by which a person finds it in the log.
fn request_id() -> String {
    let mut bytes = [0_u8; 8];
    // Without random numbers all requests have one number, which harms nobody.
    let _ = SystemRandom::new().fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

/// The label of an answer.
fn code_name(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "ok",
        300..400 => "redirect",
        401 => "unauthenticated",
        403 => "permission_denied",
        404 => "not_found",
        429 => "resource_exhausted",
        400..500 => "invalid_argument",
        502 | 503 => "unavailable",
        _ => "internal",
    }
}
