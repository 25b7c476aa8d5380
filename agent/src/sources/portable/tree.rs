//! What a watched folder or file is: a program, or only what an uninstaller left behind. Reads the first bytes of files.
//!
//! A folder of that name proves a product only if something in it can run. Logs, settings and licences outlive the program,
//! and so do empty folders. Links are followed, because a product may have been moved to another disk. Where the limits are
//! reached or something cannot be read, nothing is claimed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use muster_proto::model::Platform;

use crate::sources::parse::paged::Storage;
use crate::sources::root::{FileKind, Root};

/// Limit of entries of one tree. What is left of a product with its databases has some 2,000; more takes too long to examine
/// and too much memory to list.
const ENTRIES: usize = 4096;
/// Limit of levels below the folder. Products have up to eight.
const DEPTH: usize = 12;
/// Limit of files of one tree that are opened. Each can cost a seek of the disk, and programs are near the top of their tree.
const HEADS: usize = 2048;
/// The same limits for all trees of a scan together: anybody can create many folders that a pattern matches.
const ENTRIES_OF_ALL: usize = 16 * ENTRIES;
const HEADS_OF_ALL: usize = 4 * HEADS;
/// How much of a file is read: up to the type in the header of an ELF file.
const HEAD_BYTES: usize = 18;
/// Folders in which a script is an example or a description.
const DOCUMENTATION: &[&str] = &["doc", "docs", "documentation", "examples", "man", "licenses"];

type Identity = (u64, u64);

/// What a folder contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contents {
    /// Only folders.
    NoFiles,
    /// Files, and none of them is a program.
    NoProgram,
    /// A program; the path is that of the first one.
    Program(String),
    /// A limit was reached, or something could not be read.
    Unknown,
}

/// What one file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Data,
    Program,
    /// A script that has no permission to run, or a file that another program runs.
    Unclear,
}

/// Examines the watched folders and files of one scan.
pub(super) struct Examiner<'a> {
    root: &'a Root,
    platform: Platform,
    /// How many entries and files may still be examined.
    entries: usize,
    heads: usize,
    /// What the folders contain that were examined, so that many links to one cost no more than one.
    known: BTreeMap<Identity, Contents>,
}

impl<'a> Examiner<'a> {
    pub(super) const fn new(root: &'a Root, platform: Platform) -> Self {
        Self { root, platform, entries: ENTRIES_OF_ALL, heads: HEADS_OF_ALL, known: BTreeMap::new() }
    }

    /// What the folder contains.
    pub(super) fn folder(&mut self, path: &str, identity: Identity) -> Contents {
        // Systems without inodes give (0, 0) for every folder.
        let known = self.known.get(&identity).filter(|_| identity != (0, 0));
        if let Some(known) = known {
            return known.clone();
        }
        let (entries, heads) = (self.entries.min(ENTRIES), self.heads.min(HEADS));
        let mut search =
            Search { root: self.root, platform: self.platform, entries, heads, files: false, doubt: false };
        let contents = search.tree(path);
        self.entries -= entries - search.entries;
        self.heads -= heads - search.heads;
        self.known.insert(identity, contents.clone());
        contents
    }

    /// What the file is, by its name and first bytes; `None` if it cannot be read.
    pub(super) fn file(&mut self, path: &str, executable: bool) -> Option<Head> {
        self.heads = self.heads.checked_sub(1)?;
        let head = head(self.root, path)?;
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        Some(if head.is_empty() {
            Head::Empty
        } else {
            Head::Content(content(self.platform, name, &head, executable, false))
        })
    }
}

/// What a single file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Empty,
    Content(Content),
}

struct Search<'a> {
    root: &'a Root,
    platform: Platform,
    /// How many entries and files may still be examined.
    entries: usize,
    heads: usize,
    /// Whether any file was found, and any that may be a program.
    files: bool,
    doubt: bool,
}

/// One folder of the tree.
struct Folder {
    program: Option<String>,
    /// The names of the folders in it.
    below: Vec<String>,
}

impl Search<'_> {
    /// Searches the tree for a program, level by level: programs are near the top.
    fn tree(&mut self, folder: &str) -> Contents {
        let mut visited: BTreeSet<Identity> = BTreeSet::new();
        let mut folders = VecDeque::from([(folder.to_owned(), 0, false)]);
        while let Some((path, depth, documentation)) = folders.pop_front() {
            let Ok(Some(found)) = self.root.file_at(&path) else { return Contents::Unknown };
            // A link can lead back, and several can lead to one folder.
            if found.identity != (0, 0) && !visited.insert(found.identity) {
                continue;
            }
            match self.folder(&path, documentation) {
                None => return Contents::Unknown,
                Some(Folder { program: Some(program), .. }) => return Contents::Program(program),
                Some(Folder { below, .. }) if depth == DEPTH && !below.is_empty() => return Contents::Unknown,
                Some(Folder { below, .. }) => folders.extend(below.into_iter().map(|name| {
                    let documentation = documentation || DOCUMENTATION.contains(&name.as_str());
                    (format!("{path}/{name}"), depth + 1, documentation)
                })),
            }
        }
        match self {
            Search { doubt: true, .. } => Contents::Unknown,
            Search { files: true, .. } => Contents::NoProgram,
            Search { .. } => Contents::NoFiles,
        }
    }

    /// Examines the files of one folder; `None` if it cannot be read.
    fn folder(&mut self, path: &str, documentation: bool) -> Option<Folder> {
        let entries = self.root.list_at_most(path, self.entries).ok()?;
        self.entries -= entries.len();
        let mut folder = Folder { program: None, below: Vec::new() };
        for entry in entries {
            if entry.is_directory {
                folder.below.push(entry.name);
                continue;
            }
            self.files = true;
            let file = format!("{path}/{}", entry.name);
            let Some(found) = self.root.file_at(&file).ok()? else {
                // A name that is not UTF-8 cannot be opened, and whatever it names may run.
                self.doubt = true;
                continue;
            };
            match found.kind {
                FileKind::Directory => folder.below.push(entry.name),
                FileKind::File => match self.content(&file, &entry.name, found.executable, documentation)? {
                    Content::Program => return Some(Folder { program: Some(file), ..folder }),
                    Content::Unclear => self.doubt = true,
                    Content::Data => {}
                },
                // A driver of NTFS shows a compressed or deduplicated file as a link that leads nowhere.
                FileKind::BrokenLink if self.platform == Platform::Windows && has_program_name(&entry.name) => {
                    self.doubt = true;
                }
                FileKind::BrokenLink | FileKind::Other => {}
            }
        }
        Some(folder)
    }

    /// `None` if the file cannot be read, or if too many were.
    fn content(&mut self, path: &str, name: &str, executable: bool, documentation: bool) -> Option<Content> {
        if !executable && is_data_name(name) {
            return Some(Content::Data);
        }
        self.heads = self.heads.checked_sub(1)?;
        Some(content(self.platform, name, &head(self.root, path)?, executable, documentation))
    }
}

/// The first bytes of a file.
fn head(root: &Root, path: &str) -> Option<Vec<u8>> {
    let file = root.open(path).ok()?;
    let length = usize::try_from(file.size()).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
    let mut head = vec![0; length];
    file.read_at(0, &mut head).ok()?;
    Some(head)
}

fn content(platform: Platform, name: &str, head: &[u8], executable: bool, documentation: bool) -> Content {
    let is_binary = match platform {
        Platform::Linux => is_elf_program(head),
        Platform::Macos => is_mach_o(head),
        // Windows has no permission that is visible here; it runs files by their names.
        Platform::Windows if head.starts_with(b"MZ") && has_program_name(name) && !is_uninstaller(name) => {
            return Content::Program;
        }
        Platform::Windows => return Content::Data,
    };
    // A copy loses the permission to run and an administrator can take it away, so a binary counts without it.
    if is_binary {
        return Content::Program;
    }
    if documentation || is_uninstaller(name) || head.is_empty() {
        return Content::Data;
    }
    match head.starts_with(b"#!") {
        true if executable => Content::Program,
        true => Content::Unclear,
        false if is_run_by_another(name) => Content::Unclear,
        false => Content::Data,
    }
}

/// Names of programs that an interpreter or a virtual machine runs, whatever their permissions are.
fn is_run_by_another(name: &str) -> bool {
    matches!(ending(name).as_str(), "jar" | "js" | "php" | "pl" | "py" | "pyc" | "rb" | "sh" | "war")
}

/// `uninstall.sh`, `unins000`: all that it can do is to remove what is left.
fn is_uninstaller(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let numbered = name.strip_prefix("unins").is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
    numbered || name.starts_with("uninstall")
}

/// The ending of a name in lower case.
fn ending(name: &str) -> String {
    name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
}

/// Names of texts and pictures. Such a file need not be opened: folders of logs have thousands.
fn is_data_name(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "log", "txt", "md", "conf", "cfg", "ini", "json", "xml", "yml", "yaml", "csv", "html", "css", "pdf", "png",
        "svg",
    ];
    ENDINGS.contains(&ending(name).as_str()) || name.to_ascii_lowercase().contains(".log.")
}

/// An ELF file other than the memory image of a crashed program.
fn is_elf_program(head: &[u8]) -> bool {
    const CORE: &[u8] = &[4];
    // The type is a 16-bit number in the byte order of the file, so its value is in either of the two bytes.
    let file_type = if head.get(5) == Some(&2) { head.get(17..18) } else { head.get(16..17) };
    head.starts_with(b"\x7fELF") && file_type != Some(CORE)
}

/// A Mach-O file of either byte order and width, or one for several architectures.
fn is_mach_o(head: &[u8]) -> bool {
    const MAGIC: [[u8; 4]; 5] = [
        [0xfe, 0xed, 0xfa, 0xce],
        [0xfe, 0xed, 0xfa, 0xcf],
        [0xce, 0xfa, 0xed, 0xfe],
        [0xcf, 0xfa, 0xed, 0xfe],
        [0xca, 0xfe, 0xba, 0xbe],
    ];
    MAGIC.iter().any(|magic| head.starts_with(magic))
}

/// A name that Windows runs or loads.
fn has_program_name(name: &str) -> bool {
    matches!(ending(name).as_str(), "exe" | "dll" | "sys" | "com" | "scr" | "ocx" | "cpl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_driver_shows_as_a_broken_link_leaves_its_folder_unclear() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str| {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            std::fs::write(file, "text").expect("written");
        };
        write("Windows/System32/config/SYSTEM");
        write("Packed/readme.txt");
        write("Data/readme.txt");
        let link = |path: &str| crate::os::test_kit::link("unsupported reparse tag 0x80000017", &dir.path().join(path));
        if !link("Packed/avp.exe") || !link("Data/notes.txt") {
            return crate::os::test_kit::left_out("links");
        }
        let root = Root::below(dir.path()).expect("a root");
        let mut examiner = Examiner::new(&root, Platform::Windows);
        assert_eq!(examiner.folder(r"C:\Packed", (0, 0)), Contents::Unknown);
        assert_eq!(examiner.folder(r"C:\Data", (0, 0)), Contents::NoProgram);
    }

    #[test]
    fn a_program_has_the_form_of_one_and_may_run() {
        let linux = |name: &str, head: &[u8], executable: bool| content(Platform::Linux, name, head, executable, false);
        let mut core = b"\x7fELF\x02\x01\x01".to_vec();
        core.resize(16, 0);
        core.extend([4, 0]);
        for (name, head, executable, expected) in [
            ("kesl", &b"\x7fELF"[..], true, Content::Program),
            ("kesl", b"\x7fELF", false, Content::Program),
            ("libx.so.1", b"\x7fELF", false, Content::Program),
            ("libx.so.1", b"gone", false, Content::Data),
            ("run.sh", b"#!/bin/sh", true, Content::Program),
            ("run.sh", b"#!/bin/sh", false, Content::Unclear),
            ("run", b"#!/bin/sh", false, Content::Unclear),
            ("server.jar", b"PK\x03\x04", false, Content::Unclear),
            ("uninstall.py", b"import os", false, Content::Data),
            ("uninspected", b"\x7fELF", true, Content::Program),
            ("unins000", b"\x7fELF", true, Content::Program),
            ("uninstall.sh", b"#!/bin/sh", true, Content::Data),
            ("uninspected.sh", b"#!/bin/sh", true, Content::Program),
            ("kesl.log", b"2026-11-28", true, Content::Data),
            ("setup.exe", b"MZ\x90", true, Content::Data),
            ("core.17", &core, true, Content::Data),
            ("empty", b"", true, Content::Data),
        ] {
            assert_eq!(linux(name, head, executable), expected, "{name} {executable}");
        }
        assert_eq!(content(Platform::Linux, "example.sh", b"#!/bin/sh", true, true), Content::Data, "in a doc folder");
        assert_eq!(content(Platform::Windows, "avp.exe", b"MZ\x90", false, false), Content::Program);
        assert_eq!(content(Platform::Windows, "unins000.exe", b"MZ\x90", false, false), Content::Data);
        assert_eq!(content(Platform::Windows, "avp.log", b"MZ\x90", false, false), Content::Data);
        assert_eq!(content(Platform::Macos, "kav", &[0xcf, 0xfa, 0xed, 0xfe], true, false), Content::Program);
    }
}
