//! Readmission: what a certificate proves about a host or a key that a restore has lost.
//!
//! A restored store lacks the hosts that enrolled and the keys that were renewed after the backup. The CA signs only for a
//! host and a key that are in the store, or that are stored before the certificate is sent. So a certificate that was issued between the
//! backup and the restore proves what the store has lost: host, site and key. The caller checks the time.

use muster_proto::model::{HostFacts, Timestamp};

use crate::ledger::entry::Entry;
use crate::store::{Readmission, Readmitted};

/// The host that the certificate names, as it is stored. `No` is the backend's row number of a host.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct HostKeys<No> {
    pub(in crate::store) host_no: No,
    pub(in crate::store) is_revoked: bool,
    /// When the newest key of the host was given to it.
    pub(in crate::store) newest_at: Timestamp,
}

/// What a readmission writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum ReadmitDecision<'r, No> {
    /// Nothing.
    Answer(Readmitted),
    /// Mark all keys of the host as replaced, add this one as in use, and write the entry.
    AddKey { host_no: No, entry: Entry },
    /// Create the host with its key, its place in the judge queue and the ledger entry.
    Create { facts: &'r HostFacts, entry: Entry },
}

/// Decides a readmission from what is stored of the host and whether its key is known.
pub(in crate::store) fn readmit<No>(
    request: &Readmission,
    is_key_known: bool,
    host: Option<HostKeys<No>>,
) -> ReadmitDecision<'_, No> {
    use ReadmitDecision::Answer;
    if is_key_known {
        // Another request of the same host was faster.
        return Answer(Readmitted::Host);
    }
    let entry = |is_new| Entry::HostReadmitted {
        host: request.host,
        site: request.site.clone(),
        issued_at: request.issued_at,
        is_new,
    };
    match host {
        // An older key than the one that the host uses: a clone, or a machine that was restored from an old image.
        // Certificates know whole seconds only.
        Some(host) if host.is_revoked || request.issued_at < host.newest_at.whole_seconds() => {
            Answer(Readmitted::Refused)
        }
        Some(host) => ReadmitDecision::AddKey { host_no: host.host_no, entry: entry(false) },
        None => match &request.facts {
            Some(facts) => ReadmitDecision::Create { facts, entry: entry(true) },
            None => Answer(Readmitted::FactsWanted),
        },
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{HostId, KeyFingerprint, MachineIdentity, Platform, SiteId};

    use super::*;

    fn request(facts: bool) -> Readmission {
        let facts = facts.then(|| HostFacts {
            hostname: "late".to_owned(),
            platform: Platform::Linux,
            os_name: String::new(),
            kernel: String::new(),
            architecture: String::new(),
            agent_version: String::new(),
            offline_root: false,
            identity: MachineIdentity::default(),
        });
        Readmission {
            host: HostId::from_bytes([1; 16]),
            site: SiteId::new("hq").expect("a site"),
            key: KeyFingerprint::from_bytes([2; 32]),
            issued_at: Timestamp::from_millis(50_000),
            facts,
            now: Timestamp::from_millis(90_000),
        }
    }

    fn stored(is_revoked: bool, newest_at: i64) -> Option<HostKeys<i64>> {
        Some(HostKeys { host_no: 7, is_revoked, newest_at: Timestamp::from_millis(newest_at) })
    }

    fn answer(request: &Readmission, is_key_known: bool, host: Option<HostKeys<i64>>) -> Readmitted {
        match readmit(request, is_key_known, host) {
            ReadmitDecision::Answer(answer) => answer,
            other @ (ReadmitDecision::AddKey { .. } | ReadmitDecision::Create { .. }) => panic!("writes: {other:?}"),
        }
    }

    #[test]
    fn a_newer_key_of_a_known_host_is_added() {
        // The key of the store was given within the same second.
        for newest_at in [10_000, 50_900] {
            let request = request(false);
            let ReadmitDecision::AddKey { host_no: 7, entry } = readmit(&request, false, stored(false, newest_at))
            else {
                panic!("not added: {newest_at}");
            };
            assert!(matches!(entry, Entry::HostReadmitted { is_new: false, .. }));
        }
    }

    #[test]
    fn a_revoked_host_and_an_older_key_are_refused() {
        assert_eq!(answer(&request(true), false, stored(true, 10_000)), Readmitted::Refused);
        assert_eq!(answer(&request(true), false, stored(false, 51_000)), Readmitted::Refused);
    }

    #[test]
    fn a_host_that_the_store_has_lost_is_created_once_its_facts_are_known() {
        assert_eq!(answer(&request(false), false, None), Readmitted::FactsWanted);
        let request = request(true);
        let decision = readmit::<i64>(&request, false, None);
        assert!(matches!(decision, ReadmitDecision::Create { entry: Entry::HostReadmitted { is_new: true, .. }, .. }));
        assert_eq!(answer(&request, true, None), Readmitted::Host, "another request was faster");
    }
}
