//! With a real provider (`oidc-provider`, run by node): groups become roles and sites at each login, and logging out ends both sessions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::process::Process;
use muster_tests::web_client::WebAnswer;
use muster_tests::{eventually, left_out};

use super::person::{Person, led_to};
use super::site::Site;
use super::{CLIENT, ORIGIN, SECRET, ledger, log_line, settings};

/// Names the folder where deploy/ci/tools has installed the provider.
const MODULES: &str = "MUSTER_TEST_NODE";

/// The provider, as a process with its people.
struct Provider {
    site: Site,
    issuer: String,
    _process: Process,
}

impl Provider {
    /// `None` if it is not installed.
    fn start() -> Result<Option<Self>> {
        let Some(modules) = std::env::var_os(MODULES).map(PathBuf::from) else {
            left_out(
                "logging in with a real identity provider",
                "MUSTER_TEST_NODE is not set; deploy/ci/test web sets it",
            );
            return Ok(None);
        };
        let site = Site::new()?;
        let people = site.folder().join("people.json");
        let settings = serde_json::json!({
            "key": site.key(), "certificate": site.certificate(), "origin": ORIGIN, "client_id": CLIENT, "client_secret": SECRET, "people": people,
        });
        let (file, log) = (site.folder().join("settings.json"), site.folder().join("provider.log"));
        std::fs::write(&file, settings.to_string())?;
        std::fs::write(&people, "{}")?;
        let mut command = Command::new("node");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node/provider.mjs");
        command.arg(script).arg(modules).arg(file);
        let process = Process::start(command, &log)?;
        let issuer = eventually("the provider listens", PATIENCE, || {
            let output = process.output();
            Ok(output.lines().find_map(|line| line.strip_prefix("issuer ").map(str::to_owned)))
        });
        let issuer = issuer.with_context(|| process.output())?;
        Ok(Some(Self { site, issuer, _process: process }))
    }

    /// Sets the groups of everybody.
    fn people(&self, groups: &[(&str, &[&str])]) -> Result<()> {
        let people: serde_json::Map<String, serde_json::Value> =
            groups.iter().map(|(name, groups)| ((*name).to_owned(), serde_json::json!({ "groups": groups }))).collect();
        Ok(std::fs::write(self.site.folder().join("people.json"), serde_json::Value::Object(people).to_string())?)
    }
}

/// Logs in at the provider under this name, agrees to everything that it asks, and returns the answer of the collector.
fn log_in(person: &mut Person, name: &str, form: &str) -> Result<(WebAnswer, String)> {
    let address = person.begin(form)?;
    let answer = person.get(&address)?;
    let (mut answer, mut address) = follow_to_collector(person, answer, address)?;
    for _ in 0..3 {
        if address.starts_with(ORIGIN) {
            return Ok((answer, address));
        }
        // The provider's page has one form: the name and the password, or what the person agrees to.
        let action = answer.text.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
        let action =
            action.with_context(|| format!("a page without a form: {} {}", answer.status, answer.text))?.to_owned();
        let is_login = answer.text.contains("name=\"login\"");
        let fields =
            if is_login { format!("prompt=login&login={name}&password=x") } else { "prompt=consent".to_owned() };
        let sent = person.post(&action, &fields)?;
        (answer, address) = follow_to_collector(person, sent, action)?;
    }
    ensure!(address.starts_with(ORIGIN), "the provider does not lead back: {} {}", answer.status, answer.text);
    Ok((answer, address))
}

/// Follows redirects until the collector has answered the callback.
fn follow_to_collector(person: &mut Person, answer: WebAnswer, address: String) -> Result<(WebAnswer, String)> {
    let to = answer.header("location").to_owned();
    if [302, 303].contains(&answer.status) && to.starts_with(ORIGIN) {
        return Ok((person.get(&to)?, to));
    }
    if ![302, 303].contains(&answer.status) {
        return Ok((answer, address));
    }
    let issuer: String = address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let next = if to.starts_with("https://") { to } else { format!("{issuer}{to}") };
    let answer = person.get(&next)?;
    follow_to_collector(person, answer, next)
}

#[test]
fn people_log_in_with_their_groups_and_log_out_at_the_provider() -> Result<()> {
    let Some(provider) = Provider::start()? else { return Ok(()) };
    provider.people(&[
        ("ada", &["staff", "Ops Team", "view", "hq", "lab"]),
        ("admin", &["root", "everywhere"]),
        ("eve", &["staff"]),
    ])?;
    let mut lab = Lab::start_with_settings(&settings(&provider.issuer, &provider.site.ca(), provider.site.folder())?)?;
    let browser = || Person::new(&lab, &provider.issuer, &provider.site.ca());
    let (mut ada, mut root, mut eve) = (browser()?, browser()?, browser()?);
    // The highest role and all sites of the groups, and back to the page that was asked for.
    let (answer, _) = log_in(&mut ada, "ada", "next=/about%3Fx%3D1")?;
    assert_eq!((answer.status, answer.header("location")), (303, "/about?x=1"), "{}", answer.text);
    let about = ada.get(&format!("{ORIGIN}/about"))?.page()?.text();
    assert!(
        about.contains("Name ada") && about.contains("Role operator") && about.contains("Sites hq, lab"),
        "{about}"
    );
    assert!(about.contains("the identity provider"), "the session says how it was opened: {about}");
    assert_eq!(ada.get(&format!("{ORIGIN}/accounts"))?.status, 403, "an operator at two sites is no administrator");
    // The collector's first account is called admin, and nobody gets its name.
    let (answer, _) = log_in(&mut root, "admin", "next=/")?;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let accounts = root.get(&format!("{ORIGIN}/accounts"))?.page()?.text();
    assert!(accounts.contains("admin-2 admin person of the provider all"), "{accounts}");
    assert!(accounts.contains("logs in with the identity provider"), "{accounts}");
    let rotate = lab.muster(&["accounts", "rotate", "ada"])?;
    assert!(rotate.stderr.contains("people of the identity provider"), "{}", rotate.stderr);
    // No group that is mapped: a page that says so, and no account.
    let (answer, _) = log_in(&mut eve, "eve", "next=/")?;
    assert!(
        answer.status == 403 && answer.text.contains("None of your groups is let in"),
        "{} {}",
        answer.status,
        answer.text
    );
    assert!(log_line(&mut lab, &answer.text)?.contains("no group with a role"));
    assert!(!lab.muster(&["accounts", "-o", "json"])?.stdout.contains("\"eve\""));
    // Groups are asked for again: another role ends the session before.
    provider.people(&[("ada", &["view", "everywhere"]), ("admin", &["root", "everywhere"])])?;
    let browser = || Person::new(&lab, &provider.issuer, &provider.site.ca());
    let (answer, _) = log_in(&mut browser()?, "ada", "next=/")?;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(ada.get(&format!("{ORIGIN}/about"))?.status, 303, "it had more rights");
    let (answer, _) = log_in(&mut ada, "ada", "next=/")?;
    assert_eq!(answer.status, 303, "the provider knows the person still: {}", answer.text);
    let about = ada.get(&format!("{ORIGIN}/about"))?.page()?.text();
    assert!(about.contains("Role viewer") && about.contains("Sites all"), "{about}");
    let changed = ledger(&lab, "account-changed")?;
    assert!(
        changed.len() == 1 && changed[0].contains("account ada: viewer at all sites, as the identity provider says"),
        "{changed:?}"
    );
    // Logging out leads to the provider, which then knows the person no more.
    let out = ada.post(&format!("{ORIGIN}/logout"), "")?;
    let address = led_to(&out)?;
    let page = ada.get(&address)?;
    assert!(page.status == 200 && page.text.contains("/session/end/confirm"), "{} {}", page.status, page.text);
    let field =
        |name: &str| page.text.split(&format!("name=\"{name}\" value=\"")).nth(1)?.split('"').next().map(str::to_owned);
    let xsrf = field("xsrf").context("the field of the form")?;
    let ended = ada.post(&format!("{}/session/end/confirm", provider.issuer), &format!("xsrf={xsrf}&logout=yes"))?;
    assert!(ended.header("location").starts_with(&format!("{ORIGIN}/login")), "{} {}", ended.status, ended.head);
    assert_eq!(ada.get(&format!("{ORIGIN}/about"))?.status, 303);
    let begun = ada.begin("next=/")?;
    let again = ada.get(&begun)?;
    let (form, _) = ada.follow(again, begun)?;
    assert!(form.text.contains("name=\"login\""), "the provider asks for the name again: {}", form.text);
    // Who lost the groups is put out, and who is revoked stays out.
    provider.people(&[("ada", &[]), ("admin", &["root", "everywhere"])])?;
    lab.muster(&["accounts", "revoke", "admin-2"])?.expect_code(0)?;
    assert_eq!(root.get(&format!("{ORIGIN}/about"))?.status, 303);
    let (answer, _) = log_in(&mut root, "admin", "next=/")?;
    assert!(
        answer.status == 403 && answer.text.contains("has revoked the account"),
        "{} {}",
        answer.status,
        answer.text
    );
    Ok(())
}
