//! `receipts`: what the installer has recorded: receipts with their bills of materials, receipts of old systems, and the
//! history of installations. Nothing removes a receipt with its program, so the files that it lists are looked for.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::plists;
use crate::sources::parse::macos::bom::{self, Bom, Remains};
use crate::sources::parse::macos::bundle::is_apples;
use crate::sources::parse::macos::name::{folded, is_within};
use crate::sources::parse::macos::receipt::{Receipt, history};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

/// Where receipts are since Mac OS X 10.6, and which old systems have.
const RECEIPTS: &str = "/private/var/db/receipts";
const OLD: &str = "/Library/Receipts";
const HISTORY: &str = "/Library/Receipts/InstallHistory.plist";
/// Limit of files of all packages that are looked for. Those of one package are found after a few.
const CHECKS: usize = 100_000;
const CHECKS_OF_ONE: usize = 10_000;
/// Folders into which an updater unpacks what it moves elsewhere, so that nothing is there later.
const PASSING: &[&str] = &["/private/tmp", "/tmp", "/private/var/folders", "/var/folders", "/Library/Caches"];

pub(super) struct Receipts;

impl Source for Receipts {
    fn name(&self) -> SourceName {
        SourceName::Receipts
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut reader = Reader { context, builder: ReadingBuilder::default(), checks: CHECKS, known: BTreeSet::new() };
        reader.receipts();
        reader.old_receipts();
        reader.history();
        let mut builder = reader.builder;
        builder.keep_distinct();
        builder.finish("")
    }
}

struct Reader<'c> {
    context: &'c ScanContext,
    builder: ReadingBuilder,
    checks: usize,
    /// The ids of packages that have a receipt.
    known: BTreeSet<String>,
}

impl Reader<'_> {
    fn receipts(&mut self) {
        let Some(entries) = self.builder.list(self.context, RECEIPTS) else {
            return self.builder.problem(format!("{RECEIPTS} is missing, but every Mac has it"));
        };
        let stems: BTreeSet<&str> = entries
            .iter()
            .filter_map(|entry| entry.name.rsplit_once('.'))
            .filter_map(|(stem, ending)| matches!(ending, "plist" | "bom").then_some(stem))
            .collect();
        for stem in stems {
            if self.builder.is_full(RECEIPTS) {
                return;
            }
            let place = format!("{RECEIPTS}/{stem}.plist");
            // Without its list, or with a damaged one, the name of the file is still that of the package.
            let plist = plists::read(self.context, &place, &mut self.builder);
            if let Some(key) = plist.as_ref().and_then(Receipt::missing_key) {
                self.builder.problem(format!("{place} has no {key}, but every receipt has one"));
            }
            let mut receipt = plist.as_ref().map(Receipt::of).unwrap_or_default();
            if receipt.id.is_empty() {
                stem.clone_into(&mut receipt.id);
            }
            self.known.insert(folded(&receipt.id));
            let is_gone = self.is_gone(&receipt, &format!("{RECEIPTS}/{stem}.bom"));
            let name = receipt.id.clone();
            self.add(&name, receipt, &place, is_gone);
        }
    }

    /// A receipt of the time before Mac OS X 10.6 is a bundle with the name of the package.
    fn old_receipts(&mut self) {
        for entry in self.builder.list(self.context, OLD).unwrap_or_default() {
            let is_package = entry.name.to_ascii_lowercase().ends_with(".pkg");
            if !is_package || self.builder.is_full(OLD) {
                continue;
            }
            let place = format!("{OLD}/{}", entry.name);
            let plist = plists::read(self.context, &format!("{place}/Contents/Info.plist"), &mut self.builder);
            let receipt = plist.as_ref().map(Receipt::of_bundle).unwrap_or_default();
            self.known.insert(folded(&receipt.id));
            let is_gone = self.is_gone(&receipt, &format!("{place}/Contents/Archive.bom"));
            self.add(&entry.name, receipt, &place, is_gone);
        }
    }

    /// What was installed once and has no receipt any more.
    fn history(&mut self) {
        let Some(plist) = plists::read(self.context, HISTORY, &mut self.builder) else { return };
        let Some(installations) = history(&plist) else {
            return self.builder.problem(format!("{HISTORY} is no list of installations"));
        };
        for installation in installations {
            let packages = &installation.packages;
            let is_known = packages.iter().any(|id| self.known.contains(&folded(id)));
            let is_apples = !packages.is_empty() && packages.iter().all(|id| is_apples(id));
            if is_known || is_apples || (installation.name.is_empty() && packages.is_empty()) {
                continue;
            }
            for id in packages.iter().map(String::as_str).chain(packages.is_empty().then_some("")) {
                let name = if installation.name.is_empty() { id } else { &installation.name };
                let receipt =
                    Receipt { id: id.to_owned(), version: installation.version.clone(), prefix: String::new() };
                self.add(name, receipt, HISTORY, true);
            }
        }
    }

    fn add(&mut self, name: &str, receipt: Receipt, place: &str, is_gone: bool) {
        let mut observation = Observation::new(Kind::Receipt, name);
        observation.id = receipt.id;
        observation.version = receipt.version;
        place.clone_into(&mut observation.path);
        if is_gone {
            observation.set_state(ReportedState::Missing);
        }
        self.builder.add(place, observation);
    }

    /// Whether nothing is left of what the package installed. While that is unknown it counts as installed.
    fn is_gone(&mut self, receipt: &Receipt, bom: &str) -> bool {
        let prefix = receipt.prefix.as_str();
        // Without its list it is not known where the files are.
        if prefix.is_empty() || PASSING.iter().any(|folder| is_within(prefix, folder)) {
            return false;
        }
        let bytes = match self.context.root.read(bom, bom::FILE_BYTES) {
            Ok(bytes) => Some(bytes),
            Err(error) if crate::sources::is_absent(&error) => None,
            Err(_) => return false,
        };
        let exists = |path: &str| self.context.root.kind_at(path).ok().map(|kind| kind.is_some());
        let Some(bytes) = bytes else {
            // A folder in which others are too says nothing.
            return prefix.matches('/').count() > 1 && exists(prefix) == Some(false);
        };
        let Some(bom) = Bom::parse(&bytes).filter(|bom| bom.files() > 0) else { return false };
        let most = self.checks.min(CHECKS_OF_ONE);
        let mut checks = 0;
        let remains = bom.remains(prefix, most, &mut |path| {
            checks += 1;
            exists(path)
        });
        self.checks -= checks;
        remains == Remains::Nothing
    }
}
