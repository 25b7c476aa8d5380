//! Claims: what identifies a vendor whatever the name is. A folder that holds only the vendor's files, and a reverse-DNS
//! prefix that only the vendor uses.
//!
//! ```text
//! vendors/eset.toml ─► [[folder]], [[prefix]] ─► fallback recognisers ─┬─► of the product that the claim names
//!                                                                      └─► of `eset-unidentified`, if it names none
//! ```
//!
//! The most specific claim decides: `/opt/eset/eea` names a product that `/opt/eset` does not.

use muster_proto::model::{Kind, Platform, Presence, ProductId};

use super::closeness::Closeness;
use super::named_value::NamedValue;
use super::pattern::{Form, Pattern};
use super::recogniser::{self, Recogniser, Strength, Test, Written};
use super::subject::Field;
use super::text::{fold, fold_path};
use super::toml_reader::{Entries, Placed};

/// One folder or prefix of a vendor.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) platforms: Vec<Platform>,
    /// The product; `None` for the vendor's unidentified product.
    pub(crate) product: Option<ProductId>,
    pub(crate) line: usize,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Folder {
        /// As the file spells it.
        written: String,
        /// The folder and everything below it.
        pattern: Pattern,
        holds: Holds,
        /// Places below it that are not the vendor's.
        unless: Vec<Pattern>,
    },
    Prefix(String),
}

/// What a folder holds. Only a folder of programs shows an installed product by its existence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Programs,
    Data,
    Settings,
    Logs,
}

impl NamedValue for Holds {
    const VALUES: &'static [Self] = &[Self::Programs, Self::Data, Self::Settings, Self::Logs];

    fn spelling(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Data => "data",
            Self::Settings => "settings",
            Self::Logs => "logs",
        }
    }
}

/// Kinds that run or install a program and state its path.
const PROGRAMS: &[Kind] = &[
    Kind::Process,
    Kind::Service,
    Kind::Driver,
    Kind::Filter,
    Kind::Task,
    Kind::Launchd,
    Kind::KernelModule,
    Kind::AppBundle,
    Kind::SystemExtension,
    Kind::UninstallKey,
    Kind::Msi,
    Kind::Wsc,
];
/// Kinds whose name or id is a reverse-DNS id on macOS.
const IDENTIFIED: &[Kind] =
    &[Kind::AppBundle, Kind::Receipt, Kind::Launchd, Kind::SystemExtension, Kind::Driver, Kind::Process];
/// Folders of macOS in which a file named by the id belongs to an installed program.
const INSTALLED_IN: &str = "launchdaemons|launchagents|privilegedhelpertools|systemextensions|extensions|startupitems|receipts|\
                            frameworks|internet plug-ins|loginplugins|securityagentplugins";
/// Folders of macOS in which files named by the id outlive the program.
const LEFT_IN: &str = "preferences|caches|logs|application support|containers|group containers|application scripts|\
                       saved application state|cookies|httpstorages|webkit";

/// Reads the `[[folder]]` and `[[prefix]]` tables of a vendor's file.
pub(super) fn read(entries: &mut Entries<'_, '_>) -> Vec<Claim> {
    let folders = entries.tables("folder", folder).into_iter().flatten();
    let prefixes = entries.tables("prefix", prefix).into_iter().flatten();
    folders.collect::<Vec<_>>().into_iter().chain(prefixes).collect()
}

fn folder(table: &mut Entries<'_, '_>) -> Vec<Claim> {
    let platforms: Vec<Platform> = table.names("platforms");
    if platforms.is_empty() {
        table.fault(table.line(), "`platforms` is missing or empty");
    }
    let holds = table.name("holds").unwrap_or(Holds::Programs);
    let product = product_of(table);
    let line = table.line();
    let unless = table.list("unless");
    let unless: Vec<Pattern> =
        unless.iter().filter_map(|text| recogniser::pattern(table, Field::Path, &[], text)).collect();
    let texts = table.list("path");
    if texts.is_empty() {
        table.fault(line, "`path` is missing or empty");
    }
    let mut claims = Vec::new();
    for text in texts {
        match below(&text.value) {
            Ok(pattern) => claims.push(Claim {
                platforms: platforms.clone(),
                product: product.clone(),
                line,
                place: Place::Folder { written: text.value, pattern, holds, unless: unless.clone() },
            }),
            Err(reason) => table.fault(text.line, format!("`path`: {reason}")),
        }
    }
    claims
}

/// The pattern of a folder and of everything below it.
fn below(folder: &str) -> Result<Pattern, String> {
    if let Some(regex) = folder.strip_prefix('~').filter(|rest| !rest.starts_with('/')) {
        return Pattern::parse(&format!("~(?:{regex})(?:/.*)?"), Form::Place, fold_path);
    }
    if folder.ends_with(['/', '*']) {
        return Err(format!("{folder:?} must be a folder, without `/` or `*` at its end"));
    }
    Pattern::parse(&format!("{folder}/**"), Form::Place, fold_path)
}

fn prefix(table: &mut Entries<'_, '_>) -> Vec<Claim> {
    let mut platforms: Vec<Platform> = table.names("platforms");
    if platforms.is_empty() {
        platforms.push(Platform::Macos);
    }
    let product = product_of(table);
    let line = table.line();
    let ids = table.list("id");
    if ids.is_empty() {
        table.fault(line, "`id` is missing or empty");
    }
    let mut claims = Vec::new();
    for Placed { value, line: at } in ids {
        let id = fold(&value);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        // One label, such as `com`, is shared by everybody.
        if id.split('.').count() < 2 || !id.split('.').all(is_label) {
            table.fault(at, format!("`id`: {value:?} is no reverse-DNS prefix, such as com.example"));
            continue;
        }
        claims.push(Claim { platforms: platforms.clone(), product: product.clone(), line, place: Place::Prefix(id) });
    }
    claims
}

fn product_of(table: &mut Entries<'_, '_>) -> Option<ProductId> {
    let text = table.text("product")?;
    ProductId::new(text.value).map_err(|error| table.fault(text.line, format!("`product`: {error}"))).ok()
}

impl Claim {
    /// The pattern of a folder that holds programs or their data.
    pub(super) fn folder(&self) -> Option<&Pattern> {
        match &self.place {
            Place::Folder { pattern, holds: Holds::Programs | Holds::Data, .. } => Some(pattern),
            Place::Folder { .. } | Place::Prefix(_) => None,
        }
    }

    fn closeness(&self) -> Closeness {
        let (depth, length) = match &self.place {
            Place::Folder { written, .. } => (written.matches(['/', '\\']).count(), written.len()),
            Place::Prefix(id) => (id.matches('.').count(), id.len()),
        };
        Closeness { names_product: self.product.is_some(), depth, length }
    }

    /// The recognisers of this claim, without their numbers.
    pub(super) fn recognisers(&self, source: &str) -> Vec<Recogniser> {
        let one = |kinds: &[Kind], shows: Presence, field: Field, written: String, pattern: Pattern| Recogniser {
            number: 0,
            platforms: self.platforms.clone(),
            kinds: kinds.to_vec(),
            strength: Strength::Proves,
            shows,
            fallback: true,
            claim: Some(self.closeness()),
            source: vec![source.to_owned()],
            note: String::new(),
            tests: vec![Test { field, patterns: vec![pattern] }],
            unless: Vec::new(),
            within: Vec::new(),
            watch: Vec::new(),
            written: vec![Written { field, patterns: vec![written] }],
            line: self.line,
        };
        match &self.place {
            Place::Folder { written, pattern, holds, unless } => {
                let written = format!("{written}/**");
                let shows = if *holds == Holds::Programs { Presence::Installed } else { Presence::Remnant };
                let place = one(&[Kind::Path], shows, Field::Path, written.clone(), pattern.clone());
                // What runs from a folder of data is a program all the same.
                let programs = one(PROGRAMS, Presence::Installed, Field::Path, written, pattern.clone());
                let unless = unless.clone();
                let unless =
                    if unless.is_empty() { Vec::new() } else { vec![Test { field: Field::Path, patterns: unless }] };
                [place, programs].map(|one| Recogniser { unless: unless.clone(), ..one }).into()
            }
            Place::Prefix(id) => {
                let name = format!(r"(?:[0-9a-z]{{10}}\.)?{}(?:[._-][^/]*)?", id.replace('.', r"\."));
                let of_file = |folders: &str| format!(r"(?:.*/)?(?:{folders})/(?:.*/)?{name}(?:/.*)?");
                let key = |source: String| (format!("~{source}"), Pattern::Regex(source));
                let (written, pattern) = key(name.clone());
                let by_id = one(IDENTIFIED, Presence::Installed, Field::Key, written, pattern);
                let (written, pattern) = key(of_file(INSTALLED_IN));
                let installed = one(&[Kind::Path], Presence::Installed, Field::Path, written, pattern);
                let (written, pattern) = key(of_file(LEFT_IN));
                let left = one(&[Kind::Path], Presence::Remnant, Field::Path, written, pattern);
                vec![by_id, installed, left]
            }
        }
    }
}
