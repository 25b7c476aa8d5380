//! `launchd`: jobs for all users and in their home directories, with their programs and without arguments. Apple's own jobs in
//! `/System` are not read.

use std::collections::BTreeMap;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::people::{homes, with_tilde, without_account};
use super::plists;
use crate::sources::parse::macos::bundle::is_apples;
use crate::sources::parse::macos::job::{Job, overrides};
use crate::sources::parse::macos::name::is_within;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::root::FileKind;
use crate::sources::watchlist::matches_on;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

/// Every Mac has these folders.
const PLACES: &[&str] = &["/Library/LaunchDaemons", "/Library/LaunchAgents"];
const OF_USERS: &str = "Library/LaunchAgents";
/// What an administrator has switched on and off. The lists of single users differ from machine to machine and are not read.
const OVERRIDES: &str = "/private/var/db/com.apple.xpc.launchd/disabled.plist";
/// Folders with nothing but Apple's own programs.
const OF_SYSTEM: &[&str] = &["/System", "/usr/libexec", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

pub(super) struct Launchd;

impl Source for Launchd {
    fn name(&self) -> SourceName {
        SourceName::Launchd
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let overridden = plists::read(context, OVERRIDES, &mut builder).map(|plist| overrides(&plist));
        if overridden == Some(None) {
            builder.problem(format!("{OVERRIDES} says of a job neither that it is on nor that it is off"));
        }
        let overridden: BTreeMap<String, bool> = overridden.flatten().unwrap_or_default().into_iter().collect();
        let mut jobs = Jobs { context, builder, overridden };
        for place in PLACES {
            if !jobs.folder(place, None) && !jobs.builder.has_problem() {
                jobs.builder.problem(format!("{place} is missing, but every Mac has it"));
            }
        }
        for home in homes(context, &mut jobs.builder) {
            jobs.folder(&format!("{home}/{OF_USERS}"), Some(&home));
        }
        let mut builder = jobs.builder;
        builder.keep_distinct();
        builder.finish("")
    }
}

/// The programs of the jobs for all users that the watchlist names, by label.
pub(super) fn watched(context: &ScanContext) -> BTreeMap<String, String> {
    let mut builder = ReadingBuilder::default();
    let mut watched = BTreeMap::new();
    for place in PLACES {
        for entry in builder.list(context, place).unwrap_or_default() {
            let Some(plist) = plists::read(context, &format!("{place}/{}", entry.name), &mut builder) else { continue };
            let job = Job::of(&plist);
            let units = &context.watchlist.units;
            if units.iter().any(|pattern| matches_on(context.platform(), pattern, &job.label)) {
                watched.insert(job.label, job.program);
            }
        }
    }
    watched
}

struct Jobs<'c> {
    context: &'c ScanContext,
    builder: ReadingBuilder,
    /// Whether a job is switched off, for labels that an administrator has decided on.
    overridden: BTreeMap<String, bool>,
}

impl Jobs<'_> {
    /// Reads the jobs of a folder. Whether the folder exists.
    fn folder(&mut self, place: &str, home: Option<&str>) -> bool {
        let Some(entries) = self.builder.list(self.context, place) else { return false };
        self.builder.places_found += 1;
        for entry in entries {
            let is_job = entry.name.to_ascii_lowercase().ends_with(".plist") && !entry.name.starts_with('.');
            if is_job && !self.builder.is_full(place) {
                self.job(&format!("{place}/{}", entry.name), home);
            }
        }
        true
    }

    fn job(&mut self, path: &str, home: Option<&str>) {
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file[..file.len() - ".plist".len()].to_owned();
        let shown =
            |text: &str| home.map_or_else(|| text.to_owned(), |home| without_account(&with_tilde(text, home), home));
        let is_broken = matches!(self.context.root.kind_at(path), Ok(Some(FileKind::BrokenLink)));
        let plist = (!is_broken).then(|| plists::read_as(self.context, path, &shown(path), &mut self.builder));
        let job = plist.flatten();
        // A file that cannot be read still has the name of a job.
        let mut job = job.as_ref().map(Job::of).unwrap_or_default();
        if let Some(fault) = job.fault {
            self.builder.problem(format!("{}: {fault}", shown(path)));
        }
        if job.label.is_empty() {
            job.label = stem;
        }
        if is_apples(&job.label) && OF_SYSTEM.iter().any(|folder| is_within(&job.program, folder)) {
            return;
        }
        let mut observation = Observation::new(Kind::Launchd, shown(&job.label));
        observation.id = shown(path);
        observation.path.clone_from(&job.program);
        if is_broken {
            observation.set_state(ReportedState::BrokenLink);
        } else if self.is_gone(&job) {
            observation.set_state(ReportedState::BinaryMissing);
        } else if home.is_none() && self.overridden.get(&job.label).copied().unwrap_or(job.disabled) {
            observation.set_state(ReportedState::Disabled);
        }
        if let Some(home) = home {
            let units = &self.context.watchlist.units;
            let watched = units.iter().any(|pattern| matches_on(self.context.platform(), pattern, &job.label));
            let place = format!("launchd:{}", observation.name);
            self.builder.add_home_item(HomeItem { home: home.to_owned(), place, watched });
        }
        self.builder.add(path, observation);
    }

    /// Whether the program does not exist.
    fn is_gone(&mut self, job: &Job) -> bool {
        if job.in_bundle || !job.program.starts_with('/') {
            return false;
        }
        match self.context.root.kind_at(&job.program) {
            Ok(kind) => kind.is_none(),
            Err(error) => {
                self.builder.access_failed(&job.program, &error);
                false
            }
        }
    }
}
