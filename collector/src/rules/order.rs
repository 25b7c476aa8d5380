//! An order: who demands what from whom, and by when. Data, never code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{
    Binding, Label, OrderId, OrderReport, Platform, Presence, ProductId, SiteId, SourceName, Timestamp,
};

use super::calendar::Calendar;
use super::catalogue::Catalogue;
use super::clock::Clock;
use super::layer::Layer;
use super::milestone::Milestone;
use super::named_value::NamedValue;
use super::product::Product;
use super::recurrence::Recurrence;
use super::rule_fault::RuleFault;
use super::zone::Zone;

/// How the order treats the vendor's code inside other vendors' products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedCode {
    /// It is covered.
    In,
    /// It is exempt.
    Out,
    /// The order does not say: shown, and not counted as prohibited.
    Unstated,
}

impl NamedValue for EmbeddedCode {
    const VALUES: &'static [Self] = &[Self::In, Self::Out, Self::Unstated];

    fn spelling(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Unstated => "unstated",
        }
    }
}

/// The earliest event that starts the clocks of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartsAt {
    /// The event itself, however long ago it was.
    Found,
    /// The activation of the order, if the event was before it.
    Activated,
}

impl NamedValue for StartsAt {
    const VALUES: &'static [Self] = &[Self::Found, Self::Activated];

    fn spelling(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Activated => "activated",
        }
    }
}

/// The vendors, products and hosts of an order. An empty list of platforms or sites means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Vendors by their ids.
    pub vendors: Vec<String>,
    /// Families.
    pub families: Vec<String>,
    /// Products.
    pub products: Vec<ProductId>,
    /// Products that are exempt.
    pub exempt: Vec<ProductId>,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// The sites.
    pub sites: Vec<SiteId>,
    /// Labels, one of which a host must have.
    pub labels: Vec<Label>,
}

/// The protection that an order requires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProtectionRule {
    /// The platforms on which protection is required.
    pub platforms: Vec<Platform>,
    /// The accepted products; empty accepts every product of the categories that no active order covers.
    pub approved: Vec<ProductId>,
    /// The accepted categories.
    pub categories: Vec<String>,
    /// Products that are never accepted, because active orders cover them, with the ids of those orders.
    pub excluded: BTreeMap<ProductId, Vec<OrderId>>,
}

/// When a removal is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmRule {
    /// How many complete scans without the product are needed.
    pub scans: usize,
    /// The least time between them.
    pub spacing: Duration,
    /// Whether one of them must have another boot id.
    pub new_boot: bool,
}

/// Sources of which one must be read completely and none may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The platform.
    pub platform: Platform,
    /// The sources, any of which is enough.
    pub any_of: Vec<SourceName>,
}

/// The words of the order. Under the US determination continued use is not a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// "must be replaced"
    pub must: String,
    /// "without updates since"
    pub since: String,
    /// A sentence that says what the order means for users of the product.
    pub note: String,
}

/// An order.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its id, which is also the name of its file.
    pub id: OrderId,
    /// Its title.
    pub title: String,
    /// Who issued it.
    pub issuer: String,
    /// Where it applies.
    pub jurisdiction: String,
    /// Its legal force.
    pub binding: Binding,
    /// Its citation.
    pub citation: String,
    /// Whether the order and its main dates were confirmed.
    pub confirmed: bool,
    /// Which facts are not confirmed.
    pub unconfirmed: Vec<String>,
    /// Addresses: the issuer's own text first, then other texts that state the facts.
    pub sources: Vec<String>,
    /// Whether hosts are judged under it.
    pub active: bool,
    /// Why hosts cannot be judged under it: it does not concern installed software, or the catalogue has none of its
    /// vendors. `None` if they can.
    pub not_judged: Option<String>,
    /// The time zone of its days.
    pub zone: Zone,
    /// The calendar of its business days; `None` if no clock counts them.
    pub calendar: Option<Arc<Calendar>>,
    /// Its milestones.
    pub milestones: Vec<Milestone>,
    /// Its clocks.
    pub clocks: Vec<Clock>,
    /// The earliest event that starts them.
    pub starts_at: StartsAt,
    /// Its duties that return.
    pub recurring: Vec<Recurrence>,
    /// The products and hosts that it concerns.
    pub scope: Scope,
    /// The products of the catalogue that run without being installed.
    pub portable_tools: BTreeSet<ProductId>,
    /// The presences that are prohibited.
    pub prohibits: Vec<Presence>,
    /// How it treats embedded code.
    pub embedded_code: EmbeddedCode,
    /// The protection that it requires.
    pub protection: ProtectionRule,
    /// How long a host may be silent.
    pub patience: Duration,
    /// When a removal is proven.
    pub confirm: ConfirmRule,
    /// The sources that must be read.
    pub needs: Vec<Need>,
    /// Its words.
    pub wording: Wording,
    /// The SHA-256 of its file.
    pub file_sha256: [u8; 32],
    /// The version of its rule set.
    pub rules_version: String,
    /// Where its file comes from.
    pub layer: Layer,
    /// The addendum that changed it.
    pub addendum: Option<OrderId>,
    pub(super) due: Option<String>,
    /// The milestone of the addendum that is due earlier.
    pub(super) own_due: Option<String>,
    /// Whether its file says that it replaces an order of an earlier layer.
    pub(super) replaces: bool,
    /// The line of its id.
    pub(super) id_line: usize,
    /// The id of its calendar.
    pub(super) calendar_id: Option<String>,
}

impl Order {
    /// When everything must be finished, by the order or by an earlier date of its addendum; `None` if neither has one.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.due_milestone().map(|milestone| milestone.reached)
    }

    /// The milestone that is the due one: the addendum's, if it has one.
    #[must_use]
    pub fn due_milestone(&self) -> Option<&Milestone> {
        self.own_due.as_ref().and_then(|due| self.milestone(due)).or_else(|| self.legal_due_milestone())
    }

    /// The milestone that is the due one by the order's own text. No addendum changes it.
    #[must_use]
    pub fn legal_due_milestone(&self) -> Option<&Milestone> {
        self.milestone(self.due.as_ref()?)
    }

    fn milestone(&self, id: &str) -> Option<&Milestone> {
        self.milestones.iter().find(|milestone| milestone.id == id)
    }

    /// The order as a report.
    #[must_use]
    pub fn report(&self) -> OrderReport {
        OrderReport {
            id: self.id.clone(),
            title: self.title.clone(),
            issuer: self.issuer.clone(),
            jurisdiction: self.jurisdiction.clone(),
            binding: self.binding,
            active: self.active,
            due: self.due(),
            due_confirmed: self.due_milestone().is_none_or(|milestone| milestone.confirmed),
            zone: self.zone.name().to_owned(),
            calendar: self.calendar_id.clone().unwrap_or_default(),
            milestones: self.milestones.iter().map(|milestone| milestone.report(&self.zone)).collect(),
            clocks: self.clocks.iter().map(Clock::report).collect(),
            recurring: self.recurring.iter().map(Recurrence::report).collect(),
            sources: self.sources.clone(),
            layer: self.layer.name().to_owned(),
            addendum: self.addendum.as_ref().map(OrderId::to_string).unwrap_or_default(),
            platforms: self.scope.platforms.iter().map(Platform::to_string).collect(),
            sites: self.scope.sites.iter().map(SiteId::to_string).collect(),
            labels: self.scope.labels.iter().map(Label::to_string).collect(),
            patience_ms: u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX),
            approved: self.protection.approved.iter().map(ProductId::to_string).collect(),
        }
    }

    /// Whether the order covers the product and does not exempt it.
    #[must_use]
    pub fn covers(&self, product: &Product, platform: Platform) -> bool {
        self.names(product, platform) && !self.scope.exempt.contains(&product.id)
    }

    /// Whether the order exempts a product that it would cover.
    #[must_use]
    pub fn exempts(&self, product: &Product, platform: Platform) -> bool {
        self.names(product, platform) && self.scope.exempt.contains(&product.id)
    }

    fn names(&self, product: &Product, platform: Platform) -> bool {
        self.scope.vendors.contains(&product.vendor_id)
            || self.scope.products.contains(&product.id)
            || self.scope.families.iter().any(|family| family == product.family(platform))
    }

    /// Whether the order applies to hosts of this platform and site with these labels.
    #[must_use]
    pub fn binds(&self, platform: Platform, site: &SiteId, labels: &[Label]) -> bool {
        (self.scope.platforms.is_empty() || self.scope.platforms.contains(&platform))
            && (self.scope.sites.is_empty() || self.scope.sites.contains(site))
            && (self.scope.labels.is_empty() || labels.iter().any(|label| self.scope.labels.contains(label)))
    }

    /// Whether the order needs this source on this platform, alone or as one of several.
    #[must_use]
    pub fn needs_source(&self, platform: Platform, source: SourceName) -> bool {
        self.needs.iter().any(|need| need.platform == platform && need.any_of.contains(&source))
    }

    /// Whether this presence of a covered product is prohibited.
    #[must_use]
    pub fn prohibits(&self, presence: Presence) -> bool {
        let embedded_out = presence == Presence::Embedded && self.embedded_code != EmbeddedCode::In;
        self.prohibits.contains(&presence) && !embedded_out
    }

    /// Whether the order may apply to a machine of which platform or site may be unknown, and labels are.
    #[must_use]
    pub fn may_bind(&self, platform: Option<Platform>, site: Option<&SiteId>) -> bool {
        (self.scope.platforms.is_empty() || platform.is_none_or(|platform| self.scope.platforms.contains(&platform)))
            && (self.scope.sites.is_empty() || site.is_none_or(|site| self.scope.sites.contains(site)))
    }

    /// Checks the names in the order's scope against the catalogue. Unknown names are faults, and so is an order that covers
    /// no product and does not say why.
    pub(crate) fn check(&self, catalogue: &Catalogue, file: &str, line: usize) -> Vec<RuleFault> {
        let mut faults = Vec::new();
        let mut fault = |reason: String| faults.push(RuleFault { file: file.to_owned(), line, reason });
        if let Some(id) = self.calendar_id.as_ref().filter(|_| self.calendar.is_none()) {
            fault(format!("`calendar`: there is no calendar {id:?}"));
        }
        let covered = catalogue.products().iter();
        let covered = covered.filter(|product| Platform::ALL.iter().any(|platform| self.covers(product, *platform)));
        if covered.count() == 0 && self.not_judged.is_none() {
            fault("the scope covers no product of the catalogue; add vendors, families or products, or give the reason in `not_judged`".to_owned());
        }
        for vendor in self.scope.vendors.iter().filter(|vendor| !catalogue.knows_vendor(vendor)) {
            fault(format!("no product of the catalogue has the vendor {vendor:?}"));
        }
        let lists = [&self.scope.products, &self.scope.exempt, &self.protection.approved];
        for product in lists.into_iter().flatten().filter(|product| catalogue.product(product).is_none()) {
            fault(format!("the catalogue has no product {product}"));
        }
        if self.active && self.not_judged.is_some() {
            fault("an order with `not_judged` cannot be active".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests;
