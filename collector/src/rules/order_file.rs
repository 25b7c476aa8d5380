//! Reads an order from its file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_proto::model::{OrderId, Platform, Presence, SourceName};

use super::layer::Layer;
use super::milestone::{self, Milestone};
use super::order::{ConfirmRule, EmbeddedCode, Need, Order, ProtectionRule, Scope, StartsAt, Wording};
use super::toml_reader::{Entries, Placed};
use super::zone::Zone;
use super::{clock, recurrence};

/// Reads an order's file.
pub(crate) fn read(entries: &mut Entries<'_, '_>) -> Option<Order> {
    let id = entries.required("id");
    let (replaces, id_line) = (replaces(entries, &id.value), id.line);
    entries.flag("addendum");
    let id = OrderId::new(id.value).map_err(|error| entries.fault(id.line, format!("`id`: {error}"))).ok();
    let title = entries.required("title").value;
    let issuer = entries.required("issuer").value;
    let jurisdiction = entries.required("jurisdiction").value;
    let binding = entries.required_name("binding");
    let zone = zone(entries);
    let calendar_id = entries.text("calendar").map(|id| id.value);
    let milestones = entries.tables("milestone", |table| (table.line(), milestone::read(table, &zone)));
    let milestones = milestone::each_once(entries, milestones);
    let milestones: Vec<Milestone> = milestones.into_iter().map(|(_, milestone)| milestone).collect();
    let clocks = clock::read(entries, &milestones, calendar_id.as_deref());
    let recurring = recurrence::read(entries, &clocks);
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
        zone,
        calendar: None,
        milestones,
        clocks,
        starts_at: entries.name("starts-at").unwrap_or(StartsAt::Found),
        recurring,
        scope,
        prohibits,
        embedded_code: entries.name("embedded_code").unwrap_or(EmbeddedCode::Unstated),
        protection,
        patience: patience(entries).unwrap_or(PATIENCE),
        confirm,
        needs,
        wording,
        file_sha256: [0; 32],
        rules_version: String::new(),
        due,
        own_due: None,
        addendum: None,
        replaces,
        id_line,
        layer: Layer::Shipped,
        calendar_id,
        id: id?,
    })
}

/// Whether the file says that it replaces an order of an earlier layer. It can only replace the one with its own id.
fn replaces(entries: &mut Entries<'_, '_>, id: &str) -> bool {
    let Some(Placed { value, line }) = entries.text("replaces") else { return false };
    if value != id {
        entries.fault(line, format!("`replaces`: expected {id:?}, the id of this order, found {value:?}"));
    }
    true
}

/// How long a host may be silent if the order does not say it.
const PATIENCE: Duration = days(7);

/// How long a host may be silent, if the file says it. Without a day every check-in would end a silence.
pub(super) fn patience(entries: &mut Entries<'_, '_>) -> Option<Duration> {
    let patience = entries.number("patience_days")?;
    if patience == 0 {
        let line = entries.line_of("patience_days").unwrap_or_else(|| entries.line());
        entries.fault(line, "`patience_days` must be at least 1");
    }
    Some(days(patience))
}

/// Asks for the keys that only people read, so that they are not reported as unknown.
fn facts_for_people(entries: &mut Entries<'_, '_>) {
    for key in ["note", "penalties", "not_a_violation", "sunset"] {
        entries.text(key);
    }
    for key in
        ["legal_basis", "exemptions", "applies_to", "product_classes", "vendor_names", "device_classes", "services"]
    {
        entries.list(key);
    }
}

fn zone(entries: &mut Entries<'_, '_>) -> Zone {
    let Some(name) = entries.text("zone") else { return Zone::default() };
    Zone::named(&name.value).unwrap_or_else(|reason| {
        entries.fault(name.line, format!("`zone`: {reason}"));
        Zone::default()
    })
}

fn due(entries: &mut Entries<'_, '_>, milestones: &[Milestone]) -> Option<String> {
    let Placed { value, line } = entries.text("due")?;
    if !milestones.iter().any(|milestone| milestone.id == value) {
        entries.fault(line, format!("`due`: the order has no milestone {value:?}"));
    }
    Some(value)
}

fn scope(entries: &mut Entries<'_, '_>) -> Scope {
    Scope {
        vendors: entries.texts("vendors"),
        families: entries.texts("families"),
        products: entries.ids("products"),
        exempt: entries.ids("exempt"),
        platforms: entries.names("platforms"),
        sites: entries.ids("sites"),
        labels: entries.ids("labels"),
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
        // What an uninstaller leaves behind, and what was never installed by one. Appx is not among them: only LocalSystem may list
        // its folder, and what is registered there is in the registry.
        need(Platform::Windows, &[S::UninstallKeys, S::Msi, S::Registry, S::WatchPaths]),
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
