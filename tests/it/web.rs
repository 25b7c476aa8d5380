//! The web board, with the real programs: its numbers are those of gRPC, its bounds are those of the port, and a real browser
//! finds nothing wrong with it.

mod browser;
mod oidc;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use muster_proto::model::Timestamp;
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::web_client::WebClient;
use muster_tests::{door, eventually};

/// A collector with some hosts, a roster, and things that people did.
fn fleet() -> Result<Lab> {
    let lab = Lab::start()?;
    for (name, root) in [
        ("web-1", Root::debian("web-1")?),
        ("db-1", Root::debian("db-1")?.with_kaspersky()?),
        ("<b onmouseover=alert(1)>pc</b>", Root::debian("kiosk")?.with_kaspersky()?),
    ] {
        // The name is what the agent reports; the file of a hostile one has it, too.
        root.write("etc/hostname", &format!("{name}\n"))?;
        let agent = lab.enrolled_agent(&format!("agent-{}", name.len()))?;
        agent.report(root.path())?;
    }
    lab.judged()?;
    waiver(&lab)?;
    let list = lab.folder().join("list.csv");
    std::fs::write(&list, "name,serial,site,owner\nweb-1,S1,lab,Ada\npc-7,S7,lab,<i>Bob</i>\npc-8,S8,lab,\n")?;
    let list = list.display().to_string();
    lab.muster(&["roster", "import", &list, "--source", "assets"])?.expect_code(0)?;
    eventually("the roster is matched", PATIENCE, || {
        let entries = lab.muster(&["roster", "-o", "json"])?.json()?;
        let states = entries.as_array().context("a list")?.iter().filter(|entry| entry["state"] == "review").count();
        Ok((states == 1).then_some(()))
    })?;
    lab.judged()?;
    Ok(lab)
}

/// A waiver that waits for a second person.
fn waiver(lab: &Lab) -> Result<()> {
    let board = lab.muster(&["board", "-o", "json"])?.json()?;
    let now = Timestamp::parse_rfc3339(board[0]["as_of"].as_str().context("an instant")?)?;
    let until = now.plus(Duration::from_secs(2 * 86_400)).to_rfc3339();
    let order = board[0]["order"]["id"].as_str().context("an id")?;
    let meant = ["waivers", "ask", "--where", "name:db-1", "--order", order, "--reason", "research"];
    let more = ["--control", "<b>it is isolated</b>", "--until", &until, "--beyond-milestone"];
    lab.muster(&[meant.as_slice(), &more].concat())?.expect_code(0)?;
    Ok(())
}

fn client(lab: &Lab) -> Result<WebClient> {
    let mut client = WebClient::new(&lab.listening().operators, &lab.ca())?;
    client.login(&std::fs::read_to_string(lab.data_dir().join("admin.token"))?)?;
    Ok(client)
}

fn number(text: &str) -> Result<u64> {
    text.replace(',', "").parse().with_context(|| text.to_owned())
}

#[test]
fn the_pages_have_the_numbers_of_grpc() -> Result<()> {
    let lab = fleet()?;
    let client = client(&lab)?;
    // The board: each lane, the whole, what is beside it.
    let page = client.get("/")?.page()?;
    let boards = lab.muster(&["board", "-o", "json"])?.json()?;
    let orders = page.all("article");
    let boards = boards.as_array().context("boards")?;
    assert_eq!(orders.len(), boards.len());
    for (shown, board) in orders.iter().zip(boards) {
        let text = shown.text();
        assert!(text.contains(board["order"]["id"].as_str().context("an id")?) && text.contains("adds up"), "{text}");
        let cells = shown.of_class("cell");
        assert_eq!(cells.len(), 12, "eleven lanes, and hosts out of scope");
        for cell in cells {
            let lane = cell.of_class("lane")[0].text();
            let shown = number(&cell.all("b")[0].text())?;
            let counts = &board["counts"];
            let told = if lane == "out of scope" { &counts["out_of_scope"] } else { &counts["lanes"][lane.as_str()] };
            assert_eq!(Some(shown), told.as_u64(), "{lane}");
            let outside = cell.all("i").first().map(|outside| outside.text());
            let told = if lane == "out of scope" {
                &board["outside"]["out_of_scope"]
            } else {
                &board["outside"]["lanes"][lane.as_str()]
            };
            let told = told.as_u64().filter(|hosts| *hosts > 0).map(|hosts| format!("+{hosts}"));
            assert_eq!(outside, told, "{lane}");
        }
        let roster = &board["roster"];
        for (name, key) in [
            ("On the roster", "listed"),
            ("Missing", "missing"),
            ("Excused", "excused"),
            ("Hosts that no list has", "outside"),
        ] {
            let told = roster[key].to_string();
            assert!(text.contains(&format!("{name} {told}")), "{name} {told}: {text}");
        }
        for (key, told) in [
            ("overdue", &board["counts"]["overdue"]),
            ("unprotected", &board["unprotected"]),
            ("overdue", &board["overdue_duties"]),
        ] {
            assert!(text.contains(&format!("{told} {key}")) || told == 0, "{told} {key}: {text}");
        }
    }
    lists(&lab, &client)?;
    days(&lab, &client)?;
    one_host_and_one_search(&lab, &client)
}

/// The file of the timeline is what the operators' program writes, and the page has its last numbers.
fn days(lab: &Lab, client: &WebClient) -> Result<()> {
    const ORDER: &str = "us-bis-icts-2021-002";
    // The instant of the last day is that of the question.
    let numbers = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.split_once(',')?.1.to_owned())).collect()
    };
    for by in ["", "site", "cause"] {
        let mut command = vec!["timeline", "--order", ORDER, "-o", "csv"];
        if !by.is_empty() {
            command.extend(["--by", by]);
        }
        let told = lab.muster(&command)?.expect_code(0)?.stdout;
        let file = client.get(&format!("/timeline.csv?order={ORDER}&by={by}"))?.text;
        assert_eq!(numbers(&file), numbers(&told), "{by}");
    }
    let rows = client.get(&format!("/timeline?order={ORDER}"))?.page()?.rows();
    let newest = rows.iter().find(|row| row[0] == "now").context("the present day")?;
    let board = lab.muster(&["board", "--order", ORDER, "-o", "json"])?.json()?;
    let total = board[0]["counts"]["total"].as_u64().unwrap_or_default();
    let outside = board[0]["outside"]["total"].as_u64().unwrap_or_default();
    assert_eq!(number(&newest[newest.len() - 2])?, total + outside, "{newest:?}");
    Ok(())
}

fn lists(lab: &Lab, client: &WebClient) -> Result<()> {
    // Lists: what the operators' program writes as CSV is the file of the page, and the page has as many rows.
    for (path, command) in [
        ("/findings", "findings"),
        ("/hosts", "hosts"),
        ("/coverage", "roster"),
        ("/duties", "duties"),
        ("/changes", "changes"),
        ("/exceptions", "waivers"),
        ("/dispositions", "dispositions"),
    ] {
        let told = lab.muster(&[command, "-o", "csv"])?.stdout;
        let file = client.get(&format!("{path}.csv"))?;
        assert_eq!(file.text, told, "{path}");
        let rows = client.get(path)?.page()?.rows();
        let rows = rows.iter().filter(|row| row.len() > 4).count();
        // A page without rows has no table.
        assert_eq!(rows, Some(told.lines().count()).filter(|lines| *lines > 1).unwrap_or_default(), "{path}");
    }
    // The ledger goes on while it is read, so its oldest entries are compared.
    let told = lab.muster(&["ledger", "--limit", "1000", "-o", "csv"])?.stdout;
    let file = client.get("/ledger.csv")?.text;
    let oldest = |text: &str| text.lines().rev().take(5).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(oldest(&file), oldest(&told));
    Ok(())
}

fn one_host_and_one_search(lab: &Lab, client: &WebClient) -> Result<()> {
    let told = lab.muster(&["host", "db-1", "-o", "json"])?.json()?;
    let id = told["id"].as_str().context("an id")?;
    let found = client.get("/find?q=db-1")?;
    assert_eq!((found.status, found.header("location")), (303, format!("/hosts/{id}").as_str()));
    let page = client.get(&format!("/hosts/{id}"))?.page()?;
    let text = page.text();
    for verdict in told["verdicts"].as_array().context("verdicts")? {
        for key in ["lane", "presence", "protection", "advice"] {
            assert!(text.contains(verdict[key].as_str().context("a text")?), "{key} {}: {text}", verdict[key]);
        }
        for reason in verdict["reasons"].as_array().context("reasons")? {
            assert!(text.contains(reason["text"].as_str().context("a text")?), "{}: {text}", reason["text"]);
        }
        for command in verdict["commands"].as_array().context("commands")? {
            assert!(text.contains(command["command"].as_str().context("a text")?), "{}", command["command"]);
        }
    }
    for (list, key) in [("sources", "source"), ("hits", "name")] {
        for item in told[list].as_array().context("a list")? {
            assert!(text.contains(item[key].as_str().context("a text")?), "{}", item[key]);
        }
    }
    let told = lab.muster(&["software", "kesl", "-o", "json"])?.json()?;
    let text = client.get("/software?q=kesl")?.page()?.text();
    let hosts = told["hosts_total"].as_u64().context("a number")?;
    assert!(hosts == 2 && text.contains("2 hosts have at least one"), "{text}");
    for edition in told["editions"].as_array().context("editions")? {
        assert!(text.contains(edition["name"].as_str().context("a name")?), "{edition}");
    }
    Ok(())
}

#[test]
fn the_port_serves_grpc_and_pages_and_keeps_its_bounds() -> Result<()> {
    let lab = Lab::start_with_settings("[listeners]\nfirst_request = \"2s\"\n[operators]\nconnections = 6\n")?;
    let client = client(&lab)?;
    lab.muster(&["status"])?.expect_code(0)?;
    assert_eq!(client.get("/")?.status, 200);
    // A head beyond the bound, a body beyond it, and a page that is none.
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n", "x".repeat(40_000));
    assert_eq!(client.send(&long, "")?.status, 431);
    assert_eq!(client.post("/login", &format!("token={}", "x".repeat(100_000)))?.status, 413);
    assert_eq!(client.get("/nothing")?.status, 404);
    // A call of gRPC by HTTP/1.1 is none, and a session is no token for gRPC.
    let call = "POST /muster.v1.FleetService/GetBoard HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/grpc\r\n\
                sec-fetch-site: same-origin\r\ncontent-length: 0\r\n";
    assert_eq!(client.send(call, "")?.status, 404);
    // A client that names no version of HTTP in its handshake is understood in the one that it speaks.
    let old = client.without_versions();
    assert_eq!(old.get("/about")?.status, 200);
    // Silent and slow peers are closed in time, and keep nobody out meanwhile.
    let begun = Instant::now();
    let mut held = Vec::new();
    for n in 0..12 {
        let mut tcp = TcpStream::connect(&lab.listening().operators)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        if n % 2 == 0 {
            tcp.write_all(&[0x16, 3, 1])?;
        }
        held.push(tcp);
    }
    assert_eq!(client.get("/about")?.status, 200, "a person who has proven who they are comes through");
    lab.muster(&["status"])?.expect_code(0)?;
    for tcp in &mut held {
        // The end of the connection, or a reset.
        let _ = tcp.read(&mut [0; 64]);
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    // Half of a head is closed like no head at all.
    slow_head(&lab)?;
    // Without pages, the port is what it was.
    let lab = Lab::start_with_settings("[web]\nenabled = false\n")?;
    lab.muster(&["status"])?.expect_code(0)?;
    let client = WebClient::new(&lab.listening().operators, &lab.ca())?;
    assert!(client.get("/login").is_err(), "HTTP/1.1 is not offered");
    Ok(())
}

/// A peer that sends the head of a request byte by byte is closed after the time of a first request.
fn slow_head(lab: &Lab) -> Result<()> {
    let mut config = door::client_config(&lab.ca(), None)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = rustls::pki_types::ServerName::try_from("localhost")?;
    let connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name)?;
    let tcp = TcpStream::connect(&lab.listening().operators)?;
    tcp.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    let begun = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
        let is_closed = stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err()
            || matches!(stream.read(&mut [0; 64]), Ok(0))
            || begun.elapsed() > Duration::from_secs(20);
        if is_closed {
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "closed after {:?}", begun.elapsed());
    Ok(())
}

#[test]
fn wrong_tokens_are_throttled_for_pages_as_for_grpc() -> Result<()> {
    let lab = Lab::start_with_settings("[listeners]\nwrong_tokens = 3\nwrong_token_period = \"1h\"\n")?;
    let mut good = client(&lab)?;
    let guess = WebClient::new(&lab.listening().operators, &lab.ca())?;
    let statuses: Result<Vec<u16>> =
        (0..5).map(|n| Ok(guess.post("/login", &format!("token=guess-{n}.{}", "a".repeat(52)))?.status)).collect();
    assert_eq!(statuses?, [200, 200, 200, 429, 429]);
    // Who is logged in stays so, and a token that was right lately is still tried.
    assert_eq!(good.get("/")?.status, 200);
    good.login(&std::fs::read_to_string(lab.data_dir().join("admin.token"))?)?;
    let metrics = lab.probe("/metrics")?.1;
    assert!(metrics.contains("muster_wrong_tokens_total{listener=\"operators\"} 5"), "{metrics}");
    Ok(())
}

#[test]
fn a_person_of_a_site_sees_that_site_alone() -> Result<()> {
    let lab = fleet()?;
    for (name, site, sees) in [("here", "lab", true), ("elsewhere", "plant", false)] {
        let created = lab.muster(&["accounts", "create", name, "--role", "viewer", "--site", site])?.expect_code(0)?;
        let mut client = WebClient::new(&lab.listening().operators, &lab.ca())?;
        client.login(&created.stdout)?;
        for path in ["/findings", "/hosts", "/software?q=kesl", "/changes"] {
            assert_eq!(client.get(path)?.page()?.text().contains("db-1"), sees, "{path} by {name}");
        }
        assert_eq!(client.get("/hosts/db-1")?.status, if sees { 200 } else { 404 });
        assert_eq!(client.get("/ledger")?.status, 403);
    }
    Ok(())
}
