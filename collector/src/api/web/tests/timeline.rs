//! The timeline: its chart and its table have the same numbers, and a wrong question keeps the page.

use http::StatusCode;
use muster_proto::model::Role;

use super::kit::{Lab, ORDER};

const DAY: i64 = 24 * 3_600;

#[tokio::test]
async fn a_timeline_is_a_chart_with_the_same_numbers_as_a_table() {
    let lab = Lab::start().await;
    lab.later(3 * DAY);
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let page = lab.get("/timeline", Some(&cookie)).await.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    let charts = page.of_class("chart");
    let [chart] = charts.as_slice() else { panic!("one chart: {}", page.text()) };
    assert_eq!(chart.all("title")[0].text(), "Machines with work left, by lane");
    let text = chart.all("desc")[0].text();
    assert!(text.contains("now on 4 of 4 machines"), "two hosts, and two entries of the roster: {text}");
    // A bar for each lane that has machines, on each of the four days that are known.
    let bars = chart.of_class("bar");
    assert!(bars.iter().any(|bar| bar.attribute("class") == Some("bar l-missing")), "{}", bars.len());
    let bar = bars[0].attribute("d").expect("a path");
    assert_eq!(bar.matches('M').count(), 4, "{bar}");
    let rows = page.rows();
    let header = rows.iter().find(|row| row.first().is_some_and(|cell| cell == "Day")).expect("a table of days");
    assert_eq!(header[header.len() - 3..], ["work left", "all machines", "Changed lane"]);
    let newest = rows.iter().find(|row| row[0] == "now").expect("the newest day");
    assert_eq!(newest[newest.len() - 3..newest.len() - 1], ["4", "4"]);
    assert!(page.text().contains("are left out:"), "days before the first are not zero: {}", page.text());
    assert!(page.text().contains("14 days in a row"), "there is no forecast yet");
    // One site has half of it, and a line.
    let by_site = lab.get(&format!("/timeline?order={ORDER}&by=site"), Some(&cookie)).await.html();
    assert_eq!(by_site.of_class("line").iter().filter(|line| line.name == "path").count(), 4, "two, and their keys");
    let newest = by_site.rows().into_iter().find(|row| row[0] == "now").expect("the newest day");
    assert_eq!(newest[1..5], ["2", "2", "4", "4"]);
    let of_site = lab.get("/timeline?site=north", Some(&cookie)).await.html();
    assert!(of_site.of_class("chart")[0].text().contains("now on 2 of 2 machines"));
    let by_cause = lab.get("/timeline?by=cause", Some(&cookie)).await.html();
    assert_eq!(by_cause.faults(), Vec::<String>::new());
    assert!(by_cause.text().contains("new work"), "{}", by_cause.text());
}

#[tokio::test]
async fn an_account_of_a_site_sees_the_days_of_its_site_only() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Viewer, &["north"]).await;
    let page = lab.get("/timeline?by=site", Some(&cookie)).await;
    assert!(page.text.contains("Work is left on 2 of 2 machines"), "{}", page.text);
    assert!(!page.text.contains("south"));
    let page = lab.get("/timeline?site=south", Some(&cookie)).await.html();
    assert!(page.text().contains("No machine is counted at south"), "{}", page.text());
}

#[tokio::test]
async fn a_wrong_question_keeps_the_page_and_says_what_is_wrong() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    for (question, text) in [
        ("order=us-bis-icts-2021-02", "There is no order"),
        ("order=%3Cb%3E", "is no order"),
        ("by=colour", "divided by site, label or cause"),
        ("from=2999-01-01", "2999-01-01 is in the future"),
        ("from=yesterday", "\"yesterday\" is no day"),
        ("to=2025-13-01", "\"2025-13-01\" is no day"),
        ("from=2025-12-02&to=2025-12-01", "The first day comes after the last one"),
        ("from=2020-01-01", "At most 400 can be shown"),
        ("site=%3Cimg%3E", "is no site"),
    ] {
        let answer = lab.get(&format!("/timeline?{question}"), Some(&cookie)).await;
        assert_eq!(answer.status, StatusCode::OK, "{question}");
        let page = answer.html();
        assert_eq!(page.faults(), Vec::<String>::new(), "{question}");
        let told = page.of_class("alarm").first().map(|alarm| alarm.text()).unwrap_or_default();
        assert!(told.contains(text), "{question}: {told}");
        assert!(page.of_class("chart").is_empty(), "{question}");
        let (key, value) = question.split_once('=').expect("a pair");
        let field = page.all("input").into_iter().find(|field| field.attribute("name") == Some(key)).cloned();
        if let Some(typed) = field.as_ref().and_then(|field| field.attribute("value")) {
            assert!(value.contains(typed) || typed == "<img>", "{question} keeps {typed}");
        }
        let file = lab.get(&format!("/timeline.csv?{question}"), Some(&cookie)).await;
        assert!(file.status.is_client_error(), "{question}: {}", file.status);
    }
}

#[tokio::test]
async fn the_file_has_all_days_of_the_timeline() {
    let lab = Lab::start().await;
    lab.later(25 * DAY);
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let file = lab.get("/timeline.csv", Some(&cookie)).await;
    assert!(file.header("content-disposition").contains("muster-timeline.csv"));
    let lines: Vec<&str> = file.text.lines().collect();
    assert_eq!(lines[0], "at,site,lane,hosts");
    // Eleven lanes, the machines out of scope and all of them, on 26 days, which are three parts of the file.
    assert_eq!(lines.len(), 1 + 26 * 13);
    assert!(lines.last().is_some_and(|line| line.ends_with(",total,4")), "{lines:?}");
    let of_sites = lab.get("/timeline.csv?by=site", Some(&cookie)).await.text;
    assert!(of_sites.contains(",north,total,2") && of_sites.contains(",south,total,2"), "{of_sites}");
    let steps = lab.get("/timeline.csv?by=cause", Some(&cookie)).await.text;
    assert!(steps.starts_with("at,cause,from,to,hosts\n"), "{steps}");
}

#[tokio::test]
async fn a_timeline_without_an_order_or_a_machine_says_what_to_do() {
    let lab = Lab::start_with(&[]).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let text = lab.get("/timeline", Some(&cookie)).await.html().text();
    assert!(text.contains("An administrator activates one"), "{text}");
    assert_eq!(lab.get("/timeline.csv", Some(&cookie)).await.status, StatusCode::BAD_REQUEST);
    let never = lab.get(&format!("/timeline?order={ORDER}"), Some(&cookie)).await.html().text();
    assert!(never.contains("No day of this time is known"), "{never}");
    let lab = Lab::empty().await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let text = lab.get("/timeline", Some(&cookie)).await.html().text();
    assert!(text.contains("No machine was counted"), "{text}");
    assert!(text.contains("no machine is counted") && !text.contains("finished"), "nothing is not finished: {text}");
}
