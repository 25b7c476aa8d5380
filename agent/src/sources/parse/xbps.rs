//! The package database of xbps (Void): one XML property list, a dictionary with a dictionary for each package.
//!
//! Only what that file needs of property lists is understood. xbps replaces the file by a rename, so a list that does not
//! end is truncated. Keys that begin with `_XBPS_` are not packages.

use super::package_entry::{PackageEntry, of_xbps};
use super::paged::PagedFault;
use super::space::Space;

/// A package of the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Package {
    /// Name, version and architecture.
    pub entry: PackageEntry,
    /// `installed`, `unpacked`, `half-removed`, `broken`, `not-installed`.
    pub state: String,
    /// The maintainer's name without the mail address.
    pub maintainer: String,
}

/// The parsed database. Packages before a fault are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The packages.
    pub packages: Vec<Package>,
    /// The first fault.
    pub fault: Option<PagedFault>,
}

/// Parses the property list in one pass.
#[must_use]
pub fn parse(bytes: &[u8]) -> Installed {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::default();
    let mut rest = text.as_ref();
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start..].find('>') else {
            reader.fault("the file ends in the middle of an element");
            break;
        };
        let (content, tag) = (&rest[..start], &rest[start + 1..start + length]);
        rest = &rest[start + length + 1..];
        reader.tag(content, tag);
    }
    if !reader.ended {
        reader.fault("the property list does not end");
    }
    reader.installed
}

#[derive(Default)]
struct Reader {
    installed: Installed,
    /// The open dictionaries and arrays: whether each is a dictionary.
    open: Vec<bool>,
    /// The key of the package, and the key in its dictionary.
    keys: [String; 2],
    package: Package,
    space: Space,
    ended: bool,
}

impl Reader {
    fn fault(&mut self, what: &'static str) {
        let place = format!("after {} packages", self.installed.packages.len());
        self.installed.fault.get_or_insert_with(|| PagedFault::at(place, what));
    }

    fn tag(&mut self, content: &str, tag: &str) {
        if self.ended {
            self.fault("an element follows the end of the property list");
        }
        match tag {
            "dict" | "array" => self.open.push(tag == "dict"),
            "/dict" | "/array" => {
                if self.open.len() == 2 {
                    self.close();
                }
                if self.open.pop() != Some(tag == "/dict") {
                    self.fault("an element ends that did not begin");
                }
            }
            "/key" => {
                if let Some(key) = self.open.len().checked_sub(1).and_then(|at| self.keys.get_mut(at)) {
                    *key = plain(content);
                }
            }
            "/string" if self.open.len() == 2 => match self.keys[1].as_str() {
                "pkgver" => match of_xbps(&plain(content)) {
                    Some(entry) => {
                        let architecture = std::mem::take(&mut self.package.entry.architecture);
                        self.package.entry = PackageEntry { architecture, ..entry };
                    }
                    None => self.fault("a package has an invalid version"),
                },
                "architecture" => self.package.entry.architecture = plain(content),
                "state" => self.package.state = plain(content),
                "maintainer" => self.package.maintainer = super::dpkg::person(plain(content).as_bytes()),
                _ => {}
            },
            "/plist" => {
                if !self.open.is_empty() {
                    self.fault("the property list ends within a dictionary");
                }
                self.ended = true;
            }
            _ => {}
        }
    }

    /// Ends the dictionary of a package.
    fn close(&mut self) {
        let mut package = std::mem::take(&mut self.package);
        let key = std::mem::take(&mut self.keys[0]);
        if key.starts_with("_XBPS_") {
            return;
        }
        if package.entry.name.is_empty() {
            self.fault("a package has no version");
            package.entry.name = key;
        }
        if package.entry.name.is_empty() {
            return;
        }
        let PackageEntry { name, version, architecture } = &package.entry;
        if self.space.take([name, version, architecture, &package.state, &package.maintainer]) {
            self.installed.packages.push(package);
        } else {
            self.fault("the property list has too many packages");
        }
    }
}

/// A text without the five entities of XML.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>_XBPS_ALTERNATIVES_</key>
	<dict>
		<key>sh</key>
		<array>
			<string>dash</string>
		</array>
	</dict>
	<key>base-files</key>
	<dict>
		<key>architecture</key>
		<string>x86_64</string>
		<key>maintainer</key>
		<string>A &amp; B &lt;a@b.example&gt;</string>
		<key>pkgver</key>
		<string>base-files-0.145_1</string>
		<key>run_depends</key>
		<array>
			<string>xbps-triggers&gt;=0.123_1</string>
		</array>
		<key>state</key>
		<string>installed</string>
	</dict>
	<key>kesl</key>
	<dict>
		<key>pkgver</key>
		<string>kesl-12.1.0.1508_1</string>
		<key>state</key>
		<string>half-removed</string>
	</dict>
</dict>
</plist>
"#;

    #[test]
    fn every_package_is_read_with_its_state() {
        let installed = parse(TEXT.as_bytes());
        let row = |one: &Package| format!("{} {} {} {}", one.entry.name, one.entry.version, one.state, one.maintainer);
        let rows: Vec<_> = installed.packages.iter().map(row).collect();
        assert_eq!(rows, ["base-files 0.145_1 installed A & B", "kesl 12.1.0.1508_1 half-removed "]);
        assert_eq!((installed.fault, installed.packages[0].entry.architecture.as_str()), (None, "x86_64"));
    }

    #[test]
    fn a_file_that_ends_anywhere_else_is_truncated() {
        for cut in 0..TEXT.trim_end().len() {
            assert!(parse(&TEXT.as_bytes()[..cut]).fault.is_some(), "cut at {cut}");
        }
        assert!(parse(&[0; 64]).fault.is_some());
    }
}
