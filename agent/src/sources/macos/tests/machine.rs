//! A copied Mac in a temporary folder.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use muster_proto::model::{Observation, Watchlist};

use crate::sources::parse::macos::bom;
use crate::sources::root::Root;
use crate::sources::{ScanContext, Source, SourceReading};

pub(super) struct Mac(tempfile::TempDir);

/// The first bytes of a program for Apple's processors.
pub(super) const PROGRAM: &[u8] = &[0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1];

impl Mac {
    /// A Mac without any software of others.
    pub(super) fn new() -> Self {
        let mac = Self(tempfile::tempdir().expect("a temporary folder"));
        let version = [("ProductName", "macOS"), ("ProductVersion", "14.4.1"), ("ProductBuildVersion", "23E224")];
        mac.list("System/Library/CoreServices/SystemVersion.plist", &version)
            .application("Applications/Utilities/Terminal.app", "com.apple.Terminal", "2.14")
            .folder("Library/LaunchDaemons")
            .folder("Library/LaunchAgents")
            .folder("Users/Shared")
            .folder("private/var/db/receipts")
            .file("Library/SystemExtensions/db.plist", extensions_db(&[]))
            .link("var", "private/var")
    }

    pub(super) fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.made(path), bytes).expect("written");
        self
    }

    /// A property list with these texts.
    pub(super) fn list(self, path: &str, texts: &[(&str, &str)]) -> Self {
        self.file(path, dictionary(texts))
    }

    /// An application with its program.
    pub(super) fn application(self, path: &str, id: &str, version: &str) -> Self {
        let properties =
            [("CFBundleIdentifier", id), ("CFBundleShortVersionString", version), ("CFBundleExecutable", "main")];
        self.list(&format!("{path}/Contents/Info.plist"), &properties)
            .file(&format!("{path}/Contents/MacOS/main"), PROGRAM)
    }

    /// A receipt with the files that its package installed.
    pub(super) fn receipt(self, id: &str, files: &[&str]) -> Self {
        let texts = [("PackageIdentifier", id), ("PackageVersion", "1.2"), ("InstallPrefixPath", "/")];
        let mac = self.list(&format!("private/var/db/receipts/{id}.plist"), &texts);
        if files.is_empty() {
            mac
        } else {
            mac.file(&format!("private/var/db/receipts/{id}.bom"), bom::builder::bom(files))
        }
    }

    pub(super) fn folder(self, path: &str) -> Self {
        fs::create_dir_all(self.made(path)).expect("made");
        self
    }

    pub(super) fn link(self, path: &str, target: &str) -> Self {
        symlink(target, self.made(path)).expect("linked");
        self
    }

    pub(super) fn without(self, path: &str) -> Self {
        let path = self.0.path().join(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
        self
    }

    pub(super) fn context(&self, watchlist: Watchlist) -> ScanContext {
        ScanContext::new(self.root(), watchlist)
    }

    /// Paths are resolved by the kernel, and as on macOS, which makes no difference.
    pub(super) fn read(&self, source: &dyn Source) -> SourceReading {
        let context = self.context(Watchlist::default());
        let reading = source.read(&context);
        let by_walk = source.read(&ScanContext { root: Arc::new(self.root().by_walk()), ..context });
        let of = |reading: &SourceReading| (reading.outcome, reading.reason.clone(), rows(reading));
        assert_eq!(of(&reading), of(&by_walk));
        reading
    }

    fn root(&self) -> Root {
        Root::below(self.0.path()).expect("a root")
    }

    fn made(&self, path: &str) -> PathBuf {
        let file = self.0.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        file
    }
}

/// `name | id | version | state` of each observation.
pub(super) fn rows(reading: &SourceReading) -> Vec<String> {
    let row = |one: &Observation| format!("{} | {} | {} | {}", one.name, one.id, one.version, one.state);
    reading.observations.iter().map(row).collect()
}

/// The observation with this name.
pub(super) fn one<'r>(reading: &'r SourceReading, name: &str) -> &'r Observation {
    let named = reading.observations.iter().find(|one| one.name == name);
    named.unwrap_or_else(|| panic!("{name} is not in {:?}", rows(reading)))
}

pub(super) fn dictionary(texts: &[(&str, &str)]) -> String {
    let mut text = "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>".to_owned();
    for (key, value) in texts {
        let value = if value.starts_with('<') { (*value).to_owned() } else { format!("<string>{value}</string>") };
        let _ = write!(text, "<key>{key}</key>{value}");
    }
    text + "</dict></plist>"
}

/// One system extension for the database.
pub(super) struct Listed {
    pub(super) team: &'static str,
    pub(super) id: &'static str,
    pub(super) category: &'static str,
    pub(super) state: &'static str,
}

/// Where the copy of a system extension is.
pub(super) fn staged(id: &str) -> String {
    format!("Library/SystemExtensions/5A-01/{id}.systemextension")
}

/// The database of system extensions.
pub(super) fn extensions_db(listed: &[Listed]) -> String {
    let mut extensions = "<array>".to_owned();
    for Listed { team, id, category, state } in listed {
        let origin = format!("/Applications/X.app/Contents/Library/SystemExtensions/{id}.systemextension");
        let staged = dictionary(&[("relative", &format!("file:///{}/", staged(id)))]);
        let version = dictionary(&[("CFBundleShortVersionString", "7.10")]);
        let inner = |plist: &str| plist[plist.find("<dict>").expect("a list")..].replace("</plist>", "");
        let categories = format!("<array><string>com.apple.system_extension.{category}</string></array>");
        extensions += &inner(&dictionary(&[
            ("identifier", id),
            ("teamID", team),
            ("state", state),
            ("categories", &categories),
            ("bundleVersion", &inner(&version)),
            ("originPath", &origin),
            ("stagedBundleURL", &inner(&staged)),
        ]));
    }
    extensions += "</array>";
    dictionary(&[("extensions", &extensions), ("extensionPolicies", "<array/>"), ("version", "<integer>1</integer>")])
}
