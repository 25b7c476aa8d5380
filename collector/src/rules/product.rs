//! A product of the catalogue and its recognisers. Each product is one file, edited by analysts.

use muster_proto::model::{Kind, Platform, ProductId, ProductReport};

use super::named_value::NamedValue;
use super::recogniser::{self, Recogniser};
use super::sign::{Freshness, Realtime, freshness, realtime};
use super::text::fold;
use super::toml_reader::{Entries, Placed};

/// What a product detects with, which decides whether its age matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetectionContent {
    /// Signature databases that age.
    Signatures,
    /// A content package that ages.
    ContentPackage,
    /// Machine learning in a cloud; age does not matter.
    CloudMl,
    /// The operator's own rules.
    Rules,
    /// The operating system updates it.
    OsManaged,
    /// Nothing.
    None,
}

impl DetectionContent {
    /// Whether stale content means that the product does not protect.
    #[must_use]
    pub const fn ages(self) -> bool {
        matches!(self, Self::Signatures | Self::ContentPackage)
    }
}

impl NamedValue for DetectionContent {
    const VALUES: &'static [Self] =
        &[Self::Signatures, Self::ContentPackage, Self::CloudMl, Self::Rules, Self::OsManaged, Self::None];

    fn spelling(self) -> &'static str {
        match self {
            Self::Signatures => "signatures",
            Self::ContentPackage => "content-package",
            Self::CloudMl => "cloud-ml",
            Self::Rules => "rules",
            Self::OsManaged => "os-managed",
            Self::None => "none",
        }
    }
}

/// A product of the catalogue.
#[derive(Debug, Clone)]
pub struct Product {
    /// Its id, which is also the name of its file.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// Its vendor's name.
    pub vendor: String,
    /// Its vendor's id: the name in lower case with dashes, unless the file sets another.
    pub vendor_id: String,
    /// `antivirus`, `edr`, `management`, …
    pub category: String,
    /// Its families: per platform where they differ, and without platform for all others.
    pub families: Vec<(Option<Platform>, String)>,
    /// Other names.
    pub aliases: Vec<String>,
    /// What it detects with.
    pub detection_content: DetectionContent,
    /// Whether it is another vendor's product that contains this vendor's code.
    pub white_label: bool,
    /// The date of the last change of its recognisers, as 20261123.
    pub revised: u64,
    /// Where the facts come from.
    pub sources: Vec<String>,
    /// A note for analysts.
    pub note: String,
    /// Its recognisers.
    pub recognisers: Vec<Recogniser>,
    /// Signs of real-time protection.
    pub realtime: Vec<Realtime>,
    /// Where the age of its signatures is read.
    pub freshness: Vec<Freshness>,
    /// How old its signatures may be, in days.
    pub fresh_days: u64,
    /// The file that it was read from, as faults name it.
    pub(crate) file: String,
    /// Uninstall commands for kinds where the general command does not work.
    pub uninstall: Vec<(Kind, String)>,
}

/// The category of the storage of container engines.
const CONTAINER_STORAGE: &str = "container-storage";

impl Product {
    /// The family on a platform.
    #[must_use]
    pub fn family(&self, platform: Platform) -> &str {
        let exact = self.families.iter().find(|(of, _)| *of == Some(platform));
        exact.or_else(|| self.families.iter().find(|(of, _)| of.is_none())).map_or("", |(_, family)| family)
    }

    /// Whether it is a place that agents do not read and no software, so that it is in no list of software.
    #[must_use]
    pub fn is_only_a_place(&self) -> bool {
        self.category == CONTAINER_STORAGE
    }

    /// The product as a report; with all recognisers as text if `details` is set.
    #[must_use]
    pub fn report(&self, details: bool) -> ProductReport {
        let mut families: Vec<&str> = self.families.iter().map(|(_, family)| family.as_str()).collect();
        families.dedup();
        ProductReport {
            id: self.id.clone(),
            name: self.name.clone(),
            vendor: self.vendor.clone(),
            category: self.category.clone(),
            family: families.join(", "),
            platforms: self.platforms(),
            recognisers: self.recognisers.len() as u64,
            details: if details { self.recognisers.iter().map(Recogniser::describe).collect() } else { Vec::new() },
        }
    }

    /// The platforms for which it has recognisers.
    #[must_use]
    pub fn platforms(&self) -> Vec<Platform> {
        let holds = |platform: &&Platform| self.recognisers.iter().any(|one| one.platforms.contains(platform));
        Platform::ALL.iter().filter(holds).copied().collect()
    }
}

/// Reads a product's file.
pub(crate) fn read(entries: &mut Entries<'_, '_>) -> Option<Product> {
    let id = product_id(entries);
    let name = entries.required("name").value;
    let vendor = entries.required("vendor").value;
    let vendor_id = entries.text("vendor_id").map_or_else(|| slug(&vendor), |text| text.value);
    let category = entries.required("category").value;
    let families = families(entries);
    let detection_content = entries.name("detection_content").unwrap_or(DetectionContent::None);
    let mut number = 0;
    let recognisers = entries.tables("recogniser", |entries| {
        number += 1;
        recogniser::read(entries, number)
    });
    if recognisers.is_empty() {
        entries.fault(entries.line(), "the product has no [[recogniser]], so it can never be recognised");
    }
    let uninstall = entries.table("uninstall", uninstall).unwrap_or_default();
    Some(Product {
        name,
        vendor,
        vendor_id,
        category,
        families,
        aliases: entries.texts("aliases"),
        detection_content,
        white_label: entries.flag("white_label").unwrap_or(false),
        revised: entries.date("revised").unwrap_or(20_261_123),
        sources: entries.texts("sources"),
        note: entries.text("note").map_or_else(String::new, |text| text.value),
        recognisers: recognisers.into_iter().flatten().collect(),
        realtime: entries.tables("realtime", realtime).into_iter().flatten().collect(),
        freshness: entries.tables("freshness", freshness).into_iter().flatten().collect(),
        fresh_days: entries.number("fresh_days").unwrap_or(7),
        uninstall,
        file: entries.file().to_owned(),
        id: id?,
    })
}

fn product_id(entries: &mut Entries<'_, '_>) -> Option<ProductId> {
    let text = entries.required("id");
    if text.value.is_empty() {
        return None;
    }
    ProductId::new(text.value).map_err(|error| entries.fault(text.line, format!("`id`: {error}"))).ok()
}

fn families(entries: &mut Entries<'_, '_>) -> Vec<(Option<Platform>, String)> {
    let mut families = Vec::new();
    if let Some(family) = entries.text("family") {
        families.push((None, family.value));
    }
    let by_platform = entries.table("families", |table| {
        let mut families = Vec::new();
        for platform in Platform::ALL {
            if let Some(family) = table.text(platform.name()) {
                families.push((Some(*platform), family.value));
            }
        }
        families
    });
    families.extend(by_platform.unwrap_or_default());
    families
}

fn uninstall(entries: &mut Entries<'_, '_>) -> Vec<(Kind, String)> {
    let mut commands = Vec::new();
    for key in entries.keys() {
        let Some(command) = entries.text(&key) else { continue };
        let kind = entries.value_named("uninstall", &Placed { value: key, line: command.line });
        commands.extend(kind.map(|kind| (kind, command.value)));
    }
    commands
}

/// A vendor's id: its name in lower case with a dash for each run of other characters.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in fold(name).chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}
