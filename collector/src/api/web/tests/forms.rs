//! The forms of pages: who may send them, what they do, and what they refuse.

use http::StatusCode;
use muster_proto::model::{Role, RosterRow};

use super::kit::{Answer, Lab, ORDER};
use crate::api::methods::{SiteRule, rule_of_method};
use crate::api::web::act::expected;
use crate::api::web::query::encode;
use crate::api::web::routes::forms;
use crate::store::{SelectedHost, contract};

/// Forms that send files.
const UPLOADS: [&str; 1] = ["/coverage"];

/// A path of a form, about the first thing of the site `north`.
fn address(path: &str) -> String {
    path.replace("{waiver}", "1")
        .replace("{disposition}", "1")
        .replace("{duty}", "1")
        .replace("{entry}", "1")
        .replace("{order}", ORDER)
        .replace("{host}", &contract::host(1).to_string())
        .replace("{token}", "token-1")
        .replace("{account}", "asker")
}

/// What a form says about these hosts.
fn seen(hosts: &[u8]) -> String {
    let hosts: Vec<SelectedHost> = hosts.iter().map(|n| SelectedHost { no: 0, id: contract::host(*n) }).collect();
    expected(&hosts)
}

fn north() -> String {
    format!("host={}&expected={}", contract::host(1), seen(&[1]))
}

/// What a form about the host or the site `north` sends, so that its action would be done.
fn body(path: &str) -> String {
    let hosts = north();
    match path {
        "/change" => format!("{hosts}&change=label&value=wave-1"),
        "/exceptions" => format!("{hosts}&{}", waiver()),
        "/exceptions/{waiver}" | "/dispositions/{disposition}" => "decision=approve".to_owned(),
        "/dispositions" => format!("{hosts}&kind=sold&evidence=receipt"),
        "/duties/{duty}" => "reference=AB-7".to_owned(),
        "/coverage/{entry}/match" => format!("host={}", contract::host(1)),
        "/coverage/{entry}/unmatch" => String::new(),
        "/coverage/{entry}/excuse" => "reason=in+the+store".to_owned(),
        "/orders/{order}" => "switch=off".to_owned(),
        "/hosts/{host}/revoke" | "/hosts/{host}/release" | "/hosts/{host}/review" | "/hosts/{host}/unretire" => {
            "reason=ticket+7".to_owned()
        }
        "/tokens" => "site=north&hosts=1&days=1".to_owned(),
        "/accounts" => "name=carol&role=viewer&holder=person&sites=north".to_owned(),
        "/accounts/{account}/rotate" => "days=30&hours=1".to_owned(),
        path if UPLOADS.contains(&path) => String::new(),
        "/tokens/{token}/revoke" | "/accounts/{account}/revoke" => String::new(),
        other => panic!("no body for {other}"),
    }
}

fn waiver() -> String {
    format!("waive={ORDER}&reason=research&control=its+own+network&until=2026-01-15&beyond=1")
}

fn sees(answer: &Answer, page: &str) {
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, page), "{}", answer.text);
}

#[tokio::test]
async fn every_form_keeps_the_rule_of_its_method_for_every_role_and_site() {
    let lab = Lab::start().await;
    lab.waiver("asker", None).await;
    lab.retire().await;
    for role in Role::ALL {
        for (kind, sites) in [("fleet", &[][..]), ("own", &["north"][..]), ("foreign", &["south"][..])] {
            let cookie = lab.login(&format!("{role}-{kind}"), *role, sites).await;
            for form in forms() {
                let (needed, rule) = rule_of_method(form.methods[0]);
                let is_refused = *role < needed || (rule == SiteRule::WholeFleet && kind != "fleet");
                if !is_refused && kind != "foreign" {
                    continue;
                }
                let before = lab.ledger_entries().await;
                let answer = lab.post(&address(form.path), &body(form.path), Some(&cookie)).await;
                let told = format!("{} by {role} of {kind}: {}\n{}", form.path, answer.status, answer.text);
                // A thing of another site is as unknown as one that is not there. What is made for a site names it itself.
                let names_site = ["/tokens", "/accounts"].contains(&form.path);
                let expected = if is_refused || names_site { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
                assert_eq!(answer.status, expected, "{told}");
                assert_eq!(lab.ledger_entries().await, before, "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_form_needs_a_session_and_a_page_of_ours() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    let before = lab.ledger_entries().await;
    for form in forms() {
        let (address, body) = (address(form.path), body(form.path));
        let nobody = lab.post(&address, &body, None).await;
        let page = address.split('/').nth(1).expect("a page");
        let login = format!("/login?next=%2F{page}&ended=1");
        assert_eq!((nobody.status, nobody.header("location")), (StatusCode::SEE_OTHER, login.as_str()), "{address}");
        for site in [None, Some("cross-site"), Some("same-site"), Some("none")] {
            let forged = lab.post_from(&address, &body, Some(&cookie), site).await;
            assert_eq!(forged.status, StatusCode::FORBIDDEN, "{address} from {site:?}");
        }
        let odd = lab.post(&address, "colour=red", Some(&cookie)).await;
        if UPLOADS.contains(&form.path) {
            assert_eq!(odd.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{address}: {}", odd.text);
            continue;
        }
        assert_eq!(odd.status, StatusCode::BAD_REQUEST, "{address}: {}", odd.text);
        let long = lab.post(&address, &"x".repeat(40_000), Some(&cookie)).await;
        assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE, "{address}");
    }
    assert_eq!(lab.ledger_entries().await, before, "nothing was done");
}

#[tokio::test]
async fn a_waiver_is_asked_for_by_one_person_and_approved_by_another_one_who_logged_in_lately() {
    let lab = Lab::start().await;
    let asker = lab.login("ada", Role::Operator, &[]).await;
    let chosen = lab.get(&format!("/change?host={}", contract::host(1)), Some(&asker)).await.html();
    assert_eq!(chosen.faults(), Vec::<String>::new());
    assert!(chosen.text().contains("Edit 1 host") && chosen.text().contains("host-north"), "{}", chosen.text());
    let asked = lab.post("/exceptions", &body("/exceptions"), Some(&asker)).await;
    sees(&asked, "/exceptions/1");
    let page = lab.get("/exceptions/1", Some(&asker)).await.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    let text = page.text();
    assert!(text.contains("its own network") && text.contains("host-north") && text.contains("Withdraw"), "{text}");
    let own = lab.post("/exceptions/1", "decision=approve", Some(&asker)).await;
    assert!(own.status.is_client_error() && own.html().text().contains("another"), "{} {}", own.status, own.text);

    let token = lab.account("bob", Role::Operator, &[]).await;
    let (cookie, _) = lab.login_with(&token).await;
    lab.later(16 * 60);
    let late = lab.post("/exceptions/1", "decision=approve", Some(&cookie)).await;
    sees(&late, "/login?next=%2Fexceptions%2F1&again=1");
    let form = lab.get(late.header("location"), Some(&cookie)).await.html().text();
    assert!(form.contains("last 15 minutes"), "{form}");
    assert!(lab.get("/exceptions/1", Some(&cookie)).await.html().text().contains("requested"), "nothing was done");
    let (cookie, _) = lab.login_with(&token).await;
    sees(&lab.post("/exceptions/1", "decision=approve", Some(&cookie)).await, "/exceptions/1");
    let text = lab.get("/exceptions/1", Some(&cookie)).await.html().text();
    assert!(text.contains("in-force") && text.contains("bob"), "{text}");
    assert!(lab.get("/", Some(&cookie)).await.html().text().contains("waived 1: 1 replace"));
    // To end one needs no fresh login: it takes nothing from anybody's duty.
    lab.later(16 * 60);
    sees(&lab.post("/exceptions/1", "decision=end", Some(&cookie)).await, "/exceptions/1");
    assert!(!lab.get("/", Some(&cookie)).await.html().text().contains("waived 1:"));
}

#[tokio::test]
async fn a_waiver_that_is_not_complete_is_refused_with_what_is_missing() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let hosts = north();
    for (without, says) in [
        ("waive", "from which order"),
        ("reason", "why the hosts are exempt"),
        ("until", "until when"),
        ("control", "compensating control"),
        ("expected", "which hosts"),
        ("host", "No host is selected"),
    ] {
        let whole = format!("{hosts}&{}", waiver());
        let fields: Vec<&str> = whole.split('&').filter(|field| !field.starts_with(&format!("{without}="))).collect();
        let answer = lab.post("/exceptions", &fields.join("&"), Some(&cookie)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "without {without}: {}", answer.text);
        assert!(answer.html().text().contains(says), "without {without}: {}", answer.html().text());
    }
    let other = lab.post("/exceptions", &format!("where=enrolled:any&expected=7-00&{}", waiver()), Some(&cookie)).await;
    assert!(other.html().text().contains("2 hosts match now, not 7"), "{}", other.html().text());
    let odd =
        lab.post("/exceptions", &format!("{hosts}&{}", waiver().replace("2026-01-15", "soon")), Some(&cookie)).await;
    assert!(odd.html().text().contains("\"soon\" is no day"), "{}", odd.html().text());
    assert!(lab.get("/exceptions?list=all", Some(&cookie)).await.html().text().contains("No waiver matches"));
}

#[tokio::test]
async fn labels_owners_notes_and_sites_are_given_to_the_hosts_that_were_seen() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let list = lab.get("/hosts?where=site:north", Some(&cookie)).await.html();
    assert_eq!(list.faults(), Vec::<String>::new());
    let link = list
        .all("a")
        .iter()
        .find_map(|a| a.attribute("href").filter(|href| href.starts_with("/change?")))
        .map(str::to_owned);
    let chosen = lab.get(&link.expect("a link for all that match"), Some(&cookie)).await.html();
    assert!(chosen.text().contains("Edit 1 host"), "{}", chosen.text());
    for (n, (change, value)) in
        (1..).zip([("label", "wave-1"), ("own", "Ada L."), ("note", "line one%0D%0Aline two"), ("move", "east")])
    {
        let sent = format!("where=site:north,east&expected={}&change={change}&value={value}", seen(&[1]));
        sees(&lab.post("/change", &sent, Some(&cookie)).await, &format!("/change/{n}"));
        let done = lab.get(&format!("/change/{n}"), Some(&cookie)).await.html();
        assert_eq!(done.faults(), Vec::<String>::new());
        assert!(done.text().contains("1 of 1 hosts were changed, and 0 were so already"), "{}", done.text());
    }
    let host = lab.get("/hosts/host-north", Some(&cookie)).await.html().text();
    for shown in ["wave-1", "Ada L.", "line one", "site east"] {
        assert!(host.contains(shown), "{shown}: {host}");
    }
    let before = lab.ledger_entries().await;
    let (one, two, other) = (seen(&[1]), seen(&[1, 2]), seen(&[2]));
    for (sent, says) in [
        (format!("where=site:north,east&expected={two}&change=label&value=a"), "1 host match now, not 2"),
        (
            format!("where=site:north,east&expected={other}&change=label&value=a"),
            "have changed since you opened this page",
        ),
        (format!("where=site:&expected={one}&change=label&value=a"), "filter"),
        (format!("expected={one}&change=label&value=a"), "No host is selected"),
        (format!("where=site:east&expected={one}&change=label&value=No+Label"), "label"),
        (format!("where=site:east&expected={one}&change=paint&value=a"), "paint"),
        (format!("where=site:nowhere&expected={}&change=label&value=a", seen(&[])), "No host matches"),
    ] {
        let refused = lab.post("/change", &sent, Some(&cookie)).await;
        assert!(refused.status.is_client_error(), "{sent}: {}", refused.status);
        assert!(refused.html().text().contains(says), "{sent}: {}", refused.html().text());
    }
    assert_eq!(lab.ledger_entries().await, before, "nothing was changed");
    // Somebody who is bound to a site changes nothing of others by a filter that means every host.
    let bound = lab.login("bob", Role::Operator, &["south"]).await;
    let all =
        lab.post("/change", &format!("where=enrolled:any&expected={other}&change=label&value=b"), Some(&bound)).await;
    assert_eq!(all.status, StatusCode::SEE_OTHER, "{}", all.text);
    assert!(!lab.get("/hosts/host-north", Some(&cookie)).await.html().text().contains("labels b"));
    let labelled = lab.get("/hosts?where=label:b", Some(&cookie)).await.html().text();
    assert!(labelled.contains("host-south") && !labelled.contains("host-north"), "{labelled}");
}

#[tokio::test]
async fn a_host_that_is_not_finished_is_retired_by_two_people() {
    let lab = Lab::start().await;
    let asker = lab.login("ada", Role::Operator, &[]).await;
    sees(&lab.post("/dispositions", &body("/dispositions"), Some(&asker)).await, "/dispositions?all=1");
    let own = lab.post("/dispositions/1", "decision=approve", Some(&asker)).await;
    assert!(own.status.is_client_error(), "{}", own.status);
    let second = lab.login("bob", Role::Operator, &[]).await;
    let has_button = |page: &muster_strict_html::Element| {
        page.all("button").iter().any(|one| one.attribute("value") == Some("approve"))
    };
    assert!(has_button(&lab.get("/dispositions/1", Some(&second)).await.html()));
    assert!(!has_button(&lab.get("/dispositions/1", Some(&asker)).await.html()), "who asked cannot approve");
    sees(&lab.post("/dispositions/1", "decision=approve", Some(&second)).await, "/dispositions/1");
    assert!(lab.get("/hosts/host-north", Some(&second)).await.html().text().contains("retired"));
    let viewer = lab.login("eve", Role::Viewer, &[]).await;
    let page = lab.get("/dispositions/1", Some(&viewer)).await.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    assert!(
        page.all("form")
            .iter()
            .all(|form| form.attribute("action") == Some("/logout") || form.attribute("method") != Some("post")),
        "a viewer has no form"
    );
}

#[tokio::test]
async fn a_duty_is_done_with_a_reference_and_leads_back_to_its_page() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let none = lab.post("/duties/1", "reference=", Some(&cookie)).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST, "{}", none.text);
    let back = encode("/duties?all=1");
    sees(&lab.post("/duties/1", &format!("reference=AB-7&back={back}"), Some(&cookie)).await, "/duties?all=1");
    assert!(lab.get("/duties?all=1", Some(&cookie)).await.html().text().contains("AB-7"));
    let again = lab.post("/duties/1", "reference=AB-8", Some(&cookie)).await;
    assert!(again.status.is_client_error(), "{}", again.status);
    let evil = format!("reference=x&back={}", encode("//evil.example"));
    sees(&lab.post("/duties/2", &evil, Some(&cookie)).await, "/");
}

#[tokio::test]
async fn an_entry_of_the_roster_is_matched_taken_apart_and_excused() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let list = lab.get("/coverage?text=pc-north", Some(&cookie)).await.html();
    let links = list.all("a");
    let link = links.iter().find_map(|a| a.attribute("href").filter(|href| href.starts_with("/coverage/")));
    let entry = link.expect("a link to the entry");
    let page = lab.get(entry, Some(&cookie)).await.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    let decide = async |what: &str, fields: &str| lab.post(&format!("{entry}/{what}"), fields, Some(&cookie)).await;
    let shown = async || lab.get(entry, Some(&cookie)).await.html().text();
    assert_eq!(decide("match", "host=nobody").await.status, StatusCode::NOT_FOUND);
    sees(&decide("match", "host=host-north").await, entry);
    assert!(shown().await.contains("Matched host host-north"), "{}", shown().await);
    sees(&decide("unmatch", "").await, entry);
    assert!(!shown().await.contains("Matched host"), "{}", shown().await);
    assert_eq!(decide("excuse", "reason=").await.status, StatusCode::BAD_REQUEST);
    sees(&decide("excuse", "reason=in+the+store").await, entry);
    assert!(shown().await.contains("in the store"), "{}", shown().await);
}

#[tokio::test]
async fn an_entry_that_may_be_several_hosts_stands_beside_them() {
    let lab = Lab::start().await;
    lab.twins().await;
    let row = |name: &str| RosterRow { name: name.to_owned(), site: "north".to_owned(), ..RosterRow::default() };
    lab.roster(["pc-north", "pc-south", "twin"].map(row).into()).await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let list = lab.get("/coverage?text=twin", Some(&cookie)).await.html();
    let links = list.all("a");
    let link = links.iter().find_map(|a| a.attribute("href").filter(|href| href.starts_with("/coverage/")));
    let entry = link.expect("a link to the entry");
    let page = lab.get(entry, Some(&cookie)).await.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    let names = page.rows().into_iter().find(|row| row[0] == "Name").expect("the names");
    assert_eq!(names[1..], ["twin", "twin same", "twin same"]);
    let chosen = page.all("input").into_iter().find(|input| input.attribute("name") == Some("host"));
    let chosen = chosen.and_then(|input| input.attribute("value").map(str::to_owned)).expect("a candidate");
    sees(&lab.post(&format!("{entry}/match"), &format!("host={chosen}"), Some(&cookie)).await, entry);
    assert!(lab.get(entry, Some(&cookie)).await.html().text().contains("Matched host twin"));
}

#[tokio::test]
async fn an_order_is_switched_by_an_administrator_who_logged_in_lately() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Admin, &[]).await;
    let path = format!("/orders/{ORDER}");
    let page = lab.get(&path, Some(&cookie)).await.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    assert!(page.text().contains("Deactivate order"), "{}", page.text());
    assert_eq!(lab.post(&path, "switch=maybe", Some(&cookie)).await.status, StatusCode::BAD_REQUEST);
    lab.later(16 * 60);
    let late = lab.post(&path, "switch=off", Some(&cookie)).await;
    assert!(late.header("location").starts_with("/login?next=%2Forders%2F"), "{}", late.header("location"));
    let cookie = lab.login("bob", Role::Admin, &[]).await;
    sees(&lab.post(&path, "switch=off", Some(&cookie)).await, &path);
    let ledger = lab.get("/ledger?by=bob", Some(&cookie)).await.html().text();
    assert!(ledger.contains("order"), "{ledger}");
}

#[tokio::test]
async fn a_refused_form_speaks_of_fields_and_not_of_options() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let (hosts, long) = (north(), "x".repeat(5_000));
    let late = waiver().replace("2026-01-15", "2030-01-15");
    let near = waiver().replace("&beyond=1", "");
    let past = waiver().replace("2026-01-15", "2024-01-15");
    for (path, sent, says) in [
        ("/exceptions", format!("{hosts}&{late}"), "at the latest"),
        ("/exceptions", format!("{hosts}&{past}"), "Give a later day"),
        ("/exceptions", format!("{hosts}&{near}"), "may end after the order"),
        ("/exceptions", format!("{hosts}&{}", waiver().replace("its+own+network", &long)), "in one line"),
        ("/dispositions", format!("{hosts}&kind=sold&evidence={long}"), "in one line"),
        ("/change", format!("{hosts}&change=note&value={long}"), "4096 bytes"),
    ] {
        let refused = lab.post(path, &sent, Some(&cookie)).await;
        assert!(refused.status.is_client_error(), "{path} {says}: {}", refused.status);
        let text = refused.html().text();
        assert!(text.contains(says) && text.contains("Nothing was changed"), "{path}: {text}");
        assert!(!text.contains("--") && !text.contains("muster "), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_last_day_that_the_form_offers_is_accepted() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let page = lab.get(&format!("/change?host={}", contract::host(1)), Some(&cookie)).await.html();
    let until = page.all("input").into_iter().find(|input| input.attribute("type") == Some("date")).expect("a day");
    for day in ["max", "min"].map(|end| until.attribute(end).expect("an end").to_owned()) {
        let asked = format!("{}&{}", north(), waiver().replace("2026-01-15", &day));
        let answer = lab.post("/exceptions", &asked, Some(&cookie)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{day}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_host_that_calls_itself_by_the_id_of_another_one_is_not_meant_by_it() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    lab.host(7, &contract::host(1).to_string(), "north", &[("curl", "8.1")]).await;
    let page = lab.get(&format!("/change?host={}", contract::host(1)), Some(&cookie)).await.html().text();
    assert!(page.contains("Edit 1 host") && page.contains("host-north"), "{page}");
}

#[tokio::test]
async fn as_many_hosts_can_be_ticked_as_the_page_says() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let address = |count: usize| format!("/change?{}", vec![format!("host={}", contract::host(1)); count].join("&"));
    assert_eq!(lab.get(&address(300), Some(&cookie)).await.status, StatusCode::OK);
    let refused = lab.get(&address(301), Some(&cookie)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.html().text().contains("At most 300 hosts"), "{}", refused.text);
}
