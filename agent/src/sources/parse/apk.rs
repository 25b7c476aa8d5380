//! Alpine's package database: stanzas of lines `X:value`, each followed by an empty line.
//!
//! apk replaces the whole file by a rename, so a file that ends anywhere else is truncated. A truncation between two stanzas
//! is detected by `etc/apk/world`, the list of explicitly requested packages, which are all installed.

use std::collections::BTreeSet;

use muster_proto::limits;

use super::dpkg::person;
use super::paged::PagedFault;
use super::space::Space;

/// A package in the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The architecture.
    pub architecture: String,
    /// The maintainer's name without the mail address.
    pub maintainer: String,
}

/// The parsed database. Packages before and after a fault are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The packages of all complete stanzas.
    pub packages: Vec<Package>,
    /// Names that the packages provide besides their own.
    pub provides: BTreeSet<String>,
    /// The first fault.
    pub fault: Option<PagedFault>,
    space: Space,
}

#[derive(Default)]
struct Stanza {
    package: Package,
    started: bool,
    broken: bool,
}

/// Parses `installed` in one pass.
#[must_use]
pub fn parse(bytes: &[u8]) -> Installed {
    let mut installed = Installed::default();
    let mut stanza = Stanza::default();
    let mut number = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        number += 1;
        let at = |what| PagedFault::at(format!("line {number}"), what);
        let Some(text) = line.strip_suffix(b"\n") else {
            // A value that is cut off may still parse, so the package of this stanza does not count.
            installed.fault.get_or_insert(at("the file ends in the middle of a line"));
            stanza.broken = true;
            break;
        };
        if text.is_empty() {
            installed.close(&mut stanza, number);
            continue;
        }
        stanza.started = true;
        let Some((name, value)) = field(text) else {
            installed.fault.get_or_insert(at("not a field"));
            stanza.broken = true;
            continue;
        };
        // A longer text is cut in the section anyway. What a package provides is a list.
        let length = if name == b'p' { value.len() } else { value.len().min(limits::TEXT_BYTES + 1) };
        let value = String::from_utf8_lossy(&value[..length]);
        match name {
            b'P' => stanza.package.name = value.into_owned(),
            b'V' => stanza.package.version = value.into_owned(),
            b'A' => stanza.package.architecture = value.into_owned(),
            b'm' => stanza.package.maintainer = person(value.as_bytes()),
            b'p' => {
                let rest = PROVIDED.saturating_sub(installed.provides.len());
                let names = value.split_whitespace().map(|name| bare_name(name).to_owned());
                installed.provides.extend(names.take(rest));
            }
            _ => {}
        }
    }
    if stanza.started {
        let what = "the file ends without an empty line";
        installed.fault.get_or_insert(PagedFault::at(format!("line {number}"), what));
        installed.close(&mut stanza, number);
    }
    installed
}

impl Installed {
    fn close(&mut self, stanza: &mut Stanza, line: usize) {
        let Stanza { package, started, broken } = std::mem::take(stanza);
        let whole = !package.name.is_empty() && !package.version.is_empty();
        if whole && !broken {
            let Package { name, version, architecture, maintainer } = &package;
            if self.space.take([name, version, architecture, maintainer]) {
                self.packages.push(package);
            } else {
                let what = "the database has too many packages";
                self.fault.get_or_insert(PagedFault::at(format!("line {line}"), what));
            }
        } else if started {
            self.fault.get_or_insert(PagedFault::at(format!("line {line}"), "the preceding stanza is incomplete"));
        }
    }

    /// The first name in `world` that no package has or provides.
    #[must_use]
    pub fn first_missing<'w>(&self, world: &'w str) -> Option<&'w str> {
        let mut missing = wanted(world);
        self.find(&mut missing);
        missing.first().copied()
    }

    /// Takes the names that `world` names and this database has out of those that are missing.
    pub fn find(&self, missing: &mut Vec<&str>) {
        let names: BTreeSet<&str> = self.packages.iter().map(|package| package.name.as_str()).collect();
        // `world` may name what a package provides instead of the package itself.
        missing.retain(|name| !names.contains(name) && !self.provides.contains(*name));
    }
}

/// The packages that `world` names.
#[must_use]
pub fn wanted(world: &str) -> Vec<&str> {
    // A conflict (`!name`) is listed there too, and must not be installed.
    world.split_whitespace().filter(|entry| !entry.starts_with(['!', '.', '#'])).map(bare_name).collect()
}

/// Limit of names that packages provide. Alpine's whole repository provides as many.
const PROVIDED: usize = 65_536;

/// Splits `X:value`; `None` for anything else.
fn field(line: &[u8]) -> Option<(u8, &[u8])> {
    match line {
        [name, b':', value @ ..] if name.is_ascii_alphabetic() && !value.contains(&0) => Some((*name, value)),
        _ => None,
    }
}

/// The name in `name>=1.2`, `name@edge` or `so:libc.so.6=1`.
fn bare_name(entry: &str) -> &str {
    entry.split(['<', '>', '=', '~', '@']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nT:the c library\nm:Timo T <t@alpine.example>\n\
        p:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1def=\n\n\
        C:Q1xyz=\nP:kesl\nV:12.2-r1\nA:x86_64\nm:Kaspersky Lab <x@y.example>\nF:opt\n\n";

    #[test]
    fn packages_have_name_version_and_maintainer() {
        let installed = parse(TEXT.as_bytes());
        assert_eq!(installed.fault, None);
        let rows: Vec<_> =
            installed.packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.maintainer)).collect();
        assert_eq!(rows, ["musl 1.2.5-r0 Timo T", "kesl 12.2-r1 Kaspersky Lab"]);
    }

    #[test]
    fn a_truncation_is_a_fault_or_is_detected_by_the_world_file() {
        let world = "musl\nkesl>12 so:libc.musl-x86_64.so.1 !conflict pinned@edge\n";
        let between = TEXT.find("\n\n").expect("two stanzas") + 2;
        for cut in 1..TEXT.len() {
            let installed = parse(&TEXT.as_bytes()[..cut]);
            let detected = installed.fault.is_some() || installed.first_missing(world) == Some("kesl");
            assert!(detected, "cut at {cut}");
            assert_eq!(installed.fault.is_none(), cut == between, "cut at {cut}");
        }
        assert_eq!(parse(TEXT.as_bytes()).first_missing(world), Some("pinned"));
    }

    #[test]
    fn garbage_is_a_fault_with_its_line() {
        let fault = parse(b"\0\0\0\nP:x\n\n").fault.expect("a fault");
        assert_eq!(fault.to_string(), "line 1: not a field");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "([PVAmp]:[a-z<>= ]{0,5}\n{0,2}){0,8}") {
            let _ = parse(&bytes).first_missing(&String::from_utf8_lossy(&bytes));
            let _ = parse(text.as_bytes());
        }
    }
}
