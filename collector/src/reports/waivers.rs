//! Waivers and dispositions for readers.

use std::time::Duration;

use muster_proto::model::{DispositionReport, OrderId, WaiverReport};

use super::{Page, ReportContext, ReportError};
use crate::store::admin::{self, dispositions, waivers};

/// Which waivers a list has.
#[derive(Debug, Clone, Default)]
pub struct WaiversAsked {
    /// Only of this order.
    pub order: Option<OrderId>,
    /// Also those that are over or were refused.
    pub all: bool,
    /// Only those in force that end within this time.
    pub ending: Option<Duration>,
    /// At most this many.
    pub rows: usize,
    /// The token of an earlier page.
    pub page: Option<String>,
}

impl ReportContext {
    /// Waivers, the one that ends first at the beginning.
    ///
    /// # Errors
    /// There is no such order, the page token is not valid, or the store failed.
    pub async fn waivers(&self, asked: WaiversAsked) -> Result<Page<WaiverReport>, ReportError> {
        if let Some(order) = &asked.order {
            self.known_order(order)?;
        }
        let query = waivers::ListAsked {
            order: asked.order,
            all: asked.all,
            ending_before: asked.ending.map(|within| self.now.plus(within)),
            sites: self.sites.clone(),
            now: self.now,
            after: asked.page.as_deref().map(place).transpose()?,
            rows: asked.rows,
        };
        let list = move |tx: &mut dyn admin::AdminTx| waivers::list(tx, &query);
        let page = admin::read(self.store.as_ref(), "waiver_list", list).await?;
        let next = page.next.map(|(until, number)| format!("{until}.{number}"));
        Ok(Page { rows: page.rows, next, total: None })
    }

    /// One waiver with at most so many of its hosts and the lanes of all, and the token of the next page of hosts.
    ///
    /// # Errors
    /// There is none with this number, the page token is not valid, or the store failed.
    pub async fn waiver(
        &self,
        number: u64,
        rows: usize,
        page: Option<&str>,
    ) -> Result<(WaiverReport, Option<String>), ReportError> {
        let (sites, now) = (self.sites.clone(), self.now);
        let after = page.map_or(Ok(0), str::parse::<i64>).map_err(|_| ReportError::PageToken)?;
        let shown = waivers::HostsShown { rows, after };
        let get = move |tx: &mut dyn admin::AdminTx| waivers::get(tx, number, shown, &sites, now);
        let found = admin::read(self.store.as_ref(), "waiver_get", get).await?;
        let found = found.ok_or(ReportError::NoWaiver { number })?;
        Ok((found.report, found.next.map(|after| after.to_string())))
    }

    /// Dispositions, newest first: those that wait for a second person, or all.
    ///
    /// # Errors
    /// The page token is not valid, or the store failed.
    pub async fn dispositions(
        &self,
        all: bool,
        rows: usize,
        page: Option<&str>,
    ) -> Result<Page<DispositionReport>, ReportError> {
        let before = page.map(str::parse::<u64>).transpose().map_err(|_| ReportError::PageToken)?;
        let sites = self.sites.clone();
        let list = move |tx: &mut dyn admin::AdminTx| dispositions::list(tx, all, &sites, before, rows);
        let (rows, next) = admin::read(self.store.as_ref(), "disposition_list", list).await?;
        Ok(Page { rows, next: next.map(|number| number.to_string()), total: None })
    }

    /// One disposition.
    ///
    /// # Errors
    /// There is none with this number, or the store failed.
    pub async fn disposition(&self, number: u64) -> Result<DispositionReport, ReportError> {
        let find = move |tx: &mut dyn admin::AdminTx| dispositions::find(tx, number);
        let found = admin::read(self.store.as_ref(), "disposition_get", find).await?;
        found.and_then(|found| found.within(&self.sites)).ok_or(ReportError::NoDisposition { number })
    }
}

/// The place of a page: the end and the number of the last waiver before it.
fn place(token: &str) -> Result<(i64, i64), ReportError> {
    let (until, number) = token.split_once('.').ok_or(ReportError::PageToken)?;
    let read = |text: &str| text.parse::<i64>().map_err(|_| ReportError::PageToken);
    Ok((read(until)?, read(number)?))
}
