//! The headers of every answer of the pages.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

/// Nothing is allowed but our own stylesheet, script, icon, forms, and the script's requests for newer numbers.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // Without any, older browsers would send forms of ours with no origin.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// For a year, browsers ask this host with TLS only, and let nobody go on despite a wrong certificate. Those of the collector's own
/// CA do not get it: who has not imported the CA could not go on at all.
const STRICT: &str = "max-age=31536000";

/// Adds them. A page is kept by no cache unless it says otherwise: it is about hosts, and for one account.
pub(super) fn add(headers: &mut HeaderMap, has_company_certificate: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if has_company_certificate {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("cookie, authorization"));
}
