//! An attestation is good, and nothing like it is.

use muster_proto::model::{
    Digest, HostId, KeyFingerprint, OrderId, Outcome, Platform, Presence, ProductId, Protection, SiteId, SourceName,
    Timestamp,
};

use super::envelope::wrap;
use super::*;

fn key(origin: &str) -> SealKey {
    SealKey::read(&SealKey::generate().expect("random"), Origin::new(origin).expect("an origin")).expect("a key")
}

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + hours * 3_600_000)
}

fn proof() -> RemovalProof {
    let product = |name: &str, presence, observation: &str| RemovedProduct {
        id: ProductId::new(name).expect("an id"),
        name: name.to_owned(),
        version: "12.2".to_owned(),
        presence,
        observation: Some((SourceName::Dpkg, observation.to_owned())),
    };
    let scan = |hours| CleanScan {
        received: at(hours),
        snapshot: Digest::of(b"clean"),
        sources: vec![(SourceName::Dpkg, Outcome::Found), (SourceName::Rpm, Outcome::NotApplicable)],
    };
    RemovalProof {
        order: OrderId::new("us-test").expect("an id"),
        order_title: "A test".to_owned(),
        order_sha256: [7; 32],
        rules_version: "abc".to_owned(),
        host: HostId::from_bytes([9; 16]),
        hostname: "web-1 \"prod\"".to_owned(),
        site: SiteId::new("hq").expect("a site"),
        platform: Platform::Linux,
        protection: Protection::Approved,
        protected_by: vec![product("other", Presence::Active, "unit other [active]")],
        removed: vec![product("kesl", Presence::Active, "deb kesl 12.2 [ii]")],
        found: Found {
            first: at(-48),
            last: at(-1),
            snapshot: Digest::of(b"found"),
            sections: vec![(SourceName::Dpkg, Digest::of(b"section"))],
        },
        scans: vec![scan(0), scan(24)],
        new_boot: Some(NewBoot { before: "a".to_owned(), after: "b".to_owned(), received: at(0) }),
        scans_needed: 2,
        spacing_hours: 24,
        new_boot_needed: true,
    }
}

fn by() -> ReportedBy {
    ReportedBy { key: KeyFingerprint::of(b"key"), since: at(24), issued: at(24), waivers: Vec::new(), checkpoint: None }
}

#[test]
fn the_same_facts_give_the_same_bytes_and_they_verify_with_the_public_key_alone() {
    let key = key("muster.example.com");
    let made = seal(&key, &proof(), &by());
    assert_eq!(made, seal(&key, &proof(), &by()));
    let public: VerifierKey = key.verifier().to_string().parse().expect("valid");
    let verified = verify(&made, &public).expect("good");
    assert_eq!((verified.host, verified.order.as_str()), (proof().host.to_string(), "us-test"));
    assert_eq!((verified.origin.as_str(), verified.removed), ("muster.example.com", vec!["kesl 12.2".to_owned()]));
    assert_eq!(verified.since, at(24).to_rfc3339());
    let with_line_feed = [made.as_slice(), b"\n"].concat();
    verify(&with_line_feed, &public).expect("a text file ends with a line feed");
}

#[test]
fn every_changed_byte_and_every_shorter_file_is_refused() {
    let key = key("muster.example.com");
    let made = seal(&key, &proof(), &by());
    for at in 0..made.len() {
        for flipped in [1, 2, 32] {
            let mut changed = made.clone();
            changed[at] ^= flipped;
            assert!(verify(&changed, key.verifier()).is_err(), "byte {at} ^ {flipped} went unnoticed");
        }
        assert!(verify(&made[..at], key.verifier()).is_err(), "{at} bytes of it passed");
    }
}

#[test]
fn each_way_to_be_bad_has_its_own_message() {
    let ours = key("muster.example.com");
    let made = seal(&ours, &proof(), &by());
    let text = String::from_utf8(made.clone()).expect("text");
    let refused = |bytes: &[u8]| verify(bytes, ours.verifier()).expect_err("refused").to_string();
    assert!(refused(b"").contains("not a DSSE envelope"));
    assert!(refused(b"%PDF").contains("not a DSSE envelope"));
    let changed = text.replace("\"payload\":\"eyJ", "\"payload\":\"eyK");
    assert!(refused(changed.as_bytes()).contains("the signature does not match"), "{}", refused(changed.as_bytes()));
    let other = seal(&key("muster.example.com"), &proof(), &by());
    assert!(refused(&other).contains("signed with another key"));
    let foreign = wrap(&ours, "text/plain", b"{}");
    assert!(refused(&foreign).contains("foreign payload type \"text/plain\""));
    assert!(refused(&[made.as_slice(), b"x"].concat()).contains("trailing data: 1 bytes"));
    assert!(refused(&[made.as_slice(), b"\n\n"].concat()).contains("trailing data"));
    assert!(refused(&[made.as_slice(), made.as_slice()].concat()).contains("trailing data"));
    assert!(refused(&vec![b' '; ATTESTATION_BYTES + 1]).contains("larger than"));
    assert!(refused(text.replace(':', ": ").as_bytes()).contains("rewritten after it was signed"));
    let unsigned = format!("{}[]}}", text.split_once('[').expect("signatures").0);
    assert!(refused(unsigned.as_bytes()).contains("it has 0 signatures"));
    let statement = |text: &str| refused(&wrap(&ours, PAYLOAD_TYPE, text.as_bytes()));
    assert!(statement("[]").contains("not an in-toto statement"));
    let good = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":""}}],"predicateType":"T","predicate":{}}"#;
    assert!(statement(good).contains(r#"it states "T" and not "urn:muster:removal:1""#), "{}", statement(good));
}

#[test]
fn a_subject_that_does_not_fit_to_the_predicate_is_refused() {
    let ours = key("muster.example.com");
    let statement = String::from_utf8(super::statement::statement(&proof(), &by())).expect("text");
    let refused = |text: &str| {
        verify(&wrap(&ours, PAYLOAD_TYPE, text.as_bytes()), ours.verifier()).expect_err("refused").to_string()
    };
    let other_host = statement.replace("\"name\":\"host:", "\"name\":\"host:0");
    assert!(refused(&other_host).contains("its subject is"), "{}", refused(&other_host));
    let other_evidence = statement.replace("\"scans\":2", "\"scans\":3");
    assert!(refused(&other_evidence).contains("the SHA-256 of its evidence"), "{}", refused(&other_evidence));
}

#[test]
fn a_long_list_of_products_is_cut_and_counted() {
    let ours = key("muster.example.com");
    let mut long = proof();
    long.removed = vec![long.removed[0].clone(); 500];
    let made = seal(&ours, &long, &by());
    assert!(made.len() < ATTESTATION_BYTES / 4, "{} bytes", made.len());
    assert_eq!(verify(&made, ours.verifier()).expect("good").removed.len(), 16);
    let statement = String::from_utf8(super::statement::statement(&long, &by())).expect("text");
    assert!(statement.contains("\"removed_not_listed\":484"), "{statement}");
}

#[test]
fn a_key_that_openssl_made_signs_too_and_other_keys_are_refused() {
    // RFC 8410, section 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let read = SealKey::read(pem, Origin::new("a").expect("an origin")).expect("a key");
    assert!(verify(&seal(&read, &proof(), &by()), read.verifier()).is_ok());
    let origin = || Origin::new("a").expect("an origin");
    assert_eq!(SealKey::read("", origin()).expect_err("empty"), NotASealKey::Pem);
    let other = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    assert_eq!(SealKey::read(&other, origin()).expect_err("another kind"), NotASealKey::Kind);
}

/// The target is 50 ms for one attestation with the largest evidence that a record keeps.
#[test]
fn a_large_attestation_is_made_and_verified_in_far_less_than_fifty_milliseconds() {
    let ours = key("muster.example.com");
    let mut large = proof();
    large.removed = vec![large.removed[0].clone(); 16];
    large.scans = vec![large.scans[0].clone(); 9];
    for scan in &mut large.scans {
        scan.sources = SourceName::ALL.iter().map(|source| (*source, Outcome::NotApplicable)).collect();
    }
    let began = std::time::Instant::now();
    let made: Vec<Vec<u8>> = (0..20).map(|_| seal(&ours, &large, &by())).collect();
    let each = began.elapsed() / 20;
    let began = std::time::Instant::now();
    verify(&made[0], ours.verifier()).expect("good");
    let verified = began.elapsed();
    let text = format!("{} bytes, made in {each:?}, verified in {verified:?}", made[0].len());
    assert!(each.as_millis() < 50 && verified.as_millis() < 50, "{text}");
    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("an attestation: {text}\n")).expect("written");
}

/// A file that an earlier build made: it must verify for ever.
#[test]
fn a_recorded_attestation_is_still_good() {
    let key: VerifierKey = include_str!("../../../tests/fixtures/attestation/seal.pub").parse().expect("valid");
    let verified = verify(include_bytes!("../../../tests/fixtures/attestation/removal.json"), &key).expect("good");
    assert_eq!((verified.hostname.as_str(), verified.order.as_str()), ("web-1", "internal-removal"));
    assert_eq!(verified.removed, ["Kaspersky Endpoint Security 12.0.0-6672"]);
}
