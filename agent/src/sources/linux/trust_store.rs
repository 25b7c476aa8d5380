//! `trust-store`: certificates that somebody added to those that the machine trusts. The ones that came with the system
//! stand elsewhere, and are not looked at.

use muster_proto::model::{Kind, Observation, SourceName};

use super::findings::Findings;
use crate::sources::parse::certificate::parse;
use crate::sources::{ScanContext, Source, SourceReading};

/// Where certificates are added: Debian, Red Hat, Arch, SUSE and their kin.
const PLACES: &[&str] = &[
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/usr/share/pki/ca-trust-source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
    "/usr/share/ca-certificates/trust-source/anchors",
    "/etc/pki/trust/anchors",
    "/usr/share/pki/trust/anchors",
];
const EXTENSIONS: &[&str] = &["crt", "pem", "cer", "der", "p11-kit"];
const FILE_BYTES: usize = 16 * 1024 * 1024;
const DEPTH: usize = 4;

pub(in crate::sources) struct TrustStore;

impl Source for TrustStore {
    fn name(&self) -> SourceName {
        SourceName::TrustStore
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut findings = Findings::default();
        for place in PLACES {
            directory(context, place, 0, &mut findings);
        }
        findings.reading("there is no place for added certificates")
    }
}

fn directory(context: &ScanContext, dir: &str, depth: usize, findings: &mut Findings) {
    let Some(entries) = findings.list(context, dir) else { return };
    findings.places += 1;
    if depth > DEPTH {
        return findings.broken(format!("{dir} is too deep"));
    }
    for entry in entries {
        let path = format!("{dir}/{}", entry.name);
        if entry.is_directory {
            directory(context, &path, depth + 1, findings);
        } else if let Some(bytes) = findings.read(context, &path, FILE_BYTES) {
            file(&path, &bytes, findings);
        }
    }
}

fn file(path: &str, bytes: &[u8], findings: &mut Findings) {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match parse(bytes) {
        Err(what) => findings.broken(format!("{path}: {what}")),
        Ok(certificates) if certificates.is_empty() => {
            if EXTENSIONS.contains(&extension) {
                findings.broken(format!("{path} holds no certificate"));
            }
        }
        Ok(certificates) => {
            for certificate in certificates {
                let mut observation = Observation::new(Kind::Cert, certificate.subject);
                observation.vendor = certificate.organisation;
                path.clone_into(&mut observation.path);
                findings.observations.push(observation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::Outcome;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::super::canned::Canned;
    use super::*;

    fn pem(name: &str) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "AO Kaspersky Lab");
        params.self_signed(&KeyPair::generate().expect("a key")).expect("signed").pem()
    }

    #[test]
    fn added_certificates_are_found_in_every_place() {
        for place in PLACES {
            let root = Canned::new("debian").file(&format!("{}/below/own.crt", &place[1..]), pem("Root One"));
            let reading = root.file(&format!("{}/README", &place[1..]), "text").read(&TrustStore);
            assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 1), "{place}");
            let certificate = &reading.observations[0];
            assert!(certificate.name.contains("CN=Root One"), "{}", certificate.name);
            assert_eq!(certificate.vendor, "AO Kaspersky Lab");
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named() {
        let place = "usr/local/share/ca-certificates";
        for bytes in ["", "text", &pem("x")[..200]] {
            let root = Canned::new("debian").file(&format!("{place}/bad.crt"), bytes);
            let reading = root.file(&format!("{place}/good.crt"), pem("y")).read(&TrustStore);
            assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
            assert!(reading.reason.contains("bad.crt"), "{}", reading.reason);
        }
        assert_eq!(Canned::new("debian").directory(place).read(&TrustStore).outcome, Outcome::Empty);
        assert_eq!(Canned::new("debian").read(&TrustStore).outcome, Outcome::NotApplicable);
    }
}
