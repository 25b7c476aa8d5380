//! Certificates of the trust store: those that somebody added, and not the list that Microsoft distributes.

use muster_proto::model::Outcome;
use rcgen::{CertificateParams, DnType, KeyPair};

use super::{Machine, rows};
use crate::sources::parse::windows::cert_blob::thumbprint;
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::registry::{Value, kind};
use crate::sources::windows::trust_store::trust_store;

const ROOT: &str = r"HKLM\SOFTWARE\Microsoft\SystemCertificates\ROOT\Certificates";
const AUTH_ROOT: &str = r"HKLM\SOFTWARE\Microsoft\SystemCertificates\AuthRoot";

fn der(name: &str) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "AO Kaspersky Lab");
    params.self_signed(&KeyPair::generate().expect("a key")).expect("signed").der().to_vec()
}

fn part(number: u32, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [&number.to_le_bytes()[..], &1_u32.to_le_bytes(), &length.to_le_bytes(), bytes].concat()
}

fn binary(name: &str, data: Vec<u8>) -> Value {
    Value { name: name.to_owned(), kind: kind::BINARY, data }
}

fn with(registry: MemoryRegistry, key: &str, name: &str, der: &[u8]) -> MemoryRegistry {
    registry.with_value(&format!("{key}\\{name}"), binary("Blob", [part(3, &[0; 20]), part(32, der)].concat()))
}

/// What is reported.
fn names(machine: &Machine) -> Vec<String> {
    let reading = machine.read(trust_store);
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    rows(&reading)
}

#[test]
fn certificates_are_the_part_32_of_their_values() {
    let blob = [part(3, &[0; 20]), part(32, &der("Kaspersky Anti-Virus Personal Root Certificate"))].concat();
    let with = |data: &[u8]| {
        Machine::new().with(|registry| registry.with_value(&format!("{ROOT}\\00"), binary("Blob", data.to_vec())))
    };
    let reading = with(&blob).read(trust_store);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 1));
    assert_eq!(reading.observations[0].vendor, "AO Kaspersky Lab");
    for cut in [0, 5, 31, 40, blob.len() - 1] {
        assert_eq!(with(&blob[..cut]).read(trust_store).outcome, Outcome::Failed, "cut at {cut}");
    }
}

#[test]
fn what_is_on_the_list_of_microsoft_is_left_out_wherever_it_is() {
    let [listed, own, added] = ["Listed", "Own", "Added"].map(der);
    let list = |certificates: &[&[u8]]| {
        certificates.iter().flat_map(|der| [&[0x30, 22, 0x04, 20][..], &thumbprint(der)].concat()).collect::<Vec<u8>>()
    };
    let store = format!("{AUTH_ROOT}\\Certificates");
    let machine = |encoded: Option<Vec<u8>>| {
        Machine::new().with(|registry| {
            let registry = with(registry, ROOT, "01", &listed);
            let registry = with(registry, ROOT, "02", &own);
            // The name of the key is a claim.
            let registry = with(registry, &store, "02", &listed);
            let registry = with(registry, &store, "03", &added);
            match encoded {
                Some(list) => registry.with_value(&format!("{AUTH_ROOT}\\AutoUpdate"), binary("EncodedCtl", list)),
                None => registry,
            }
        })
    };
    // Without the list nobody knows what Microsoft distributes, so only its own store is left out.
    let others = names(&machine(None));
    assert!(others.len() == 2 && others[0].contains("CN=Listed") && others[1].contains("CN=Own"), "{others:?}");
    let damaged = machine(Some(vec![0x30, 1, 2])).read(trust_store);
    assert_eq!((damaged.outcome, damaged.observations.len()), (Outcome::Partial, 2), "{}", damaged.reason);
    assert!(damaged.reason.contains("Microsoft's list of roots"), "{}", damaged.reason);
    // Somebody added a certificate there that is not on the list.
    let both = names(&machine(Some(list(&[&listed]))));
    assert!(both.len() == 2 && both[0].contains("CN=Added") && both[1].contains("CN=Own"), "{both:?}");
    let neither = names(&machine(Some(list(&[&listed, &added]))));
    assert!(neither.len() == 1 && neither[0].contains("CN=Own"), "{neither:?}");
}

#[test]
fn intermediate_certificates_and_those_of_policies_are_read_too() {
    let machine = Machine::new().with(|registry| {
        let registry = registry.with_key(ROOT);
        let registry = with(registry, r"HKLM\SOFTWARE\Microsoft\SystemCertificates\CA\Certificates", "1", &der("One"));
        let registry =
            with(registry, r"HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\Root\Certificates", "2", &der("Two"));
        with(registry, r"HKLM\SOFTWARE\Microsoft\EnterpriseCertificates\CA\Certificates", "3", &der("Three"))
    });
    let rows = names(&machine);
    let of = |name: &str| rows.iter().find(|row| row.contains(&format!("CN={name}"))).expect("reported");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(of("One").ends_with("store=intermediate") && of("Three").ends_with("store=intermediate"), "{rows:?}");
    assert!(of("Two").ends_with("scope=machine"), "{rows:?}");
}
