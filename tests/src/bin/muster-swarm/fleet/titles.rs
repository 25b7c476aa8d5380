//! What can be installed: real names for common titles, made-up names for the long tail.

use muster_proto::model::{Kind, Observation, Platform};
use muster_tests::chance::Chance;

/// Real packages of Debian 12; the head of the file describes its source.
const PACKAGES: &str = include_str!("../../../../fixtures/linux/debian-12-packages.tsv");

/// Name, publisher and version of programs on many Windows machines.
const PROGRAMS: [(&str, &str, &str); 30] = [
    ("7-Zip 24.08 (x64)", "Igor Pavlov", "24.08"),
    ("Adobe Acrobat (64-bit)", "Adobe", "25.001.20531"),
    ("Cisco Secure Client - AnyConnect VPN", "Cisco Systems, Inc.", "5.1.6.103"),
    ("Citrix Workspace 2403", "Citrix Systems, Inc.", "24.3.1.97"),
    ("Git version 2.47.0", "The Git Development Community", "2.47.0"),
    ("Google Chrome", "Google LLC", "131.0.6778.86"),
    ("Greenshot 1.2.10.6", "Greenshot", "1.2.10.6"),
    ("Java 8 Update 431 (64-bit)", "Oracle Corporation", "8.0.4310.10"),
    ("KeePass Password Safe 2.57.1", "Dominik Reichl", "2.57.1"),
    ("LibreOffice 24.8.3.2", "The Document Foundation", "24.8.3.2"),
    ("Microsoft .NET Runtime - 8.0.11 (x64)", "Microsoft Corporation", "64.44.23191"),
    ("Microsoft 365 Apps for enterprise - en-us", "Microsoft Corporation", "16.0.18129.20158"),
    ("Microsoft Edge", "Microsoft Corporation", "131.0.2903.63"),
    ("Microsoft Edge WebView2 Runtime", "Microsoft Corporation", "131.0.2903.63"),
    ("Microsoft OneDrive", "Microsoft Corporation", "24.216.1027.0003"),
    ("Microsoft SQL Server 2012 Native Client", "Microsoft Corporation", "11.4.7462.6"),
    ("Microsoft Teams Meeting Add-in for Microsoft Office", "Microsoft", "1.24.28702"),
    ("Microsoft Visual C++ 2015-2022 Redistributable (x64)", "Microsoft Corporation", "14.42.34433.0"),
    ("Microsoft Visual C++ 2015-2022 Redistributable (x86)", "Microsoft Corporation", "14.42.34433.0"),
    ("Mozilla Firefox (x64 en-US)", "Mozilla", "132.0.2"),
    ("Mozilla Maintenance Service", "Mozilla", "132.0.2"),
    ("Notepad++ (64-bit x64)", "Notepad++ Team", "8.7.1"),
    ("NVIDIA Graphics Driver 566.14", "NVIDIA Corporation", "566.14"),
    ("Office 16 Click-to-Run Extensibility Component", "Microsoft Corporation", "16.0.18129.20116"),
    ("PDF24 Creator", "geek software GmbH", "11.20.1"),
    ("PuTTY release 0.82 (64-bit)", "Simon Tatham", "0.82.0.0"),
    ("TeamViewer", "TeamViewer Germany GmbH", "15.59.5"),
    ("VLC media player", "VideoLAN", "3.0.21"),
    ("WinSCP 6.3.5", "Martin Prikryl", "6.3.5"),
    ("Zoom Workplace (64-bit)", "Zoom Communications, Inc.", "6.2.49583"),
];

const ROOTS: [&str; 32] = [
    "alder", "amber", "basalt", "beacon", "birch", "cinder", "cobalt", "copper", "delta", "ember", "falcon", "fjord",
    "garnet", "harbor", "heron", "indigo", "juniper", "kestrel", "lumen", "marble", "meridian", "nimbus", "onyx",
    "orchid", "pioneer", "quartz", "raven", "sable", "summit", "tundra", "vector", "willow",
];
const TRADES: [&str; 24] = [
    "archive", "audit", "backup", "board", "bridge", "cache", "chart", "client", "console", "context", "editor",
    "engine", "gateway", "helper", "index", "ledger", "monitor", "planner", "player", "reader", "scanner", "studio",
    "sync", "viewer",
];
const FORMS: [&str; 12] =
    ["", "bin", "common", "core", "data", "dev", "doc", "extra", "lib", "plugin", "runtime", "tools"];
const COMPANY_FORMS: [&str; 8] = ["GmbH", "Inc.", "Labs", "Limited", "Project", "Software", "Systems", "Team"];

/// A title without a chosen version.
#[derive(Debug, Clone)]
pub(super) struct Title {
    kind: Kind,
    name: String,
    vendor: String,
    version: String,
}

impl Title {
    /// The observation of the title after a number of updates. It is equal on every host with that version.
    pub(super) fn seen(&self, updates: u64) -> Observation {
        let mut observation = Observation::new(self.kind, self.name.as_str());
        observation.vendor.clone_from(&self.vendor);
        observation.version = match updates {
            0 => self.version.clone(),
            _ => format!("{}.{updates}", self.version),
        };
        if self.kind == Kind::Deb {
            observation.id = format!("{}:amd64", self.name);
        } else if self.kind == Kind::Service || self.kind == Kind::Driver {
            observation.id.clone_from(&self.name);
            observation.version.clear();
            observation.path = match self.name.ends_with(".service") {
                true => format!("/usr/lib/systemd/system/{}", self.name),
                false if self.kind == Kind::Driver => format!("%SystemRoot%\\System32\\drivers\\{}.sys", self.name),
                false => format!("%SystemRoot%\\System32\\{}.exe", self.name),
            };
        } else {
            observation.id = guid(&observation);
        }
        observation
    }
}

/// The packages of a plain Debian installation.
pub(super) fn debian_packages() -> Vec<Title> {
    let fields = |line: &'static str| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?, fields.nth(1)?))
    };
    PACKAGES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(fields)
        .map(|(name, version, maintainer)| title(Kind::Deb, name, maintainer, version))
        .collect()
}

/// Programs on most Windows machines.
pub(super) fn windows_programs() -> Vec<Title> {
    PROGRAMS.iter().map(|(name, vendor, version)| title(Kind::UninstallKey, name, vendor, version)).collect()
}

/// The made-up title with this number. It is equal on every host.
pub(super) fn tail(kind: Kind, number: u64) -> Title {
    // The constant spells "titles". It separates these draws from other draws with the same number.
    let mut chance = Chance::new(number ^ 0x7469_746c_6573);
    let root = pick(&mut chance, &ROOTS);
    let trade = pick(&mut chance, &TRADES);
    let form = pick(&mut chance, &FORMS);
    let company = format!("{} {}", capital(pick(&mut chance, &ROOTS)), pick(&mut chance, &COMPANY_FORMS));
    let version = format!("{}.{}.{}", chance.below(12), chance.below(40), chance.below(90));
    let dash = if form.is_empty() { "" } else { "-" };
    let name = if kind == Kind::UninstallKey {
        format!("{} {} {form} {number}", capital(root), capital(trade))
    } else if kind == Kind::Deb {
        format!("{root}-{trade}{dash}{form}{number}")
    } else {
        format!("{root}{trade}{number}")
    };
    let vendor = if matches!(kind, Kind::Service | Kind::Driver | Kind::Launchd) { String::new() } else { company };
    title(kind, name.replace("  ", " ").trim(), &vendor, &version)
}

/// The made-up systemd unit with this number.
pub(super) fn unit(number: u64) -> Title {
    let mut title = tail(Kind::Service, number);
    title.name.push_str(".service");
    title
}

/// Kaspersky's endpoint products, by their public names.
pub(super) fn kaspersky(platform: Platform) -> Vec<Title> {
    let by_kaspersky = |kind, name, version| title(kind, name, "AO Kaspersky Lab", version);
    match platform {
        Platform::Windows => vec![
            by_kaspersky(Kind::UninstallKey, "Kaspersky Endpoint Security for Windows", "12.5.0.539"),
            by_kaspersky(Kind::UninstallKey, "Kaspersky Security Center Network Agent", "15.1.0.20748"),
        ],
        Platform::Macos => vec![by_kaspersky(Kind::AppBundle, "Kaspersky Internet Security", "21.3.0.394")],
        Platform::Linux => {
            vec![by_kaspersky(Kind::Deb, "kesl", "12.0.0-6672"), by_kaspersky(Kind::Deb, "klnagent64", "15.1.0-20748")]
        }
    }
}

/// CrowdStrike Falcon, as it is listed on a platform.
pub(super) fn falcon(platform: Platform) -> Title {
    let (kind, name) = match platform {
        Platform::Windows => (Kind::UninstallKey, "CrowdStrike Windows Sensor"),
        Platform::Macos => (Kind::SystemExtension, "com.crowdstrike.falcon.Agent"),
        Platform::Linux => (Kind::Deb, "falcon-sensor"),
    };
    title(kind, name, "CrowdStrike, Inc.", "7.19.17219")
}

/// A folder of the watchlist that exists.
pub(super) fn folder(path: &str) -> Observation {
    let mut folder = Observation::new(Kind::Path, path);
    folder.path = path.to_owned();
    folder.attributes.insert("type".to_owned(), "directory".to_owned());
    folder
}

/// Modules that a Debian kernel has loaded on most machines.
pub(super) fn kernel_modules() -> Vec<Observation> {
    const MODULES: [&str; 12] = [
        "crc32c_generic",
        "dm_mod",
        "efivarfs",
        "evdev",
        "ext4",
        "fuse",
        "ip_tables",
        "jbd2",
        "loop",
        "mbcache",
        "scsi_mod",
        "x_tables",
    ];
    MODULES.map(|name| Observation::new(Kind::KernelModule, name)).to_vec()
}

fn title(kind: Kind, name: &str, vendor: &str, version: &str) -> Title {
    Title { kind, name: name.to_owned(), vendor: vendor.to_owned(), version: version.to_owned() }
}

fn pick<'a>(chance: &mut Chance, of: &[&'a str]) -> &'a str {
    of[chance.below(of.len() as u64) as usize]
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A product code. As with real ones, it is equal wherever the same version of a title is installed.
fn guid(observation: &Observation) -> String {
    let text = format!("{}|{}", observation.name, observation.version);
    let hash = muster_proto::model::Digest::of(text.as_bytes()).to_string().to_uppercase();
    format!("{{{}-{}-{}-{}-{}}}", &hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..32])
}
