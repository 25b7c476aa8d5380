//! The roster for readers.

use muster_proto::model::{EntryReport, EntryState, HostId, RosterSourceReport};

use super::paging::{decode, encode};
use super::{Page, ReportContext, ReportError};
use crate::store::admin;
use crate::store::admin::roster::entries::{self, EntriesAsked};

/// Which entries a reader asks for, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct RosterAsked {
    /// Only those in this state; without it, all that are not closed.
    pub state: Option<EntryState>,
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
        let RosterAsked { state, text, differing, rows, .. } = asked;
        let sites = self.sites.clone();
        let asked = EntriesAsked { state, text: text.to_lowercase(), differing, sites, after, rows };
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

    /// The lists that were imported.
    ///
    /// # Errors
    /// The store failed.
    pub async fn roster_sources(&self) -> Result<Vec<RosterSourceReport>, ReportError> {
        Ok(admin::read(self.store.as_ref(), "roster_sources", entries::sources).await?)
    }
}
