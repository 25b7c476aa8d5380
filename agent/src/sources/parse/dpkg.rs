//! The dpkg database: stanzas of `Name: value` lines, each followed by an empty line.
//!
//! dpkg ends every stanza with an empty line and replaces the whole file by a rename. So a file that ends anywhere else is
//! truncated, and [`Status::fault`] or [`Status::open_end`] says where. A truncation exactly between two stanzas leaves a
//! well-formed file; the source detects it by the file lists beside the database (`info/*.list`).

use muster_proto::limits;
use muster_proto::model::{DPKG_REINSTALL, DPKG_STATUS, DPKG_WANTED};

use super::space::Space;

/// A package in the database. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The architecture; empty when the stanza has none.
    pub architecture: String,
    /// The version.
    pub version: String,
    /// The maintainer's name without the mail address.
    pub maintainer: String,
    /// Two letters as in `dpkg -l` (`ii`, `rc`), followed by `R` if a reinstallation is required.
    pub state: String,
}

impl Package {
    /// Whether anything of the package is on the machine: its files, or configuration files left behind.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !matches!(self.state.as_bytes(), [_, b'n', ..])
    }
}

/// Damage in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpkgFault {
    /// The line, from 1.
    pub line: usize,
    /// Whether the file ends in the middle of this line.
    pub truncated: bool,
    /// What is wrong there.
    pub what: &'static str,
}

/// The parsed database. Packages before and after a fault are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The packages of all complete stanzas, including those that are not installed.
    pub packages: Vec<Package>,
    /// The first fault.
    pub fault: Option<DpkgFault>,
    /// Set when the last stanza ends with a complete line but without an empty line after it. dpkg always writes that line,
    /// other writers may not.
    pub open_end: Option<OpenEnd>,
}

/// A last stanza without an empty line after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEnd {
    /// The last line, from 1.
    pub line: usize,
    /// Whether the stanza has the fields that dpkg copies from every archive and that hand-written stanzas leave out.
    pub by_dpkg: bool,
}

/// The kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `status` and the files in `updates/`: every stanza has a `Status` field.
    Status,
    /// A file in `status.d/` of an image without dpkg: one control stanza, which means that the package is installed.
    Control,
    /// The status file of opkg: the same stanzas, with other flags in the second word of `Status`.
    Opkg,
}

/// Parses a database file in one pass.
#[must_use]
pub fn parse(bytes: &[u8], form: Form) -> Status {
    let mut reader =
        Reader { form, status: Status::default(), stanza: Stanza::default(), space: Space::default(), line: 0 };
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, next) = end.map_or((rest, &rest[rest.len()..]), |end| (&rest[..end], &rest[end + 1..]));
        reader.line += 1;
        if end.is_none() {
            reader.truncated();
        }
        reader.line(line.strip_suffix(b"\r").unwrap_or(line));
        rest = next;
    }
    reader.end()
}

#[derive(Default)]
struct Stanza<'a> {
    started: bool,
    broken: bool,
    package: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    config_version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    maintainer: Option<&'a [u8]>,
    archive_fields: u8,
}

struct Reader<'a> {
    form: Form,
    status: Status,
    stanza: Stanza<'a>,
    space: Space,
    line: usize,
}

impl<'a> Reader<'a> {
    fn fault(&mut self, what: &'static str) {
        let line = self.line;
        self.status.fault.get_or_insert(DpkgFault { line, truncated: false, what });
    }

    fn truncated(&mut self) {
        let (line, what) = (self.line, "the file ends in the middle of a line");
        // The first fault is kept, because later ones are often its consequences.
        self.status.fault.get_or_insert(DpkgFault { line, truncated: true, what });
        self.stanza.broken = true;
    }

    fn broken(&mut self, what: &'static str) {
        self.fault(what);
        self.stanza.broken = true;
    }

    fn line(&mut self, line: &'a [u8]) {
        match line.first() {
            None => self.close(),
            // Debian's policy lets a line of blanks separate stanzas too.
            Some(b' ' | b'\t') if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) => self.close(),
            Some(b' ' | b'\t') if self.stanza.started => self.check_bytes(line),
            Some(b' ' | b'\t') => {
                self.stanza.started = true;
                self.broken("continuation line outside of a field");
            }
            Some(b'#') => {}
            Some(_) => self.field(line),
        }
    }

    fn check_bytes(&mut self, line: &[u8]) {
        if line.contains(&0) {
            self.broken("the line contains NUL bytes");
        }
    }

    fn field(&mut self, line: &'a [u8]) {
        self.stanza.started = true;
        self.check_bytes(line);
        // Field names are short. A colon far to the right means that the beginning of the line is lost.
        let colon = line.iter().take(64).position(|byte| *byte == b':');
        let Some(colon) = colon.filter(|at| *at > 0 && line[..*at].iter().all(u8::is_ascii_graphic)) else {
            self.broken("the line is not a field");
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let stanza = &mut self.stanza;
        let place = match name {
            b"Package" => &mut stanza.package,
            b"Status" => &mut stanza.status,
            b"Version" => &mut stanza.version,
            b"Config-Version" => &mut stanza.config_version,
            b"Architecture" => &mut stanza.architecture,
            b"Maintainer" => &mut stanza.maintainer,
            b"Priority" | b"Section" | b"Installed-Size" => {
                stanza.archive_fields += 1;
                return;
            }
            _ => return,
        };
        if place.replace(value).is_some() {
            self.broken("the stanza has a duplicate field");
        }
    }

    fn close(&mut self) {
        let stanza = std::mem::take(&mut self.stanza);
        if !stanza.started {
            return;
        }
        match package_of(&stanza, self.form) {
            // A package counts even if other lines of its stanza are damaged: its name and state are known.
            Ok(package) => {
                let Package { name, architecture, version, maintainer, state } = &package;
                if self.space.take([name, architecture, version, maintainer, state]) {
                    self.status.packages.push(package);
                } else {
                    self.fault("the database has too many packages");
                }
            }
            Err(what) => self.fault(what),
        }
    }

    fn end(mut self) -> Status {
        if self.stanza.started && !self.stanza.broken && self.form != Form::Control {
            let by_dpkg = self.stanza.archive_fields >= 3;
            self.status.open_end = Some(OpenEnd { line: self.line, by_dpkg });
        }
        self.close();
        self.status
    }
}

fn package_of(stanza: &Stanza<'_>, form: Form) -> Result<Package, &'static str> {
    // A longer text is cut in the section anyway, and a line may be as long as the file.
    let text = |bytes: Option<&[u8]>| {
        let bytes = bytes.unwrap_or_default();
        String::from_utf8_lossy(&bytes[..bytes.len().min(limits::TEXT_BYTES + 1)]).into_owned()
    };
    let name = stanza.package.filter(|name| is_package_name(name)).ok_or("the stanza has no valid Package field")?;
    // A file in `status.d/` has no Status field, and its existence means that the package is installed.
    let state = match (form, stanza.status) {
        (Form::Opkg, Some(status)) => opkg_letters(status).ok_or("the stanza has an invalid Status field")?,
        (_, Some(status)) => letters(status).ok_or("the stanza has an invalid Status field")?,
        (Form::Control, None) => "ii".to_owned(),
        (Form::Status | Form::Opkg, None) => return Err("the stanza has no Status field"),
    };
    // A package that is not fully installed may only have the version that was configured last.
    let version = stanza.version.or(stanza.config_version).filter(|version| !version.is_empty());
    let package = Package {
        name: text(Some(name)),
        architecture: text(stanza.architecture),
        version: text(version),
        maintainer: person(stanza.maintainer.unwrap_or_default()),
        state,
    };
    // dpkg also lists packages that are not installed, and those have no version.
    if version.is_none() && package.is_there() {
        return Err("the stanza has no Version field");
    }
    Ok(package)
}

/// Names that Debian's policy allows, and also capitals and underscores, which real archives have.
fn is_package_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
}

/// The letters for a `Status` of opkg. Its flags, such as `user` and `hold,user`, say nothing about what is installed.
fn opkg_letters(status: &[u8]) -> Option<String> {
    let mut words = status.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (want, _flags, is) = (words.next()?, words.next()?, words.next()?);
    let is: &[u8] = match is {
        // Its files are there; only a script of the package failed.
        b"post-inst-failed" | b"removal-failed" => b"half-configured",
        is => is,
    };
    if words.next().is_some() {
        return None;
    }
    letters(&[want, b"ok", is].join(&b' '))
}

/// The letters for a `Status`: `ii` for `install ok installed`, `rc` for `deinstall ok config-files`.
fn letters(status: &[u8]) -> Option<String> {
    let mut words = status.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let letter =
        |word: &[u8], of: &[(&str, char)]| of.iter().find(|(name, _)| name.as_bytes() == word).map(|one| one.1);
    let want = letter(words.next()?, DPKG_WANTED)?;
    let reinstall = match words.next()? {
        b"ok" => false,
        b"reinstreq" => true,
        _ => return None,
    };
    let is = letter(words.next()?, DPKG_STATUS)?;
    if words.next().is_some() {
        return None;
    }
    Some([want, is].into_iter().chain(reinstall.then_some(DPKG_REINSTALL)).collect())
}

/// The name in `Name <mail@host>`; empty for a bare mail address.
pub(super) fn person(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == b'<').unwrap_or(field.len());
    let name = String::from_utf8_lossy(&field[..end]);
    let name = name.trim().trim_matches('"').trim();
    if name.contains('@') { String::new() } else { name.to_owned() }
}

#[cfg(test)]
#[path = "dpkg_tests.rs"]
mod tests;
