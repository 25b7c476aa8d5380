//! `scheduled-tasks`: what Windows starts by itself, from the cache of the scheduler and from the files of the tasks. Arguments,
//! authors and accounts are not read.

use std::collections::BTreeMap;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::budget::ENTRY_BYTES;
use super::machine;
use super::reader::{Found, Reader};
use crate::sources::parse::windows::image_path::of_program;
use crate::sources::parse::windows::task::{Action, of_actions, of_xml};
use crate::sources::parse::windows::text;
use crate::sources::{ScanContext, Source, SourceReading};

const CACHE: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache";
/// Limits of the tree of tasks. Windows has 200 tasks in up to six levels.
const DEPTH: usize = 16;
const TASKS: usize = 8192;
/// Limit of a task's file. Real ones have 4 KiB.
const FILE_BYTES: usize = 256 * 1024;

pub(super) struct ScheduledTasks;

impl Source for ScheduledTasks {
    fn name(&self) -> SourceName {
        SourceName::ScheduledTasks
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, scheduled_tasks)
    }
}

/// The actions of each task by its path.
type Tasks = BTreeMap<String, Actions>;

/// What is known of the actions of one task.
enum Actions {
    Known(Vec<Action>),
    /// Nothing has them: upgrades of Windows leave names of tasks and empty files behind, which start nothing.
    Absent,
    Damaged,
}

pub(super) fn scheduled_tasks(mut reader: Reader<'_>) -> SourceReading {
    let mut tasks = Tasks::new();
    let tree = format!("{CACHE}\\Tree");
    let for_rows = reader.budget.set_aside();
    if reader.keys(&tree).is_some() {
        reader.builder.places_found += 1;
        cached(&mut reader, &tree, "", 0, &mut tasks);
    }
    let folder = format!("{}\\System32\\Tasks", reader.folders.system_root);
    files(&mut reader, &folder, "", 0, &mut tasks);
    reader.budget.kept_bytes += for_rows;
    for (path, actions) in tasks {
        let actions = match actions {
            Actions::Known(actions) => actions,
            Actions::Absent => Vec::new(),
            Actions::Damaged => {
                reader.builder.problem(format!("the actions of the task {path} are unknown"));
                Vec::new()
            }
        };
        let rows = rows(&mut reader, &path, &actions);
        rows.into_iter().for_each(|row| reader.add(&tree, row));
    }
    reader.finish("this Windows has no scheduler of tasks")
}

/// Reads the tasks below a key of the cache. A key with an id is a task; the others are folders.
fn cached(reader: &mut Reader<'_>, key: &str, path: &str, depth: usize, tasks: &mut Tasks) {
    for name in reader.keys(key).unwrap_or_default() {
        let (key, path) = (format!("{key}\\{name}"), format!("{path}\\{name}"));
        if depth == DEPTH || tasks.len() >= TASKS {
            return reader.builder.problem("there are too many scheduled tasks");
        }
        if let Some(id) = reader.text(&key, "Id") {
            let task = format!("{CACHE}\\Tasks\\{id}");
            let actions = match reader.values(&task) {
                None => Actions::Absent,
                Some(values) => values
                    .get("Actions")
                    .and_then(|value| of_actions(&value.data).ok())
                    .map_or(Actions::Damaged, Actions::Known),
            };
            if !reader.keep_text(bytes_of(&path, &actions)) {
                return;
            }
            tasks.insert(path.clone(), actions);
        }
        cached(reader, &key, &path, depth + 1, tasks);
    }
}

/// Reads the files of tasks. They complete the cache, and replace it where it is damaged or there is none.
fn files(reader: &mut Reader<'_>, folder: &str, path: &str, depth: usize, tasks: &mut Tasks) {
    let Some(entries) = reader.list(folder) else { return };
    reader.builder.places_found += 1;
    for entry in entries {
        let (file, path) = (format!("{folder}\\{}", entry.name), format!("{path}\\{}", entry.name));
        if depth == DEPTH || tasks.len() >= TASKS {
            return reader.builder.problem("there are too many scheduled tasks");
        }
        if entry.is_directory {
            files(reader, &file, &path, depth + 1, tasks);
            continue;
        }
        let known = tasks.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&path)).map(|(_, actions)| actions);
        if matches!(known, Some(Actions::Known(_))) {
            continue;
        }
        // A file that cannot be read is noted by the reader.
        let actions = reader.read(&file, FILE_BYTES).map_or(Actions::Absent, |bytes| of_file(&bytes));
        // An empty file does not replace a damaged entry.
        if matches!((&known, &actions), (Some(Actions::Damaged), Actions::Absent)) {
            continue;
        }
        if !reader.keep_text(bytes_of(&path, &actions)) {
            return;
        }
        match known {
            Some(known) => *known = actions,
            None => drop(tasks.insert(path, actions)),
        }
    }
}

/// What a file in the folder of tasks says. One that is not the file of a task starts nothing.
fn of_file(bytes: &[u8]) -> Actions {
    match of_xml(bytes) {
        Some(actions) => Actions::Known(actions),
        None if text::file(bytes).contains("<Task") => Actions::Damaged,
        None => Actions::Absent,
    }
}

/// The bytes of a task in memory.
fn bytes_of(path: &str, actions: &Actions) -> usize {
    let bytes = |action: &Action| match action {
        Action::Program(text) | Action::Class(text) => ENTRY_BYTES + text.len(),
        Action::Other => ENTRY_BYTES,
    };
    let actions = if let Actions::Known(actions) = actions { actions.iter().map(bytes).sum() } else { 0 };
    path.len() + actions
}

/// One observation for each program and class of a task, or one for a task without any.
fn rows(reader: &mut Reader<'_>, path: &str, actions: &[Action]) -> Vec<Observation> {
    let name = path.rsplit('\\').next().unwrap_or(path);
    let row = || {
        let mut row = Observation::new(Kind::Task, name);
        path.clone_into(&mut row.id);
        row
    };
    let mut rows = Vec::new();
    for action in actions {
        let mut row = row();
        match action {
            Action::Program(text) => {
                let found = reader.find(&of_program(text, &reader.folders));
                found.path().clone_into(&mut row.path);
                if matches!(found, Found::Missing(_)) {
                    row.set_state(ReportedState::BinaryMissing);
                }
            }
            Action::Class(class) => drop(row.attributes.insert("class".to_owned(), class.clone())),
            Action::Other => continue,
        }
        rows.push(row);
    }
    if rows.is_empty() {
        rows.push(row());
    }
    rows
}
