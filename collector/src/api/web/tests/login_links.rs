//! Login links: their page uses nothing up, their button works once, and each that does not work says why.

use http::StatusCode;
use muster_proto::model::{Role, Token};

use super::kit::{Lab, root};
use crate::actions;

/// A new link of the account with this token: its own token.
async fn link(lab: &Lab, token: &str) -> String {
    let token: Token = token.parse().expect("a token");
    let caller = actions::account_by_token(lab.store(), &token, lab.now()).await.expect("asks").expect("is there");
    actions::login_link_create(lab.store(), &caller, lab.now()).await.expect("makes").0.to_string()
}

fn form(link: &str) -> String {
    format!("token={link}")
}

/// Whether the session of this cookie was opened with a link.
async fn is_by_link(lab: &Lab, cookie: &str) -> bool {
    let token = cookie.split_once('=').expect("a cookie").1.parse().expect("a token");
    let times = actions::SessionTimes {
        whole: std::time::Duration::from_secs(43_200),
        idle: std::time::Duration::from_secs(3_600),
    };
    let found = actions::session_find(lab.store(), &token, times, lab.now()).await.expect("asks");
    found.expect("a session").by_link
}

#[tokio::test]
async fn a_link_logs_in_once_and_its_page_uses_nothing_up() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Admin, &[]).await;
    let link = link(&lab, &token).await;
    for _ in 0..2 {
        let shown = lab.get(&format!("/login/link?token={link}"), None).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert_eq!((shown.header("referrer-policy"), shown.header("cache-control")), ("same-origin", "no-store"));
        assert!(shown.header("set-cookie").is_empty());
        let page = shown.html();
        assert_eq!(page.faults(), Vec::<String>::new());
        let forms = page.all("form");
        assert_eq!(forms.len(), 1);
        assert_eq!(
            (forms[0].attribute("method"), forms[0].attribute("action"), forms[0].all("button").len()),
            (Some("post"), Some("/login/link"), 1)
        );
        assert!(page.all("a").is_empty(), "nothing that takes the address elsewhere");
    }
    // Another site cannot press the button.
    let forged = lab.post_from("/login/link", &form(&link), None, Some("cross-site")).await;
    assert!(forged.status == StatusCode::FORBIDDEN && forged.header("set-cookie").is_empty());
    let opened = lab.post("/login/link", &form(&link), None).await;
    assert_eq!((opened.status, opened.header("location")), (StatusCode::SEE_OTHER, "/"), "{}", opened.text);
    let cookie = opened.cookie();
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::OK);
    assert!(is_by_link(&lab, &cookie).await && !is_by_link(&lab, &lab.login_with(&token).await.0).await);
    let again = lab.post("/login/link", &form(&link), None).await;
    assert_eq!(again.status, StatusCode::GONE);
    assert!(again.header("set-cookie").is_empty());
    let text = again.html().text();
    assert!(text.contains("was used") && text.contains("muster login-link"), "{text}");
    let ledger = lab.get("/ledger", Some(&cookie)).await.html().text();
    assert!(ledger.contains("login-link-created") && ledger.contains("opened with login link"), "{ledger}");
    assert!(!ledger.contains(link.rsplit('.').next().expect("a secret")), "the ledger has no secret");
}

#[tokio::test]
async fn a_link_that_does_not_work_says_why_and_how_to_make_another_one() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Viewer, &[]).await;
    let refused = async |link: &str| {
        let answer = lab.post("/login/link", &form(link), None).await;
        assert!(answer.header("set-cookie").is_empty(), "{link}");
        let page = answer.html();
        assert_eq!(page.faults(), Vec::<String>::new());
        let text = page.text();
        assert!(text.contains("muster login-link") && !text.contains(&"a".repeat(52)), "{text}");
        (answer.status, text)
    };
    let old = link(&lab, &token).await;
    lab.later(600);
    let (status, text) = refused(&old).await;
    assert!(status == StatusCode::GONE && text.contains("too old"), "{text}");
    // A wrong secret, an unknown id, and the token that made it was revoked: one text, so that ids are not revealed.
    let fresh = link(&lab, &token).await;
    let id = fresh.split_once('.').expect("a token").0;
    let mut texts = vec![refused(&format!("{id}.{}", "a".repeat(52))).await];
    texts.push(refused(&format!("nobody.{}", "a".repeat(52))).await);
    let (now, soon) = (lab.now(), std::time::Duration::ZERO);
    actions::account_rotate(lab.store(), &root(), "ada", None, soon, now).await.expect("rotates");
    lab.later(1);
    texts.push(refused(&fresh).await);
    for odd in ["", "x", "nobody.aaaa"] {
        texts.push(refused(odd).await);
        let shown = lab.get(&format!("/login/link?token={odd}"), None).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{odd}");
    }
    for (status, text) in texts {
        assert!(status == StatusCode::NOT_FOUND && text.contains("is not known"), "{status} {text}");
    }
    assert_eq!(lab.get("/login/link?other=1", None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_account_makes_five_links_in_ten_minutes() {
    let lab = Lab::start().await;
    let token: Token = lab.account("ada", Role::Viewer, &[]).await.parse().expect("a token");
    let caller = actions::account_by_token(lab.store(), &token, lab.now()).await.expect("asks").expect("is there");
    for _ in 0..5 {
        actions::login_link_create(lab.store(), &caller, lab.now()).await.expect("makes");
        lab.later(1);
    }
    let refused = actions::login_link_create(lab.store(), &caller, lab.now()).await.expect_err("the sixth");
    assert!(refused.to_string().contains("the next one in 595 s"), "{refused}");
    lab.later(595);
    actions::login_link_create(lab.store(), &caller, lab.now()).await.expect("makes");
    let nobody = actions::login_link_create(lab.store(), &root(), lab.now()).await;
    assert!(matches!(nobody, Err(actions::ActionError::NotAnAccount)), "a user of the machine has no account");
}
