//! Tests of the decision which host is the machine of an entry.

use super::*;

fn identifiers(texts: &[(IdentifierKind, &str)]) -> BTreeSet<Identifier> {
    texts.iter().map(|(kind, text)| Identifier::new(*kind, text).expect("an identifier")).collect()
}

fn entry(texts: &[(IdentifierKind, &str)]) -> EntrySeen {
    EntrySeen { no: 1, identifiers: identifiers(texts), shared: BTreeSet::new() }
}

fn host(no: i64, texts: &[(IdentifierKind, &str)]) -> HostSeen {
    let (last_seen, enrolled_at) =
        (Timestamp::from_millis(no * 100_000), Timestamp::from_millis(no * 100_000 - 50_000));
    HostSeen { no, identifiers: identifiers(texts), last_seen, enrolled_at, matched: None, is_apart: false }
}

use IdentifierKind::{EntraObjectId, Fqdn, HardwareUuid, Mac, Name, Serial};

const UUID: &str = "33221100-5544-7766-8899-aabbccddeeff";
const SWAPPED: &str = "00112233-4455-6677-8899-aabbccddeeff";

fn why(matching: &Matching) -> Vec<(i64, CandidateReason)> {
    assert_eq!(matching.host, None);
    matching.candidates.iter().map(|candidate| (candidate.host, candidate.why)).collect()
}

#[test]
fn a_serial_number_or_uuid_that_nobody_else_has_is_certain() {
    for (of_entry, of_host) in [((Serial, "A1"), (Serial, "a1")), ((HardwareUuid, UUID), (HardwareUuid, SWAPPED))] {
        let matching = matching(&entry(&[of_entry]), &[host(7, &[of_host, (Name, "other")])]);
        assert_eq!(matching.host, Some((7, MatchBasis::Certain)));
    }
    // A new board has another UUID; the serial number of the case is the same.
    let board = host(7, &[(Serial, "A1"), (HardwareUuid, "4c4c4544-0042-3510-8056-b4c04f4e4d31")]);
    let matching = matching(&entry(&[(Serial, "A1"), (HardwareUuid, UUID)]), &[board]);
    assert_eq!(matching.host, Some((7, MatchBasis::Certain)));
}

#[test]
fn two_of_full_name_name_and_address_are_probable_and_one_is_for_a_person() {
    let of_entry = [(Name, "pc-17"), (Fqdn, "pc-17.example.org"), (Mac, "00:1b:63:84:45:e6")];
    let both = host(7, &[(Name, "pc-17"), (Mac, "00:1b:63:84:45:e6")]);
    assert_eq!(matching(&entry(&of_entry), &[both]).host, Some((7, MatchBasis::Probable)));
    let name = host(7, &[(Name, "pc-17")]);
    assert_eq!(why(&matching(&entry(&of_entry), &[name])), [(7, CandidateReason::OneIdentifier)]);
}

#[test]
fn several_hosts_that_agree_equally_well_are_for_a_person() {
    let texts = [(Name, "pc-17"), (Fqdn, "pc-17.example.org")];
    let matching = matching(&entry(&texts), &[host(7, &texts), host(8, &texts)]);
    assert_eq!(why(&matching), [(7, CandidateReason::Several), (8, CandidateReason::Several)]);
}

#[test]
fn a_serial_number_that_differs_speaks_against_names() {
    let names = [(Name, "pc-17"), (Fqdn, "pc-17.example.org"), (Serial, "A1")];
    let other = host(7, &[(Name, "pc-17"), (Fqdn, "pc-17.example.org"), (Serial, "B2")]);
    assert_eq!(why(&matching(&entry(&names), &[other])), [(7, CandidateReason::Contradiction)]);
}

#[test]
fn of_two_hosts_with_one_serial_number_the_one_seen_last_is_the_machine() {
    let serial = [(Serial, "A1")];
    let mut before = host(7, &serial);
    before.matched = Some((1, MatchBasis::Certain));
    let matching = matching(&entry(&serial), &[before, host(8, &serial)]);
    assert_eq!(matching.host, Some((8, MatchBasis::Certain)));
    let reimaged = [Candidate { host: 7, agreeing: BTreeSet::from([Serial]), why: CandidateReason::Reimaged }];
    assert_eq!(matching.candidates, reimaged);
}

#[test]
fn a_host_that_still_reports_keeps_its_entry_when_another_one_claims_its_serial_number() {
    let serial = [(Serial, "A1")];
    let mut before = host(7, &serial);
    before.matched = Some((1, MatchBasis::Certain));
    before.last_seen = Timestamp::from_millis(900_000);
    let matching = matching(&entry(&serial), &[before, host(8, &serial)]);
    assert_eq!(matching.host, Some((7, MatchBasis::Certain)));
    assert_eq!(matching.candidates[0].why, CandidateReason::Several);
}

#[test]
fn machines_of_two_domains_with_one_name_are_two() {
    let lists = BTreeMap::from([(1, known(&[(Name, "dc01"), (Fqdn, "dc01.a.example")], false))]);
    assert_eq!(entry_of(&identifiers(&[(Name, "dc01"), (Fqdn, "dc01.b.example")]), &lists), None);
    assert_eq!(entry_of(&identifiers(&[(Name, "dc01")]), &lists), Some(1));
    let taken = BTreeMap::from([(1, known(&[(Name, "pc")], true)), (2, known(&[(Name, "pc")], false))]);
    assert_eq!(entry_of(&identifiers(&[(Name, "pc")]), &taken), None, "the name is of two machines");
}

#[test]
fn an_identifier_that_several_entries_have_is_not_certain() {
    let seen = EntrySeen { shared: identifiers(&[(Serial, "A1")]), ..entry(&[(Serial, "A1")]) };
    assert_eq!(why(&matching(&seen, &[host(7, &[(Serial, "A1")])])), [(7, CandidateReason::SeveralEntries)]);
}

#[test]
fn a_host_of_another_entry_is_left_to_it_unless_that_match_was_only_probable() {
    let mut taken = host(7, &[(Serial, "A1")]);
    taken.matched = Some((2, MatchBasis::Certain));
    assert_eq!(why(&matching(&entry(&[(Serial, "A1")]), &[taken.clone()])), [(7, CandidateReason::Taken)]);
    taken.matched = Some((2, MatchBasis::ByHand));
    assert_eq!(why(&matching(&entry(&[(Serial, "A1")]), &[taken.clone()])), [(7, CandidateReason::Taken)]);
    taken.matched = Some((2, MatchBasis::Probable));
    assert_eq!(matching(&entry(&[(Serial, "A1")]), &[taken]).host, Some((7, MatchBasis::Certain)));
}

#[test]
fn a_pair_that_a_person_took_apart_is_neither_matched_nor_proposed() {
    let apart = HostSeen { is_apart: true, ..host(7, &[(Serial, "A1")]) };
    assert_eq!(matching(&entry(&[(Serial, "A1")]), &[apart]), Matching::default());
}

fn known(texts: &[(IdentifierKind, &str)], has_source: bool) -> EntryKnown {
    EntryKnown { identifiers: identifiers(texts), has_source }
}

#[test]
fn rows_of_two_lists_are_one_machine_where_they_agree() {
    let object = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let lists = BTreeMap::from([
        (1, known(&[(Name, "pc-17"), (Fqdn, "pc-17.example.org")], false)),
        (2, known(&[(Name, "pc-18"), (Serial, "B2"), (EntraObjectId, object)], false)),
        (3, known(&[(Name, "pc-19"), (Serial, "C3")], true)),
    ]);
    let of = |texts: &[(IdentifierKind, &str)]| entry_of(&identifiers(texts), &lists);
    assert_eq!(of(&[(Name, "pc-17"), (Serial, "A1")]), Some(1), "by the name, as nothing differs");
    assert_eq!(of(&[(Name, "other"), (Serial, "b2")]), Some(2), "by the serial number");
    assert_eq!(of(&[(Name, "other"), (EntraObjectId, object)]), Some(2), "by the object id");
    assert_eq!(of(&[(Name, "pc-18"), (Serial, "Z9")]), None, "the serial number differs");
    assert_eq!(of(&[(Name, "pc-19"), (Serial, "C3")]), None, "the list has a record of it already");
    assert_eq!(of(&[(Name, "new")]), None);
}

#[test]
fn a_row_that_fits_two_machines_is_a_machine_of_its_own() {
    let twins = BTreeMap::from([(1, known(&[(Name, "pc")], false)), (2, known(&[(Name, "pc")], false))]);
    assert_eq!(entry_of(&identifiers(&[(Name, "pc")]), &twins), None);
}
