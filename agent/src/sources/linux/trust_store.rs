//! `trust-store`: CA certificates that were added to the system's trust store. Those that the system came with are in other
//! directories and are not read.

use muster_proto::model::{Kind, Observation, SourceName};

use crate::sources::parse::certificate::parse;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

/// Where administrators add certificates: Debian, Red Hat, Arch, SUSE and derivatives.
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
const FILE_BYTES: usize = 4 * 1024 * 1024;
const DEPTH: usize = 4;

pub(in crate::sources) struct TrustStore;

impl Source for TrustStore {
    fn name(&self) -> SourceName {
        SourceName::TrustStore
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        for place in PLACES {
            directory(context, place, 0, &mut builder);
        }
        builder.finish("no directory of locally added CA certificates")
    }
}

fn directory(context: &ScanContext, dir: &str, depth: usize, builder: &mut ReadingBuilder) {
    let Some(entries) = builder.list(context, dir) else { return };
    builder.places_found += 1;
    // The tree may have any depth, and each level is a call on the stack.
    if depth > DEPTH {
        return builder.problem(format!("{dir} is nested too deeply"));
    }
    for entry in entries {
        if builder.is_full(dir) {
            return;
        }
        let path = format!("{dir}/{}", entry.name);
        if entry.is_directory {
            directory(context, &path, depth + 1, builder);
        } else if let Some(bytes) = builder.read(context, &path, FILE_BYTES) {
            file(&path, &bytes, builder);
        }
    }
}

fn file(path: &str, bytes: &[u8], builder: &mut ReadingBuilder) {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match parse(bytes) {
        Err(what) => builder.problem(format!("{path}: {what}")),
        Ok(certificates) if certificates.is_empty() => {
            // A README is no problem, but a file that claims to be a certificate must be one.
            if EXTENSIONS.contains(&extension) {
                builder.problem(format!("{path} contains no certificate"));
            }
        }
        Ok(certificates) => {
            for certificate in certificates {
                let mut observation = Observation::new(Kind::Cert, certificate.subject);
                observation.vendor = certificate.organisation;
                path.clone_into(&mut observation.path);
                builder.add(path, observation);
            }
        }
    }
}

#[cfg(all(test, unix))]
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
    fn added_certificates_are_found_in_every_directory() {
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
    fn an_unreadable_certificate_is_named() {
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
