//! Certificates in PEM or DER: their subjects.

use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// The subject of a certificate. Serial number and fingerprint are left out, because products create their own root on each
/// machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The whole subject, as `O=…, CN=…` in the order of the certificate.
    pub subject: String,
    /// The organisation in the subject; empty when it has none.
    pub organisation: String,
}

/// Parses every certificate in a file: one in DER, or any number in PEM with any text around them.
///
/// # Errors
/// What is wrong with the first invalid certificate. A file without certificates is valid and gives an empty list.
pub fn parse(bytes: &[u8]) -> Result<Vec<Certificate>, &'static str> {
    // 0x30 is the tag of a sequence, with which every certificate in DER begins. PEM is text.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![of_der(bytes)?]);
    }
    let text = String::from_utf8_lossy(bytes);
    let started = text.matches("-----BEGIN ").count();
    let mut blocks = 0;
    let mut found = Vec::new();
    for pem in Pem::iter_from_buffer(text.as_bytes()).take(started) {
        let pem = pem.map_err(|_| "invalid PEM block")?;
        blocks += 1;
        if matches!(pem.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") {
            found.push(of_der(&pem.contents)?);
        }
    }
    if blocks < started { Err("truncated PEM block") } else { Ok(found) }
}

fn of_der(bytes: &[u8]) -> Result<Certificate, &'static str> {
    let (_, certificate) = X509Certificate::from_der(bytes).map_err(|_| "invalid certificate")?;
    let name: &X509Name<'_> = certificate.subject();
    let organisation = name.iter_organization().find_map(|part| part.as_str().ok()).unwrap_or_default();
    Ok(Certificate { subject: name.to_string(), organisation: organisation.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate() -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "AO Kaspersky Lab");
        params.distinguished_name.push(DnType::CommonName, "Personal Root");
        params.self_signed(&KeyPair::generate().expect("a key")).expect("signed")
    }

    #[test]
    fn subject_and_organisation_are_read_from_pem_and_der() {
        let certificate = certificate();
        let expected = |all: Vec<Certificate>| {
            all.iter().all(|c| c.organisation == "AO Kaspersky Lab" && c.subject.contains("CN=Personal Root"))
        };
        let one = parse(certificate.der()).expect("DER");
        assert!(one.len() == 1 && expected(one.clone()), "{one:?}");
        let two = parse(format!("# text\n{0}between\n{0}", certificate.pem()).as_bytes()).expect("PEM");
        assert!(two.len() == 2 && expected(two.clone()), "{two:?}");
        assert_eq!(parse(b"just a note\n"), Ok(Vec::new()));
        assert_eq!(parse(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_truncated_certificate_is_an_error() {
        let (der, pem) = (certificate().der().to_vec(), certificate().pem());
        for cut in 1..der.len() {
            assert!(parse(&der[..cut]).is_err(), "DER cut at {cut}");
        }
        let end = pem.find("-----END").expect("an end");
        for cut in "-----BEGIN C".len()..end {
            assert!(parse(&pem.as_bytes()[..cut]).is_err(), "PEM cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 1..200), text in "(-----BEGIN |CERTIFICATE|-----|END|\n|MIIB){0,12}") {
            let _ = parse(&bytes);
            bytes[0] = 0x30;
            let _ = (parse(&bytes), parse(text.as_bytes()));
        }
    }
}
