//! Duties for readers: what is stored, with what the order in force says of it.

use std::collections::BTreeSet;

use muster_proto::model::{DutyReport, DutyState, DutySubject, HostReport, OrderId, Timestamp};

use super::paging::{decode, encode};
use super::{Page, ReportContext, ReportError};
use crate::rules::Order;
use crate::store::admin;
use crate::store::admin::duties::{self, DutyRow};

/// Duties of one order about one product or host that an explanation has.
const MOST_ABOUT: usize = 20;

/// Which duties a reader asks for, the one that is due first at the beginning.
#[derive(Debug, Clone, Default)]
pub struct DutiesAsked {
    /// Only of this order.
    pub order: Option<OrderId>,
    /// Also those that are done or closed.
    pub all: bool,
    /// At most this many.
    pub rows: usize,
    /// The page, as the answer before gave it.
    pub page: Option<String>,
}

impl ReportContext {
    /// A page of duties. A reader who is bound to sites sees those of the hosts there.
    ///
    /// # Errors
    /// The order is unknown, the page token is not valid, or the store failed.
    pub async fn duties(&self, asked: DutiesAsked) -> Result<Page<DutyReport>, ReportError> {
        let after: Option<(i64, u64)> =
            asked.page.as_deref().map(|token| decode(token).ok_or(ReportError::PageToken)).transpose()?;
        let after = after.map(|(due, number)| (Timestamp::from_millis(due), number));
        let DutiesAsked { order, all, rows, .. } = asked;
        let sites = self.sites.clone();
        let id = order.clone();
        let list = move |tx: &mut dyn admin::AdminTx| duties::list(tx, id.as_ref(), all, &sites, after, rows);
        let found = admin::read(self.store.as_ref(), "duties_list", list).await?;
        // An order that was removed from the rules may still have duties.
        let is_empty = found.duties.is_empty() && found.next.is_none() && after.is_none();
        if let Some(order) = order.filter(|_| is_empty) {
            self.known_order(&order)?;
        }
        let next = found.next.map(|(due, number)| encode(&(due.millis(), number)));
        Ok(Page { rows: found.duties.into_iter().map(|duty| self.duty_report(duty)).collect(), next, total: None })
    }

    /// One duty.
    ///
    /// # Errors
    /// There is none with this number at the reader's sites, or the store failed.
    pub async fn duty(&self, number: u64) -> Result<DutyReport, ReportError> {
        let sites = self.sites.clone();
        let get = move |tx: &mut dyn admin::AdminTx| duties::get(tx, number, &sites);
        let found = admin::read(self.store.as_ref(), "duty_get", get).await?;
        found.map(|duty| self.duty_report(duty)).ok_or(ReportError::NoDuty { number })
    }

    /// Open duties about a host, about products that were found on it, and about the orders of the report as a whole.
    pub(super) async fn duties_about(&self, host: &HostReport) -> Result<Vec<DutyReport>, ReportError> {
        let products = host.hits.iter().map(|hit| DutySubject::Product(hit.product.clone()));
        let subjects: BTreeSet<DutySubject> =
            products.chain([DutySubject::Host(host.id), DutySubject::Order]).collect();
        let in_scope = host.verdicts.iter().filter(|verdict| verdict.in_scope);
        let orders: Vec<OrderId> = in_scope.map(|verdict| verdict.order.id.clone()).collect();
        let sites = self.sites.clone();
        let find = move |tx: &mut dyn admin::AdminTx| {
            let mut found = Vec::new();
            for order in &orders {
                for subject in &subjects {
                    found.extend(duties::about(tx, order, subject, &sites, MOST_ABOUT)?);
                }
            }
            Ok(found)
        };
        let mut found = admin::read(self.store.as_ref(), "duties_about", find).await?;
        found.sort_by_key(|duty| (duty.due, duty.number));
        Ok(found.into_iter().map(|duty| self.duty_report(duty)).collect())
    }

    /// A stored duty with the words of its order.
    pub(crate) fn duty_report(&self, duty: DutyRow) -> DutyReport {
        let (what, fields, confirmed) =
            self.rules.order(duty.order.as_str()).and_then(|order| words(order, &duty.clock)).unwrap_or_default();
        DutyReport {
            number: duty.number,
            subject: duty.subject,
            hostname: duty.hostname,
            site: duty.site,
            opened: duty.opened,
            due: duty.due,
            state: duty.state,
            overdue: duty.state == DutyState::Open && duty.due <= self.now,
            settled: duty.settled,
            what,
            fields,
            confirmed,
            reference: duty.reference,
            evidence: duty.evidence,
            order: duty.order,
            clock: duty.clock,
        }
    }
}

/// What must be done, what a report must contain, and whether that is confirmed.
fn words(order: &Order, clock: &str) -> Option<(String, Vec<String>, bool)> {
    let of_clock = order.clocks.iter().find(|one| one.id == clock);
    let of_clock = of_clock.map(|one| (one.what.clone(), one.fields.clone(), one.confirmed));
    let recurring = order.recurring.iter().find(|one| one.id == clock);
    of_clock.or_else(|| recurring.map(|one| (one.what.clone(), one.fields.clone(), one.confirmed)))
}
