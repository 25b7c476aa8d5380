//! An order: who demands what from whom, and by when. Data, never code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_proto::model::{
    Binding, MilestoneKind, OrderId, OrderReport, Platform, Precision, Presence, ProductId, SiteId, SourceName,
    Timestamp,
};

use super::catalogue::Catalogue;
use super::named_value::NamedValue;
use super::product::Product;
use super::rule_fault::RuleFault;
use super::toml_reader::{Entries, Placed};

/// A time of an order, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// Its name within the order.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What kind of milestone it is.
    pub kind: MilestoneKind,
    /// How exactly the issuer states the time.
    pub precision: Precision,
    /// Whether it was read in a trustworthy text.
    pub confirmed: bool,
    /// What happens.
    pub what: String,
}

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
    /// Its milestones.
    pub milestones: Vec<Milestone>,
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
    /// The version of its rule set.
    pub rules_version: String,
    pub(crate) due: Option<String>,
}

impl Order {
    /// When everything must be finished; `None` if the order has no such day.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let due = self.due.as_ref()?;
        self.milestones.iter().find(|milestone| milestone.id == *due).map(|milestone| milestone.at)
    }

    /// The milestone that is the due one.
    #[must_use]
    pub fn due_milestone(&self) -> Option<&Milestone> {
        let due = self.due.as_ref()?;
        self.milestones.iter().find(|milestone| milestone.id == *due)
    }

    /// The order as a report.
    #[must_use]
    pub fn report(&self) -> OrderReport {
        let text = |milestone: &Milestone| {
            let doubt = if milestone.confirmed { "" } else { " (unconfirmed)" };
            (milestone.at, format!("{}{doubt}", milestone.what))
        };
        OrderReport {
            id: self.id.clone(),
            title: self.title.clone(),
            issuer: self.issuer.clone(),
            jurisdiction: self.jurisdiction.clone(),
            binding: self.binding,
            active: self.active,
            due: self.due(),
            milestones: self.milestones.iter().map(text).collect(),
            sources: self.sources.clone(),
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

    /// Whether the order applies to hosts of this platform and site.
    #[must_use]
    pub fn binds(&self, platform: Platform, site: &SiteId) -> bool {
        (self.scope.platforms.is_empty() || self.scope.platforms.contains(&platform))
            && (self.scope.sites.is_empty() || self.scope.sites.contains(site))
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

    /// Checks the names in the order's scope against the catalogue. Unknown names are faults, and so is an order that covers
    /// no product and does not say why.
    pub(crate) fn check(&mut self, catalogue: &Catalogue, file: &str, line: usize) -> Vec<RuleFault> {
        let mut faults = Vec::new();
        let mut fault = |reason: String| faults.push(RuleFault { file: file.to_owned(), line, reason });
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

/// Reads an order's file.
pub(crate) fn read(entries: &mut Entries<'_, '_>) -> Option<Order> {
    let id = entries.required("id");
    let id = OrderId::new(id.value).map_err(|error| entries.fault(id.line, format!("`id`: {error}"))).ok();
    let title = entries.required("title").value;
    let issuer = entries.required("issuer").value;
    let jurisdiction = entries.required("jurisdiction").value;
    let binding = entries.required_name("binding");
    let milestones: Vec<Milestone> = entries.tables("milestone", milestone).into_iter().flatten().collect();
    let due = due(entries, &milestones);
    let scope = entries.table("scope", scope).unwrap_or_default();
    let protection = entries.table("protection", protection).unwrap_or_default();
    let confirm = entries.table("confirm", confirm).unwrap_or_else(default_confirm);
    let needs = entries.table("needs", needs).unwrap_or_else(default_needs);
    let wording = entries.table("wording", wording).unwrap_or_else(default_wording);
    let mut prohibits = entries.names("prohibits");
    if prohibits.is_empty() {
        prohibits = vec![Presence::Active, Presence::Installed, Presence::ManagementOnly, Presence::Embedded];
    }
    facts_for_people(entries);
    Some(Order {
        title,
        issuer,
        jurisdiction,
        binding: binding?,
        citation: entries.text("citation").map_or_else(String::new, |text| text.value),
        confirmed: entries.flag("confirmed").unwrap_or(false),
        unconfirmed: entries.texts("unconfirmed"),
        sources: entries.texts("sources"),
        active: entries.flag("active").unwrap_or(false),
        portable_tools: BTreeSet::new(),
        not_judged: entries.text("not_judged").map(|text| text.value),
        milestones,
        scope,
        prohibits,
        embedded_code: entries.name("embedded_code").unwrap_or(EmbeddedCode::Unstated),
        protection,
        patience: patience(entries),
        confirm,
        needs,
        wording,
        rules_version: String::new(),
        due,
        id: id?,
    })
}

/// How long a host may be silent. Without a day every check-in would end a silence.
fn patience(entries: &mut Entries<'_, '_>) -> Duration {
    let patience = entries.number("patience_days").unwrap_or(7);
    if patience == 0 {
        entries.fault(entries.line(), "`patience_days` must be at least 1");
    }
    days(patience)
}

/// Asks for the keys that only people read, so that they are not reported as unknown.
fn facts_for_people(entries: &mut Entries<'_, '_>) {
    for key in ["note", "penalties", "not_a_violation", "sunset"] {
        entries.text(key);
    }
    for key in [
        "legal_basis",
        "exemptions",
        "applies_to",
        "clocks",
        "product_classes",
        "vendor_names",
        "device_classes",
        "services",
    ] {
        entries.list(key);
    }
}

fn due(entries: &mut Entries<'_, '_>, milestones: &[Milestone]) -> Option<String> {
    let Placed { value, line } = entries.text("due")?;
    if !milestones.iter().any(|milestone| milestone.id == value) {
        entries.fault(line, format!("`due`: the order has no milestone {value:?}"));
    }
    Some(value)
}

fn milestone(entries: &mut Entries<'_, '_>) -> Option<Milestone> {
    let id = entries.required("id").value;
    let at = entries.required_instant("at");
    let kind = entries.required_name("kind");
    Some(Milestone {
        id,
        precision: entries.name("precision").unwrap_or(Precision::Day),
        confirmed: entries.flag("confirmed").unwrap_or(true),
        what: entries.required("what").value,
        kind: kind?,
        at: at?,
    })
}

fn scope(entries: &mut Entries<'_, '_>) -> Scope {
    Scope {
        vendors: entries.texts("vendors"),
        families: entries.texts("families"),
        products: entries.ids("products"),
        exempt: entries.ids("exempt"),
        platforms: entries.names("platforms"),
        sites: entries.ids("sites"),
    }
}

fn protection(entries: &mut Entries<'_, '_>) -> ProtectionRule {
    let required = entries.flag("required").unwrap_or(true);
    let mut platforms: Vec<Platform> = entries.names("platforms");
    if platforms.is_empty() {
        platforms = Platform::ALL.to_vec();
    }
    // The empty list in the file means every platform; from here on it means none.
    if !required {
        platforms.clear();
    }
    let mut categories = entries.texts("categories");
    if categories.is_empty() {
        categories = vec!["antivirus".to_owned(), "edr".to_owned()];
    }
    ProtectionRule { platforms, approved: entries.ids("approved"), categories, excluded: BTreeMap::new() }
}

/// The least time between clean scans that are recorded. An order cannot require less.
pub(crate) const SCAN_SPACING: Duration = days(1);

const fn default_confirm() -> ConfirmRule {
    ConfirmRule { scans: 2, spacing: SCAN_SPACING, new_boot: true }
}

fn confirm(entries: &mut Entries<'_, '_>) -> ConfirmRule {
    let default = default_confirm();
    let scans = entries.number("scans").map_or(default.scans, |scans| usize::try_from(scans).unwrap_or(default.scans));
    let hours = entries.number("spacing_hours").unwrap_or(24);
    // A remediation record keeps eight clean scans, a day or more apart, so no order can ask for more.
    if hours < 24 || scans == 0 || scans > 8 {
        entries.fault(entries.line(), "`spacing_hours` must be at least 24, and `scans` from 1 to 8");
    }
    let new_boot = entries.flag("new_boot").unwrap_or(default.new_boot);
    ConfirmRule { scans, spacing: Duration::from_secs(hours.saturating_mul(3600)), new_boot }
}

fn wording(entries: &mut Entries<'_, '_>) -> Wording {
    let default = default_wording();
    Wording {
        must: entries.text("must").map_or(default.must, |text| text.value),
        since: entries.text("since").map_or(default.since, |text| text.value),
        note: entries.text("note").map_or(default.note, |text| text.value),
    }
}

fn default_wording() -> Wording {
    Wording { must: "must be replaced".to_owned(), since: "covered since".to_owned(), note: String::new() }
}

fn needs(entries: &mut Entries<'_, '_>) -> Vec<Need> {
    let mut needs = Vec::new();
    for platform in Platform::ALL {
        for text in entries.list(platform.name()) {
            let mut any_of = Vec::new();
            for name in text.value.split('|') {
                let name = Placed { value: name.trim().to_owned(), line: text.line };
                any_of.extend(entries.value_named::<SourceName>(platform.name(), &name));
            }
            needs.push(Need { platform: *platform, any_of });
        }
    }
    needs
}

/// The needs of an order that does not set its own. On Linux one package database is enough: agents report the system's own
/// as failed if it is missing, and `system-packages` as failed if they cannot read it.
fn default_needs() -> Vec<Need> {
    use SourceName as S;
    let need = |platform, any_of: &[SourceName]| Need { platform, any_of: any_of.to_vec() };
    vec![
        need(Platform::Linux, &[S::Dpkg, S::Rpm, S::Apk, S::Pacman, S::SystemPackages]),
        need(Platform::Linux, &[S::SystemdUnits, S::WatchPaths]),
        need(Platform::Linux, &[S::WatchPaths]),
        need(Platform::Windows, &[S::UninstallKeys]),
        need(Platform::Windows, &[S::Services]),
        need(Platform::Windows, &[S::Drivers, S::FilterDrivers]),
        need(Platform::Windows, &[S::SecurityCenter, S::Defender, S::FilterDrivers]),
        need(Platform::Macos, &[S::AppBundles]),
        need(Platform::Macos, &[S::Launchd]),
        need(Platform::Macos, &[S::SystemExtensions]),
    ]
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days.saturating_mul(24 * 3600))
}

#[cfg(test)]
mod tests;
