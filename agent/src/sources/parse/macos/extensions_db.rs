//! `/Library/SystemExtensions/db.plist`: the system extensions that `sysextd` knows, and the profiles that approve some.

use std::collections::BTreeSet;

use crate::sources::parse::plist::Plist;

/// The beginning of every category: `com.apple.system_extension.endpoint_security`.
const CATEGORY: &str = "com.apple.system_extension.";
/// The category whose extensions see and stop the start of programs and access to files.
const ENDPOINT_SECURITY: &str = "endpoint_security";
/// The state of an extension that is switched on.
const ENABLED: &str = "activated_enabled";

/// A system extension. One id can be there several times: the version that runs, and others that wait.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemExtension {
    /// The bundle id.
    pub id: String,
    /// The team id of its maker; empty if it is not signed.
    pub team: String,
    /// The version that people see, or that of the build.
    pub version: String,
    /// What it is for, without the beginning that all share: `endpoint_security`, `network_extension`.
    pub categories: Vec<String>,
    /// The state as `sysextd` writes it.
    pub state: String,
    /// The extension in the application that brought it.
    pub origin: String,
    /// The copy that runs.
    pub staged: String,
    /// A profile of the organisation approves it.
    pub managed: bool,
}

/// Everything in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Database {
    /// The extensions, also those of which something is missing.
    pub extensions: Vec<SystemExtension>,
    /// What is not as it should be.
    pub fault: Option<&'static str>,
}

impl SystemExtension {
    /// Whether it is switched on and of the kind that protects. Whether its copy is there must be seen on the disk.
    #[must_use]
    pub fn may_protect(&self) -> bool {
        self.state == ENABLED && self.categories.iter().any(|category| category == ENDPOINT_SECURITY)
    }

    /// The team id and the bundle id, as the code signature names it.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.team.is_empty() { self.id.clone() } else { format!("{}.{}", self.team, self.id) }
    }
}

/// Reads the database; `None` if it has no list of extensions.
#[must_use]
pub fn parse(plist: &Plist) -> Option<Database> {
    let mut database = Database::default();
    let approved = Approved::of(plist);
    for entry in plist.get("extensions")?.array()? {
        let mut extension = extension(entry);
        let is_whole = EXPECTED.iter().all(|key| entry.get(key).is_some())
            && !extension.id.is_empty()
            && !extension.state.is_empty()
            && !extension.categories.is_empty()
            && !extension.version.is_empty();
        if !is_whole {
            database.fault = Some("the record of an extension is not complete");
        }
        if extension.id.is_empty() {
            continue;
        }
        extension.managed = approved.names(&extension);
        database.extensions.push(extension);
    }
    Some(database)
}

/// What every record has.
const EXPECTED: &[&str] =
    &["identifier", "teamID", "state", "categories", "bundleVersion", "originPath", "stagedBundleURL"];

fn extension(entry: &Plist) -> SystemExtension {
    let version = |key: &str| entry.at(&["bundleVersion", key]).and_then(Plist::as_text);
    let category = |text: String| text.strip_prefix(CATEGORY).map_or(text.clone(), str::to_owned);
    let staged = entry.at(&["stagedBundleURL", "relative"]).and_then(Plist::as_text).unwrap_or_default();
    SystemExtension {
        id: entry.text("identifier"),
        team: entry.text("teamID"),
        version: version("CFBundleShortVersionString").or_else(|| version("CFBundleVersion")).unwrap_or_default(),
        categories: entry.texts("categories").into_iter().map(category).collect(),
        state: entry.text("state"),
        origin: entry.text("originPath"),
        staged: super::url::path_of(&staged).unwrap_or_default(),
        managed: false,
    }
}

/// What the profiles of the organisation approve.
#[derive(Default)]
struct Approved {
    teams: BTreeSet<String>,
    extensions: BTreeSet<(String, String)>,
}

impl Approved {
    fn of(plist: &Plist) -> Self {
        let mut approved = Self::default();
        for policy in plist.get("extensionPolicies").and_then(Plist::array).into_iter().flatten() {
            approved.teams.extend(policy.texts("allowedTeamIDs"));
            let by_team = policy.get("allowedExtensions");
            for team in by_team.and_then(Plist::dictionary).into_iter().flat_map(|teams| teams.keys()) {
                let ids = by_team.map(|by_team| by_team.texts(team)).unwrap_or_default();
                approved.extensions.extend(ids.into_iter().map(|id| (team.clone(), id)));
            }
        }
        approved
    }

    fn names(&self, extension: &SystemExtension) -> bool {
        let SystemExtension { team, id, .. } = extension;
        self.teams.contains(team) || self.extensions.contains(&(team.clone(), id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse::plist;

    /// As `plutil -convert xml1` prints it, shortened.
    const XML: &str = r"<plist><dict><key>version</key><integer>1</integer>
        <key>extensionPolicies</key><array><dict><key>allowedExtensions</key><dict><key>X9E956P446</key><array>
        <string>com.crowdstrike.falcon.Agent</string></array></dict></dict></array>
        <key>extensions</key><array><dict>
        <key>identifier</key><string>com.crowdstrike.falcon.Agent</string><key>teamID</key><string>X9E956P446</string>
        <key>state</key><string>activated_enabled</string>
        <key>categories</key><array><string>com.apple.system_extension.endpoint_security</string>
        <string>com.apple.system_extension.network_extension</string></array>
        <key>bundleVersion</key><dict><key>CFBundleShortVersionString</key><string>7.10</string></dict>
        <key>originPath</key><string>/Applications/Falcon.app/Contents/Library/SystemExtensions/x.systemextension</string>
        <key>stagedBundleURL</key><dict><key>relative</key><string>file:///Library/SystemExtensions/A/x.systemextension/</string>
        </dict></dict></array></dict></plist>";

    fn read(text: &str) -> Option<Database> {
        parse(&plist::parse(text.as_bytes()).expect("a list"))
    }

    #[test]
    fn an_extension_is_read_with_what_approves_it() {
        let database = read(XML).expect("a database");
        assert_eq!(database.fault, None);
        let [extension] = database.extensions.as_slice() else { panic!("{database:?}") };
        assert_eq!(extension.qualified(), "X9E956P446.com.crowdstrike.falcon.Agent");
        assert_eq!(extension.categories, ["endpoint_security", "network_extension"]);
        assert_eq!(extension.staged, "/Library/SystemExtensions/A/x.systemextension");
        assert!(extension.managed && extension.may_protect());
    }

    #[test]
    fn only_an_enabled_extension_for_endpoint_security_may_protect() {
        for (from, to) in [
            ("activated_enabled", "activated_waiting_for_user"),
            ("activated_enabled", "activated_enabled "),
            ("system_extension.endpoint_security", "system_extension.driver_extension"),
        ] {
            let database = read(&XML.replace(from, to)).expect("a database");
            let protects = database.extensions[0].may_protect();
            assert_eq!(protects, to.trim() == from, "{to}");
        }
        let teams = XML
            .replace("<key>allowedExtensions", "<key>allowedTeamIDs</key><array><string>x</string></array><key>other");
        assert!(!read(&teams).expect("a database").extensions[0].managed);
    }

    #[test]
    fn a_record_without_one_of_its_parts_is_a_fault_and_is_kept() {
        for key in EXPECTED {
            let database = read(&XML.replace(&format!("<key>{key}"), "<key>other")).expect("a database");
            assert!(database.fault.is_some(), "{key}");
            assert_eq!(database.extensions.len(), usize::from(*key != "identifier"), "{key}");
        }
        assert_eq!(read("<plist><dict/></plist>"), None);
        assert_eq!(read(&XML.replace("<key>extensions", "<key>extensionz")), None);
    }
}
