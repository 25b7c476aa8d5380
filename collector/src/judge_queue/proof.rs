//! The facts of an attestation, for a host whose removal is proven. Pure.

use muster_proto::model::{Assessment, Lane, Reason, ReasonKind, Verdict};

use crate::attestation::{CleanScan, Found, NewBoot, RemovalProof, RemovedProduct};
use crate::judge::{CleanScanSeen, Remediation, RestartSeen, ScanSeen, ShownIn};
use crate::rules::Order;
use crate::store::QueuedHost;

/// The rule of a reason whose product is accepted protection and active.
const PROTECTS: &str = "protection/approved";

/// The facts, if the host is `done` under the order, all evidence of the removal is there, and the removal has not been
/// attested yet.
pub(super) fn proof(
    order: &Order,
    host: &QueuedHost,
    scan: &ScanSeen<'_>,
    assessment: &Assessment,
    record: &Remediation,
    verdict: &Verdict,
) -> Option<Box<RemovalProof>> {
    let evidence = &record.evidence;
    if verdict.lane != Lane::Done || !verdict.in_scope || evidence.attested.is_some() {
        return None;
    }
    let removal = record.removal.as_ref()?;
    if !record.missing_evidence(&order.confirm)?.is_empty() {
        return None;
    }
    let shown = evidence.shown.as_ref()?;
    let mut scans: Vec<CleanScan> = evidence.scans.iter().map(clean_scan).collect();
    // The scan that was judged: what it does not show, such as remnants, may have kept the host out of `done` before.
    if scans.last().is_none_or(|last| last.received < scan.received) {
        scans.push(clean_scan(&scan.clean()));
    }
    let was = removal.was.as_ref();
    let removed: Vec<&Reason> = match was {
        Some(was) => was.removed().collect(),
        None => shown.remnants.iter().filter(|reason| reason.kind == ReasonKind::Product).collect(),
    };
    Some(Box::new(RemovalProof {
        order: order.id.clone(),
        order_title: order.title.clone(),
        order_sha256: order.file_sha256,
        rules_version: order.rules_version.clone(),
        host: host.host,
        hostname: host.facts.hostname.clone(),
        site: host.site.clone(),
        platform: host.facts.platform,
        protection: assessment.protection,
        protected_by: products(assessment.reasons.iter().filter(|reason| reason.rule == PROTECTS)),
        removed: products(removed),
        found: found(shown, was.map_or(removal.since, |was| was.since)),
        scans,
        new_boot: evidence.restart.as_ref().map(new_boot),
        scans_needed: order.confirm.scans as u64,
        spacing_hours: order.confirm.spacing.as_secs() / 3600,
        new_boot_needed: order.confirm.new_boot,
    }))
}

fn found(shown: &ShownIn, first: muster_proto::model::Timestamp) -> Found {
    Found { first, last: shown.received, snapshot: shown.snapshot, sections: shown.sections.clone() }
}

fn clean_scan(scan: &CleanScanSeen) -> CleanScan {
    CleanScan { received: scan.received, snapshot: scan.snapshot, sources: scan.sources.clone() }
}

fn new_boot(restart: &RestartSeen) -> NewBoot {
    let RestartSeen { received, before, after } = restart.clone();
    NewBoot { before, after, received }
}

/// The products that these reasons name.
fn products<'r>(reasons: impl IntoIterator<Item = &'r Reason>) -> Vec<RemovedProduct> {
    let product = |reason: &Reason| {
        let product = reason.product.as_ref()?;
        let observation = reason.evidence.as_ref().map(|evidence| (evidence.source, evidence.to_string()));
        Some(RemovedProduct {
            id: product.id.clone(),
            name: product.name.clone(),
            version: product.version.clone(),
            presence: product.presence,
            observation,
        })
    };
    reasons.into_iter().filter_map(product).collect()
}
