//! Every page with every role and site, with hostile texts, and without anybody who is logged in.

use http::StatusCode;
use muster_proto::model::Role;

use super::kit::{HOSTILE, Lab, ORDER};
use super::{address, is_file, pages};
use crate::api::methods::{SiteRule, rule_of_method};

#[tokio::test]
async fn every_page_keeps_the_rules_of_its_methods_for_every_role_and_site() {
    let lab = Lab::start_with_exceptions().await;
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
                    // A change of the whole fleet is no matter of one site.
                    (false, _, "/change/{change}") if kind != "fleet" => StatusCode::NOT_FOUND,
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
    let lab = Lab::start_with_exceptions().await;
    let unknown = format!("{}=abc.{}", Lab::COOKIE, "a".repeat(52));
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
    let lab = Lab::start_with_exceptions().await;
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
        "/exceptions?list=all".to_owned(),
        "/dispositions?all=1".to_owned(),
        "/ledger?by=%22%3E%3Cscript%3E&host=".to_owned(),
    ];
    for address in pages().iter().filter(|route| !is_file(route)).map(address).chain(more) {
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
    // Hosts, host, findings, software, coverage, changes, duties, ledger, dispositions and the searches.
    assert!(shown >= 10, "only {shown} pages show the hostile name {HOSTILE:?}");
    let mut defused = 0;
    for route in pages().iter().filter(|route| route.path.ends_with(".csv")) {
        let text = lab.get(route.path, Some(&cookie)).await.text;
        assert!(!text.contains('\u{202e}'), "{}", route.path);
        let is_formula = |cell: &str| cell.starts_with(['=', '+', '@']) || cell.starts_with("\"=");
        assert!(!text.split([',', '\n']).any(is_formula), "{}: {text}", route.path);
        defused += usize::from(text.contains("'=1+1"));
    }
    // Hosts and findings have the name of the host, and coverage that of an owner.
    assert!(defused >= 3, "only {defused} files have the formula as a text");
}

#[tokio::test]
async fn a_board_without_hosts_or_orders_says_what_to_do() {
    let lab = Lab::empty().await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    for route in pages().iter().filter(|route| !is_file(route) && !route.path.contains('{') && route.path != "/find") {
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
    let lab = Lab::start_with_exceptions().await;
    for (name, sites) in [("fleet", &[][..]), ("north", &["north"][..])] {
        let cookie = lab.login(name, Role::Viewer, sites).await;
        let mut seen = std::collections::BTreeSet::new();
        for route in pages().iter().filter(|route| !is_file(route) && route.path != "/find") {
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
