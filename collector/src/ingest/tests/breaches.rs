//! Messages that break the contract: each is refused by the name of its field or limit, and nothing of it is kept.

use std::time::Duration;

use bytes::Bytes;
use muster_proto::model::{
    Digest, Kind, Observation, Outcome, Platform, RefusalClass, Section, Snapshot, SourceName, Timestamp,
};
use muster_proto::wire::upload_request::Part;
use muster_proto::{canonical, limits, wire};
use tonic::Code;

use super::{Lab, START, assert_refused, packages, section_part, snapshot, snapshot_part};
use crate::store::{Judgement, QueuedHost, Settlement};

const MALFORMED: (Code, RefusalClass) = (Code::InvalidArgument, RefusalClass::Malformed);
const LIMIT: (Code, RefusalClass) = (Code::ResourceExhausted, RefusalClass::Limit);

fn section_of(digest: &[u8], bytes: Vec<u8>) -> Part {
    Part::Section(wire::SectionBody { digest: Bytes::copy_from_slice(digest), canonical: bytes.into() })
}

#[tokio::test]
async fn uploads_that_break_the_contract_are_refused_by_name() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let section = packages(&["adduser"]);
    let seen = snapshot(&section);
    let bytes = canonical::section_bytes(&section);
    let header = || machine.header(1, &seen);
    let elsewhere = Section::new(Platform::Linux, SourceName::Rpm, vec![Observation::new(Kind::Rpm, "adduser")]);
    let mut lying = snapshot(&elsewhere).entries().to_vec();
    lying[0].source = SourceName::Dpkg;
    let lying = Snapshot::new(Platform::Linux, lying);
    let large = vec![b'x'; limits::SECTION_BYTES + 1];
    let mut contradictions = [&seen, &seen].map(|honest| honest.entries().to_vec());
    (contradictions[0][0].section, contradictions[1][0].outcome) = (None, Outcome::Empty);
    let [without, empty_with] = contradictions.map(|entries| Snapshot::new(Platform::Linux, entries));
    let many = std::iter::repeat_n(section_part(&section), limits::SECTIONS_PER_UPLOAD + 1);
    let cut = bytes[..bytes.len() - 1].to_vec();
    for (parts, (code, class), words) in [
        (vec![], MALFORMED, "UploadRequest.header"),
        (vec![section_part(&section)], MALFORMED, "UploadRequest.header"),
        (vec![header(), header()], MALFORMED, "UploadRequest.header"),
        (vec![header(), snapshot_part(&seen), snapshot_part(&seen)], MALFORMED, "UploadRequest.snapshot"),
        (vec![header(), Part::Snapshot(Bytes::from_static(b"MSNP"))], MALFORMED, "UploadRequest.snapshot"),
        (vec![header(), Part::Snapshot(vec![0; limits::SNAPSHOT_BYTES + 1].into())], LIMIT, "SNAPSHOT_BYTES"),
        (vec![header(), snapshot_part(&snapshot(&elsewhere))], MALFORMED, "UploadHeader.snapshot_digest"),
        (
            vec![machine.header(1, &without), snapshot_part(&without)],
            MALFORMED,
            "dpkg has the outcome found, but has no",
        ),
        (
            vec![machine.header(1, &empty_with), snapshot_part(&empty_with)],
            MALFORMED,
            "outcome empty, but has a section",
        ),
        (vec![header(), section_of(&[0; 31], bytes.clone())], MALFORMED, "SectionBody.digest"),
        (vec![header(), section_of(&[0; 32], bytes.clone())], MALFORMED, "SectionBody.digest"),
        (vec![header(), section_of(Digest::of(&cut).as_bytes(), cut)], MALFORMED, "SectionBody.canonical"),
        (vec![header(), section_of(&[0; 32], large)], LIMIT, "SECTION_BYTES"),
        (std::iter::once(header()).chain(many).collect(), LIMIT, "SECTIONS_PER_UPLOAD"),
        (vec![header(), snapshot_part(&seen), section_part(&elsewhere)], MALFORMED, "is not in the snapshot"),
        (
            vec![machine.header(1, &lying), snapshot_part(&lying), section_part(&elsewhere)],
            MALFORMED,
            "a section of rpm on linux, the snapshot says dpkg on linux",
        ),
        (vec![header(), section_of(&[0; 32], vec![b'x'; limits::MESSAGE_BYTES + 1])], LIMIT, "MESSAGE_BYTES"),
    ] {
        assert_refused(lab.upload(&machine, parts).await, code, class, &[words]);
    }
    let check = lab.store.check().await.expect("checks");
    assert_eq!((check.snapshots, check.sections), (0, 0), "nothing of it is kept");
}

#[tokio::test]
async fn an_upload_of_sections_without_a_snapshot_that_is_known_names_what_is_missing() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let section = packages(&["adduser"]);
    let parts = vec![machine.header(1, &snapshot(&section)), section_part(&section)];
    let refused = lab.upload(&machine, parts).await;
    assert_refused(refused, Code::InvalidArgument, RefusalClass::Malformed, &["UploadRequest.snapshot is missing"]);
    let parts = vec![machine.header(1, &snapshot(&section)), snapshot_part(&snapshot(&section))];
    assert!(lab.upload(&machine, parts).await.expect("uploads").accepted, "the section that came was kept");
}

#[tokio::test]
async fn check_ins_that_break_the_contract_are_refused_by_name() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let good = machine.check_in(1, &snapshot(&packages(&[])), lab.now_ms());
    let addresses =
        |n: usize, text: &str| wire::HostState { addresses: vec![text.to_owned(); n], ..wire::HostState::default() };
    let state = |state: wire::HostState| wire::CheckInRequest { state: Some(state), ..good.clone() };
    let facts = wire::HostFacts { platform: "amiga".to_owned(), ..super::facts() };
    let invisible = wire::HostFacts { os_name: "Deb\u{200b}ian".to_owned(), ..super::facts() };
    for (request, (code, class), words) in [
        (wire::CheckInRequest { run_id: Bytes::from_static(b"x"), ..good.clone() }, MALFORMED, "CheckInRequest.run_id"),
        (
            wire::CheckInRequest { snapshot_digest: Bytes::new(), ..good.clone() },
            MALFORMED,
            "CheckInRequest.snapshot_digest",
        ),
        (
            wire::CheckInRequest { fingerprint: Bytes::from_static(b"x"), ..good.clone() },
            MALFORMED,
            "CheckInRequest.fingerprint",
        ),
        (wire::CheckInRequest { facts: Some(facts), ..good.clone() }, MALFORMED, "HostFacts.platform"),
        (wire::CheckInRequest { platform: "amiga".to_owned(), ..good.clone() }, MALFORMED, "CheckInRequest.platform"),
        (state(addresses(65, "192.0.2.1")), LIMIT, "ADDRESSES_PER_HOST"),
        (state(addresses(1, "\u{1b}[2J")), MALFORMED, "HostState.addresses has control characters, invisible"),
        (state(addresses(1, "web\u{202e}1")), MALFORMED, "HostState.addresses has control characters, invisible"),
        (wire::CheckInRequest { facts: Some(invisible), ..good.clone() }, MALFORMED, "HostFacts.os_name"),
        (state(addresses(1, &"x".repeat(600))), LIMIT, "TEXT_BYTES"),
        (
            state(wire::HostState { units_outcome: 99, ..wire::HostState::default() }),
            MALFORMED,
            "HostState.units_outcome",
        ),
        (
            state(wire::HostState { realtime_outcome: 99, ..wire::HostState::default() }),
            MALFORMED,
            "HostState.realtime_outcome",
        ),
        (
            state(wire::HostState {
                realtime: vec![wire::RealtimeEvidence::default(); 129],
                ..wire::HostState::default()
            }),
            LIMIT,
            "REALTIME_PER_HOST",
        ),
        (state(addresses(64, &"x".repeat(5_000))), LIMIT, "CHECK_IN_BYTES"),
        (state(addresses(1, &"x".repeat(limits::MESSAGE_BYTES))), LIMIT, "CHECK_IN_BYTES"),
    ] {
        let outcome = lab.client.check_in(machine.calls(request)).await;
        assert_refused(outcome, code, class, &[words]);
    }
    let seen = lab.check_in(&machine, 1, &snapshot(&packages(&[]))).await.expect("the number was not used up");
    assert!(seen.snapshot_wanted);
}

#[tokio::test]
async fn uploads_are_refused_while_too_many_hosts_wait_to_be_judged_and_check_ins_are_not() {
    let mut lab = Lab::start_with(crate::config::Uploads { judge_queue: 0, ..crate::config::Uploads::default() }).await;
    let machine = lab.enrolled().await;
    let section = packages(&["kesl"]);
    let seen = snapshot(&section);
    let parts = |seq| vec![machine.header(seq, &seen), snapshot_part(&seen), section_part(&section)];
    let refused = lab.upload(&machine, parts(1)).await;
    assert_refused(refused, Code::ResourceExhausted, RefusalClass::Later, &["wait to be judged", "try again later"]);
    assert!(lab.check_in(&machine, 2, &seen).await.expect("checks in").snapshot_wanted);
    let claimed = lab.store.queue_claim(9, Timestamp::from_millis(START)).await.expect("claims");
    let judged = |host: &QueuedHost| {
        let (host, ticket) = (host.host, host.ticket);
        Judgement { host, ticket, snapshot: None, state_key: None, orders: Vec::new() }
    };
    let judgements = claimed.iter().map(judged).collect();
    lab.store.queue_settle(Settlement { judgements, ..Settlement::default() }).await.expect("settles");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while lab.upload(&machine, parts(3)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "uploads are accepted again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
