//! Sessions that are ended from elsewhere: by an administrator, or by their own person in another browser.

use http::StatusCode;
use muster_proto::model::Role;

use super::kit::Lab;

/// The id of the session of this cookie.
fn id(cookie: &str) -> &str {
    cookie.split_once('=').and_then(|(_, token)| token.split('.').next()).expect("a session")
}

#[tokio::test]
async fn an_administrator_sees_and_ends_the_sessions_of_the_accounts_of_its_sites() {
    let lab = Lab::start().await;
    let north = lab.login("north-viewer", Role::Viewer, &["north"]).await;
    for role in Role::ALL {
        for (kind, sites) in [("fleet", &[][..]), ("own", &["north"][..]), ("foreign", &["south"][..])] {
            let cookie = lab.login(&format!("{role}-{kind}"), *role, sites).await;
            let told = format!("{role} of {kind}");
            let spare = lab.login(&format!("spare-{role}-{kind}"), Role::Viewer, &["north"]).await;
            let listed = lab.get("/accounts", Some(&cookie)).await;
            let may = *role == Role::Admin && kind != "foreign";
            assert_eq!(listed.text.contains(id(&spare)), may, "{told}");
            let path = format!("/accounts/sessions/{}/end", id(&spare));
            let forged = lab.post_from(&path, "", Some(&cookie), Some("cross-site")).await;
            assert_eq!(forged.status, StatusCode::FORBIDDEN, "{told}");
            let ended = lab.post(&path, "", Some(&cookie)).await;
            let expected = match (*role, may) {
                (Role::Admin, true) => StatusCode::SEE_OTHER,
                (Role::Admin, false) => StatusCode::NOT_FOUND,
                (Role::Viewer | Role::Operator, _) => StatusCode::FORBIDDEN,
            };
            assert_eq!(ended.status, expected, "{told}: {}", ended.text);
            let after = lab.get("/hosts", Some(&spare)).await.status;
            assert_eq!(after == StatusCode::SEE_OTHER, may, "{told}: the session is over");
            let again = lab.post(&path, "", Some(&cookie)).await;
            assert!(!may || again.status == StatusCode::NOT_FOUND, "{told}: it is over already");
        }
    }
    assert_eq!(lab.get("/", Some(&north)).await.status, StatusCode::OK, "nobody else was logged out");
    let nobody = lab.post(&format!("/accounts/sessions/{}/end", id(&north)), "", None).await;
    assert!(nobody.status == StatusCode::SEE_OTHER && nobody.header("location").starts_with("/login"));
    assert_eq!(lab.get("/", Some(&north)).await.status, StatusCode::OK);
    // The ledger says who did it.
    let admin = lab.login("ada", Role::Admin, &[]).await;
    let ended = lab.get("/ledger?kind=session-ended&by=admin-own", Some(&admin)).await.html().rows();
    assert_eq!(ended.len(), 2, "a header and one entry: {ended:?}");
}

#[tokio::test]
async fn people_see_and_end_their_own_sessions_and_no_others() {
    let lab = Lab::start().await;
    let token = lab.account("ada", Role::Viewer, &[]).await;
    let (here, elsewhere) = (lab.login_with(&token).await.0, lab.login_with(&token).await.0);
    let bob = lab.login("bob", Role::Viewer, &[]).await;
    let about = lab.get("/about", Some(&here)).await;
    let page = about.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    assert!(about.text.contains(id(&elsewhere)) && about.text.contains(id(&here)) && !about.text.contains(id(&bob)));
    assert_eq!(page.text().matches("this one").count(), 1, "{}", page.text());
    let refused = lab.post(&format!("/about/sessions/{}/end", id(&bob)), "", Some(&here)).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    for odd in ["x", "%3Cb%3E", &"x".repeat(500)] {
        let refused = lab.post(&format!("/about/sessions/{odd}/end"), "", Some(&here)).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{odd}");
    }
    let ended = lab.post(&format!("/about/sessions/{}/end", id(&elsewhere)), "", Some(&here)).await;
    assert_eq!((ended.status, ended.header("location")), (StatusCode::SEE_OTHER, "/about"));
    assert_eq!(lab.get("/", Some(&elsewhere)).await.status, StatusCode::SEE_OTHER);
    assert_eq!(lab.get("/", Some(&here)).await.status, StatusCode::OK);
    // The own one leads to the form.
    let ended = lab.post(&format!("/about/sessions/{}/end", id(&here)), "", Some(&here)).await;
    assert_eq!((ended.status, ended.header("location")), (StatusCode::SEE_OTHER, "/login"));
    assert!(ended.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(lab.get("/", Some(&bob)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_list_of_sessions_says_how_each_was_opened_and_can_be_searched() {
    let lab = Lab::start().await;
    let admin = lab.login("ada", Role::Admin, &[]).await;
    lab.login("bob", Role::Viewer, &[]).await;
    let rows = |page: &muster_strict_html::Element| -> Vec<Vec<String>> {
        page.rows().into_iter().filter(|row| row.len() == 5 && row[0] != "Account").collect()
    };
    let all = lab.get("/accounts", Some(&admin)).await.html();
    assert_eq!(all.faults(), Vec::<String>::new());
    let shown = rows(&all);
    assert_eq!(shown.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["ada", "bob"]);
    assert!(shown.iter().all(|row| row[3] == "a token or a password" && row[2] == "just now"), "{shown:?}");
    let one = rows(&lab.get("/accounts?name=BO", Some(&admin)).await.html());
    assert_eq!(one.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["bob"]);
}
