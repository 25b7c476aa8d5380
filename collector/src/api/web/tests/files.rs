//! Files that are being sent: they end with the session, in time, and are not many at once.

use http::StatusCode;
use http_body_util::BodyExt as _;
use muster_proto::model::Role;
use tonic::body::Body;

use super::kit::{Lab, root};
use crate::actions;

/// The next part of a file; `None` at its end.
async fn part(body: &mut Body) -> Option<Result<String, tonic::Status>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")))
}

#[tokio::test]
async fn a_file_does_not_outlive_the_session_with_which_it_was_asked_for() {
    let lab = Lab::start().await;
    lab.hosts(10..130).await;
    for (name, is_session) in [("ada", true), ("robot", false)] {
        let token = lab.account(name, Role::Viewer, &[]).await;
        let mut file = match is_session {
            true => lab.open("/hosts.csv", Some(&lab.login_with(&token).await.0), None).await,
            false => lab.open("/hosts.csv", None, Some(&token)).await,
        };
        assert_eq!(file.status(), StatusCode::OK);
        let first = part(file.body_mut()).await.expect("a part").expect("rows");
        assert_eq!(first.lines().count(), 51, "a header and fifty hosts");
        let second = part(file.body_mut()).await.expect("a part").expect("rows");
        assert_eq!(second.lines().count(), 50);
        actions::account_revoke(lab.store(), &root(), name, lab.now()).await.expect("revokes");
        assert!(part(file.body_mut()).await.expect("an end").is_err(), "{name}: it breaks off");
    }
}

#[tokio::test]
async fn a_file_that_takes_too_long_breaks_off_and_one_in_time_keeps_its_session() {
    let lab = Lab::start().await;
    lab.hosts(10..130).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let mut file = lab.open("/hosts.csv", Some(&cookie), None).await;
    assert!(part(file.body_mut()).await.expect("a part").is_ok());
    lab.later(599);
    assert!(part(file.body_mut()).await.expect("a part").is_ok());
    lab.later(1);
    assert!(part(file.body_mut()).await.expect("an end").is_err(), "ten minutes are over");
    lab.quiet().await;
    lab.later(3_600 - 60);
    assert_eq!(lab.get("/", Some(&cookie)).await.status, StatusCode::OK, "reading a file is use");
}

#[tokio::test]
async fn two_files_of_an_account_are_sent_at_once() {
    let lab = Lab::start().await;
    lab.hosts(10..130).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let held =
        [lab.open("/hosts.csv", Some(&cookie), None).await, lab.open("/findings.csv", Some(&cookie), None).await];
    let refused = lab.get("/ledger.csv", Some(&cookie)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let text = refused.html().text();
    assert!(text.contains("your account") && text.contains("Try again"), "{text}");
    assert_eq!(lab.get("/hosts", Some(&cookie)).await.status, StatusCode::OK, "pages are no files");
    drop(held);
    assert_eq!(lab.get("/ledger.csv", Some(&cookie)).await.status, StatusCode::OK);
    assert_eq!(lab.get("/hosts.csv", Some(&cookie)).await.text.lines().count(), 123, "a whole one");
}
