//! Requests that another site made a browser send. Only a request of our own pages may change something.
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site` (W3C Fetch Metadata Request Headers), which no page can set.
//! Older ones send `Origin` only. A request without either is refused.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Uri};

/// Whether the request may change something: its method changes nothing, or it comes from our own pages.
pub(super) fn is_ours(method: &Method, uri: &Uri, headers: &HeaderMap, public: Option<&str>) -> bool {
    if [Method::GET, Method::HEAD].contains(method) {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    // HTTP/2 has the host in the address, HTTP/1.1 in a header.
    let host = uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    // Behind a proxy that gives requests another host, pages have the origin of the settings.
    public == Some(origin) || host.is_some_and(|host| origin.strip_prefix("https://") == Some(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_change_something() {
        let is = |method: &Method, uri: &str, headers: &[(&'static str, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a header")));
            is_ours(method, &uri.parse().expect("an address"), &headers.collect(), Some("https://board.example"))
        };
        let (get, post) = (Method::GET, Method::POST);
        assert!(is(&get, "/", &[]) && is(&get, "/", &[("sec-fetch-site", "cross-site")]), "a link to us");
        assert!(is(&post, "/login", &[("sec-fetch-site", "same-origin")]));
        assert!(is(&post, "/login", &[("host", "m.example:7444"), ("origin", "https://m.example:7444")]));
        assert!(is(&post, "https://m.example/login", &[("origin", "https://m.example")]));
        assert!(
            is(&post, "/login", &[("host", "127.0.0.1:7444"), ("origin", "https://board.example")]),
            "the public address"
        );
        for headers in [
            &[][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("host", "m.example"), ("origin", "https://m.example")],
            &[("host", "m.example"), ("origin", "https://evil.example")],
            &[("host", "m.example"), ("origin", "http://m.example")],
            &[("host", "m.example"), ("origin", "null")],
            &[("origin", "https://m.example")],
            &[("host", "m.example"), ("origin", "http://board.example")],
            &[("host", "m.example"), ("origin", "https://board.example.evil")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://board.example")],
        ] {
            assert!(!is(&post, "/login", headers) && !is(&Method::DELETE, "/login", headers), "{headers:?}");
        }
    }
}
