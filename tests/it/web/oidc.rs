//! Logging in to the web board with an identity provider: a real one that is honest, and one of ours that lies.

mod hostile;
mod person;
mod provider;
mod real;
mod site;

use anyhow::{Context as _, Result};
use muster_tests::lab::{Lab, write_owner_only};

/// Where the collector says that people reach it. Nothing listens there: the test leads the browser to the collector's port.
const ORIGIN: &str = "https://board.example";
const CLIENT: &str = "muster";
const SECRET: &str = "only-for-tests-7f3a";

/// The settings of a collector with this provider. `folder` gets the secret of the client.
fn settings(issuer: &str, ca: &std::path::Path, folder: &std::path::Path) -> Result<String> {
    let secret = folder.join("client.secret");
    write_owner_only(&secret, &format!("{SECRET}\n"))?;
    Ok(format!(
        "[operators]\npublic_url = '{ORIGIN}'\n[oidc]\nissuer = '{issuer}'\nclient_id = '{CLIENT}'\nclient_secret_file = '{}'\nca = '{}'\n\
         roles = {{ view = 'viewer', \"Ops Team\" = 'operator', root = 'admin' }}\nsites = {{ hq = 'hq', lab = 'lab', everywhere = '*' }}\n",
        secret.display(),
        ca.display()
    ))
}

/// The line of the collector's log about the request of a page of an error, which names it.
fn log_line(lab: &mut Lab, page: &str) -> Result<String> {
    let id = page
        .split("request <code>")
        .nth(1)
        .and_then(|rest| rest.split('<').next())
        .context("a page without a request id")?;
    let log = lab.collector()?.output();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
    Ok(lines.join("\n"))
}

/// The kind, the actor and the text of each entry of the ledger of this kind.
fn ledger(lab: &Lab, kind: &str) -> Result<Vec<String>> {
    let entries = lab.muster(&["ledger", "--kind", kind, "-o", "json"])?.json()?;
    let texts =
        entries.as_array().context("a list")?.iter().map(|entry| format!("{}: {}", entry["actor"], entry["text"]));
    Ok(texts.collect())
}
