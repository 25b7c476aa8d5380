//! What a filter means for a list of hosts: the order, the lanes, the silence and the sites, which indexes know, and the terms
//! that are checked host by host.

use std::collections::BTreeSet;

use muster_proto::model::{Lane, OrderId, Platform, ProductId, SiteId};

use super::{ReportContext, ReportError};
use crate::filter::{Choice, Condition, Filter, SilentMatch, Term, TextMatch};
use crate::judge::is_overdue;
use crate::rules::{Order, Product};
use crate::store::{HostFilter, HostQuery, SiteScope};

impl ReportContext {
    /// The order that a request or its filter names.
    ///
    /// # Errors
    /// They name two.
    pub(super) fn order_named(asked: Option<&OrderId>, filter: &Filter) -> Result<Option<OrderId>, ReportError> {
        match (asked, filter.order()) {
            (Some(asked), Some(named)) if asked != named => {
                Err(ReportError::TwoOrders { asked: asked.clone(), named: named.clone() })
            }
            (asked, named) => Ok(asked.or(named).cloned()),
        }
    }

    /// The query with a filter; `None` if no host can match. Terms about lanes are those of `order`, to which the query must
    /// already be limited.
    pub(super) fn narrow(&self, query: HostQuery, filter: &Filter, order: Option<&Order>) -> Option<HostQuery> {
        let mut narrowed = Narrowed { lanes: query.lanes.iter().copied().collect(), ..Narrowed::default() };
        narrowed.has_lanes = !query.lanes.is_empty();
        narrowed.silence = query.silent_only.then_some(true);
        for term in filter.terms() {
            narrowed.add(term, |lane| order.is_some_and(|order| is_overdue(order, lane, true, self.now)));
        }
        let sites = narrowed.sites.iter().fold(query.sites.clone(), |sites, one| sites.intersection(one));
        if narrowed.is_nothing || (narrowed.has_lanes && narrowed.lanes.is_empty()) {
            return None;
        }
        let filter = HostFilter { terms: narrowed.rest, products: self.products_of(order), now: self.now };
        Some(HostQuery {
            // Every lane is the same as any lane, for which there are better indexes.
            lanes: narrowed.lanes.into_iter().filter(|_| narrowed.has_lanes).collect(),
            silent_only: narrowed.silence == Some(true),
            awake_only: narrowed.silence == Some(false),
            sites,
            filter: Some(filter).filter(|filter| !filter.terms.is_empty()),
            ..query
        })
    }
}

impl ReportContext {
    /// The products that an order covers; without one, those of the catalogue.
    fn products_of(&self, order: Option<&Order>) -> Vec<ProductId> {
        let is_covered = |product: &&Product| {
            order.is_none_or(|order| Platform::ALL.iter().any(|platform| order.covers(product, *platform)))
        };
        self.rules.catalogue.products().iter().filter(is_covered).map(|product| product.id.clone()).collect()
    }
}

/// The terms of a filter by who checks them.
#[derive(Debug, Default)]
struct Narrowed {
    /// The lanes that are left, if terms or the request name lanes.
    lanes: BTreeSet<Lane>,
    has_lanes: bool,
    silence: Option<bool>,
    sites: Vec<SiteScope>,
    rest: Vec<Term>,
    /// Whether two terms exclude each other.
    is_nothing: bool,
}

impl Narrowed {
    fn add(&mut self, term: &Term, is_overdue: impl Fn(Lane) -> bool) {
        match &term.condition {
            // The query has this order already, and is limited to its scope.
            Condition::Order(_) => {}
            Condition::Lane(values) => {
                let is_named = |lane: Lane| {
                    values.iter().any(|value| match value {
                        Choice::Is(named) => *named == lane,
                        Choice::Any => true,
                        Choice::None => false,
                    })
                };
                self.keep_lanes(|lane| is_named(lane) != term.negated);
            }
            Condition::Overdue(wanted) => self.keep_lanes(|lane| (is_overdue(lane) == *wanted) != term.negated),
            Condition::Silent(SilentMatch::Yes) => self.keep_silence(!term.negated),
            Condition::Silent(SilentMatch::No) => self.keep_silence(term.negated),
            Condition::Site(values) => match named_sites(values).filter(|_| !term.negated) {
                Some(sites) => self.sites.push(SiteScope::Only(sites)),
                None => self.rest.push(term.clone()),
            },
            Condition::Silent(SilentMatch::For(..))
            | Condition::Label(_)
            | Condition::Owner(_)
            | Condition::Platform(_)
            | Condition::Os(_)
            | Condition::Name(_)
            | Condition::Serial(_)
            | Condition::Roster(_)
            | Condition::Product(_)
            | Condition::Presence(_)
            | Condition::Protection(_)
            | Condition::Agent(_)
            | Condition::LastSeen(_)
            | Condition::Since(_)
            | Condition::Enrolled(_)
            | Condition::Waiver(_)
            | Condition::Quarantined(_)
            | Condition::Search(_) => self.rest.push(term.clone()),
        }
    }

    fn keep_lanes(&mut self, is_kept: impl Fn(Lane) -> bool) {
        if !self.has_lanes {
            self.lanes = Lane::ALL.iter().copied().collect();
            self.has_lanes = true;
        }
        self.lanes.retain(|lane| is_kept(*lane));
        if self.lanes.len() == Lane::ALL.len() {
            self.has_lanes = false;
        }
    }

    fn keep_silence(&mut self, is_silent: bool) {
        self.is_nothing |= self.silence.is_some_and(|before| before != is_silent);
        self.silence = Some(is_silent);
    }
}

/// The sites of a term that names whole ids only.
fn named_sites(values: &[TextMatch]) -> Option<Vec<SiteId>> {
    let site = |value: &TextMatch| match value {
        TextMatch::Is(text) => SiteId::new(text.clone()).ok(),
        TextMatch::StartsWith(_) | TextMatch::Any | TextMatch::None => None,
    };
    values.iter().map(site).collect()
}
