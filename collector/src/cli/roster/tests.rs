//! Tests of what people see of the roster.

use muster_proto::model::{CandidateReport, HostId, IdentifierKind, MatchBasis, RecordReport};

use super::*;

fn entry(state: EntryState) -> EntryReport {
    let row = RosterRow {
        name: "pc-17".to_owned(),
        serial: "5CG9".to_owned(),
        owner: "Ada".to_owned(),
        ..RosterRow::default()
    };
    EntryReport {
        number: 17,
        name: "pc-17".to_owned(),
        site: None,
        platform: None,
        state,
        since: Timestamp::from_millis(0),
        listed: Timestamp::from_millis(0),
        host: None,
        hostname: String::new(),
        basis: MatchBasis::None,
        note: String::new(),
        records: vec![RecordReport { source: "ad".to_owned(), row, closed: None }],
        candidates: Vec::new(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(60_000)
}

#[test]
fn an_entry_says_what_each_list_says_and_what_can_be_done() {
    let candidate = CandidateReport {
        host: HostId::from_bytes([7; 16]),
        hostname: "PC-17".to_owned(),
        site: "hq".parse().expect("a site"),
        last_seen: Timestamp::from_millis(0),
        agreeing: vec![IdentifierKind::Name],
        why: CandidateReason::OneIdentifier,
    };
    let review = EntryReport { candidates: vec![candidate], ..entry(EntryState::Review) };
    let text = page_of_one(&review, now());
    for part in [
        "entry 17: pc-17\n",
        "to review: no host is known to be the machine, but some may be",
        "list ad\n",
        "serial number  5CG9",
        "PC-17, last seen 1970-01-01T00:00:00Z (1m ago); agrees: name; one identifier alone is not enough",
        "`muster roster match 17 HOST`",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(page_of_one(&entry(EntryState::Missing), now()).contains("`muster roster excuse 17 --reason TEXT`"));
    let table = page(&[review], true, now(), &Paint::plain());
    assert!(table.contains("perhaps PC-17") && table.contains("1 entry; `muster roster show ENTRY`"), "{table}");
    assert!(page(&[], true, now(), &Paint::plain()).contains("`muster roster import FILE --source NAME`"));
}

#[test]
fn a_row_has_as_many_cells_as_the_header() {
    assert_eq!(row(&entry(EntryState::Excused)).len(), HEADER.len());
}
