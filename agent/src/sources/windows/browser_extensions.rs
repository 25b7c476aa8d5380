//! `browser-extensions`: extensions of Chrome, Chromium, Edge, Brave and Firefox in the profiles of every user, those that the
//! registry adds or forces, and the programs that extensions may talk to.

use muster_proto::model::{Kind, Observation, SourceName};

use super::machine;
use super::reader::{Reader, shown_key};
use crate::sources::parse::extension::{Extension, is_id};
use crate::sources::parse::extension_settings::{self, MODE, installs, parse_installed};
use crate::sources::parse::windows::image_path::{FilePlace, of_folder};
use crate::sources::portable::extensions::{add, firefox, profiles};
use crate::sources::registry::Value;
use crate::sources::watchlist::matches_in_any_case;
use crate::sources::{ScanContext, Source, SourceReading};

/// Chromium-based browsers with their profiles below a home directory.
const CHROMIUM: &[(&str, &[&str])] = &[
    (
        "chrome",
        &[
            "AppData/Local/Google/Chrome/User Data",
            "AppData/Local/Google/Chrome Beta/User Data",
            "AppData/Local/Google/Chrome Dev/User Data",
            "AppData/Local/Google/Chrome SxS/User Data",
        ],
    ),
    ("chromium", &["AppData/Local/Chromium/User Data"]),
    (
        "edge",
        &[
            "AppData/Local/Microsoft/Edge/User Data",
            "AppData/Local/Microsoft/Edge Beta/User Data",
            "AppData/Local/Microsoft/Edge Dev/User Data",
        ],
    ),
    (
        "brave",
        &[
            "AppData/Local/BraveSoftware/Brave-Browser/User Data",
            "AppData/Local/BraveSoftware/Brave-Browser-Beta/User Data",
            "AppData/Local/BraveSoftware/Brave-Browser-Nightly/User Data",
        ],
    ),
];
const FIREFOX: &str = "AppData/Roaming/Mozilla/Firefox/Profiles";
/// Both views of the machine.
const MACHINE: &[&str] = &[r"HKLM\SOFTWARE", r"HKLM\SOFTWARE\WOW6432Node"];
/// Packages from the Store have folders of their own below this one, and Firefox its profiles below them.
const PACKAGES: &str = "AppData/Local/Packages";
const FIREFOX_OF_STORE: (&str, &str) = ("Mozilla.Firefox_*", "LocalCache/Roaming/Mozilla/Firefox/Profiles");
/// Where the registry has what it adds to a browser.
struct Keys {
    browser: &'static str,
    /// Below `SOFTWARE\Policies`: what an administrator demands.
    policies: &'static str,
    /// Below `SOFTWARE`: what programs add.
    programs: &'static [&'static str],
}
const KEYS: &[Keys] = &[
    Keys { browser: "chrome", policies: r"Google\Chrome", programs: &[r"Google\Chrome"] },
    Keys { browser: "chromium", policies: "Chromium", programs: &["Chromium"] },
    Keys { browser: "edge", policies: r"Microsoft\Edge", programs: &[r"Microsoft\Edge"] },
    // Programs use either name of Brave; its documentation has only the key of its policies.
    Keys {
        browser: "brave",
        policies: r"BraveSoftware\Brave",
        programs: &[r"BraveSoftware\Brave-Browser", r"BraveSoftware\Brave"],
    },
    Keys { browser: "firefox", policies: r"Mozilla\Firefox", programs: &["Mozilla"] },
];
const SETTINGS: &str = "ExtensionSettings";
/// The values of Firefox that name add-ons by their ids: those that a program adds, and those that a policy locks.
const ADD_ONS: &[(&str, bool)] =
    &[(r"Mozilla\Firefox\Extensions", false), (r"Policies\Mozilla\Firefox\Extensions\Locked", true)];

pub(super) struct BrowserExtensions;

impl Source for BrowserExtensions {
    fn name(&self) -> SourceName {
        SourceName::BrowserExtensions
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, |reader| browser_extensions(reader, context))
    }
}

fn browser_extensions(mut reader: Reader<'_>, context: &ScanContext) -> SourceReading {
    let users = reader.users();
    for user in &users {
        let home = of_folder(&user.profile, &reader.folders).into_iter().next();
        let Some(FilePlace::Local(home)) = home else {
            reader.builder.problem("the home directory of a user is not on this machine");
            continue;
        };
        // Listing the home directory first reports one that may not be entered, or that is on another volume.
        let Some(_) = reader.builder.list(context, &home) else { continue };
        reader.builder.places_found += 1;
        for (browser, places) in CHROMIUM {
            for place in *places {
                profiles(context, browser, &home, place, &mut reader.builder);
            }
        }
        firefox(context, &home, FIREFOX, &mut reader.builder);
        let (package, profiles) = FIREFOX_OF_STORE;
        let home_of_packages = format!("{home}\\{}", PACKAGES.replace('/', "\\"));
        for entry in reader.builder.list(context, &home_of_packages).unwrap_or_default() {
            if entry.is_directory && matches_in_any_case(package, &entry.name) {
                firefox(context, &home, &format!("{PACKAGES}/{}/{profiles}", entry.name), &mut reader.builder);
            }
        }
    }
    for top in
        MACHINE.iter().map(|top| (*top).to_owned()).chain(users.iter().map(|user| format!("{}\\Software", user.key)))
    {
        registered(&mut reader, &top);
    }
    reader.finish("no browser directories")
}

/// The keys of the machine that are read, in both views.
pub(super) fn keys() -> Vec<String> {
    let of_browsers = KEYS.iter().flat_map(|Keys { policies, programs, .. }| {
        let policies = format!(r"Policies\{policies}");
        let lists = ["ExtensionInstallForcelist", SETTINGS].map(|list| format!("{policies}\\{list}"));
        let programs =
            programs.iter().flat_map(|key| [format!(r"{key}\Extensions"), format!(r"{key}\NativeMessagingHosts")]);
        [policies].into_iter().chain(lists).chain(programs)
    });
    let all: Vec<String> = of_browsers.chain(ADD_ONS.iter().map(|(key, _)| (*key).to_owned())).collect();
    MACHINE.iter().flat_map(|top| all.iter().map(move |key| format!("{top}\\{key}"))).collect()
}

/// What the registry adds to browsers.
fn registered(reader: &mut Reader<'_>, top: &str) {
    for Keys { browser, policies, programs } in KEYS {
        let policies = format!("{top}\\Policies\\{policies}");
        for value in reader.values(&format!("{policies}\\ExtensionInstallForcelist")).unwrap_or_default().0 {
            let text = value.text().unwrap_or_default();
            let id = text.split(';').next().unwrap_or_default().trim();
            if is_id(id) {
                extension(reader, id, browser, "policy");
            }
        }
        for id in settings(reader, &policies) {
            let is_of_browser = if *browser == "firefox" { id.contains(['@', '{']) } else { is_id(&id) };
            if is_of_browser {
                extension(reader, &id, browser, "policy");
            }
        }
        for key in *programs {
            for id in reader.keys(&format!("{top}\\{key}\\Extensions")).unwrap_or_default() {
                if is_id(&id) {
                    extension(reader, &id, browser, "registry");
                }
            }
            for name in reader.keys(&format!("{top}\\{key}\\NativeMessagingHosts")).unwrap_or_default() {
                let mut host = Observation::new(Kind::BrowserExtension, name.as_str());
                host.id = name;
                host.attributes.insert("browser".to_owned(), (*browser).to_owned());
                host.attributes.insert("type".to_owned(), "native-messaging-host".to_owned());
                reader.add(key, host);
            }
        }
    }
    for (key, is_policy) in ADD_ONS {
        for value in reader.values(&format!("{top}\\{key}")).unwrap_or_default().0 {
            // Programs add an id with the folder of the add-on. A policy has a list of ids.
            let id = if *is_policy { value.text().unwrap_or_default() } else { value.name };
            if id.contains(['@', '{']) {
                extension(reader, &id, "firefox", if *is_policy { "policy" } else { "registry" });
            }
        }
    }
}

/// The ids that the policy `ExtensionSettings` makes a browser install. Its settings are one text of JSON, in one or several
/// lines, or a key for each id.
fn settings(reader: &mut Reader<'_>, policies: &str) -> Vec<String> {
    let texts = reader.values(policies).unwrap_or_default().get(SETTINGS).and_then(Value::texts);
    let text = texts.map(|lines| lines.join("\n")).filter(|text| !text.trim().is_empty());
    let mut ids = text.map_or_else(Vec::new, |text| {
        parse_installed(text.as_bytes()).unwrap_or_else(|| {
            reader.builder.problem(format!("cannot parse the policy {SETTINGS} of {}", shown_key(policies)));
            Vec::new()
        })
    });
    let key = format!("{policies}\\{SETTINGS}");
    for name in reader.keys(&key).unwrap_or_default() {
        let mode = reader.text(&format!("{key}\\{name}"), MODE).unwrap_or_default();
        ids.extend(extension_settings::ids(&name).filter(|_| installs(&mode)).map(str::to_owned));
    }
    ids
}

fn extension(reader: &mut Reader<'_>, id: &str, browser: &str, place: &str) {
    let extension = Extension { id: id.to_owned(), enabled: true, ..Extension::default() };
    add(&mut reader.builder, extension, browser, String::new(), Some(place));
}
