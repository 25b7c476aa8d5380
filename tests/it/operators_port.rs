//! The operators' port in a company's network: its own certificate, and proxies in front.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE, write_owner_only};
use muster_tests::pki::Company;
use muster_tests::process::Answer;
use muster_tests::web_client::{WebAnswer, WebClient};

/// The files of a company's certificate.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, (certificate, key): &(String, String)) -> Result<()> {
        std::fs::write(self.path("server.crt"), certificate)?;
        write_owner_only(&self.path("server.key"), key)
    }

    fn ca(&self, company: &Company) -> Result<PathBuf> {
        std::fs::write(self.path("ca.pem"), company.certificate())?;
        Ok(self.path("ca.pem"))
    }

    fn settings(&self) -> String {
        let (certificate, key) = (self.path("server.crt"), self.path("server.key"));
        format!("[operators]\ncertificate = {certificate:?}\nkey = {key:?}\n")
    }
}

/// `muster status` by somebody who trusts this file.
fn status(lab: &Lab, ca: &Path) -> Result<Answer> {
    let given = lab.muster_command()?;
    let mut command = Command::new(given.get_program());
    for (name, value) in given.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let own = lab.ca();
    for argument in given.get_args() {
        command.arg(if argument == own.as_os_str() { ca.as_os_str() } else { argument });
    }
    Answer::of(command.arg("status"))
}

#[test]
fn the_port_has_the_companys_certificate_and_takes_a_new_one_without_a_restart() -> Result<()> {
    let (files, company) = (Files::new()?, Company::new("Company CA")?);
    files.write(&company.server(90)?)?;
    let mut lab = Lab::start_with_settings(&files.settings())?;
    let address = lab.listening().operators.clone();
    let ca = files.ca(&company)?;
    let page = WebClient::new(&address, &ca)?.get("/login")?;
    assert_eq!((page.status, page.header("strict-transport-security")), (200, "max-age=31536000"));
    assert!(WebClient::new(&address, &lab.ca())?.get("/login").is_err(), "it is not of the collector's CA");
    // The agents' port keeps the certificate of the collector's CA.
    lab.enrolled_agent("agent")?;
    // The program trusts the company's CA, alone or among those of a system.
    let shown = status(&lab, &ca)?.expect_code(0)?.stdout;
    assert!(shown.contains("of the company") && !shown.contains("not in use"), "{shown}");
    let bundle = files.path("bundle.pem");
    std::fs::write(&bundle, format!("{}{}", Company::new("Another CA")?.certificate(), company.certificate()))?;
    status(&lab, &bundle)?.expect_code(0)?;
    let refused = lab.muster(&["status"])?;
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("operators.certificate"), "{}", refused.stderr);
    // A new pair of another CA.
    let newer = Company::new("Newer CA")?;
    files.write(&newer.server(60)?)?;
    let newer_ca = files.ca(&newer)?;
    eventually("the new certificate is in use", PATIENCE, || {
        let page = WebClient::new(&address, &newer_ca)?.get("/login")?;
        Ok((page.status == 200).then_some(()))
    })?;
    // A pair that cannot be used leaves the one before.
    let (_, other) = newer.server(60)?;
    write_owner_only(&files.path("server.key"), &other)?;
    let shown = eventually("the pair is refused", PATIENCE, || {
        let shown = status(&lab, &newer_ca)?.expect_code(0)?.stdout;
        Ok(shown.contains("the new operators.certificate is not in use").then_some(shown))
    })?;
    assert!(shown.contains("does not belong to the first certificate"), "{shown}");
    assert_eq!(WebClient::new(&address, &newer_ca)?.get("/login")?.status, 200);
    let metrics = lab.probe("/metrics")?.1;
    assert!(metrics.contains("muster_operators_certificate_refused 1"), "{metrics}");
    // A start with it is refused, and says what to do.
    lab.stop_collector()?;
    let refused = format!("{:#}", lab.serve().expect_err("refused"));
    for part in ["operators.key", "server.key does not belong", "replace both files together"] {
        assert!(refused.contains(part), "{part:?} is missing in: {refused}");
    }
    files.write(&newer.server(-1)?)?;
    let refused = format!("{:#}", lab.serve().expect_err("refused"));
    assert!(refused.contains("server.crt is valid from") && refused.contains("renew the certificate"), "{refused}");
    // Without the settings, it is as it was, and pages have no HSTS.
    lab.write_settings("")?;
    lab.serve()?;
    let page = WebClient::new(&lab.listening().operators, &lab.ca())?.get("/login")?;
    assert_eq!((page.status, page.header("strict-transport-security")), (200, ""));
    Ok(())
}

/// Shows a wrong token, as a proxy passes it on.
fn wrong_token(client: &WebClient, forwarded: &str) -> Result<WebAnswer> {
    let form = format!("token=nobody.{}", "a".repeat(52));
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nsec-fetch-site: same-origin\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{forwarded}",
        form.len()
    );
    client.send(&head, &form)
}

#[test]
fn bounds_by_address_are_those_of_the_client_of_a_trusted_proxy() -> Result<()> {
    const BOUNDS: &str = "[listeners]\nwrong_tokens = 3\nwrong_token_period = \"10m\"\n";
    let lab = Lab::start_with_settings(&format!(
        "{BOUNDS}[operators]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n"
    ))?;
    let client = WebClient::new(&lab.listening().operators, &lab.ca())?;
    for _ in 0..3 {
        assert_eq!(wrong_token(&client, "x-forwarded-for: 203.0.113.7\r\n")?.status, 200);
    }
    // What the client invents in front, and proxies behind, change nothing.
    for forwarded in [
        "x-forwarded-for: 203.0.113.7\r\n",
        "x-forwarded-for: 198.51.100.9, 203.0.113.7\r\n",
        "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-For: 203.0.113.7, 10.0.0.4\r\n",
    ] {
        assert_eq!(wrong_token(&client, forwarded)?.status, 429, "{forwarded}");
    }
    assert_eq!(wrong_token(&client, "x-forwarded-for: 203.0.113.8\r\n")?.status, 200, "another client");
    assert_eq!(wrong_token(&client, "")?.status, 200, "the proxy's own machine");
    // Without the setting the header is ignored.
    let lab = Lab::start_with_settings(BOUNDS)?;
    let client = WebClient::new(&lab.listening().operators, &lab.ca())?;
    for n in 0..5 {
        let answer = wrong_token(&client, &format!("x-forwarded-for: 203.0.113.{n}\r\n"))?;
        assert_eq!(answer.status, if n < 3 { 200 } else { 429 }, "{n}");
    }
    Ok(())
}
