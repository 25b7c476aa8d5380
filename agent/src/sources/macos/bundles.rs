//! Bundles on the disk: their properties, and whether their program is there.

use muster_proto::model::{Kind, Observation, ReportedState};

use super::plists;
use crate::sources::ScanContext;
use crate::sources::parse::macos::bundle::Bundle;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::root::FileKind;

/// Where `Info.plist` is: of a bundle, of an application of iOS, and of an old kernel extension.
const PROPERTIES: &[&str] = &["Contents/Info.plist", "WrappedBundle/Info.plist", "Info.plist"];
/// Where the program of a bundle is.
const PROGRAMS: &str = "Contents/MacOS";

/// A bundle at a path.
pub(super) struct Found {
    pub(super) bundle: Bundle,
    pub(super) path: String,
    /// The folder without its ending.
    pub(super) name: String,
    /// Its properties say which program it has, and there is none.
    is_without_program: bool,
}

/// Reads the bundle at a path. `None` if it is behind a link that leads nowhere, which is recorded.
pub(super) fn read(context: &ScanContext, path: &str, builder: &mut ReadingBuilder) -> Option<Found> {
    match context.root.kind_at(path) {
        Ok(Some(FileKind::Directory)) => {}
        Ok(Some(FileKind::BrokenLink)) => {
            let target = context.root.read_link(path).unwrap_or_default();
            if !is_of_system(&target) {
                builder.problem(format!("{path} leads to {target}, which does not exist here"));
            }
            return None;
        }
        Ok(_) => return None,
        Err(error) => {
            builder.access_failed(path, &error);
            return None;
        }
    }
    let plist = PROPERTIES.iter().find_map(|place| plists::read(context, &format!("{path}/{place}"), builder));
    if let Some(key) = plist.as_ref().and_then(Bundle::unreadable_key) {
        builder.problem(format!("{path}: {key} is no text"));
    }
    let bundle = plist.as_ref().map(Bundle::of).unwrap_or_default();
    let is_without_program =
        !is_unreadable(context, path, plist.is_none()) && lacks_program(context, path, &bundle, builder);
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.rsplit_once('.').map_or(file, |(name, _)| name).to_owned();
    Some(Found { bundle, path: path.to_owned(), name, is_without_program })
}

/// Whether there are properties that could not be read: then nothing is known of the program.
fn is_unreadable(context: &ScanContext, path: &str, has_none: bool) -> bool {
    has_none && PROPERTIES.iter().any(|place| !matches!(context.root.kind_at(&format!("{path}/{place}")), Ok(None)))
}

/// Safari and others are in a volume of the system that copies do not have.
fn is_of_system(target: &str) -> bool {
    target.contains("System/Cryptexes/")
}

/// Whether the program of a bundle is gone, and no other one is in its place.
fn lacks_program(context: &ScanContext, path: &str, bundle: &Bundle, builder: &mut ReadingBuilder) -> bool {
    let folder = format!("{path}/{PROGRAMS}");
    if !bundle.executable.is_empty() {
        match context.root.kind_at(&format!("{folder}/{}", bundle.executable)) {
            Ok(None) => {}
            Ok(Some(_)) => return false,
            Err(error) => {
                builder.access_failed(&folder, &error);
                return false;
            }
        }
    }
    // An application of iOS has its program elsewhere.
    if matches!(context.root.kind_at(&format!("{path}/WrappedBundle")), Ok(Some(_)) | Err(_)) {
        return false;
    }
    match context.root.list(&folder) {
        Ok(entries) => entries.iter().all(|entry| entry.is_directory),
        Err(error) => crate::sources::is_absent(&error),
    }
}

impl Found {
    /// The observation of this bundle. `shown` is its path as it is sent.
    pub(super) fn observation(&self, kind: Kind, name: &str, shown: String, has_to_have_program: bool) -> Observation {
        let mut observation = Observation::new(kind, name);
        observation.id.clone_from(&self.bundle.id);
        observation.version.clone_from(&self.bundle.version);
        observation.vendor.clone_from(&self.bundle.maker);
        observation.path = shown;
        if !self.bundle.build.is_empty() {
            observation.attributes.insert("build".to_owned(), self.bundle.build.clone());
        }
        if self.is_without_program && (has_to_have_program || !self.bundle.executable.is_empty()) {
            observation.set_state(ReportedState::BinaryMissing);
        }
        observation
    }
}
