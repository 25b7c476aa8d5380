//! Every page with every role and site, with hostile texts, and without anybody who is logged in; sessions; forged requests.

#[path = "../../../../tests/src/html.rs"]
#[expect(unreachable_pub, reason = "it is a file of the kit of the end-to-end tests")]
mod html;
mod kit;

use http::StatusCode;
use muster_proto::model::{Role, Token};

use super::routes::{Route, pages};
use crate::actions;
use crate::api::methods::{SiteRule, rule_of_method};
use kit::{Answer, HOSTILE, Lab, ORDER, root};

/// An address of a route that shows something of the site `north`.
fn address(route: &Route) -> String {
    let query = if route.path == "/software" { "?q=curl" } else { "" };
    format!("{}{query}", route.path.replace("{host}", "host-north").replace("{order}", ORDER))
}

fn is_csv(route: &Route) -> bool {
    route.path.ends_with(".csv")
}

#[tokio::test]
async fn every_page_keeps_the_rules_of_its_methods_for_every_role_and_site() {
    let lab = Lab::start().await;
    for role in Role::ALL {
        for (kind, sites) in [("fleet", &[][..]), ("own", &["north"][..]), ("foreign", &["south"][..])] {
            let cookie = lab.login(&format!("{role}-{kind}"), *role, sites).await;
            for route in pages() {
                let answer = lab.get(&address(&route), Some(&cookie)).await;
                let told = format!("{} by {role} of {kind}: {}", route.path, answer.status);
                let rules = route.methods.iter().map(|method| rule_of_method(method));
                let is_refused = rules
                    .clone()
                    .any(|(needed, sites)| *role < needed || (sites == SiteRule::WholeFleet && kind != "fleet"));
                let is_hidden = kind == "foreign" && rules.clone().any(|(_, sites)| sites == SiteRule::Named);
                let expected = match (is_refused, is_hidden, route.path) {
                    (true, ..) => StatusCode::FORBIDDEN,
                    // It asks for the host of nobody.
                    (false, _, "/find") => StatusCode::SEE_OTHER,
                    (false, true, _) => StatusCode::NOT_FOUND,
                    (false, false, _) => StatusCode::OK,
                };
                assert_eq!(answer.status, expected, "{told}\n{}", answer.text);
                let hidden = match kind {
                    "own" => "-south",
                    "foreign" => "-north",
                    _ => continue,
                };
                // What the address itself names may come back in a refusal.
                let is_named = answer.status == StatusCode::OK && answer.text.contains(hidden);
                assert!(!is_named, "{told} names {hidden}");
            }
        }
    }
    // What the pages show to the fleet, so that an empty page cannot pass for a filtered one.
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    for path in [
        "/findings",
        "/findings.csv",
        "/hosts",
        "/hosts.csv",
        "/software?q=curl",
        "/coverage",
        "/coverage.csv",
        "/changes",
        "/duties",
        "/ledger",
    ] {
        let text = lab.get(path, Some(&cookie)).await.text;
        assert!(text.contains("-north") && text.contains("-south"), "{path}: {text}");
    }
}

#[tokio::test]
async fn nobody_sees_a_page_without_a_session() {
    let lab = Lab::start().await;
    let unknown = format!("__Host-muster=abc.{}", "a".repeat(52));
    for route in pages() {
        let address = address(&route);
        let answer = lab.get(&address, None).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{address}");
        assert!(answer.header("location").starts_with("/login"), "{address}: {}", answer.header("location"));
        assert!(!answer.text.contains("north") && answer.header("set-cookie").is_empty(), "{address}");
        let answer = lab.get(&address, Some(&unknown)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{address}");
        assert!(answer.header("set-cookie").contains("Max-Age=0"), "{address}: the cookie of no session is taken away");
    }
    // Back to where the person was going.
    let answer = lab.get("/findings?lane=replace", None).await;
    assert_eq!(answer.header("location"), "/login?next=%2Ffindings%3Flane%3Dreplace");
    let form = lab.get(answer.header("location"), None).await.html();
    let next = form.all("input").iter().find_map(|input| input.attribute("value").map(str::to_owned));
    assert_eq!(next.as_deref(), Some("/findings?lane=replace"));
    assert_eq!(form.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn hostile_texts_are_shown_as_text_on_every_page() {
    let lab = Lab::start().await;
    lab.hostile().await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    let mut shown = 0;
    let hostile = lab.hostile_host().await;
    let more = [
        format!("/hosts/{hostile}"),
        "/software?q=<script".to_owned(),
        "/coverage?text=onerror".to_owned(),
        "/duties?all=1".to_owned(),
        "/hosts?name=%3Cimg%20src%3Dx%20onerror%3D%22alert(1)%22%3E".to_owned(),
        "/ledger?by=%22%3E%3Cscript%3E&host=".to_owned(),
    ];
    for address in pages().iter().filter(|route| !is_csv(route)).map(address).chain(more) {
        let answer = lab.get(&address.replace('<', "%3C"), Some(&cookie)).await;
        if answer.status == StatusCode::SEE_OTHER {
            continue;
        }
        let page = answer.html();
        for element in ["img", "iframe", "object", "embed", "base"] {
            assert!(page.all(element).is_empty(), "{address} has <{element}>");
        }
        assert!(page.all("script").iter().all(|script| script.attribute("src").is_some()), "{address}");
        assert_eq!(page.faults(), Vec::<String>::new(), "{address}");
        let text = page.text();
        assert!(!text.contains('\u{202e}') && !text.contains('\u{0}'), "{address}: hidden characters are visible");
        assert!(answer.text.len() <= 100 * 1024, "{address} has {} bytes", answer.text.len());
        shown += usize::from(text.contains("<img src=x"));
    }
    // Hosts, host, findings, software, coverage, changes, duties, ledger and the searches.
    assert!(shown >= 9, "only {shown} pages show the hostile name {HOSTILE:?}");
    for route in pages().iter().filter(|route| is_csv(route)) {
        let text = lab.get(route.path, Some(&cookie)).await.text;
        assert!(!text.contains('\u{202e}'), "{}", route.path);
        let is_formula = |cell: &str| cell.starts_with(['=', '+', '@']) || cell.starts_with("\"=");
        assert!(!text.split([',', '\n']).any(is_formula), "{}: {text}", route.path);
    }
}

#[tokio::test]
async fn a_session_begins_with_a_token_and_ends_with_it_and_by_itself() {
    let lab = Lab::start().await;
    let (cookie, opened) = lab.login_with(&lab.account("ada", Role::Viewer, &[]).await).await;
    for attribute in ["__Host-muster=", "Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=43200"] {
        assert!(opened.header("set-cookie").contains(attribute), "{}", opened.header("set-cookie"));
    }
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::OK);
    // Used again and again, it lasts for its whole time and no longer.
    for _ in 0..14 {
        lab.later(50 * 60);
        assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::OK);
    }
    lab.later(30 * 60);
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::SEE_OTHER, "twelve hours are over");
    // Not used, it ends after an hour; requests of the script are no use.
    let cookie = lab.login("bob", Role::Viewer, &[]).await;
    for _ in 0..2 {
        lab.later(25 * 60);
        assert_eq!(lab.refresh("/", &cookie).await.status, StatusCode::OK);
    }
    lab.later(11 * 60);
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::SEE_OTHER, "an hour without use");
    // Revoking the account, or ending its token, ends the session at once.
    let cookie = lab.login("eve", Role::Viewer, &[]).await;
    actions::account_revoke(lab.store(), &root(), "eve", lab.now()).await.expect("revokes");
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::SEE_OTHER);
    let cookie = lab.login("kim", Role::Viewer, &[]).await;
    let now = lab.now();
    actions::account_rotate(lab.store(), &root(), "kim", None, std::time::Duration::ZERO, now).await.expect("rotates");
    lab.later(1);
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::SEE_OTHER);
    // Logging out ends it, for everybody who has the cookie.
    let cookie = lab.login("joe", Role::Viewer, &[]).await;
    let out = lab.post("/logout", "", Some(&cookie)).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_second_login_ends_the_session_before_and_both_are_in_the_ledger() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Admin, &[]).await;
    let (first, _) = lab.login_with(&token).await;
    let again = lab.post("/login", &format!("token={token}&next=/hosts"), Some(&first)).await;
    assert_eq!((again.status, again.header("location")), (StatusCode::SEE_OTHER, "/hosts"));
    let second = again.cookie();
    assert_eq!(lab.get("/", Some(&first)).await.status, StatusCode::SEE_OTHER, "the first is over");
    let ledger = lab.get("/ledger?by=ada", Some(&second)).await.html();
    let kinds: Vec<String> = ledger.rows().into_iter().skip(1).map(|row| row[2].clone()).collect();
    assert_eq!(kinds, ["session-opened", "session-ended", "session-opened"]);
    let text = ledger.text();
    let secret = second.rsplit('.').next().expect("a secret");
    assert!(!text.contains(secret), "the ledger has no secret");
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_sessions() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Viewer, &[]).await;
    let mut cookies = Vec::new();
    for _ in 0..22 {
        lab.later(1);
        cookies.push(lab.login_with(&token).await.0);
    }
    let mut valid = Vec::new();
    for cookie in &cookies {
        valid.push(lab.get("/about", Some(cookie)).await.status == StatusCode::OK);
    }
    assert_eq!(valid, [vec![false; 2], vec![true; 20]].concat(), "the oldest ones end");
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_one_text_and_never_repeated() {
    let lab = Lab::start().await;
    let right = lab.account("ada", Role::Viewer, &[]).await;
    let Token { id, .. } = right.parse().expect("a token");
    let wrong = format!("{id}.{}", "b".repeat(52));
    let unknown = format!("nobody.{}", "b".repeat(52));
    let mut texts = Vec::new();
    for token in [wrong, unknown] {
        let answer = lab.post("/login", &format!("token={token}"), None).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.header("set-cookie").is_empty() && !answer.text.contains(&"b".repeat(52)));
        texts.push(answer.html().of_class("alarm")[0].text());
    }
    assert_eq!(texts[0], texts[1], "the answer does not reveal which ids exist");
    for odd in ["", "token=", "token=x", &format!("token={}", "x".repeat(20_000)), "tokn=x", "%ff=%00"] {
        let answer = lab.post("/login", odd, None).await;
        assert!(
            answer.header("set-cookie").is_empty() && !answer.status.is_server_error(),
            "{odd:.40}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn a_request_of_another_site_changes_nothing() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Viewer, &[]).await;
    for origin in [None, Some("cross-site"), Some("same-site"), Some("none")] {
        let answer = lab.post_from("/login", &format!("token={token}"), None, origin).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin:?}");
        assert!(answer.header("set-cookie").is_empty(), "{origin:?}");
        assert!(answer.html().text().contains("nothing was done"));
    }
    let (cookie, _) = lab.login_with(&token).await;
    assert_eq!(lab.post_from("/logout", "", Some(&cookie), Some("cross-site")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::OK, "still logged in");
}

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
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{address}");
    }
    assert_eq!(answer.header("x-request-id").len(), 16, "{address}");
}

#[tokio::test]
async fn pages_lead_through_the_whole_list_and_the_file_has_all_of_it() {
    let lab = Lab::start().await;
    lab.hosts(10..130).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    for path in ["/hosts", "/findings"] {
        let (mut address, mut names, mut pages) = (format!("{path}?rows=50"), Vec::new(), 0);
        loop {
            let page = lab.get(&address, Some(&cookie)).await.html();
            assert_eq!(page.faults(), Vec::<String>::new(), "{address}");
            let column = usize::from(path == "/findings");
            names.extend(page.rows().into_iter().skip(1).map(|row| row[column].clone()));
            pages += 1;
            assert!(page.of_class("pager")[0].text().contains("of 122"), "{}", page.of_class("pager")[0].text());
            let next = page.all("a").into_iter().find(|link| link.attribute("rel") == Some("next"));
            match next.and_then(|link| link.attribute("href")) {
                Some(next) => next.clone_into(&mut address),
                None => break,
            }
        }
        assert_eq!((pages, names.len()), (3, 122), "{path}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 122, "{path}: every host once");
        let file = lab.get(&format!("{path}.csv"), Some(&cookie)).await;
        assert!(file.header("content-disposition").contains("attachment"), "{path}");
        assert_eq!(file.text.lines().count(), 123, "{path}");
    }
}

#[tokio::test]
async fn a_filter_narrows_lists_and_a_wrong_one_stays_in_its_box_with_its_mistake() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    for path in ["/findings", "/hosts", "/changes"] {
        let page = lab.get(&format!("{path}?where=site%3Anorth"), Some(&cookie)).await.html();
        let text = page.text();
        assert!(text.contains("host-north") && !text.contains("host-south"), "{path}: {text}");
        let file = lab.get(&format!("{path}.csv?where=site%3Anorth"), Some(&cookie)).await;
        if file.status == StatusCode::OK {
            assert!(file.text.contains("host-north") && !file.text.contains("host-south"), "{path}: {}", file.text);
        }
        let answer = lab.get(&format!("{path}?where=colour%3A%3Cb%3Ered"), Some(&cookie)).await;
        let page = answer.html();
        assert_eq!((answer.status, page.faults()), (StatusCode::OK, Vec::new()), "{path}");
        let typed = page
            .all("input")
            .iter()
            .find(|input| input.attribute("name") == Some("where"))
            .map(|input| input.attribute("value"));
        assert_eq!(typed, Some(Some("colour:<b>red")), "{path}");
        let told = page.of_class("alarm")[0].text();
        assert!(told.contains("column") && told.contains("colour"), "{path}: {told}");
        assert!(!page.text().contains("host-"), "{path}: a wrong filter shows no host");
        assert_eq!(
            lab.get(&format!("{path}.csv?where=colour%3Ared"), Some(&cookie)).await.status,
            StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test]
async fn a_board_without_hosts_or_orders_says_what_to_do() {
    let lab = Lab::empty().await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    for route in pages().iter().filter(|route| !is_csv(route) && !route.path.contains('{') && route.path != "/find") {
        let page = lab.get(route.path, Some(&cookie)).await.html();
        assert_eq!(page.faults(), Vec::<String>::new(), "{}", route.path);
    }
    let board = lab.get("/", Some(&cookie)).await.html().text();
    assert!(board.contains("No host has enrolled yet") && board.contains("muster-agent enroll"), "{board}");
    for (path, advice) in [
        ("/hosts", "enroll"),
        ("/coverage", "muster roster import"),
        ("/changes", "30 days"),
        ("/duties", "No duty is open"),
    ] {
        let text = lab.get(path, Some(&cookie)).await.html().text();
        assert!(text.contains(advice), "{path}: {text}");
    }
}

#[tokio::test]
async fn viewers_see_no_link_that_they_may_not_follow() {
    let lab = Lab::start().await;
    for (name, sites) in [("fleet", &[][..]), ("north", &["north"][..])] {
        let cookie = lab.login(name, Role::Viewer, sites).await;
        let mut seen = std::collections::BTreeSet::new();
        for route in pages().iter().filter(|route| !is_csv(route) && route.path != "/find") {
            let page = lab.get(&address(route), Some(&cookie)).await;
            if page.status == StatusCode::FORBIDDEN {
                continue;
            }
            seen.extend(page.html().all("a").iter().filter_map(|link| link.attribute("href").map(str::to_owned)));
        }
        // One of many orders is enough.
        let followed =
            |link: &&String| link.starts_with('/') && (!link.starts_with("/orders/") || link.ends_with(ORDER));
        for link in seen.iter().filter(followed) {
            let status = lab.get(link, Some(&cookie)).await.status;
            assert_eq!(status, StatusCode::OK, "{name} follows {link}");
        }
        assert_eq!(seen.contains("/ledger"), name == "fleet");
    }
}
