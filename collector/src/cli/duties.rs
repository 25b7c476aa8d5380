//! `muster duties`: what must be done by when, and `muster duties done`.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use muster_proto::model::{DutyEvidence, DutyReport, DutyState, DutySubject, Timestamp};
use sha2::{Digest as _, Sha256};

use super::args::duties::{DoneArgs, DutiesArgs, DutiesFilterArgs, DutiesVerb};
use super::client::Client;
use super::due::doubt;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, fields, instant, when};

const HEADER: [&str; 13] = [
    "number",
    "order",
    "clock",
    "subject",
    "hostname",
    "site",
    "opened",
    "due",
    "state",
    "overdue",
    "settled",
    "reference",
    "what",
];

pub(super) async fn run(client: Client, asked: DutiesArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    match asked.verb {
        None => list(client, asked.filter, screen).await,
        Some(DutiesVerb::List(filter)) => list(client, filter, screen).await,
        Some(DutiesVerb::Show { number }) => show(client, number, screen).await,
        Some(DutiesVerb::Done(done)) => finish(client, done, screen).await,
    }
}

async fn list(mut client: Client, filter: DutiesFilterArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let duties = client.duties(&filter).await?;
    let now = screen.now();
    let answer = Answer { whole: &duties, header: &HEADER };
    let rows = || duties.iter().map(row).collect();
    screen.show(&answer, &duties, rows, |paint| page(&duties, filter.all, now, paint))?;
    Ok(0)
}

async fn show(mut client: Client, number: u64, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let duty = client.duty(number).await?;
    let now = screen.now();
    let answer = Answer { whole: &duty, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&duty), || vec![row(&duty)], |_| one(&duty, now))?;
    Ok(0)
}

async fn finish(mut client: Client, asked: DoneArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let evidence = asked.evidence.as_deref().map(evidence).transpose()?;
    let (duty, started) = client.duty_finish(asked.number, asked.reference, evidence).await?;
    let now = screen.now();
    let whole = serde_json::json!({ "duty": duty, "started": started });
    let answer = Answer { whole: &whole, header: &HEADER };
    let rows = || std::iter::once(&duty).chain(&started).map(row).collect();
    screen.show(&answer, std::slice::from_ref(&whole), rows, |_| {
        let mut text = format!("duty {} is done: {}\n", duty.number, what(&duty));
        for next in &started {
            let due = when(next.due, now);
            text.push_str(&format!("duty {} has begun, due {due}: {}\n", next.number, what(next)));
        }
        text
    })?;
    Ok(0)
}

/// The name and the hash of a file, which is read in pieces.
pub(super) fn evidence(path: &Path) -> anyhow::Result<DutyEvidence> {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(data_encoding::HEXLOWER.encode(&hash.finalize()));
            }
            hash.update(&piece[..read]);
        }
    };
    let sha256 = read().with_context(|| format!("cannot read the evidence {}", path.display()))?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("the name of the evidence {} is not UTF-8; rename it", path.display()))?;
    Ok(DutyEvidence { name: name.to_owned(), sha256 })
}

fn row(duty: &DutyReport) -> Vec<String> {
    vec![
        duty.number.to_string(),
        duty.order.to_string(),
        duty.clock.clone(),
        duty.subject.to_string(),
        duty.hostname.clone(),
        duty.site.as_ref().map(ToString::to_string).unwrap_or_default(),
        duty.opened.to_rfc3339(),
        duty.due.to_rfc3339(),
        duty.state.to_string(),
        duty.overdue.to_string(),
        instant(duty.settled),
        duty.reference.clone(),
        duty.what.clone(),
    ]
}

pub(super) fn page(duties: &[DutyReport], all: bool, now: Timestamp, paint: &Paint) -> String {
    if duties.is_empty() {
        let more = if all { "" } else { "; `muster duties --all` includes those that are done" };
        return format!("no duties{more}\n");
    }
    let mut table = Table::new(&["no", "due", "state", "about", "order", "what"]);
    for duty in duties {
        table.row(vec![
            Cell::number(duty.number),
            Cell::text(when(duty.due, now)),
            Cell::text(state(duty)),
            Cell::text(about(duty)),
            Cell::text(duty.order.as_str()),
            Cell::text(what(duty)),
        ]);
    }
    let overdue = duties.iter().filter(|duty| duty.overdue).count();
    let late = if overdue == 0 { String::new() } else { format!("; {overdue} overdue") };
    let count = if duties.len() == 1 { "1 duty".to_owned() } else { format!("{} duties", duties.len()) };
    format!("{}\n{count}{late}; `muster duties show ID` says what a report must contain\n", table.text(paint))
}

pub(super) fn one(duty: &DutyReport, now: Timestamp) -> String {
    let mut text = format!("duty {}: {}\n", duty.number, what(duty));
    text.push_str(&fields(&[
        ("order", duty.order.as_str()),
        ("clock", &duty.clock),
        ("about", &about(duty)),
        ("began", &when(duty.opened, now)),
        ("due", &when(duty.due, now)),
        ("state", state(duty)),
    ]));
    if let Some(settled) = duty.settled {
        let word = if duty.state == DutyState::Done { "done" } else { "closed" };
        text.push_str(&fields(&[(word, &when(settled, now))]));
    }
    if !duty.reference.is_empty() {
        text.push_str(&fields(&[("reference", &duty.reference)]));
    }
    if let Some(DutyEvidence { name, sha256 }) = &duty.evidence {
        text.push_str(&fields(&[("evidence", name), ("SHA-256", sha256)]));
    }
    if !duty.fields.is_empty() {
        text.push_str(&format!("  a report must contain ({})\n", counted(duty.fields.len(), "item")));
    }
    for field in &duty.fields {
        text.push_str(&format!("    - {}\n", clean(field)));
    }
    if duty.state == DutyState::Open {
        text.push_str(&format!("when it is done: `muster duties done {} --reference TEXT`\n", duty.number));
    }
    text
}

/// Open duties as part of the page of a host; empty if there are none.
pub(super) fn of_host<'d>(duties: impl Iterator<Item = &'d DutyReport>, now: Timestamp, paint: &Paint) -> String {
    let line = |duty: &DutyReport| {
        let due = format!("{} {}", if duty.overdue { "overdue since" } else { "due" }, when(duty.due, now));
        let due = if duty.overdue { paint.alarm(&due) } else { due };
        format!("    {}: {due}: {}\n", duty.number, what(duty))
    };
    let lines: String = duties.map(line).collect();
    if lines.is_empty() { lines } else { format!("  duties (`muster duties show ID`)\n{lines}") }
}

/// What must be done, with a mark if that was not read in a trustworthy text.
fn what(duty: &DutyReport) -> String {
    if duty.what.is_empty() {
        return "its clock is no longer in the rules".to_owned();
    }
    format!("{}{}", clean(&duty.what), doubt(duty.confirmed))
}

fn state(duty: &DutyReport) -> &'static str {
    if duty.overdue { "overdue" } else { duty.state.name() }
}

/// What it is about, for people.
fn about(duty: &DutyReport) -> String {
    match &duty.subject {
        DutySubject::Order => "the order".to_owned(),
        DutySubject::Product(product) => product.to_string(),
        DutySubject::Host(host) if duty.hostname.is_empty() => host.to_string(),
        DutySubject::Host(_) => duty.hostname.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn duty(number: u64, due: Timestamp) -> DutyReport {
        DutyReport {
            number,
            order: "us-far-52.204-23".parse().expect("valid"),
            clock: "first-report".to_owned(),
            subject: DutySubject::Product("kaspersky-endpoint-security".parse().expect("valid")),
            hostname: String::new(),
            site: None,
            opened: Timestamp::from_millis(0),
            due,
            state: DutyState::Open,
            overdue: number == 1,
            settled: None,
            what: "report it".to_owned(),
            fields: vec!["contract number".to_owned()],
            confirmed: number == 1,
            reference: String::new(),
            evidence: None,
        }
    }

    #[test]
    fn a_list_says_what_is_overdue_and_what_is_not_confirmed() {
        let now = Timestamp::from_millis(0).plus(Duration::from_secs(86_400));
        let duties = [duty(1, Timestamp::from_millis(0)), duty(2, now.plus(Duration::from_secs(86_400)))];
        let shown = page(&duties, false, now, &Paint::plain());
        for part in ["overdue", "open", "report it (unconfirmed)", "2 duties; 1 overdue; `muster duties show ID`"] {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        assert_eq!(
            page(&[], false, now, &Paint::plain()),
            "no duties; `muster duties --all` includes those that are done\n"
        );
    }

    #[test]
    fn the_page_of_a_host_has_a_line_for_each_duty() {
        let now = Timestamp::from_millis(0).plus(Duration::from_secs(86_400));
        let duties = [duty(1, Timestamp::from_millis(0)), duty(2, now.plus(Duration::from_secs(86_400)))];
        let shown = of_host(duties.iter(), now, &Paint::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "  duties (`muster duties show ID`)");
        assert!(lines[1].starts_with("    1: overdue since 1970-01-01T00:00:00Z"), "{shown}");
        assert!(
            lines[2].starts_with("    2: due 1970-01-03T00:00:00Z") && lines[2].ends_with("(unconfirmed)"),
            "{shown}"
        );
        assert_eq!(of_host([].iter(), now, &Paint::plain()), "");
    }

    #[test]
    fn a_duty_shows_what_a_report_must_contain_and_how_to_finish_it() {
        let open = duty(1, Timestamp::from_millis(0));
        let shown = one(&open, Timestamp::from_millis(0));
        for part in
            ["a report must contain (1 item)", "    - contract number", "`muster duties done 1 --reference TEXT`"]
        {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        let evidence = Some(DutyEvidence { name: "report.pdf".to_owned(), sha256: "ab".repeat(32) });
        let done = DutyReport {
            state: DutyState::Done,
            overdue: false,
            settled: Some(Timestamp::from_millis(0)),
            reference: "DIBNet 7".to_owned(),
            evidence,
            ..open
        };
        let shown = one(&done, Timestamp::from_millis(0));
        assert!(
            shown.contains("DIBNet 7") && shown.contains("report.pdf") && !shown.contains("duties done"),
            "{shown}"
        );
    }

    #[test]
    fn evidence_is_the_name_of_a_file_and_the_hash_of_its_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.txt");
        std::fs::write(&path, "abc").expect("writes");
        let found = evidence(&path).expect("reads");
        // The example of FIPS 180-4.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        assert_eq!(found, DutyEvidence { name: "report.txt".to_owned(), sha256 });
        let refused = format!("{:#}", evidence(&folder.path().join("none")).expect_err("is not there"));
        assert!(refused.contains("cannot read the evidence") && refused.contains("none"), "{refused}");
    }
}
