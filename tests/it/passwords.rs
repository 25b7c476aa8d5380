//! Passwords: set with the operators' program, and used to log in to the web board.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;
use muster_tests::lab::{Lab, write_owner_only};
use muster_tests::process::Answer;
use muster_tests::web_client::WebClient;

const FIRST: &str = "velvet cactus orbit";
const SECOND: &str = "another plum tractor";
const ORDER: &str = "us-bis-icts-2021-002";

/// An account, by its token.
struct Person {
    token: PathBuf,
}

impl Person {
    fn new(lab: &Lab, name: &str, role: &str) -> Result<Self> {
        let token = lab.folder().join(format!("{name}.token"));
        let made = lab.muster(&["accounts", "create", name, "--role", role])?.expect_code(0)?;
        write_owner_only(&token, &made.stdout)?;
        Ok(Self { token })
    }

    /// Sets a password, by a line of standard input.
    fn sets(&self, lab: &Lab, of: Option<&str>, password: &str) -> Result<Answer> {
        set(lab, &self.token, of, password)
    }
}

fn set(lab: &Lab, token: &Path, of: Option<&str>, password: &str) -> Result<Answer> {
    let line = lab.folder().join("line");
    write_owner_only(&line, &format!("{password}\n"))?;
    let mut command = lab.muster_command_by(token)?;
    command.args(["accounts", "password"]).args(of).arg("--stdin");
    Answer::with_input(&mut command, File::open(&line)?)
}

fn browser(lab: &Lab) -> Result<WebClient> {
    WebClient::new(&lab.listening().operators, &lab.ca())
}

/// Whether the browser is logged in.
fn is_in(browser: &WebClient) -> Result<bool> {
    Ok(browser.get("/about")?.status == 200)
}

#[test]
fn people_log_in_with_passwords_that_they_or_an_administrator_have_set() -> Result<()> {
    let lab = Lab::start_with_own_clock("")?;
    let (ada, bob) = (Person::new(&lab, "ada", "admin")?, Person::new(&lab, "bob", "viewer")?);
    // Without one, and with one that is easy to guess.
    let mut ben = browser(&lab)?;
    let failed = ben.login_with_password("bob", FIRST)?;
    assert!(failed.status == 200 && failed.text.contains("The name or the password is wrong"), "{}", failed.text);
    assert!(!is_in(&ben)?);
    for (password, text) in [("bob-password-2026", "easy to guess"), ("short", "12 characters")] {
        let refused = bob.sets(&lab, None, password)?;
        assert_ne!(refused.code, Some(0));
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    // One's own, and that of others only as an administrator.
    bob.sets(&lab, None, FIRST)?.expect_code(0)?;
    let refused = bob.sets(&lab, Some("ada"), FIRST)?;
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("the role viewer does not allow this; admin is required"), "{}", refused.stderr);
    assert_eq!(ben.login_with_password("bob", FIRST)?.header("location"), "/about");
    assert!(is_in(&ben)?);
    // Another password ends the session.
    ada.sets(&lab, Some("bob"), SECOND)?.expect_code(0)?;
    assert!(!is_in(&ben)?);
    assert_eq!(ben.login_with_password("bob", FIRST)?.status, 200);
    assert_eq!(ben.login_with_password("bob", SECOND)?.status, 303);
    // A login with a password is enough for what is sensitive, for a quarter of an hour.
    ada.sets(&lab, Some("ada"), FIRST)?.expect_code(0)?;
    let mut admin = browser(&lab)?;
    assert_eq!(admin.login_with_password("ada", FIRST)?.status, 303);
    let page = format!("/orders/{ORDER}");
    let switched = admin.post(&page, "switch=off")?;
    assert_eq!((switched.status, switched.header("location").contains("/login")), (303, false), "{}", switched.text);
    lab.later(16 * 60)?;
    let again = admin.post(&page, "switch=on")?;
    assert!(again.status == 303 && again.header("location").contains("again=1"), "{}", again.head);
    assert_eq!(admin.login_with_password("ada", FIRST)?.status, 303);
    let switched = admin.post(&page, "switch=on")?;
    assert_eq!((switched.status, switched.header("location").contains("/login")), (303, false), "{}", switched.text);
    // Removed on the collector's machine; the ledger has all of it, and nothing has the password itself.
    let mut remove = lab.collector_command("accounts password bob --remove")?;
    Answer::of(&mut remove)?.expect_code(0)?;
    assert!(!is_in(&ben)?);
    assert_eq!(ben.login_with_password("bob", SECOND)?.status, 200);
    let shown = lab.muster(&["accounts", "show", "ada"])?.expect_code(0)?.stdout;
    assert!(shown.contains("password") && shown.contains("set "), "{shown}");
    let ledger = lab.muster(&["ledger", "--limit", "100", "-o", "json"])?.expect_code(0)?.stdout;
    assert_eq!(ledger.matches("\"password-set\"").count(), 3, "{ledger}");
    assert_eq!(ledger.matches("\"password-removed\"").count(), 1);
    let log = std::fs::read_to_string(lab.folder().join("collector.log"))?;
    for text in [ledger, log] {
        assert!(!text.contains(FIRST) && !text.contains(SECOND), "{text}");
    }
    Ok(())
}

#[test]
fn wrong_passwords_make_an_account_and_an_address_wait() -> Result<()> {
    let lab = Lab::start_with_settings("[operators]\ntrusted_proxies = [\"127.0.0.1\"]\n")?;
    let bob = Person::new(&lab, "bob", "viewer")?;
    bob.sets(&lab, None, FIRST)?.expect_code(0)?;
    let client = browser(&lab)?;
    let login = |name: &str, password: &str, address: &str| -> Result<u16> {
        let form = format!("name={name}&password={}", password.replace(' ', "+"));
        let head = format!(
            "POST /login/password HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nsec-fetch-site: same-origin\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nx-forwarded-for: {address}\r\n",
            form.len()
        );
        Ok(client.send(&head, &form)?.status)
    };
    // The account, wherever it is tried; the right password does not help meanwhile.
    for n in 0..10 {
        assert_eq!(login("bob", "wrong", &format!("203.0.113.{n}"))?, 200, "{n}");
    }
    // Several more make the wait long enough for a slow machine.
    while login("bob", "wrong", "203.0.113.90")? == 200 {}
    assert_eq!(login("bob", FIRST, "203.0.113.91")?, 429);
    // The address, whatever account is tried, also ones that do not exist.
    for n in 0..10 {
        assert_eq!(login(&format!("nobody-{n}"), "wrong", "198.51.100.7")?, 200, "{n}");
    }
    let statuses: Vec<u16> =
        (0..4).map(|n| login(&format!("no-{n}"), "wrong", "198.51.100.7")).collect::<Result<_>>()?;
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(login("admin", "wrong", "198.51.100.8")?, 200, "others do not wait");
    // The token works all the same.
    let mut client = browser(&lab)?;
    client.login(&std::fs::read_to_string(&bob.token)?)?;
    assert!(is_in(&client)?);
    Ok(())
}
