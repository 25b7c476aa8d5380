//! Messages that are too large, malformed or false are refused with the name of the limit or field, and nothing of them is
//! stored.

use anyhow::Result;
use bytes::Bytes;
use muster_proto::canonical;
use muster_proto::limits;
use muster_proto::model::{Digest, Kind, Observation, Platform, Section, SourceName};
use muster_proto::wire::upload_request::Part;
use muster_proto::wire::{HostState, SectionBody, UnitState};
use muster_tests::lab::Lab;
use muster_tests::player::{Player, enroll_request, section_part, snapshot_of};
use muster_tests::{door, pki};
use tonic::{Code, Status};

use super::{assert_serves, runtime};

/// Requires a refusal with all of these words in the message.
fn assert_breach(refused: Result<impl std::fmt::Debug, Status>, words: &[&str]) {
    let refused = refused.expect_err("a breach of the contract was accepted");
    assert!(
        matches!(refused.code(), Code::InvalidArgument | Code::ResourceExhausted),
        "{:?}: {}",
        refused.code(),
        refused.message()
    );
    for word in words {
        assert!(refused.message().contains(word), "{word} is not named by {:?}", refused.message());
    }
}

/// An upload of the snapshot with bytes that are not its sections.
async fn upload_instead(
    player: &mut Player,
    packages: &[&str],
    part: Part,
) -> Result<impl std::fmt::Debug + use<>, Status> {
    let (snapshot, sections) = snapshot_of(packages);
    player.check_in(&snapshot).await?;
    let parts = vec![
        player.header(&snapshot),
        Part::Snapshot(Bytes::from(canonical::snapshot_bytes(&snapshot))),
        section_part(&sections[0]),
        part,
    ];
    player.upload_parts(parts).await
}

fn section_of(bytes: Vec<u8>) -> Part {
    Part::Section(SectionBody {
        digest: Bytes::copy_from_slice(Digest::of(&bytes).as_bytes()),
        canonical: bytes.into(),
    })
}

/// A dpkg section that states this number of observations and has one byte for each.
fn counted_section(count: u64) -> Vec<u8> {
    let mut bytes = b"MSEC\x01\x01\x02".to_vec();
    let mut rest = count;
    while rest >= 0x80 {
        bytes.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn sections_beyond_a_limit_are_refused_with_the_limits_name() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "greedy").await?;
        let large = section_of(vec![b'x'; limits::SECTION_BYTES + 1]);
        assert_breach(upload_instead(&mut player, &["a"], large).await, &["SECTION_BYTES"]);
        let many = section_of(counted_section(limits::OBSERVATIONS_PER_SECTION as u64 + 1));
        assert_breach(upload_instead(&mut player, &["b"], many).await, &["OBSERVATIONS_PER_SECTION"]);
        let most = section_of(counted_section(u64::MAX));
        assert_breach(upload_instead(&mut player, &["c"], most).await, &["OBSERVATIONS_PER_SECTION"]);
        assert_serves(&lab).await
    })
}

#[test]
fn a_message_beyond_the_limit_is_refused_before_it_is_read_completely() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "gross").await?;
        let huge = section_of(vec![b'x'; limits::MESSAGE_BYTES + 1]);
        assert_breach(upload_instead(&mut player, &["d"], huge).await, &[]);
        assert_serves(&lab).await
    })
}

#[test]
fn a_section_with_a_wrong_digest_is_refused() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "liar").await?;
        let (_, sections) = snapshot_of(&["e"]);
        let honest = canonical::section_bytes(&sections[1]);
        let lie = |digest: &[u8], bytes: &[u8]| {
            Part::Section(SectionBody {
                digest: Bytes::copy_from_slice(digest),
                canonical: Bytes::copy_from_slice(bytes),
            })
        };
        let wrong = lie(Digest::of(b"another").as_bytes(), &honest);
        assert_breach(upload_instead(&mut player, &["e"], wrong).await, &["digest"]);
        let short = lie(&Digest::of(&honest).as_bytes()[..31], &honest);
        assert_breach(upload_instead(&mut player, &["e"], short).await, &["SectionBody.digest"]);
        for (what, bytes) in [
            ("empty", Vec::new()),
            ("garbage", vec![0xa5; 300]),
            ("cut", honest[..honest.len() - 1].to_vec()),
            ("longer", [honest.as_slice(), b"x"].concat()),
        ] {
            let refused = upload_instead(&mut player, &["e"], section_of(bytes)).await;
            assert!(refused.is_err(), "a section that is {what} was accepted");
            assert_breach(refused, &["section"]);
        }
        assert_serves(&lab).await
    })
}

#[test]
fn observations_out_of_order_or_duplicated_are_refused() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "untidy").await?;
        let of = |name: &str| {
            let one = Section::new(Platform::Linux, SourceName::Dpkg, vec![Observation::new(Kind::Deb, name)]);
            canonical::section_bytes(&one)[8..].to_vec()
        };
        let head = b"MSEC\x01\x01\x02\x02".to_vec();
        for pair in [["b", "a"], ["a", "a"]] {
            let bytes = [head.clone(), of(pair[0]), of(pair[1])].concat();
            assert_breach(upload_instead(&mut player, &["f"], section_of(bytes)).await, &["observation"]);
        }
        assert_serves(&lab).await
    })
}

#[test]
fn snapshots_that_are_not_canonical_are_refused() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "seer").await?;
        let (snapshot, _) = snapshot_of(&["g"]);
        player.check_in(&snapshot).await?;
        let honest = canonical::snapshot_bytes(&snapshot);
        for bytes in
            [Vec::new(), vec![0; 64], honest[..honest.len() - 1].to_vec(), vec![b'x'; limits::SNAPSHOT_BYTES + 1]]
        {
            let parts = vec![player.header(&snapshot), Part::Snapshot(Bytes::from(bytes))];
            assert_breach(player.upload_parts(parts).await, &["snapshot"]);
        }
        assert_serves(&lab).await
    })
}

#[test]
fn an_upload_needs_its_header_first_and_once() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "headless").await?;
        let (snapshot, sections) = snapshot_of(&["h"]);
        assert_breach(player.upload_parts(Vec::new()).await, &["header"]);
        assert_breach(player.upload_parts(vec![section_part(&sections[0])]).await, &["header"]);
        let header = player.header(&snapshot);
        assert_breach(player.upload_parts(vec![header.clone(), header]).await, &["header"]);
        assert_serves(&lab).await
    })
}

#[test]
fn more_sections_than_an_upload_may_have_are_refused() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "many").await?;
        let (snapshot, sections) = snapshot_of(&["i"]);
        let mut parts =
            vec![player.header(&snapshot), Part::Snapshot(Bytes::from(canonical::snapshot_bytes(&snapshot)))];
        parts.extend((0..=limits::SECTIONS_PER_UPLOAD).map(|_| section_part(&sections[1])));
        assert_breach(player.upload_parts(parts).await, &["SECTIONS_PER_UPLOAD"]);
        assert_serves(&lab).await
    })
}

#[test]
fn fields_of_a_check_in_are_checked_one_by_one() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "careless").await?;
        let (snapshot, _) = snapshot_of(&["j"]);
        let honest = player.check_in_request(&snapshot);
        let mut door = player.door.clone();

        let mut request = honest.clone();
        request.run_id = Bytes::from_static(b"abc");
        assert_breach(door.check_in(request).await, &["CheckInRequest.run_id"]);

        let mut request = honest.clone();
        request.snapshot_digest = Bytes::from_static(&[7; 31]);
        assert_breach(door.check_in(request).await, &["CheckInRequest.snapshot_digest"]);

        let mut request = honest.clone();
        if let Some(facts) = &mut request.facts {
            facts.hostname = "h".repeat(limits::HOSTNAME_BYTES + 1);
        }
        assert_breach(door.check_in(request).await, &["HOSTNAME_BYTES"]);

        let mut request = honest.clone();
        if let Some(facts) = &mut request.facts {
            facts.platform = "toaster".to_owned();
        }
        assert_breach(door.check_in(request).await, &["HostFacts.platform"]);

        let unit = UnitState { name: "kesl.service".to_owned(), active: true };
        let mut request = honest.clone();
        request.state = Some(HostState { units: vec![unit; limits::UNITS_PER_HOST + 1], ..HostState::default() });
        assert_breach(door.check_in(request).await, &["UNITS_PER_HOST"]);

        let mut request = honest;
        let long = "a".repeat(4096);
        request.state = Some(HostState { addresses: vec![long; 200], ..HostState::default() });
        assert_breach(door.check_in(request).await, &[]);
        assert_serves(&lab).await
    })
}

#[test]
fn an_enrollment_with_a_bad_certificate_request_does_not_use_up_the_token() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let token = lab.token(1, "1h")?;
        let mut stranger = door::agents(&lab.listening().agents, &lab.ca(), None).await?;
        let (_, honest) = pki::request()?;
        let mut forged = honest.clone();
        let last = forged.len() - 4;
        forged[last] ^= 0xff;
        for csr in [Vec::new(), vec![0x30; 100], vec![0x30; limits::CSR_BYTES + 1], forged] {
            let refused = stranger.enroll(enroll_request(&token, csr, "forger")).await;
            assert_breach(refused, &["certificate request"]);
        }
        let long = "t".repeat(limits::TOKEN_BYTES + 1);
        assert_breach(stranger.enroll(enroll_request(&long, honest.clone(), "windbag")).await, &["TOKEN_BYTES"]);
        // The token still has its one use.
        stranger.enroll(enroll_request(&token, honest, "patient")).await?;
        Ok(())
    })
}
