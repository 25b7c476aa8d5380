//! `/software`: which hosts have a piece of software, by a part of its name.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{SiteId, SoftwareEdition, SoftwareReport, Timestamp};

use super::chrome::{Chrome, page};
use super::format::{Moment, counted, name, number};
use super::paging::Pager;
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::SoftwareAsked;
use crate::store::VersionFilter;

const KEYS: &[&str] = &["q", "version", "remnants", "site", "rows", "page"];
/// Editions of a page; those beyond are counted.
const EDITIONS: usize = 200;

#[derive(Template)]
#[template(path = "software.html")]
struct SoftwarePage {
    chrome: Chrome,
    text: String,
    version: String,
    site: String,
    remnants: bool,
    /// What is wrong with the question.
    problem: String,
    found: Option<Found>,
}

struct Found {
    editions: Vec<Edition>,
    more_editions: String,
    hosts_total: String,
    hosts: Vec<Host>,
    pager: Pager,
}

struct Edition {
    name: String,
    vendor: String,
    version: String,
    kind: &'static str,
    platform: &'static str,
    state: String,
    hosts: String,
    link: String,
}

struct Host {
    id: String,
    name: String,
    site: String,
    seen: Option<Moment>,
    editions: Vec<String>,
}

/// `GET /software?q=`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let (text, version) = (query.name("q")?, query.name("version")?);
    let (mut found, mut problem) = (None, String::new());
    if text.chars().count() == 1 {
        "Search for at least two characters.".clone_into(&mut problem);
    } else if !text.is_empty() {
        let version = match version.as_str() {
            "" => VersionFilter::Any,
            start => VersionFilter::StartsWith(start.to_owned()),
        };
        let asked = SoftwareAsked {
            text: text.clone(),
            version,
            remnants: query.flag("remnants")?,
            sites: query.list::<SiteId>("site")?,
            editions: EDITIONS,
            hosts: query.rows()?,
            page: query.page(),
        };
        let (report, next) = state.or_refusal(visitor.context.software(asked, &state.searches).await)?;
        found = Some(Found::of(&report, next.as_deref(), &query, state.now()));
    }
    page(&SoftwarePage {
        chrome: Chrome::new(&state, &visitor, "/software"),
        text,
        version: query.get("version").to_owned(),
        site: query.get("site").to_owned(),
        remnants: query.flag("remnants")?,
        problem,
        found,
    })
}

impl Found {
    fn of(report: &SoftwareReport, next: Option<&str>, query: &Query, now: Timestamp) -> Self {
        let whole = query.without("page");
        let edition = |count: &muster_proto::model::SoftwareCount| Edition {
            name: name(&count.edition.name),
            vendor: name(&count.edition.vendor),
            version: name(&count.edition.version),
            kind: count.edition.kind.name(),
            platform: count.edition.platform.name(),
            state: name(&count.edition.state),
            hosts: number(count.hosts),
            link: whole.with("q", &count.edition.name).with("version", &count.edition.version).link("/software"),
        };
        let host = |host: &muster_proto::model::SoftwareHost| Host {
            id: host.id.to_string(),
            name: name(&host.hostname),
            site: host.site.to_string(),
            seen: host.last_seen.map(|seen| Moment::ago(seen, now)),
            editions: host.editions.iter().take(10).map(title).collect(),
        };
        Self {
            editions: report.editions.iter().map(edition).collect(),
            more_editions: if report.more_editions == 0 {
                String::new()
            } else {
                counted(report.more_editions, "more edition")
            },
            hosts_total: counted(report.hosts_total, "host"),
            hosts: report.hosts.iter().map(host).collect(),
            pager: Pager::new("/software", query, next, report.hosts.len(), Some(report.hosts_total), "host"),
        }
    }
}

fn title(edition: &SoftwareEdition) -> String {
    name(format!("{} {}", edition.name, edition.version).trim())
}
