//! The in-toto Statement v1 of an attestation. `deploy/VERIFY.md` describes every field.

use muster_proto::limits;
use muster_proto::model::{Lane, clean_text};
use serde_json::{Value, json};

use super::hex::{hex, sha256_hex};
use super::json::spelled;
use super::proof::{CleanScan, NewBoot, RemovalProof, RemovedProduct, ReportedBy, WaivedTime};

/// The type of a Statement v1: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The type of the predicate: that a product was removed from a host.
pub const PREDICATE_TYPE: &str = "urn:muster:removal:1";

/// What an attestation rests on, in every one.
pub const AS_REPORTED: &str = "as reported by the agent under this key";

/// Most products that a list of an attestation names. Members `…_not_listed` count the others.
const PRODUCTS: usize = 16;

/// Most waivers that an attestation names.
const WAIVERS: usize = 16;

/// The bytes that are signed.
pub(super) fn statement(proof: &RemovalProof, by: &ReportedBy) -> Vec<u8> {
    let evidence = evidence(proof);
    let subject = json!([{
        "name": format!("host:{}", proof.host),
        "digest": { "sha256": sha256_hex(spelled(&evidence).as_bytes()) },
    }]);
    let predicate = json!({
        "basis": AS_REPORTED,
        "evidence": evidence,
        "host": {
            "id": proof.host.to_string(),
            "key": hex(by.key.as_bytes()),
            "name": proof.hostname,
            "platform": proof.platform.name(),
            "site": proof.site.as_str(),
        },
        "issued": by.issued.to_rfc3339(),
        "ledger": by.checkpoint.as_ref().map(|note| json!({ "checkpoint": note })),
        "lane": { "name": Lane::Done.name(), "since": by.since.to_rfc3339() },
        "order": {
            "id": proof.order.as_str(),
            "sha256": hex(&proof.order_sha256),
            "title": cut(&proof.order_title),
        },
        "protection": {
            "products": products(&proof.protected_by),
            "products_not_listed": not_listed(&proof.protected_by),
            "state": proof.protection.name(),
        },
        "rules": proof.rules_version,
        "waivers": by.waivers.iter().take(WAIVERS).map(waiver).collect::<Vec<_>>(),
        "waivers_not_listed": by.waivers.len().saturating_sub(WAIVERS),
    });
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": subject,
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    });
    spelled(&statement).into_bytes()
}

/// The part whose SHA-256 is the digest of the subject.
fn evidence(proof: &RemovalProof) -> Value {
    let found = &proof.found;
    let sections =
        found.sections.iter().map(|(source, section)| (source.name().to_owned(), section.to_string().into()));
    json!({
        "found": {
            "first": found.first.to_rfc3339(),
            "last": found.last.to_rfc3339(),
            "sections": Value::Object(sections.collect()),
            "snapshot": found.snapshot.to_string(),
        },
        "new_boot": proof.new_boot.as_ref().map(new_boot),
        "needed": {
            "new_boot": proof.new_boot_needed,
            "scans": proof.scans_needed,
            "spacing_hours": proof.spacing_hours,
        },
        "removed": products(&proof.removed),
        "removed_not_listed": not_listed(&proof.removed),
        "scans": proof.scans.iter().map(scan).collect::<Vec<_>>(),
    })
}

fn scan(scan: &CleanScan) -> Value {
    let sources = scan.sources.iter().map(|(source, outcome)| (source.name().to_owned(), outcome.name().into()));
    json!({
        "received": scan.received.to_rfc3339(),
        "snapshot": scan.snapshot.to_string(),
        "sources": Value::Object(sources.collect()),
    })
}

fn waiver(waived: &WaivedTime) -> Value {
    json!({
        "from": waived.from.to_rfc3339(),
        "number": waived.number,
        "reason": waived.reason.name(),
        "self_approved": waived.is_self_approved,
        "until": waived.until.to_rfc3339(),
    })
}

fn new_boot(boot: &NewBoot) -> Value {
    json!({ "after": boot.after, "before": boot.before, "received": boot.received.to_rfc3339() })
}

fn products(products: &[RemovedProduct]) -> Vec<Value> {
    let product = |product: &RemovedProduct| {
        let (source, observation) = product.observation.as_ref().map(|(source, text)| (source.name(), text)).unzip();
        json!({
            "id": product.id.as_str(),
            "name": cut(&product.name),
            "observation": observation.map(|text| cut(text)),
            "presence": product.presence.name(),
            "source": source,
            "version": cut(&product.version),
        })
    };
    products.iter().take(PRODUCTS).map(product).collect()
}

/// A text of a host or of an order, so short that every attestation can be verified.
fn cut(text: &str) -> String {
    clean_text(text, limits::TEXT_BYTES)
}

const fn not_listed(products: &[RemovedProduct]) -> usize {
    products.len().saturating_sub(PRODUCTS)
}
