//! `trust-store`: root and intermediate certificates of the machine and of its users.
//!
//! Windows fetches roots of Microsoft's own list when a program needs them, into `AuthRoot`, so the same image has other roots
//! there every day. What is on that list is left out wherever it is. Without the list, the content of `AuthRoot` is left out
//! there, and reported where it stands in another store too.
//! <https://learn.microsoft.com/windows/win32/seccrypto/system-store-locations>

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::certificate;
use crate::sources::parse::windows::cert_blob::{Thumbprint, certificate as in_blob, thumbprint, thumbprints};
use crate::sources::{ScanContext, Source, SourceReading};

const ROOT: &str = r"HKLM\SOFTWARE\Microsoft\SystemCertificates\ROOT";
const AUTH_ROOT: &str = r"HKLM\SOFTWARE\Microsoft\SystemCertificates\AuthRoot";
/// Below each of these is `Certificates`, with certificates by their thumbprints: first those of the machine itself, then those
/// of policies and of the domain.
const MACHINE: &[(&str, Store)] = &[
    (ROOT, Store::Root),
    (AUTH_ROOT, Store::Root),
    (r"HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\Root", Store::Root),
    (r"HKLM\SOFTWARE\Microsoft\EnterpriseCertificates\Root", Store::Root),
    (r"HKLM\SOFTWARE\Microsoft\SystemCertificates\CA", Store::Intermediate),
    (r"HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\CA", Store::Intermediate),
    (r"HKLM\SOFTWARE\Microsoft\EnterpriseCertificates\CA", Store::Intermediate),
];
/// Intermediate certificates of users are a cache of what they visited.
const OF_USER: &[&str] =
    &[r"Software\Microsoft\SystemCertificates\Root", r"Software\Policies\Microsoft\SystemCertificates\Root"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Root,
    Intermediate,
}

pub(super) struct TrustStore;

impl Source for TrustStore {
    fn name(&self) -> SourceName {
        SourceName::TrustStore
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, trust_store)
    }
}

/// A certificate with the key of its store.
struct Found {
    key: String,
    store: Store,
    scope: &'static str,
    der: Vec<u8>,
}

impl Found {
    fn is_in_auth_root(&self) -> bool {
        self.key.strip_prefix(AUTH_ROOT).is_some_and(|rest| rest.starts_with('\\'))
    }
}

pub(super) fn trust_store(mut reader: Reader<'_>) -> SourceReading {
    let machine = MACHINE.iter().map(|(key, store)| ((*key).to_owned(), *store, "machine"));
    let users = reader.users();
    let of_users = users
        .iter()
        .flat_map(|user| OF_USER.iter().map(|below| (format!("{}\\{below}", user.key), Store::Root, "user")));
    let mut found = Vec::new();
    for (key, store, scope) in machine.chain(of_users) {
        let key = format!("{key}\\Certificates");
        let Some(names) = reader.keys(&key) else {
            if key.strip_prefix(ROOT).is_some() {
                reader.builder.problem(format!("{key} is missing, but every Windows has it"));
            }
            continue;
        };
        reader.builder.places_found += 1;
        for name in names {
            let Some(values) = reader.values(&format!("{key}\\{name}")) else { continue };
            // A key without a certificate marks one that was deleted.
            let Some(blob) = values.get("Blob") else { continue };
            match in_blob(&blob.data) {
                Some(der) if reader.keep_text(der.len()) => {
                    found.push(Found { key: key.clone(), store, scope, der: der.to_vec() });
                }
                Some(_) => {}
                None => reader.builder.problem("cannot parse a certificate of the trust store"),
            }
        }
    }
    let listed = listed(&mut reader);
    let is_of_microsoft = |one: &Found| match &listed {
        Some(listed) => listed.contains(&thumbprint(&one.der)),
        None => one.is_in_auth_root(),
    };
    for certificate in found.iter().filter(|one| !is_of_microsoft(one)) {
        add(&mut reader, certificate);
    }
    reader.finish("this Windows has no trust store")
}

/// The thumbprints on Microsoft's list; `None` if this machine has no list.
fn listed(reader: &mut Reader<'_>) -> Option<BTreeSet<Thumbprint>> {
    let key = format!("{AUTH_ROOT}\\AutoUpdate");
    let values = reader.values(&key).unwrap_or_default();
    let listed = thumbprints(&values.get("EncodedCtl")?.data);
    if listed.is_empty() {
        reader.builder.problem(format!("cannot parse Microsoft's list of roots ({key}, EncodedCtl)"));
        return None;
    }
    Some(listed)
}

fn add(reader: &mut Reader<'_>, found: &Found) {
    let Ok(certificates) = certificate::parse(&found.der) else {
        reader.builder.problem("cannot parse a certificate of the trust store");
        return;
    };
    for certificate in certificates {
        let mut row = Observation::new(Kind::Cert, certificate.subject);
        row.vendor = certificate.organisation;
        row.attributes.insert("scope".to_owned(), found.scope.to_owned());
        if found.store == Store::Intermediate {
            row.attributes.insert("store".to_owned(), "intermediate".to_owned());
        }
        reader.add(&found.key, row);
    }
}
