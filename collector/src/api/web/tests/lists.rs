//! Lists: pages and files have all rows, filters narrow them, and what is wrong stays in its box.

use http::StatusCode;
use muster_proto::model::{Role, RosterRow};

use super::kit::{Lab, ORDER, OTHER_ORDER};

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
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert!(file.text.contains("host-north") && !file.text.contains("host-south"), "{path}: {}", file.text);
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
async fn lanes_need_an_order_where_several_are_active_and_the_page_says_so_beside_its_filter() {
    let lab = Lab::start_with(&[ORDER, OTHER_ORDER]).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let board = lab.get("/", Some(&cookie)).await.html();
    assert_eq!(board.all("article").len(), 2);
    for (question, told) in [
        ("/hosts?lane=replace", "Choose an order in the menu"),
        ("/hosts?silent=1", "Choose an order in the menu"),
        ("/hosts?sort=lane", "Choose an order in the menu"),
        ("/hosts?where=lane%3Areplace", "Choose an order in the menu"),
        ("/changes?where=lane%3Areplace", "Choose an order in the menu"),
        ("/hosts?order=no-such-order", "There is no order"),
        ("/findings?order=us-nj-2023-01-09", "is not active"),
        ("/findings?order=no-such-order&where=site%3Anorth", "There is no order"),
        ("/hosts?order=us-bis-icts-2021-002&where=order%3Ade-bsi-2022-03-15", "Choose one of them"),
        ("/changes?order=us-bis-icts-2021-002&where=order%3Ade-bsi-2022-03-15", "Choose one of them"),
    ] {
        let answer = lab.get(question, Some(&cookie)).await;
        let page = answer.html();
        assert_eq!((answer.status, page.faults()), (StatusCode::OK, Vec::new()), "{question}");
        let alarm = page.of_class("alarm")[0].text();
        assert!(alarm.contains(told) && !alarm.contains("--order"), "{question}: {alarm}");
        assert!(!page.text().contains("host-north"), "{question}: no host is shown");
        if let Some((_, filter)) = question.split_once("where=") {
            let typed = page.all("input").into_iter().find(|input| input.attribute("name") == Some("where"));
            let typed = typed.and_then(|input| input.attribute("value")).expect("what was typed");
            assert_eq!(typed, filter.replace("%3A", ":"), "{question}");
        }
        let (path, rest) = question.split_once('?').expect("a question");
        let file = lab.get(&format!("{path}.csv?{rest}"), Some(&cookie)).await;
        assert!(file.status.is_client_error(), "{question}: {}", file.status);
        assert!(!file.html().text().contains("--order"), "{question}");
    }
    // With an order, named in the menu or in the filter, they do.
    for question in
        ["/hosts?order=us-bis-icts-2021-002&lane=replace", "/hosts?where=order%3Aus-bis-icts-2021-002+lane%3Areplace"]
    {
        let text = lab.get(question, Some(&cookie)).await.html().text();
        assert!(text.contains("host-north") && text.contains("2 hosts"), "{question}: {text}");
    }
    // Without lanes, nobody has to choose one.
    for path in ["/hosts", "/findings", "/changes"] {
        assert!(lab.get(path, Some(&cookie)).await.html().text().contains("host-north"), "{path}");
    }
}

#[tokio::test]
async fn a_list_that_has_not_looked_at_everything_says_so() {
    let lab = Lab::start().await;
    // Who is bound to a site without entries is not told that the roster is empty.
    let bound = lab.login("bob", Role::Viewer, &["elsewhere"]).await;
    let text = lab.get("/coverage", Some(&bound)).await.html().text();
    assert!(text.contains("at your sites") && !text.contains("The roster is empty"), "{text}");
    let row = |n: usize| RosterRow { name: format!("a-{n:04}"), site: "north".to_owned(), ..RosterRow::default() };
    let mut rows: Vec<RosterRow> = (0..1_200).map(row).collect();
    rows.extend(["pc-north", "pc-south"].map(|name| RosterRow { name: name.to_owned(), ..RosterRow::default() }));
    rows.push(RosterRow { name: "zz-last".to_owned(), owner: "zoe".to_owned(), ..RosterRow::default() });
    lab.roster(rows).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let first = lab.get("/coverage?text=zoe", Some(&cookie)).await.html();
    let text = first.text();
    assert!(text.contains("No entry matches so far") && !text.contains("The roster is empty"), "{text}");
    let next = first.all("a").into_iter().find(|link| link.text() == "Next page").expect("a way on");
    let second = lab.get(next.attribute("href").expect("an address"), Some(&cookie)).await.html().text();
    assert!(second.contains("zz-last"), "{second}");
    assert!(lab.get("/coverage.csv?text=zoe", Some(&cookie)).await.text.contains("zz-last"), "the file has it");
}

#[tokio::test]
async fn the_number_of_missing_machines_leads_to_as_many_entries() {
    let lab = Lab::start().await;
    // A list without a serial number that has the name of a host: a person has to decide.
    let row = |name: &str| RosterRow { name: name.to_owned(), site: "north".to_owned(), ..RosterRow::default() };
    lab.roster(vec![row("pc-north"), row("pc-south"), row("pc-3")]).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    for path in ["/", "/coverage"] {
        let page = lab.get(path, Some(&cookie)).await.html();
        let links = page
            .all("a")
            .into_iter()
            .filter(|link| link.attribute("href").is_some_and(|href| href.starts_with("/coverage?state=without-host")));
        let links: Vec<_> = links.collect();
        assert!(!links.is_empty(), "{path}");
        for link in links {
            let told: String = link.text().chars().filter(char::is_ascii_digit).collect();
            let list = lab.get(link.attribute("href").expect("an address"), Some(&cookie)).await.html();
            assert_eq!((list.rows().len() - header_rows(&list)).to_string(), told, "{path}: {}", link.text());
        }
    }
    let findings = lab.get("/findings", Some(&cookie)).await.html();
    let lanes = findings.all("input").into_iter().filter(|input| input.attribute("name") == Some("lane"));
    let lanes: Vec<_> = lanes.filter_map(|input| input.attribute("value").map(str::to_owned)).collect();
    assert!(!lanes.is_empty() && !lanes.contains(&"missing".to_owned()), "{lanes:?}");
}

/// Rows of the page that are no entries: headers, and the lists above the entries.
fn header_rows(page: &muster_strict_html::Element) -> usize {
    let tables = page.all("table");
    let others: usize = tables.iter().take(tables.len() - 1).map(|table| table.rows().len()).sum();
    others + 1
}

#[tokio::test]
async fn coverage_has_its_numbers_without_an_active_order() {
    let lab = Lab::start_with(&[]).await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let page = lab.get("/coverage", Some(&cookie)).await.html();
    let counts = page.of_class("counts")[0].text();
    assert!(
        counts.contains("2 on the roster") && counts.contains("2 without a host") && counts.contains("2 on no list"),
        "{counts}"
    );
}

#[tokio::test]
async fn a_search_leads_to_the_host_or_to_those_that_may_be_meant() {
    let lab = Lab::start().await;
    lab.twins().await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let found = lab.get("/find?q=host-north", Some(&cookie)).await;
    assert_eq!((found.status, found.header("location").starts_with("/hosts/")), (StatusCode::SEE_OTHER, true));
    for address in ["/find?q=twin", "/hosts/twin"] {
        let answer = lab.get(address, Some(&cookie)).await;
        let page = answer.html();
        assert_eq!((answer.status, page.faults()), (StatusCode::OK, Vec::new()), "{address}");
        let rows = page.rows();
        assert_eq!(rows.len(), 3, "{address}: {rows:?}");
    }
    // A part of a name, an owner or a serial number is a filter for it.
    let answer = lab.get("/find?q=host-n", Some(&cookie)).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/hosts?where=%22host-n%22"));
    let text = lab.get(answer.header("location"), Some(&cookie)).await.html().text();
    assert!(text.contains("host-north") && !text.contains("host-south"), "{text}");
}

#[tokio::test]
async fn pages_with_long_texts_are_not_long() {
    let lab = Lab::start().await;
    let long = |n: usize, text: &str| format!("{n:03}-{}", text.repeat(200));
    let row = |n: usize| RosterRow {
        name: long(n, "x"),
        owner: long(n, "o"),
        serial: format!("{n:03}-{}", "s".repeat(100)),
        site: "north".to_owned(),
        ..RosterRow::default()
    };
    let rows = (0..520)
        .map(row)
        .chain(["pc-north", "pc-south"].map(|name| RosterRow { name: name.to_owned(), ..RosterRow::default() }));
    lab.roster(rows.collect()).await;
    lab.notes(60).await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    // A page has 100 rows unless somebody wants more.
    let answer = lab.get("/coverage", Some(&cookie)).await;
    assert!(answer.html().rows().len() > 100 && answer.text.len() <= 100 * 1024, "{} bytes", answer.text.len());
    let answer = lab.get("/coverage?rows=500", Some(&cookie)).await;
    assert!(answer.html().rows().len() > 500 && answer.text.len() <= 500 * 1024, "{} bytes", answer.text.len());
    for path in ["/hosts/host-north", &format!("/orders/{ORDER}"), "/orders", "/ledger"] {
        let answer = lab.get(path, Some(&cookie)).await;
        assert!(answer.text.len() <= 100 * 1024, "{path} has {} bytes", answer.text.len());
    }
    // The notes of a host are on pages of their own, newest first, each once.
    let (mut address, mut seen) = ("/hosts/host-north".to_owned(), Vec::new());
    loop {
        let page = lab.get(&address, Some(&cookie)).await.html();
        assert_eq!(page.faults(), Vec::<String>::new(), "{address}");
        let texts = page.all("li").into_iter().map(muster_strict_html::Element::text);
        seen.extend(texts.filter_map(|text| text.split(' ').find(|word| word.starts_with("note-")).map(str::to_owned)));
        match page
            .all("a")
            .into_iter()
            .find(|link| link.text() == "Older notes")
            .and_then(|link| link.attribute("href"))
        {
            Some(older) => address = older.split('#').next().unwrap_or_default().to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 60, "{seen:?}");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 60, "each once");
}

#[tokio::test]
async fn the_file_of_an_order_is_a_download() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Viewer, &[]).await;
    let page = lab.get(&format!("/orders/{ORDER}"), Some(&cookie)).await.html();
    let link = page.all("a").into_iter().find(|link| link.attribute("download").is_some()).expect("a link");
    let file = lab.get(link.attribute("href").expect("an address"), Some(&cookie)).await;
    assert_eq!((file.status, file.header("content-type")), (StatusCode::OK, "text/plain; charset=utf-8"));
    assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"{ORDER}.toml\""));
    let sha256 = data_encoding::HEXLOWER.encode(&crate::rules::sha256(file.text.as_bytes()));
    assert!(file.text.contains(ORDER) && page.text().contains(&sha256), "the page names its hash");
}
