//! Sessions and tokens: how they begin and end, and what they are bounded by; forged requests.

use http::StatusCode;
use muster_proto::model::{Role, Token};

use super::kit::{Lab, root};
use crate::actions;

#[tokio::test]
async fn a_session_begins_with_a_token_and_ends_with_it_and_by_itself() {
    let lab = Lab::start().await;
    let (cookie, opened) = lab.login_with(&lab.account("ada", Role::Viewer, &[]).await).await;
    for attribute in ["__Host-muster-", "Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=43200"] {
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
async fn an_account_has_a_bounded_number_of_sessions_and_those_in_use_stay() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Admin, &[]).await;
    let mut cookies = Vec::new();
    // At most twenty logins in an hour, so they come in two lots.
    for _ in 0..2 {
        for _ in 0..10 {
            cookies.push(lab.login_with(&token).await.0);
        }
        lab.later(30 * 60);
    }
    // All of them are used again but two: one that is young, and the last one.
    lab.later(-5 * 60);
    for (at, cookie) in cookies.iter().enumerate().filter(|(at, _)| ![12, 19].contains(at)) {
        assert_eq!(lab.get("/about", Some(cookie)).await.status, StatusCode::OK, "{at}");
    }
    lab.later(6 * 60);
    cookies.push(lab.login_with(&token).await.0);
    let mut over = Vec::new();
    for (at, cookie) in cookies.iter().enumerate() {
        if lab.get("/about", Some(cookie)).await.status != StatusCode::OK {
            over.push(at);
        }
    }
    assert_eq!(over.len(), 1, "{over:?}");
    assert!(
        [12, 19].contains(&over[0]),
        "the one that ends was not used for the longest time, and is not the oldest: {over:?}"
    );
    let ledger = lab.get("/ledger?kind=session-ended", Some(&cookies[20])).await.html().rows();
    assert_eq!(ledger.len(), 2, "its end is an entry: {ledger:?}");
}

#[tokio::test]
async fn an_account_can_log_in_twenty_times_an_hour_and_nobody_is_logged_out_by_that() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Viewer, &[]).await;
    let mut last = None;
    for _ in 0..20 {
        last = Some(lab.login_with(&token).await.0);
    }
    let cookie = last.expect("a cookie");
    let refused = lab.post("/login", &format!("token={token}"), Some(&cookie)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let text = refused.html().text();
    assert!(
        text.contains("20 times") && text.contains("again in 1 h") && text.contains("Authorization: Bearer"),
        "{text}"
    );
    assert!(!text.contains(&token) && refused.header("set-cookie").is_empty());
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::OK, "who is logged in stays so");
    lab.login("bob", Role::Viewer, &[]).await;
    lab.later(3_600);
    lab.login_with(&token).await;
}

#[tokio::test]
async fn a_program_shows_its_token_with_each_request_and_leaves_no_session() {
    let lab = Lab::start().await;
    let token = lab.account("robot", Role::Viewer, &["north"]).await;
    let before = lab.ledger_entries().await;
    for path in ["/hosts.csv", "/findings.csv", "/", "/hosts"] {
        let answer = lab.get_with_token(path, &token).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.text.contains("-north") || path == "/", "{path}");
        assert!(!answer.text.contains("-south") && answer.header("set-cookie").is_empty(), "{path}");
    }
    assert_eq!(lab.get_with_token("/ledger", &token).await.status, StatusCode::FORBIDDEN);
    assert_eq!(lab.ledger_entries().await, before, "nothing is written");
    let about = lab.get_with_token("/about", &token).await.html().text();
    assert!(!about.contains("Log out everywhere"), "there is no session to end: {about}");
    for wrong in [format!("robot.{}", "b".repeat(52)), "x".to_owned(), String::new()] {
        let answer = lab.get_with_token("/hosts.csv", &wrong).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"), "{wrong}");
        assert!(!answer.text.contains("host-"), "{wrong}");
    }
}

#[tokio::test]
async fn logging_out_everywhere_ends_the_sessions_of_all_browsers() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Admin, &[]).await;
    let other = lab.login("bob", Role::Viewer, &[]).await;
    let cookies = [lab.login_with(&token).await.0, lab.login_with(&token).await.0, lab.login_with(&token).await.0];
    let forged = lab.post_from("/logout/everywhere", "", Some(&cookies[0]), Some("cross-site")).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert_eq!(lab.get("/logout/everywhere", Some(&cookies[0])).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(lab.get("/", Some(&cookies[1])).await.status, StatusCode::OK, "nothing has ended yet");
    let out = lab.post("/logout/everywhere", "", Some(&cookies[0])).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    for cookie in &cookies {
        assert_eq!(lab.get("/", Some(cookie)).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(lab.get("/", Some(&other)).await.status, StatusCode::OK, "another account");
    let again = lab.post("/logout/everywhere", "", Some(&cookies[0])).await;
    assert_eq!(again.header("location"), "/login", "nobody is logged in, and the form leads to a page");
    let cookie = lab.login_with(&token).await.0;
    let ended = lab.get("/ledger?kind=session-ended", Some(&cookie)).await.html().rows();
    assert_eq!(ended.len(), 4, "an entry for each: {ended:?}");
}

#[tokio::test]
async fn the_form_leads_to_the_board_if_the_page_before_it_cannot_be_led_back_to() {
    let lab = Lab::start().await;
    let long = format!("/hosts?where={}", "x".repeat(5_000));
    assert_eq!(lab.get(&long, None).await.header("location"), "/login");
    let form = lab.get(&format!("/login?next={long}"), None).await;
    assert_eq!(form.status, StatusCode::OK);
    let next = form.html().all("input").iter().find_map(|input| input.attribute("value").map(str::to_owned));
    assert_eq!(next.as_deref(), Some("/"));
    assert!(form.html().all("input").iter().any(|input| input.attribute("autocomplete") == Some("one-time-code")));
}
