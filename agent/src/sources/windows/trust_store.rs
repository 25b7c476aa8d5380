//! `trust-store`: root certificates of the machine and of its users.

use muster_proto::model::{Kind, Observation, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::certificate;
use crate::sources::{ScanContext, Source, SourceReading};

/// Below each of these are certificates by their thumbprints.
const MACHINE: &[&str] = &[
    r"HKLM\SOFTWARE\Microsoft\SystemCertificates\ROOT\Certificates",
    r"HKLM\SOFTWARE\Microsoft\SystemCertificates\AuthRoot\Certificates",
    r"HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\Root\Certificates",
    r"HKLM\SOFTWARE\Microsoft\EnterpriseCertificates\Root\Certificates",
];
const OF_USER: &[&str] = &[
    r"Software\Microsoft\SystemCertificates\Root\Certificates",
    r"Software\Policies\Microsoft\SystemCertificates\Root\Certificates",
];
/// The part of a value that is the certificate itself.
const CERTIFICATE: u32 = 32;

pub(super) struct TrustStore;

impl Source for TrustStore {
    fn name(&self) -> SourceName {
        SourceName::TrustStore
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, trust_store)
    }
}

pub(super) fn trust_store(mut reader: Reader<'_>) -> SourceReading {
    let machine = MACHINE.iter().map(|key| ((*key).to_owned(), "machine"));
    let users = reader.users();
    let of_users = users.iter().flat_map(|user| OF_USER.iter().map(|below| (format!("{}\\{below}", user.key), "user")));
    for (key, scope) in machine.chain(of_users) {
        let Some(thumbprints) = reader.keys(&key) else {
            if key == MACHINE[0] {
                reader.builder.problem(format!("{key} is missing, but every Windows has it"));
            }
            continue;
        };
        reader.builder.places_found += 1;
        for thumbprint in thumbprints {
            let Some(values) = reader.values(&format!("{key}\\{thumbprint}")) else { continue };
            // A key without a certificate marks one that was deleted.
            let Some(blob) = values.get("Blob") else { continue };
            let parsed = part(&blob.data, CERTIFICATE).ok_or("no certificate").and_then(certificate::parse);
            let Ok(certificates) = parsed else {
                reader.builder.problem("cannot parse a certificate of the trust store");
                continue;
            };
            for certificate in certificates {
                let mut row = Observation::new(Kind::Cert, certificate.subject);
                row.vendor = certificate.organisation;
                row.attributes.insert("scope".to_owned(), scope.to_owned());
                reader.add(&key, row);
            }
        }
    }
    reader.finish("this Windows has no trust store")
}

/// The part with this number. Each part has a number, a type and a length of four bytes each before it.
fn part(blob: &[u8], wanted: u32) -> Option<&[u8]> {
    let mut rest = blob;
    loop {
        let word = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        let (number, length) = (word(0)?, usize::try_from(word(8)?).ok()?);
        let bytes = rest.get(12..12_usize.checked_add(length)?)?;
        if number == wanted {
            return Some(bytes);
        }
        rest = rest.get(12 + length..)?;
    }
}
