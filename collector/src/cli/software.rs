//! `muster software`: how many hosts have a software, by edition, or which hosts.

use muster_proto::model::{SoftwareEdition, SoftwareHost, SoftwareReport, Timestamp};

use super::args::SoftwareArgs;
use super::client::{Client, SoftwareFilter};
use super::render::{Answer, Cell, Paint, Screen, Table, ago, counted, instant, or_dash};

const EDITIONS: [&str; 8] = ["platform", "kind", "name", "vendor", "version", "state", "present", "hosts"];
const HOSTS: [&str; 11] =
    ["id", "hostname", "site", "last_seen", "platform", "kind", "name", "vendor", "version", "state", "present"];

/// The JSON document.
#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a SoftwareReport,
    /// The value of `--after` that continues after these hosts; null at the end of the list.
    next: Option<&'a str>,
}

pub(super) async fn run(mut client: Client, asked: SoftwareArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let SoftwareArgs { text, version, version_prefix, remnants, sites, hosts, limit, after } = asked;
    let asked_text = text.clone();
    let filter = SoftwareFilter { text, version, version_prefix, remnants, sites, hosts, limit, after };
    let (report, next) = client.software(&filter).await?;
    let now = screen.now();
    let document = Document { report: &report, next: next.as_deref() };
    if hosts {
        let answer = Answer { whole: &document, header: &HOSTS };
        screen.show(
            &answer,
            &report.hosts,
            || host_rows(&report.hosts),
            |paint| host_page(&asked_text, &report, next.as_deref(), now, paint),
        )?;
    } else {
        let answer = Answer { whole: &document, header: &EDITIONS };
        screen.show(
            &answer,
            &report.editions,
            || edition_rows(&report),
            |paint| edition_page(&asked_text, &report, paint),
        )?;
    }
    Ok(0)
}

fn texts(edition: &SoftwareEdition) -> [String; 7] {
    let SoftwareEdition { platform, kind, name, vendor, version, state, present } = edition;
    let (platform, kind) = (platform.to_string(), kind.name().to_owned());
    [platform, kind, name.clone(), vendor.clone(), version.clone(), state.clone(), present.to_string()]
}

/// The state for people. What is not installed is marked, because few know what the codes of a source mean.
fn state(edition: &SoftwareEdition) -> String {
    if edition.present { or_dash(&edition.state).to_owned() } else { format!("{} (removed)", edition.state) }
}

fn edition_rows(report: &SoftwareReport) -> Vec<Vec<String>> {
    let row = |(edition, hosts): (&SoftwareEdition, u64)| [texts(edition).to_vec(), vec![hosts.to_string()]].concat();
    report.editions.iter().map(|one| row((&one.edition, one.hosts))).collect()
}

/// One row per host and edition.
fn host_rows(hosts: &[SoftwareHost]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for host in hosts {
        let of_host = vec![host.id.to_string(), host.hostname.clone(), host.site.to_string(), instant(host.last_seen)];
        rows.extend(host.editions.iter().map(|edition| [of_host.clone(), texts(edition).to_vec()].concat()));
    }
    rows
}

fn edition_page(asked: &str, report: &SoftwareReport, paint: &Paint) -> String {
    let mut table = Table::new(&["name", "version", "state", "vendor", "platform", "kind", "hosts"])
        .dispensable(&["kind", "platform", "vendor"]);
    for one in &report.editions {
        let [platform, kind, name, vendor, version, ..] = texts(&one.edition);
        let mut cells: Vec<Cell> = [name, version, state(&one.edition), vendor, platform, kind]
            .iter()
            .map(|text| Cell::text(or_dash(text)))
            .collect();
        cells.push(Cell::number(one.hosts));
        table.row(cells);
    }
    page(asked, &table, report, None, paint)
}

fn host_page(asked: &str, report: &SoftwareReport, next: Option<&str>, now: Timestamp, paint: &Paint) -> String {
    let mut table = Table::new(&["host", "site", "last seen", "name", "version", "state"]);
    for host in &report.hosts {
        let seen = host.last_seen.map_or_else(|| "never".to_owned(), |at| ago(at, now));
        for (index, edition) in host.editions.iter().enumerate() {
            let of_host = [or_dash(&host.hostname), host.site.as_str(), &seen];
            let mut cells: Vec<Cell> =
                of_host.iter().map(|text| Cell::text(if index == 0 { text } else { "" })).collect();
            cells.extend([&edition.name, &edition.version].map(|text| Cell::text(or_dash(text))));
            cells.push(Cell::text(state(edition)));
            table.row(cells);
        }
    }
    page(asked, &table, report, next, paint)
}

fn page(asked: &str, table: &Table, report: &SoftwareReport, next: Option<&str>, paint: &Paint) -> String {
    let more = match report.more_editions {
        0 => String::new(),
        1 => "; 1 more edition matches".to_owned(),
        more => format!("; {more} more editions match"),
    };
    let verb = if report.hosts_total == 1 { "has" } else { "have" };
    let mut total = format!("{} {verb} software matching {asked:?}{more}\n", counted(report.hosts_total, "host"));
    if let Some(next) = next {
        total.push_str(&format!("{} shown; for the next ones add `--after {next}`\n", report.hosts.len()));
    }
    if report.editions.is_empty() { total } else { format!("{}\n{total}", table.text(paint)) }
}
