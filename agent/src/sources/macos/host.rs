//! `host`: the version and build of macOS. Programs that were built for an old macOS get another version from it, which is in
//! `SystemVersionCompat.plist` and is not read.

use muster_proto::model::{Kind, Observation, SourceName};

use super::plists;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::record::Part;
use crate::sources::{ScanContext, Source, SourceReading};

const VERSION: &str = "/System/Library/CoreServices/SystemVersion.plist";
const PREFERENCES: &str = "/Library/Preferences/SystemConfiguration/preferences.plist";

pub(super) struct Host;

impl Source for Host {
    fn name(&self) -> SourceName {
        SourceName::Host
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        match release(context, &mut builder) {
            Some(release) => {
                let mut os = Observation::new(Kind::Os, "macos");
                os.attributes.insert("pretty_name".to_owned(), release.pretty());
                os.version = release.version;
                if !release.build.is_empty() {
                    os.attributes.insert("build".to_owned(), release.build);
                }
                builder.add(VERSION, os);
            }
            None => builder.problem(format!("{VERSION} does not say which macOS this is")),
        }
        let architecture = &super::facts(context).architecture;
        if !architecture.is_empty() {
            builder.add(VERSION, Observation::new(Kind::Machine, architecture.as_str()));
        }
        builder.finish("")
    }
}

/// Which macOS is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// `macOS`, or `Mac OS X` for an old one.
    name: String,
    /// `14.4.1`.
    version: String,
    /// `23E224`.
    build: String,
}

impl Release {
    fn pretty(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Whether this macOS has system extensions: those from 10.15 on do.
    pub(super) fn has_system_extensions(&self) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (10, 15)
    }
}

/// Which macOS is installed; `None` if that is unknown.
pub(super) fn release(context: &ScanContext, builder: &mut ReadingBuilder) -> Option<Release> {
    let plist = plists::read(context, VERSION, builder)?;
    let name = Some(plist.text("ProductName")).filter(|name| !name.is_empty());
    let (version, build) = (plist.text("ProductVersion"), plist.text("ProductBuildVersion"));
    let is_version = version.starts_with(|first: char| first.is_ascii_digit());
    is_version.then(|| Release { name: name.unwrap_or_else(|| "macOS".to_owned()), version, build })
}

/// What the files of the Mac say about it. What they do not say stays as it is.
pub(super) const FACTS: Part = Part {
    what: "what macOS says about itself",
    read: |context| {
        let mut builder = ReadingBuilder::default();
        let release = release(context, &mut builder);
        let preferences = plists::read(context, PREFERENCES, &mut builder);
        let stated = |path: &[&str]| preferences.as_ref()?.at(path)?.as_text().filter(|name| !name.is_empty());
        let name = stated(&["System", "System", "ComputerName"])
            .or_else(|| stated(&["System", "Network", "HostNames", "LocalHostName"]));
        Box::new(move |record| {
            if let Some(release) = release {
                record.facts.os_name = release.pretty();
            }
            // The running system answers with the name by which others reach it.
            if let Some(name) = name.filter(|_| record.facts.hostname.is_empty()) {
                record.facts.hostname = name;
            }
        })
    },
    unread: |_| {},
};
