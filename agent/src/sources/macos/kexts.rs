//! Kernel extensions on the disk, and those that somebody has approved. Apple's own are left out.

use std::collections::BTreeMap;

use muster_proto::model::{Kind, Observation, ReportedState};

use super::bundles;
use crate::sources::parse::macos::kext_policy::{self, Approval};
use crate::sources::parse::macos::name::folded;
use crate::sources::parse::paged::Storage;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::root::OpenFile;
use crate::sources::{ScanContext, is_absent};

/// Where kernel extensions are, and how many folders there may be between: copies are staged below their own paths.
const PLACES: &[(&str, usize)] =
    &[("/Library/Extensions", 1), ("/System/Library/Extensions", 1), ("/Library/StagedExtensions", 6)];
const POLICY: &str = "/private/var/db/SystemPolicyConfiguration/KextPolicy";
/// Limit of folders that are searched.
const FOLDERS: usize = 2048;

pub(super) fn read(context: &ScanContext, builder: &mut ReadingBuilder) {
    let approvals = approvals(context, builder);
    let mut kexts = Kexts { context, approvals, folders: FOLDERS };
    for (place, levels) in PLACES {
        kexts.folder(place, *levels, builder);
    }
    // What is approved and is on no disk.
    for (_, (approval, is_there)) in kexts.approvals {
        if !is_there && !crate::sources::parse::macos::bundle::is_apples(&approval.id) {
            let mut observation = Observation::new(Kind::Driver, approval.id.as_str());
            observation.id.clone_from(&approval.id);
            observation.vendor.clone_from(&approval.maker);
            observation.set_state(ReportedState::BinaryMissing);
            add_approval(&mut observation, &approval);
            builder.add(POLICY, observation);
        }
    }
}

struct Kexts<'c> {
    context: &'c ScanContext,
    /// By folded id: the approval, and whether the extension is there.
    approvals: BTreeMap<String, (Approval, bool)>,
    folders: usize,
}

impl Kexts<'_> {
    fn folder(&mut self, path: &str, levels: usize, builder: &mut ReadingBuilder) {
        let Some(left) = self.folders.checked_sub(1) else {
            return builder.problem(format!("more than {FOLDERS} folders may have kernel extensions"));
        };
        self.folders = left;
        for entry in builder.list(self.context, path).unwrap_or_default() {
            let place = format!("{path}/{}", entry.name);
            if builder.is_full(path) {
                return;
            }
            if entry.name.to_ascii_lowercase().ends_with(".kext") {
                self.kext(&place, builder);
            } else if entry.is_directory && levels > 1 {
                self.folder(&place, levels - 1, builder);
            }
        }
    }

    fn kext(&mut self, path: &str, builder: &mut ReadingBuilder) {
        let Some(found) = bundles::read(self.context, path, builder) else { return };
        if found.bundle.is_apples() {
            return;
        }
        let id = found.bundle.id.clone();
        let file = path.rsplit('/').next().unwrap_or(path);
        let name = if id.is_empty() { file } else { &id };
        // An extension may have no program: it then only lends another one to a device.
        let mut observation = found.observation(Kind::Driver, name, path.to_owned(), false);
        if let Some((approval, is_there)) = self.approvals.get_mut(&folded(&id)) {
            *is_there = true;
            add_approval(&mut observation, approval);
        }
        builder.add(path, observation);
        self.plug_ins(path, builder);
    }

    /// An extension can contain others.
    fn plug_ins(&mut self, path: &str, builder: &mut ReadingBuilder) {
        let folder = format!("{path}/Contents/PlugIns");
        for entry in builder.list(self.context, &folder).unwrap_or_default() {
            let place = format!("{folder}/{}", entry.name);
            if !entry.name.to_ascii_lowercase().ends_with(".kext") || builder.is_full(&folder) {
                continue;
            }
            let Some(found) = bundles::read(self.context, &place, builder) else { continue };
            if let Some((_, is_there)) = self.approvals.get_mut(&folded(&found.bundle.id)) {
                *is_there = true;
            }
            if !found.bundle.is_apples() && !found.bundle.id.is_empty() {
                let observation = found.observation(Kind::Driver, &found.bundle.id, place, false);
                builder.add(&folder, observation);
            }
        }
    }
}

fn add_approval(observation: &mut Observation, approval: &Approval) {
    observation.attributes.insert("team".to_owned(), approval.team.clone());
    observation.attributes.insert("allowed".to_owned(), approval.allowed.to_string());
}

/// The approvals by folded id. Macs before 10.13 have none.
fn approvals(context: &ScanContext, builder: &mut ReadingBuilder) -> BTreeMap<String, (Approval, bool)> {
    let open = |path: &str, builder: &mut ReadingBuilder| -> Result<Option<OpenFile>, ()> {
        match context.root.open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => {
                builder.access_failed(path, &error);
                Err(())
            }
        }
    };
    let Ok(Some(main)) = open(POLICY, builder) else { return BTreeMap::new() };
    let Ok(wal) = open(&format!("{POLICY}-wal"), builder) else { return BTreeMap::new() };
    let (rows, fault) = match kext_policy::read(&main, wal.as_ref().map(|wal| wal as &dyn Storage)) {
        Ok(read) => read,
        Err(fault) => (Vec::new(), Some(fault)),
    };
    if let Some(fault) = fault {
        builder.problem(format!("{POLICY}: {fault}"));
    }
    rows.into_iter().map(|approval| (folded(&approval.id), (approval, false))).collect()
}
