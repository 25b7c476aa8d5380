//! The roster for readers.

use muster_proto::model::{EntryReport, EntryState, HostId, RosterCounts, RosterSourceReport};

use super::paging::{decode, encode};
use super::{Page, ReportContext, ReportError, board};
use crate::store::admin;
use crate::store::admin::roster::entries::{self, EntriesAsked};

/// Which entries a reader asks for, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct RosterAsked {
    /// Only those in this state; without it, all that are not closed.
    pub state: Option<EntryState>,
    /// Only those without a host, also if a person has to decide whether they have one: as many as the board counts as missing.
    pub without_host: bool,
    /// Only those with this text in a name, an identifier or an owner.
    pub text: String,
    /// Only those that some sources have and others do not.
    pub differing: bool,
    /// At most this many.
    pub rows: usize,
    /// The page, as the answer before gave it.
    pub page: Option<String>,
}

impl ReportContext {
    /// A page of entries. A reader who is bound to sites sees those of which a list says one of them.
    ///
    /// # Errors
    /// The page token is not valid, or the store failed.
    pub async fn roster(&self, asked: RosterAsked) -> Result<Page<EntryReport>, ReportError> {
        let after: Option<(String, i64)> =
            asked.page.as_deref().map(|token| decode(token).ok_or(ReportError::PageToken)).transpose()?;
        let RosterAsked { state, without_host, text, differing, rows, .. } = asked;
        let sites = self.sites.clone();
        let asked = EntriesAsked { state, without_host, text: text.to_lowercase(), differing, sites, after, rows };
        let list = move |tx: &mut dyn admin::AdminTx| entries::list(tx, &asked);
        let page = admin::read(self.store.as_ref(), "roster_list", list).await?;
        Ok(Page { rows: page.entries, next: page.next.map(|after| encode(&after)), total: None })
    }

    /// One entry.
    ///
    /// # Errors
    /// There is none with this number at the reader's sites, or the store failed.
    pub async fn roster_entry(&self, number: u64) -> Result<EntryReport, ReportError> {
        let sites = self.sites.clone();
        let get = move |tx: &mut dyn admin::AdminTx| entries::get(tx, number, &sites);
        let found = admin::read(self.store.as_ref(), "roster_get", get).await?;
        found.ok_or(ReportError::NoRosterEntry { number })
    }

    /// The entry that a host is matched with.
    ///
    /// # Errors
    /// The store failed.
    pub async fn roster_entry_of(&self, host: HostId) -> Result<Option<EntryReport>, ReportError> {
        let sites = self.sites.clone();
        let find = move |tx: &mut dyn admin::AdminTx| entries::of_host(tx, host, &sites);
        Ok(admin::read(self.store.as_ref(), "roster_of_host", find).await?)
    }

    /// How many entries the roster has in each state; `None` if there is none that counts. They are the same under every order.
    ///
    /// # Errors
    /// The store failed.
    pub async fn roster_counts(&self) -> Result<Option<RosterCounts>, ReportError> {
        // The tally is that of an order. Without one, every host waits for its judgement, and is counted all the same.
        let Some(order) = self.active_orders().into_iter().chain(&self.rules.orders).next() else { return Ok(None) };
        Ok(board::roster(&self.tally(order, &self.sites).await?))
    }

    /// The lists that were imported.
    ///
    /// # Errors
    /// The store failed.
    pub async fn roster_sources(&self) -> Result<Vec<RosterSourceReport>, ReportError> {
        Ok(admin::read(self.store.as_ref(), "roster_sources", entries::sources).await?)
    }
}
