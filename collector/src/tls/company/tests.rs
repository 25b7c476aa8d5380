//! Every pair of files that cannot be used is refused with the setting and the file, and never replaces one that can.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::clock::system_now;
use crate::tls::disk::{OWNER_ONLY, PUBLIC, write_atomically};

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.crt")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }

    fn write(&self, certificate: &str, key: &str) {
        write_atomically(&self.certificate(), certificate.as_bytes(), PUBLIC).expect("written");
        write_atomically(&self.key(), key.as_bytes(), OWNER_ONLY).expect("written");
    }

    fn open(&self) -> Result<CompanyCertificate, CompanyCertificateError> {
        CompanyCertificate::open(&self.certificate(), &self.key(), system_now())
    }

    fn refused(&self) -> String {
        let refused = self.open().expect_err("refused");
        assert!(!refused.advice().is_empty());
        muster_proto::error_chain(&refused)
    }
}

/// A certificate and its key in PEM, which end after so many days; a negative number is in the past.
fn pair(days: i64) -> (String, String) {
    pair_between(-400, days)
}

/// The same, valid from and until so many days from now.
fn pair_between(from: i64, days: i64) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["muster.example".to_owned()]).expect("params");
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::days(from);
    params.not_after = now + time::Duration::days(days);
    (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

#[test]
fn a_good_pair_is_used_and_its_end_is_known() {
    let place = Place::new();
    let (certificate, key) = pair(30);
    place.write(&certificate, &key);
    let company = place.open().expect("good");
    let left = company.until().since(system_now());
    assert!(left > Duration::from_secs(29 * 86_400) && left <= Duration::from_secs(30 * 86_400), "{left:?}");
    assert!(matches!(company.reload(system_now()), CompanyReload::Unchanged));
}

#[test]
fn what_cannot_be_used_is_refused_with_setting_file_and_reason() {
    let place = Place::new();
    let (certificate, key) = pair(30);
    let (_, other) = pair(30);
    let (ended, its_key) = pair(-1);
    let file = place.certificate().display().to_string();
    let refused = place.refused();
    assert!(refused.contains(&format!("cannot read operators.certificate {file}: No such file")), "{refused}");
    for (certificate, key, text) in [
        ("", key.as_str(), format!("operators.certificate {file} has no certificate")),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            format!("{file} has a certificate that cannot be read"),
        ),
        (&certificate, "", format!("operators.key {} has no private key", place.key().display())),
        (
            &certificate,
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "it is encrypted".to_owned(),
        ),
        (
            &certificate,
            &other,
            format!("server.key does not belong to the first certificate of operators.certificate {file}"),
        ),
        (&ended, &its_key, format!("operators.certificate {file} is valid from")),
        (&"x".repeat(300_000), &key, "longer than 256 KiB".to_owned()),
    ] {
        place.write(certificate, key);
        let refused = place.refused();
        assert!(refused.contains(&text), "{text:?} is not in {refused:?}");
    }
    write_atomically(&place.certificate(), certificate.as_bytes(), PUBLIC).expect("written");
    write_atomically(&place.key(), key.as_bytes(), PUBLIC).expect("written");
    assert!(place.refused().contains("all users can read operators.key"));
}

#[test]
fn a_pair_that_cannot_be_used_leaves_the_one_before_and_is_reported_once() {
    let place = Place::new();
    let (certificate, key) = pair(30);
    place.write(&certificate, &key);
    let company = place.open().expect("good");
    let before = company.until();
    let (newer, its_key) = pair(60);
    place.write(&newer, &key);
    assert!(matches!(
        company.reload(system_now()),
        CompanyReload::Refused(CompanyCertificateError::KeyOfAnother { .. })
    ));
    assert!(company.refused().is_some_and(|reason| reason.contains("does not belong")));
    assert_eq!(company.until(), before);
    assert!(matches!(company.reload(system_now()), CompanyReload::Unchanged), "once");
    assert!(company.refused().is_some(), "until it is repaired");
    place.write(&newer, &its_key);
    assert!(matches!(company.reload(system_now()), CompanyReload::Adopted));
    assert!(company.until() > before && company.refused().is_none());
    std::fs::remove_file(place.key()).expect("removed");
    assert!(matches!(company.reload(system_now()), CompanyReload::Refused(CompanyCertificateError::File { .. })));
    place.write(&certificate, &key);
    assert!(matches!(company.reload(system_now()), CompanyReload::Adopted));
}

#[test]
fn a_pair_that_is_valid_later_is_named_once_and_used_when_its_time_has_come() {
    let place = Place::new();
    let (certificate, key) = pair(30);
    place.write(&certificate, &key);
    let company = place.open().expect("good");
    let (later, its_key) = pair_between(1, 60);
    place.write(&later, &its_key);
    let now = system_now();
    let refused = company.reload(now);
    assert!(matches!(refused, CompanyReload::Refused(CompanyCertificateError::NotValidNow { .. })), "{refused:?}");
    for seconds in [10, 20] {
        let again = company.reload(now.plus(Duration::from_secs(seconds)));
        assert!(matches!(again, CompanyReload::Unchanged), "named once: {again:?}");
    }
    assert!(company.refused().is_some_and(|reason| reason.contains("is valid from")));
    assert!(matches!(company.reload(now.plus(Duration::from_secs(2 * 86_400))), CompanyReload::Adopted));
    assert!(company.refused().is_none());
}
