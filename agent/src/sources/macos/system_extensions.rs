//! `system-extensions`: system extensions, kernel extensions, and approvals of kernel extensions that are gone.

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::{host, kexts, plists};
use crate::sources::parse::macos::extensions_db::{self, SystemExtension};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

pub(super) const DATABASE: &str = "/Library/SystemExtensions/db.plist";
/// Beginnings of the states of an extension that is being removed: its copy may be gone already.
const LEAVING: &[&str] = &["terminat", "uninstall"];

pub(super) struct SystemExtensions;

impl Source for SystemExtensions {
    fn name(&self) -> SourceName {
        SourceName::SystemExtensions
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        for extension in listed(context, &mut builder) {
            let observation = observation(context, &extension, &mut builder);
            builder.add(DATABASE, observation);
        }
        kexts::read(context, &mut builder);
        builder.keep_distinct();
        builder.places_found += 1;
        builder.finish("")
    }
}

/// The extensions that macOS has listed. A list that must be there and is not is a problem.
pub(super) fn listed(context: &ScanContext, builder: &mut ReadingBuilder) -> Vec<SystemExtension> {
    let before = builder.has_problem();
    let Some(plist) = plists::read(context, DATABASE, builder) else {
        let mut unknown = ReadingBuilder::default();
        let is_expected = host::release(context, &mut unknown).is_none_or(|release| release.has_system_extensions());
        if is_expected && builder.has_problem() == before {
            builder.problem(format!("{DATABASE} is missing, but macOS 10.15 and later have it"));
        }
        return Vec::new();
    };
    let Some(database) = extensions_db::parse(&plist) else {
        builder.problem(format!("{DATABASE} has no list of extensions"));
        return Vec::new();
    };
    if let Some(fault) = database.fault {
        builder.problem(format!("{DATABASE}: {fault}"));
    }
    database.extensions
}

/// Whether the copy of an extension that runs is there; `None` if that is unknown.
pub(super) fn is_staged(context: &ScanContext, extension: &SystemExtension) -> Option<bool> {
    if extension.staged.is_empty() {
        return None;
    }
    context.root.kind_at(&extension.staged).ok().map(|kind| kind.is_some())
}

fn observation(context: &ScanContext, extension: &SystemExtension, builder: &mut ReadingBuilder) -> Observation {
    let mut observation = Observation::new(Kind::SystemExtension, extension.qualified());
    observation.id.clone_from(&extension.team);
    observation.version.clone_from(&extension.version);
    observation.path.clone_from(&extension.origin);
    observation.state.clone_from(&extension.state);
    observation.attributes.insert("category".to_owned(), extension.categories.join(" "));
    if extension.managed {
        observation.attributes.insert("managed".to_owned(), "true".to_owned());
    }
    if LEAVING.iter().any(|beginning| extension.state.starts_with(beginning)) {
        return observation;
    }
    match is_staged(context, extension) {
        Some(true) => {}
        Some(false) => {
            observation.attributes.insert("listed_state".to_owned(), extension.state.clone());
            observation.set_state(ReportedState::Missing);
        }
        None if extension.staged.is_empty() => {}
        None => builder.problem(format!("cannot see whether {} exists", extension.staged)),
    }
    observation
}
