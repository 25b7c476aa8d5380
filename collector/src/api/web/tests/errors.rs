//! Errors: each is a page with a way out, and every answer has the headers.

use http::StatusCode;
use muster_proto::model::Role;

use super::kit::{Answer, Lab};
use super::{address, pages};

#[tokio::test]
async fn every_answer_has_the_headers_and_every_error_is_a_page() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    let wrong = [
        ("/nothing", StatusCode::NOT_FOUND),
        ("/hosts/nobody", StatusCode::NOT_FOUND),
        ("/orders/no-such-order", StatusCode::NOT_FOUND),
        ("/orders/A%20B", StatusCode::NOT_FOUND),
        ("/findings?lane=yellow", StatusCode::BAD_REQUEST),
        ("/findings?lane=clear", StatusCode::BAD_REQUEST),
        ("/findings?colour=red", StatusCode::BAD_REQUEST),
        ("/hosts?page=nonsense", StatusCode::BAD_REQUEST),
        ("/hosts?rows=7", StatusCode::BAD_REQUEST),
        ("/hosts?silent=perhaps", StatusCode::BAD_REQUEST),
        ("/hosts?name=%00", StatusCode::BAD_REQUEST),
        ("/hosts/%00", StatusCode::BAD_REQUEST),
        ("/hosts/%ff", StatusCode::BAD_REQUEST),
        ("/find?q=a%0Ab", StatusCode::BAD_REQUEST),
        ("/exceptions?list=some", StatusCode::BAD_REQUEST),
        ("/orders/us-bis-icts-2021-002/files/0", StatusCode::NOT_FOUND),
        ("/orders/us-bis-icts-2021-002/files/9", StatusCode::NOT_FOUND),
        ("/orders/us-bis-icts-2021-002/files/x", StatusCode::BAD_REQUEST),
        ("/changes?days=4000", StatusCode::BAD_REQUEST),
        ("/ledger?by=nobody", StatusCode::NOT_FOUND),
        ("/assets/muster-0.css", StatusCode::NOT_FOUND),
        ("/logout", StatusCode::METHOD_NOT_ALLOWED),
    ];
    for (address, status) in wrong {
        let answer = lab.get(address, Some(&cookie)).await;
        assert_eq!(answer.status, status, "{address}");
        let page = answer.html();
        assert_eq!(page.faults(), Vec::<String>::new(), "{address}");
        assert!(
            page.text().contains(answer.header("x-request-id")),
            "{address}: the page has the number of the request"
        );
        assert!(page.all("a").iter().any(|link| link.attribute("href") == Some("/")), "{address}: a way out");
        headers(&answer, address);
    }
    let unreadable = lab.get("/hosts/%ff", Some(&cookie)).await.html().text();
    assert!(unreadable.contains("The address is not valid"), "{unreadable}");
    for key in ["/hosts?name", "/coverage?text", "/software?q", "/software?q=curl&version", "/ledger?by", "/find?q"] {
        let answer = lab.get(&format!("{key}={}", "x".repeat(254)), Some(&cookie)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{key}: a name is refused and not cut");
        assert!(answer.html().text().contains("253 characters"), "{key}");
    }
    for route in pages() {
        let answer = lab.get(&address(&route), Some(&cookie)).await;
        headers(&answer, route.path);
        assert_eq!(answer.header("cache-control"), "no-store", "{}", route.path);
    }
    let page = lab.get("/", Some(&cookie)).await.html();
    let style = page.all("link")[0].attribute("href").expect("an address").to_owned();
    let answer = lab.get(&style, None).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    assert!(answer.header("cache-control").contains("immutable"));
    headers(&answer, &style);
}

fn headers(answer: &Answer, address: &str) {
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{address}: {policy}"
    );
    assert!(!policy.contains("unsafe"), "{address}: {policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{address}");
    }
    assert_eq!(answer.header("x-request-id").len(), 16, "{address}");
}
