//! The forms about who comes in: enrollment tokens, accounts, and hosts that are kept out.

use http::StatusCode;
use muster_proto::model::Role;

use super::kit::{Answer, Lab};
use crate::store::contract;

/// The token that a page shows.
fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    let page = answer.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    page.all("pre").first().expect("a token").text()
}

#[tokio::test]
async fn an_enrollment_token_is_shown_once_with_the_commands_that_use_it() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let made = lab.post("/tokens", "site=plant&hosts=50&days=7", Some(&cookie)).await;
    let secret = token(&made);
    let text = made.html().text();
    assert_eq!(text.matches(secret.as_str()).count(), 3, "itself and two commands: {text}");
    assert!(text.contains("--collector https://muster.example:7443 --token-file -"), "{text}");
    let id = secret.split('.').next().expect("an id").to_owned();
    let list = lab.get("/tokens", Some(&cookie)).await;
    assert!(!list.text.contains(&secret), "never again");
    let row = list.html().rows().into_iter().find(|row| row[0] == id).expect("its row");
    assert_eq!(row[1..4], ["plant", "valid", "0 of 50"]);
    let revoked = lab.post(&format!("/tokens/{id}/revoke"), "", Some(&cookie)).await;
    assert_eq!((revoked.status, revoked.header("location")), (StatusCode::SEE_OTHER, "/tokens"));
    let row = lab.get("/tokens", Some(&cookie)).await.html().rows().into_iter().find(|row| row[0] == id);
    assert_eq!(row.expect("its row")[2], "revoked");
    for (form, says) in [
        ("hosts=1&days=1", "Name the site"),
        ("site=a+b", "site"),
        ("site=plant&days=0", "366 days"),
        ("site=plant&days=400", "366 days"),
        ("site=plant&hosts=many", "hosts"),
    ] {
        let refused = lab.post("/tokens", form, Some(&cookie)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{form}");
        assert!(refused.html().text().contains(says), "{form}: {}", refused.html().text());
    }
    let unknown = lab.post("/tokens/nothing/revoke", "", Some(&cookie)).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_account_is_created_given_a_new_token_and_revoked_by_somebody_who_logged_in_lately() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    let new = "name=carol&role=operator&holder=person&sites=north&days=30";
    let first = token(&lab.post("/accounts", new, Some(&cookie)).await);
    let carol = lab.login_with(&first).await.0;
    assert_eq!(lab.get("/hosts/host-south", Some(&carol)).await.status, StatusCode::NOT_FOUND, "bound to its site");
    let row = |page: Answer| page.html().rows().into_iter().find(|row| row[0] == "carol").expect("its row");
    assert_eq!(row(lab.get("/accounts?name=carol", Some(&cookie)).await)[1..4], ["operator", "person", "north"]);
    for (form, says) in [
        ("name=dan&role=admin&holder=provider-person", "identity provider"),
        ("name=dan&role=admin&holder=person&sites=,", "Name the sites"),
        ("name=dan&role=king&holder=person", "role"),
        ("role=viewer&holder=person", "Name the account"),
    ] {
        let refused = lab.post("/accounts", form, Some(&cookie)).await;
        assert!(refused.status.is_client_error(), "{form}: {}", refused.status);
        assert!(refused.html().text().contains(says), "{form}: {}", refused.html().text());
    }
    let again = lab.post("/accounts", new, Some(&cookie)).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.html().text());

    let second = token(&lab.post("/accounts/carol/rotate", "hours=0", Some(&cookie)).await);
    lab.later(1);
    let stale = lab.post("/login", &format!("token={first}"), None).await;
    assert_ne!(stale.status, StatusCode::SEE_OTHER, "the first token has ended");
    let carol = lab.login_with(&second).await.0;
    let revoked = lab.post("/accounts/carol/revoke", "", Some(&cookie)).await;
    assert_eq!((revoked.status, revoked.header("location")), (StatusCode::SEE_OTHER, "/accounts"));
    assert_eq!(lab.get("/", Some(&carol)).await.status, StatusCode::SEE_OTHER, "its session is over");

    lab.later(16 * 60);
    for (address, form) in [("/accounts", "name=dan&role=viewer&holder=person"), ("/accounts/ada/rotate", "")] {
        let late = lab.post(address, form, Some(&cookie)).await;
        assert_eq!(late.header("location"), "/login?next=%2Faccounts&again=1", "{address}");
    }
}

#[tokio::test]
async fn a_host_is_revoked_released_and_taken_back_with_a_reason() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let host = format!("/hosts/{}", contract::host(1));
    let forms = |page: &Answer| -> Vec<String> {
        let page = page.html();
        let forms = page.all("form").into_iter().filter_map(|form| form.attribute("action").map(str::to_owned));
        forms.filter_map(|action| action.strip_prefix(&format!("{host}/")).map(str::to_owned)).collect()
    };
    assert_eq!(forms(&lab.get(&host, Some(&cookie)).await), ["revoke"]);
    let without = lab.post(&format!("{host}/revoke"), "reason=", Some(&cookie)).await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST);
    let revoked = lab.post(&format!("{host}/revoke"), "reason=stolen", Some(&cookie)).await;
    assert_eq!((revoked.status, revoked.header("location")), (StatusCode::SEE_OTHER, host.as_str()));
    let page = lab.get(&host, Some(&cookie)).await;
    assert_eq!(page.html().faults(), Vec::<String>::new());
    assert!(page.html().text().contains("revoked since") && page.text.contains("stolen"), "{}", page.html().text());
    assert_eq!(forms(&page), ["release"]);
    lab.post(&format!("{host}/release"), "reason=found", Some(&cookie)).await;
    assert_eq!(forms(&lab.get(&host, Some(&cookie)).await), ["revoke"]);

    let retired = Lab::start().await;
    retired.retire().await;
    let bob = retired.login("bob", Role::Operator, &[]).await;
    retired.post("/dispositions/1", "decision=approve", Some(&bob)).await;
    let page = retired.get(&host, Some(&bob)).await;
    assert_eq!(forms(&page), ["unretire", "revoke"], "{}", page.html().text());
    retired.post(&format!("{host}/unretire"), "reason=mistake", Some(&bob)).await;
    assert_eq!(forms(&retired.get(&host, Some(&bob)).await), ["revoke"]);
    let viewer = retired.login("vera", Role::Viewer, &[]).await;
    assert!(forms(&retired.get(&host, Some(&viewer)).await).is_empty());
    let elsewhere = retired.login("sue", Role::Operator, &["south"]).await;
    for action in ["revoke", "release", "review", "unretire"] {
        let address = format!("{host}/{action}");
        let by = async |cookie: &str| retired.post(&address, "reason=none", Some(cookie)).await.status;
        assert_eq!(by(&viewer).await, StatusCode::FORBIDDEN, "{action}");
        assert_eq!(by(&elsewhere).await, StatusCode::NOT_FOUND, "{action}");
    }
}
