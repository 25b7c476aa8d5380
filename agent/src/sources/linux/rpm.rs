//! `rpm`: the packages of Red Hat, SUSE and their derivatives, from whichever database format this machine has.
//!
//! Nothing is locked or written: the needed pages are read in place, never through a library that could create files beside
//! the database or recover it. To get one consistent state, the stamps of the database and its log are compared before and
//! after. If rpm wrote in between, the database is read again, and after some attempts the outcome is `partial`. This is as
//! good as a private copy, without the disk space or memory for one.

use std::io;

use muster_proto::model::{Kind, Observation, SourceName};

use super::native::{ReadBy, with_packages, without_packages, without_repeats};
use crate::memory::turn;
use crate::sources::parse::paged::{Storage, be32};
use crate::sources::parse::rpm::{Package, Packages, of_berkeley, of_ndb, of_sqlite};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::root::{OpenFile, Stamp};
use crate::sources::{ScanContext, Source, SourceReading, is_absent};

/// Where rpm keeps its database: the classic path, that of SUSE and Fedora, and that of image-based systems.
const DIRECTORIES: &[&str] = &["/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm"];
const FORMS: &[(&str, Form)] =
    &[("rpmdb.sqlite", Form::Sqlite), ("Packages.db", Form::Ndb), ("Packages", Form::Berkeley)];
/// How many times a database that is being written is read.
const ATTEMPTS: usize = 4;
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

pub(in crate::sources) struct Rpm;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Sqlite,
    Ndb,
    Berkeley,
}

/// What was read from one database, and whether it changed meanwhile.
struct DatabaseContents {
    found: Packages,
    changed: bool,
    file: Stamp,
}

impl Source for Rpm {
    fn name(&self) -> SourceName {
        SourceName::Rpm
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let mut files: Vec<Stamp> = Vec::new();
        let mut named: Option<String> = None;
        // A copy of an old database in one directory must not hide the one that rpm uses in another, so all are read.
        for directory in DIRECTORIES {
            if let Some(place) = read_directory(context, directory, &mut files, &mut builder) {
                named.get_or_insert(place);
            }
        }
        if builder.has_problem() {
            return builder.finish("rpm is not installed");
        }
        let place = named.as_deref().unwrap_or(DIRECTORIES[0]);
        if builder.observations.is_empty() {
            return without_packages(context, ReadBy::Rpm, place, !files.is_empty());
        }
        with_packages(context, ReadBy::Rpm, place, without_repeats(builder.observations))
    }
}

/// Reads the database in one directory. Returns its file, or `None` if there is none that was not read before.
fn read_directory(
    context: &ScanContext,
    directory: &str,
    files: &mut Vec<Stamp>,
    builder: &mut ReadingBuilder,
) -> Option<String> {
    let mut first_empty = None;
    for (name, form) in FORMS {
        let place = format!("{directory}/{name}");
        let Some(contents) = builder.unless_absent(&place, read_until_unchanged(context, &place, *form)) else {
            continue;
        };
        // One of the directories is often a link to another.
        if files.iter().any(|file| file.is_same_file(&contents.file)) {
            continue;
        }
        files.push(contents.file);
        if let Some(fault) = &contents.found.fault {
            builder.problem(format!("rpm database is damaged ({place}): {fault}"));
        }
        if contents.changed {
            builder.problem(format!("rpm database was being written during every attempt to read it ({place})"));
        }
        // A conversion to another format leaves the old database in its directory. The first one with packages counts.
        if !contents.found.packages.is_empty() {
            contents.found.packages.into_iter().for_each(|package| builder.add(&place, observation(package)));
            return Some(place);
        }
        first_empty.get_or_insert(place);
    }
    first_empty
}

fn observation(package: Package) -> Observation {
    let Package { name, version, architecture, vendor } = package;
    let id = if architecture.is_empty() { name.clone() } else { format!("{name}.{architecture}") };
    let mut observation = Observation::new(Kind::Rpm, name);
    observation.vendor = vendor;
    observation.version = version;
    observation.id = id;
    observation
}

fn read_until_unchanged(context: &ScanContext, place: &str, form: Form) -> io::Result<DatabaseContents> {
    let mut contents = read_once(context, place, form)?;
    for _ in 1..ATTEMPTS {
        if !contents.changed {
            break;
        }
        contents = read_once(context, place, form)?;
    }
    Ok(contents)
}

fn read_once(context: &ScanContext, place: &str, form: Form) -> io::Result<DatabaseContents> {
    let (main, wal) = open(context, place, form)?;
    let stamps = |main: &OpenFile, wal: Option<&OpenFile>| -> io::Result<(Stamp, Option<Stamp>)> {
        Ok((main.stamp()?, wal.map(OpenFile::stamp).transpose()?))
    };
    let before = stamps(&main, wal.as_ref())?;
    let mut found = match form {
        Form::Sqlite => of_sqlite(&main, wal.as_ref().map(|wal| wal as &dyn Storage)),
        Form::Ndb => of_ndb(&main),
        Form::Berkeley => of_berkeley(&main),
    };
    if form == Form::Sqlite && found.fault.is_none() && has_hot_journal(context, place) {
        let what = "an interrupted transaction is in its rollback journal";
        found.fault = Some(crate::sources::parse::paged::PagedFault::at("the database", what));
    }
    // Opened again, so that a database or log that was replaced meanwhile is noticed too.
    let (main, wal) = open(context, place, form)?;
    let changed = stamps(&main, wal.as_ref())? != before;
    Ok(DatabaseContents { found, changed, file: before.0 })
}

fn open(context: &ScanContext, place: &str, form: Form) -> io::Result<(OpenFile, Option<OpenFile>)> {
    let main = context.root.open(place)?;
    // Its packages are most of what this source has in memory.
    turn::count(usize::try_from(main.size()).unwrap_or(usize::MAX))?;
    if form != Form::Sqlite {
        return Ok((main, None));
    }
    match context.root.open(&format!("{place}-wal")) {
        Ok(wal) => Ok((main, Some(wal))),
        Err(error) if is_absent(&error) => Ok((main, None)),
        Err(error) => Err(error),
    }
}

/// Whether there is a rollback journal with a valid header: the database then contains half a transaction. rpm uses a
/// write-ahead log, so another program or a very old crash left the journal.
fn has_hot_journal(context: &ScanContext, place: &str) -> bool {
    let Ok(head) = context.root.read_head(&format!("{place}-journal"), 12) else { return false };
    // SQLite may keep the file after a commit, with its header overwritten or without pages.
    head.starts_with(&JOURNAL_MAGIC) && be32(&head, 8) > 0
}

#[cfg(all(test, unix))]
#[path = "rpm_tests.rs"]
mod tests;
