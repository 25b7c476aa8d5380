//! The dpkg database: stanzas of `Name: value` lines, an empty line after each.
//!
//! dpkg ends every stanza with an empty line, the last one too, and replaces the whole file by a rename. So a file that
//! ends anywhere else was cut, and [`Status::fault`] says where. A cut exactly between two stanzas leaves a file that
//! is whole in itself: the source finds it out by the file lists beside the database (`info/*.list`).

/// One package as the database has it. Texts are as they stand there, bytes that are not UTF-8 replaced.
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
    /// Two letters as `dpkg -l` shows them (`ii`, `rc`), and `R` when it must be installed again.
    pub state: String,
}

impl Package {
    /// Whether anything of the package is on the machine: files, or what it left behind.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !matches!(self.state.as_bytes(), [_, b'n', ..])
    }
}

/// Where and why the bytes are not what dpkg writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpkgFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// What was read, and the first fault. Packages before and after a fault are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The packages of all stanzas that are whole, also those of which nothing is on the machine.
    pub packages: Vec<Package>,
    /// The first fault.
    pub fault: Option<DpkgFault>,
    /// The last stanza is not followed by an empty line, though it ends at the end of a line. dpkg writes that line,
    /// other writers may not.
    pub open_end: Option<OpenEnd>,
}

/// The last stanza of a file that does not end with an empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEnd {
    /// The last line, from 1.
    pub line: usize,
    /// Whether the stanza has the fields that dpkg copies from every archive and hand-written files leave out.
    pub by_dpkg: bool,
}

/// Which kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `status` and the files in `updates/`: every stanza has a `Status`.
    Status,
    /// A file in `status.d/` of an image without dpkg: one control stanza; what stands there is installed.
    Control,
}

/// Reads a database file in one pass.
#[must_use]
pub fn parse(bytes: &[u8], form: Form) -> Status {
    let mut reader = Reader { form, status: Status::default(), stanza: Stanza::default(), line: 0 };
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, next) = end.map_or((rest, &rest[rest.len()..]), |end| (&rest[..end], &rest[end + 1..]));
        reader.line += 1;
        if end.is_none() {
            reader.fault("the file ends within a line");
            reader.stanza.broken = true;
        }
        reader.line(line.strip_suffix(b"\r").unwrap_or(line));
        rest = next;
    }
    reader.end()
}

#[derive(Default)]
struct Stanza<'a> {
    begun: bool,
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
    line: usize,
}

impl<'a> Reader<'a> {
    fn fault(&mut self, what: &'static str) {
        let line = self.line;
        self.status.fault.get_or_insert(DpkgFault { line, what });
    }

    fn broken(&mut self, what: &'static str) {
        self.fault(what);
        self.stanza.broken = true;
    }

    fn line(&mut self, line: &'a [u8]) {
        match line.first() {
            None => self.close(),
            Some(b' ' | b'\t') if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) => self.close(),
            Some(b' ' | b'\t') if self.stanza.begun => self.check_bytes(line),
            Some(b' ' | b'\t') => {
                self.stanza.begun = true;
                self.broken("a continued line stands outside of a field");
            }
            Some(b'#') => {}
            Some(_) => self.field(line),
        }
    }

    fn check_bytes(&mut self, line: &[u8]) {
        if line.contains(&0) {
            self.broken("the line has NUL bytes");
        }
    }

    fn field(&mut self, line: &'a [u8]) {
        self.stanza.begun = true;
        self.check_bytes(line);
        // Field names are short; a colon far off is text that lost its beginning.
        let colon = line.iter().take(64).position(|byte| *byte == b':');
        let Some(colon) = colon.filter(|at| *at > 0 && line[..*at].iter().all(u8::is_ascii_graphic)) else {
            self.broken("the line is no field");
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
            self.broken("the stanza has a field twice");
        }
    }

    fn close(&mut self) {
        let stanza = std::mem::take(&mut self.stanza);
        if !stanza.begun {
            return;
        }
        match package_of(&stanza, self.form) {
            // Of a broken stanza nothing is known for certain but that the package's name stands there with a state.
            Ok(package) => self.status.packages.push(package),
            Err(what) => self.fault(what),
        }
    }

    fn end(mut self) -> Status {
        if self.stanza.begun && !self.stanza.broken && self.form == Form::Status {
            let by_dpkg = self.stanza.archive_fields >= 3;
            self.status.open_end = Some(OpenEnd { line: self.line, by_dpkg });
        }
        self.close();
        self.status
    }
}

fn package_of(stanza: &Stanza<'_>, form: Form) -> Result<Package, &'static str> {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let name = stanza.package.filter(|name| is_package_name(name)).ok_or("the stanza has no valid Package field")?;
    let state = match (form, stanza.status) {
        (_, Some(status)) => letters(status).ok_or("the stanza's Status is none that dpkg writes")?,
        (Form::Control, None) => "ii".to_owned(),
        (Form::Status, None) => return Err("the stanza has no Status field"),
    };
    let version = stanza.version.or(stanza.config_version).filter(|version| !version.is_empty());
    let package = Package {
        name: text(Some(name)),
        architecture: text(stanza.architecture),
        version: text(version),
        maintainer: person(stanza.maintainer.unwrap_or_default()),
        state,
    };
    if version.is_none() && package.is_there() {
        return Err("the stanza has no Version field");
    }
    Ok(package)
}

/// The names that policy allows, and the capitals and underscores that real archives have.
fn is_package_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
}

/// `install ok installed` is `ii`, `deinstall ok config-files` is `rc`.
fn letters(status: &[u8]) -> Option<String> {
    let mut words = status.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let want = match words.next()? {
        b"unknown" => 'u',
        b"install" => 'i',
        b"hold" => 'h',
        b"deinstall" => 'r',
        b"purge" => 'p',
        _ => return None,
    };
    let reinstall = match words.next()? {
        b"ok" => false,
        b"reinstreq" => true,
        _ => return None,
    };
    let is = match words.next()? {
        b"not-installed" => 'n',
        b"config-files" => 'c',
        b"half-installed" => 'H',
        b"unpacked" => 'U',
        b"half-configured" => 'F',
        b"triggers-awaited" => 'W',
        b"triggers-pending" => 't',
        b"installed" => 'i',
        _ => return None,
    };
    if words.next().is_some() {
        return None;
    }
    Some([want, is].into_iter().chain(reinstall.then_some('R')).collect())
}

/// The name of `Name <mail@host>`; a bare mail address is not shown.
pub(super) fn person(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == b'<').unwrap_or(field.len());
    let name = String::from_utf8_lossy(&field[..end]);
    let name = name.trim().trim_matches('"').trim();
    if name.contains('@') { String::new() } else { name.to_owned() }
}

#[cfg(test)]
#[path = "dpkg_tests.rs"]
mod tests;
