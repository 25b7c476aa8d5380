//! Search: which hosts have a piece of software now.

use std::sync::Arc;

use muster_proto::model::{SiteId, SoftwareReport};

use super::paging::{decode, encode};
use super::{ReportContext, ReportError, Searches};
use crate::rules::Condition;
use crate::store::{InstalledStates, SiteScope, SoftwareQuery, StoreError, VersionFilter, software_page_is_full};

/// The least number of characters in a search. One character matches half of all names.
const SHORTEST: usize = 2;

/// Which software to search for.
#[derive(Debug, Clone, Default)]
pub struct SoftwareAsked {
    /// A part of its name or vendor.
    pub text: String,
    /// Its version.
    pub version: VersionFilter,
    /// Also software whose state means that it is not installed: removed packages that left their configuration.
    pub remnants: bool,
    /// Only hosts of these sites; empty is every site.
    pub sites: Vec<SiteId>,
    /// At most this many editions.
    pub editions: usize,
    /// At most this many hosts.
    pub hosts: usize,
    /// The token of the previous page.
    pub page: Option<String>,
}

impl ReportContext {
    /// The matching software and hosts, with the token of the next page. The search has its turn among the others, and ends
    /// when this future is dropped.
    ///
    /// # Errors
    /// The search is too short, got no turn, or exceeded its budget; the page token is not valid, or the store failed.
    pub async fn software(
        &self,
        asked: SoftwareAsked,
        searches: &Searches,
    ) -> Result<(SoftwareReport, Option<String>), ReportError> {
        let text = asked.text.trim().to_owned();
        if text.chars().count() < SHORTEST {
            return Err(ReportError::TooShort { text, shortest: SHORTEST });
        }
        let after = asked.page.as_deref().map(|token| decode(token).ok_or(ReportError::PageToken)).transpose()?;
        let SoftwareAsked { version, remnants, editions, hosts, .. } = asked;
        let sites = self.sites.intersection(&SiteScope::of(&asked.sites));
        let rules = Arc::clone(&self.rules);
        let installed = InstalledStates::new(move |kind, state| {
            // A search must not hide software because nobody has listed its state.
            let condition = rules.catalogue.read_state(Some(kind), state).condition;
            matches!(condition, Condition::There | Condition::Unclear | Condition::Unlisted)
        });
        // One host more than the page has shows whether there is a next page. Without hosts, none is read.
        let wanted = if hosts == 0 { 0 } else { hosts.saturating_add(1) };
        let budget = searches.turn(&text).await?;
        // A caller who goes away drops this future, and the search must not go on for nobody.
        let _caller = budget.abandon_on_drop();
        let query = SoftwareQuery {
            text: text.clone(),
            version,
            installed,
            remnants,
            sites,
            editions,
            hosts: wanted,
            after,
            budget,
        };
        let mut found = match self.store.software_find(query).await {
            Err(StoreError::SearchStopped { stop }) => return Err(ReportError::SearchStopped { text, stop }),
            found => found?,
        };
        let is_more = found.hosts.len() > hosts || software_page_is_full(&found.hosts);
        found.hosts.truncate(hosts);
        let last = found.hosts.last().filter(|_| is_more);
        let next = last.map(|one| encode(&(one.hostname.to_ascii_lowercase(), one.id)));
        Ok((found, next))
    }
}
