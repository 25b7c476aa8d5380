//! Attestations for readers: the list, and the one of a host, or why there is none.

use muster_proto::model::{AttestationRow, HostId, Lane, OrderId, StoredAttestation, Timestamp};

use super::{Page, ReportContext, ReportError, paging};
use crate::rules::Order;
use crate::store::admin::attestations::{self, AttestationKey};
use crate::store::{StoredHost, admin};

impl ReportContext {
    /// A page of all attestations, by host and order, oldest first. It may have fewer rows than asked for and still not be the
    /// last one.
    ///
    /// # Errors
    /// The page token is not valid, or the store failed.
    pub async fn attestations(&self, rows: usize, page: Option<&str>) -> Result<Page<AttestationRow>, ReportError> {
        let after = page.map(|token| read_token(token).ok_or(ReportError::PageToken)).transpose()?;
        let sites = self.sites.clone();
        let list = move |tx: &mut dyn admin::AdminTx| attestations::page(tx, &sites, after.as_ref(), rows);
        let (found, next) = admin::read(self.store.as_ref(), "attestation_list", list).await?;
        Ok(Page { rows: found, next: next.as_ref().map(write_token), total: None })
    }

    /// The newest attestation of a host that is `done`, and the key that verifies it. Without an order, it is the one under
    /// which the host has an attestation.
    ///
    /// # Errors
    /// [`ReportError::NotDone`] and [`ReportError::NotAttested`] say what is missing; the host or the order is unknown or
    /// ambiguous, or the store failed.
    pub async fn attestation(&self, asked: &str, order: Option<&OrderId>) -> Result<StoredAttestation, ReportError> {
        let host = self.find(asked).await?;
        let order = match order {
            Some(_) => self.orders_asked(order)?.into_iter().next(),
            None => self.only_order(&host).await?,
        };
        let order = order.ok_or_else(|| ReportError::AttestationNeedsOrder { host: host.facts.hostname.clone() })?;
        let found = self.newest(host.host, &order.id).await?;
        let verdict = self.host_report(&host, Some(&order.id)).await?.verdicts.into_iter().next();
        let Some(verdict) = verdict else { return Err(ReportError::NotActive { order: order.id.clone() }) };
        let name = host.facts.hostname.clone();
        if verdict.true_lane != Lane::Done {
            let missing = verdict.reasons.first().map(|reason| reason.text.clone()).unwrap_or_default();
            let (order, lane) = (order.id.clone(), verdict.true_lane);
            return Err(ReportError::NotDone { host: name, order, lane, missing });
        }
        if !verdict.in_scope {
            let missing = "the order does not apply to this host".to_owned();
            return Err(ReportError::NotAttested { host: name, order: order.id.clone(), missing });
        }
        let stored = host.verdicts.iter().find(|stored| stored.order == order.id);
        // An attestation of an earlier removal says nothing about this one.
        let is_attested = stored.is_some_and(|stored| stored.remediation.evidence.attested.is_some());
        let Some(envelope) = found.filter(|_| is_attested) else {
            let missing = missing_evidence(&host, order);
            return Err(ReportError::NotAttested { host: name, order: order.id.clone(), missing });
        };
        let key = admin::read(self.store.as_ref(), "seal_key_get", admin::seal::get).await?;
        Ok(StoredAttestation { envelope, verifier_key: key.unwrap_or_default() })
    }

    /// The only active order, or the only one under which the host has an attestation.
    async fn only_order(&self, host: &StoredHost) -> Result<Option<&Order>, ReportError> {
        let active = self.orders_asked(None)?;
        if let [only] = active.as_slice() {
            return Ok(Some(only));
        }
        let mut attested = Vec::new();
        for order in active {
            if self.newest(host.host, &order.id).await?.is_some() {
                attested.push(order);
            }
        }
        Ok(match attested.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }

    async fn newest(&self, host: HostId, order: &OrderId) -> Result<Option<Vec<u8>>, ReportError> {
        let order = order.clone();
        let newest = move |tx: &mut dyn admin::AdminTx| attestations::newest(tx, host, &order);
        Ok(admin::read(self.store.as_ref(), "attestation_get", newest).await?)
    }
}

/// What of the evidence the store does not have, for a host that is `done` without an attestation.
fn missing_evidence(host: &StoredHost, order: &Order) -> String {
    let stored = host.verdicts.iter().find(|verdict| verdict.order == order.id);
    let record = stored.map(|verdict| &verdict.remediation);
    let Some(missing) = record.and_then(|record| record.missing_evidence(&order.confirm)) else {
        return "the judge has not recorded its removal yet; try again in a few seconds".to_owned();
    };
    if missing.is_empty() {
        return "the judge issues it with its next judgement; try again in a few seconds".to_owned();
    }
    format!("the store has no complete evidence of the removal: {}", missing.join(", "))
}

fn write_token(key: &AttestationKey) -> String {
    paging::encode(&(key.host, &key.order, key.issued_at.millis()))
}

fn read_token(token: &str) -> Option<AttestationKey> {
    let (host, order, issued_at): (i64, OrderId, i64) = paging::decode(token)?;
    Some(AttestationKey { host, order, issued_at: Timestamp::from_millis(issued_at) })
}
