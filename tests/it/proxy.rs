//! The way to the collector through proxies of every kind, and what is said of those that do not let one through.

use anyhow::Result;
use muster_tests::canned::Root;
use muster_tests::lab::{Agent, Lab, write_owner_only};
use muster_tests::process::Answer;
use muster_tests::proxy::{Manners, PROXY_CA, Proxy};

/// `Basic` of `jane:p@ss`.
const JANE: &str = "Basic amFuZTpwQHNz";

fn once(agent: &Agent, root: &Root, environment: &[(&str, String)]) -> Result<Answer> {
    let mut command = agent.command("once")?;
    command.arg("--root").arg(root.path()).envs(environment.iter().map(|(name, value)| (name, value)));
    Answer::of(&mut command)
}

#[test]
fn a_report_goes_through_the_proxy_of_the_environment_unless_the_collector_is_excepted() -> Result<()> {
    let lab = Lab::start()?;
    let (agent, root) = (lab.enrolled_agent("office")?, Root::debian("office")?);
    let proxy = Proxy::start(Manners { authorization: Some(JANE), ..Manners::default() })?;
    let environment = |credentials: &str, direct: &str| {
        [("HTTPS_PROXY", format!("http://{credentials}{}", proxy.address())), ("NO_PROXY", direct.to_owned())]
    };
    once(&agent, &root, &environment("jane:p%40ss@", "example.org"))?.expect_code(0)?;
    assert_eq!(proxy.granted(), 1);
    once(&agent, &root, &environment("", "127.0.0.0/8"))?.expect_code(0)?;
    assert_eq!(proxy.granted(), 1, "an excepted collector is reached directly");
    let refused = once(&agent, &root, &environment("jane:wrong@", ""))?.expect_code(1)?;
    assert!(refused.stderr.contains("rejected the credentials: HTTP/1.1 407"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("wrong"), "a password is never shown: {}", refused.stderr);
    Ok(())
}

#[test]
fn a_proxy_in_the_settings_is_used_with_tls_and_a_credentials_file() -> Result<()> {
    let lab = Lab::start()?;
    let (agent, root) = (lab.enrolled_agent("plant")?, Root::debian("plant")?);
    let proxy = Proxy::start(Manners { authorization: Some(JANE), secure: true, ..Manners::default() })?;
    let (ca, credentials) = (lab.folder().join("proxy-ca.pem"), lab.folder().join("proxy.credentials"));
    std::fs::write(&ca, proxy.ca())?;
    write_owner_only(&credentials, "jane:p@ss\n")?;
    let settings = [
        ("MUSTER_AGENT__PROXY__URL", format!("https://{}", proxy.address())),
        ("MUSTER_AGENT__PROXY__CREDENTIALS_FILE", credentials.display().to_string()),
        ("MUSTER_AGENT__PROXY__CA_FILE", ca.display().to_string()),
    ];
    once(&agent, &root, &settings)?.expect_code(0)?;
    assert_eq!(proxy.granted(), 1);
    let stranger = once(&agent, &root, &settings[..2])?.expect_code(1)?;
    assert!(stranger.stderr.contains("the TLS handshake with proxy"), "{}", stranger.stderr);
    Ok(())
}

#[test]
fn check_diagnoses_a_proxy_on_the_way() -> Result<()> {
    let lab = Lab::start()?;
    let agent = lab.enrolled_agent("checked")?;
    let check = |manners: Manners| -> Result<String> {
        let proxy = Proxy::start(manners)?;
        let mut command = agent.command("check")?;
        command.env("MUSTER_AGENT__PROXY__URL", format!("http://{}", proxy.address()));
        Ok(Answer::of(&mut command)?.stdout)
    };
    let fine = check(Manners::default())?;
    assert!(fine.contains("ok   proxy tunnel") && fine.contains("ok   TLS "), "{fine}");
    let forbidden = check(Manners { forbids: true, ..Manners::default() })?;
    assert!(forbidden.contains("FAIL proxy tunnel") && forbidden.contains("403 Forbidden by policy"), "{forbidden}");
    let inspected = check(Manners { inspects: true, ..Manners::default() })?;
    let line = inspected.lines().find(|line| line.starts_with("FAIL TLS inspection")).unwrap_or_default();
    assert!(line.contains(PROXY_CA), "{inspected}");
    Ok(())
}

#[test]
fn enrollment_through_an_inspecting_proxy_sends_no_token_and_names_the_proxy() -> Result<()> {
    let lab = Lab::start()?;
    let proxy = Proxy::start(Manners { inspects: true, ..Manners::default() })?;
    let agent = lab.agent("new");
    let token = lab.folder().join("token");
    write_owner_only(&token, &lab.token(1, "1h")?)?;
    let mut command = agent.command("enroll")?;
    command.args(["--collector", &format!("https://{}", lab.listening().agents)]).arg("--token-file").arg(&token);
    command.env("MUSTER_AGENT__PROXY__URL", format!("http://{}", proxy.address()));
    let answer = Answer::of(&mut command)?.expect_code(1)?;
    assert!(answer.stderr.contains("CA pin") && answer.stderr.contains(PROXY_CA), "{}", answer.stderr);
    Ok(())
}
