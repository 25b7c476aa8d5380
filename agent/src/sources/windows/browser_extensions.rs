//! `browser-extensions`: extensions of Chrome, Chromium, Edge, Brave and Firefox in the profiles of every user, those that the
//! registry adds or forces, and the programs that extensions may talk to.

use muster_proto::model::{Kind, Observation, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::extension::{Extension, is_id};
use crate::sources::parse::windows::image_path::{FilePlace, of_folder};
use crate::sources::portable::extensions::{add, firefox, profiles};
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
/// The keys of each browser below `SOFTWARE` and below `SOFTWARE\Policies`.
const KEYS: &[(&str, &str)] = &[
    ("chrome", r"Google\Chrome"),
    ("chromium", "Chromium"),
    ("edge", r"Microsoft\Edge"),
    ("brave", r"BraveSoftware\Brave"),
    ("firefox", "Mozilla"),
];
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
        let home = of_folder(&user.profile, &reader.windows).into_iter().next();
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
    }
    let machine = [r"HKLM\SOFTWARE".to_owned(), r"HKLM\SOFTWARE\WOW6432Node".to_owned()];
    for top in machine.into_iter().chain(users.iter().map(|user| format!("{}\\Software", user.key))) {
        registered(&mut reader, &top);
    }
    reader.finish("no browser directories")
}

/// What the registry adds to browsers.
fn registered(reader: &mut Reader<'_>, top: &str) {
    for (browser, key) in KEYS {
        let forced = format!("{top}\\Policies\\{key}\\ExtensionInstallForcelist");
        for value in reader.values(&forced).unwrap_or_default().0 {
            let text = value.text().unwrap_or_default();
            let id = text.split(';').next().unwrap_or_default().trim();
            if is_id(id) {
                extension(reader, id, browser, "policy");
            }
        }
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

fn extension(reader: &mut Reader<'_>, id: &str, browser: &str, place: &str) {
    let extension = Extension { id: id.to_owned(), enabled: true, ..Extension::default() };
    add(&mut reader.builder, extension, browser, String::new(), Some(place));
}
