//! Somebody with a browser without a window, who goes to the collector and to the provider and keeps the cookies of both.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use muster_tests::lab::Lab;
use muster_tests::web_client::{WebAnswer, WebClient};

use super::ORIGIN;

/// The browser of one person.
pub(super) struct Person {
    sites: BTreeMap<String, Site>,
}

struct Site {
    client: WebClient,
    cookies: BTreeMap<String, String>,
}

impl Person {
    /// A browser that knows the collector, and the provider with this issuer.
    pub(super) fn new(lab: &Lab, issuer: &str, ca: &Path) -> Result<Self> {
        let provider = issuer.strip_prefix("https://localhost:").context("a port")?;
        let site = |address: &str, ca: &Path| -> Result<Site> {
            Ok(Site { client: WebClient::new(address, ca)?, cookies: BTreeMap::new() })
        };
        let sites = [
            (ORIGIN.to_owned(), site(&lab.listening().operators, &lab.ca())?),
            (issuer.to_owned(), site(&format!("127.0.0.1:{provider}"), ca)?),
        ];
        Ok(Self { sites: sites.into() })
    }

    pub(super) fn get(&mut self, address: &str) -> Result<WebAnswer> {
        self.send("GET", address, "")
    }

    pub(super) fn post(&mut self, address: &str, form: &str) -> Result<WebAnswer> {
        self.send("POST", address, form)
    }

    /// Follows redirects to other pages, also of the other site.
    pub(super) fn follow(&mut self, mut answer: WebAnswer, mut address: String) -> Result<(WebAnswer, String)> {
        for _ in 0..20 {
            if ![302, 303].contains(&answer.status) {
                return Ok((answer, address));
            }
            address = absolute(&address, answer.header("location"));
            answer = self.get(&address)?;
        }
        anyhow::bail!("too many redirects, the last one to {address}")
    }

    /// Begins a login and returns the address to which the page leads.
    pub(super) fn begin(&mut self, form: &str) -> Result<String> {
        let page = self.post(&format!("{ORIGIN}/login/provider"), form)?;
        ensure!(page.status == 200, "status {}: {}", page.status, page.text);
        led_to(&page)
    }

    pub(super) fn forget_cookies(&mut self, site: &str) {
        if let Some(site) = self.sites.get_mut(site) {
            site.cookies.clear();
        }
    }

    fn send(&mut self, method: &str, address: &str, form: &str) -> Result<WebAnswer> {
        let (name, site) = self
            .sites
            .iter_mut()
            .find(|(name, _)| address.starts_with(name.as_str()))
            .with_context(|| format!("neither the collector nor the provider: {address}"))?;
        let path = address.strip_prefix(name.as_str()).filter(|path| !path.is_empty()).unwrap_or("/");
        let host = name.trim_start_matches("https://");
        let cookies: Vec<String> = site.cookies.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        if !cookies.is_empty() {
            head += &format!("cookie: {}\r\n", cookies.join("; "));
        }
        if method == "POST" {
            head += "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin\r\n";
            head += &format!("content-length: {}\r\n", form.len());
        }
        let answer = site.client.send(&head, form)?;
        for line in answer.head.lines() {
            let Some((key, value)) = line.split_once(": ") else { continue };
            if key.eq_ignore_ascii_case("set-cookie")
                && let Some((name, value)) = value.split(';').next().and_then(|pair| pair.split_once('='))
            {
                if value.is_empty() {
                    site.cookies.remove(name)
                } else {
                    site.cookies.insert(name.to_owned(), value.to_owned())
                };
            }
        }
        Ok(answer)
    }
}

/// Where the page leads that has no redirect but a header and a link with the same address.
pub(super) fn led_to(page: &WebAnswer) -> Result<String> {
    let address = page.header("refresh").strip_prefix("0; url=").context("a page that leads nowhere")?.to_owned();
    let page = page.page()?;
    let links = page.all("a");
    let link = links.first().and_then(|link| link.attribute("href")).context("a page without a link")?;
    ensure!(link == address, "the link leads to {link}, and the page to {address}");
    Ok(address)
}

fn absolute(from: &str, to: &str) -> String {
    if to.starts_with("https://") {
        return to.to_owned();
    }
    let site: Vec<&str> = from.splitn(4, '/').take(3).collect();
    format!("{}{to}", site.join("/"))
}

/// The value of a parameter of an address, with its escapes.
pub(super) fn parameter(address: &str, name: &str) -> Option<String> {
    let query = address.split_once('?')?.1;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}
