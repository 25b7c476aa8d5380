//! After a restore: hosts that the store has lost are admitted by their certificates.
//!
//! Without this, a host that enrolled or renewed its key after the backup would be unknown for good, although its
//! certificate is valid. Only certificates of that time count, and only for a while: otherwise a stolen key of the CA would
//! be enough to pass as any host.

use muster_proto::model::{HostFacts, Timestamp};
use muster_proto::wire;

use super::Inside;
use super::refuse::Refused;
use crate::store::{Readmission, Readmitted, Restoration, StoreError};
use crate::tls::CertificateFacts;

impl Inside {
    /// The restores of this store. They are read once: a store is restored while no collector uses it.
    async fn restorations(&self) -> Result<&[Restoration], StoreError> {
        Ok(self.restorations.get_or_try_init(|| self.store.restoration_list()).await?)
    }

    /// When the store was last restored, in milliseconds; 0 if never.
    pub(super) async fn restored_at_ms(&self) -> Result<i64, StoreError> {
        let newest = self.restorations().await?.iter().map(|restored| restored.restored_at.millis()).max();
        Ok(newest.unwrap_or_default())
    }
}

/// Admits the holder of a certificate whose key is not in the store. Returns whether the key is in the store now.
pub(super) async fn readmit(
    inside: &Inside,
    certificate: &CertificateFacts,
    facts: Option<&wire::HostFacts>,
    now: Timestamp,
) -> Result<bool, Refused> {
    let (Some(host), Some(site)) = (certificate.host, certificate.site.clone()) else { return Ok(false) };
    let issued_at = certificate.issued_at();
    // First, because it costs nothing: anyone with an old certificate can send requests.
    if !inside.restorations().await?.iter().any(|restored| restored.covers(issued_at, now)) {
        return Ok(false);
    }
    let facts = facts.cloned().map(HostFacts::try_from).transpose()?;
    let readmission = Readmission { host, site, key: certificate.key, issued_at, facts, now };
    match inside.store.host_readmit(readmission).await? {
        Readmitted::Host => {
            tracing::info!(host.id = %host, "readmitted a host by its certificate: the restored store did not have its key");
            Ok(true)
        }
        // The agent sends its facts with the next check-in, as after every refusal.
        Readmitted::FactsWanted => Err(Refused::later(
            "the collector was restored from a backup and needs the facts of this host; send them with a check-in",
        )),
        Readmitted::Refused => Ok(false),
    }
}
