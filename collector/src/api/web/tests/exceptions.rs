//! Waivers and dispositions on their pages, on the board, and on the page of a host.

use http::StatusCode;
use muster_proto::model::Role;

use super::kit::{Lab, ORDER};

#[tokio::test]
async fn a_waiver_is_on_its_page_and_the_host_keeps_its_true_lane_in_sight() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let empty = lab.get("/exceptions", Some(&cookie)).await.html();
    assert_eq!(empty.faults(), Vec::<String>::new());
    assert!(empty.text().contains("muster waivers ask"), "{}", empty.text());
    lab.waiver("requester", None).await;
    let waiting = lab.get("/exceptions", Some(&cookie)).await.html();
    assert_eq!(waiting.faults(), Vec::<String>::new());
    assert!(waiting.text().contains("requested") && waiting.text().contains("nobody"), "{}", waiting.text());
    let board = lab.get("/", Some(&cookie)).await.html().text();
    assert!(!board.contains("waived 1:"), "a request changes nothing: {board}");

    lab.waiver("asker", Some("approver")).await;
    let page = lab.get(&format!("/exceptions?order={ORDER}"), Some(&cookie)).await.html().text();
    assert!(page.contains("in-force") && page.contains("approver") && page.contains("2 waivers"), "{page}");
    let ending = lab.get("/exceptions?list=ending", Some(&cookie)).await.html().text();
    assert!(ending.contains("approver") && ending.contains("1 waiver"), "{ending}");
    let file = lab.get("/exceptions.csv", Some(&cookie)).await;
    assert_eq!((file.status, file.text.lines().count()), (StatusCode::OK, 3), "{}", file.text);
    let board = lab.get("/", Some(&cookie)).await.html();
    assert!(board.text().contains("waived 1: 1 replace"), "{}", board.text());
    let host = lab.get("/hosts/host-north", Some(&cookie)).await.html();
    assert_eq!(host.faults(), Vec::<String>::new());
    let text = host.text();
    assert!(text.contains("true lane unknown") && text.contains("approved by approver"), "{text}");
    let list = lab.get("/hosts", Some(&cookie)).await.html().text();
    assert!(list.contains("else replace"), "{list}");
    let file = lab.get("/hosts.csv", Some(&cookie)).await.text;
    let line = file.lines().find(|line| line.contains("host-north")).expect("its row");
    assert!(line.contains(",waived,") && line.ends_with(",replace"), "the true lane is the last column: {line}");
    // Of another site, nobody sees it.
    let bound = lab.login("bob", Role::Viewer, &["south"]).await;
    assert!(!lab.get("/exceptions?list=all", Some(&bound)).await.text.contains("approver"));
}

#[tokio::test]
async fn a_disposition_waits_for_a_second_person_in_sight_of_everybody() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    lab.retire().await;
    for path in ["/exceptions", "/dispositions", "/dispositions?all=1"] {
        let page = lab.get(path, Some(&cookie)).await.html();
        assert_eq!(page.faults(), Vec::<String>::new(), "{path}");
        let text = page.text();
        assert!(text.contains("host-north") && text.contains("sold") && text.contains("requested"), "{path}: {text}");
    }
    let file = lab.get("/dispositions.csv", Some(&cookie)).await.text;
    assert!(file.contains("host-north") && file.lines().count() == 2, "{file}");
    let host = lab.get("/hosts/host-north", Some(&cookie)).await.html().text();
    assert!(host.contains("Dispositions") && host.contains("sold"), "{host}");
    let bound = lab.login("bob", Role::Viewer, &["south"]).await;
    assert!(!lab.get("/dispositions?all=1", Some(&bound)).await.text.contains("host-north"));
}

#[tokio::test]
async fn accounts_are_for_administrators_and_tokens_lead_to_their_hosts() {
    let lab = Lab::start().await;
    let admin = lab.login("ada", Role::Admin, &[]).await;
    let page = lab.get("/accounts", Some(&admin)).await.html();
    let text = page.text();
    assert!(page.faults().is_empty() && text.contains("ada") && text.contains("1 valid token"), "{text}");
    let viewer = lab.login("bob", Role::Viewer, &["north"]).await;
    assert_eq!(lab.get("/accounts", Some(&viewer)).await.status, StatusCode::FORBIDDEN);
    let tokens = lab.get("/tokens", Some(&viewer)).await.html();
    assert!(tokens.text().contains("token-1") && !tokens.text().contains("token-2"), "{}", tokens.text());
    let link =
        tokens.all("a").into_iter().find_map(|link| link.attribute("href").filter(|href| href.contains("token=")));
    let hosts = lab.get(link.expect("a link"), Some(&viewer)).await.html().text();
    assert!(hosts.contains("host-north") && hosts.contains("1 host"), "{hosts}");
}
