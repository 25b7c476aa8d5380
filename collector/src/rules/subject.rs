//! The subject of recognisers: the texts of one observation in folded form, and the technical names in them.

use muster_proto::canonical::ObservationView;
use muster_proto::model::Kind;

use super::mojibake::decodings;
use super::product_code::{code_in, may_be_in};
use super::text::{fold, fold_path, fold_registry, is_place};

/// The part of an observation that a recogniser tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Field {
    /// Display name or title.
    Name,
    /// Technical names, from name, id and file name, without the ending of the kind (`.service`, `.exe`,
    /// `.sys`, `.app`, an architecture).
    Key,
    /// The id as it is: product code, bundle id, extension id.
    Id,
    /// Publisher, maintainer or signer. An empty pattern matches a missing vendor.
    Vendor,
    /// Its path or registry key.
    Path,
    /// Its state, as the source spells it.
    State,
}

impl Field {
    pub(crate) const ALL: [Self; 6] = [Self::Name, Self::Key, Self::Id, Self::Vendor, Self::Path, Self::State];

    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Key => "key",
            Self::Id => "id",
            Self::Vendor => "vendor",
            Self::Path => "path",
            Self::State => "state",
        }
    }
}

/// A path or registry key in the one spelling in which places are compared: forward slashes, lower case, `%programfiles%`.
pub(crate) fn folded_place(kind: Kind, place: &str) -> String {
    if kind == Kind::Registry { fold_registry(place) } else { fold_path(place) }
}

/// The texts of one observation, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub(crate) kind: Option<Kind>,
    pub(crate) names: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) ids: Vec<String>,
    pub(crate) vendor: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) state: Vec<String>,
}

impl Subject {
    /// The subject of an observation.
    #[must_use]
    pub fn of(observation: &ObservationView<'_>) -> Self {
        let ObservationView { kind, name, id, path, vendor, state, .. } = *observation;
        Self::new(Some(kind), [name, id, path], vendor, state)
    }

    /// The subject of a record. Name, id and path may each be a name or a path; without a kind all are names too.
    #[must_use]
    pub fn new(kind: Option<Kind>, [name, id, path]: [&str; 3], vendor: &str, state: &str) -> Self {
        let mut subject =
            Self { kind, vendor: vec![stated(fold(vendor))], state: vec![fold(state)], ..Self::default() };
        let in_registry = kind == Some(Kind::Registry);
        // For these kinds every field is a place, even one that does not begin like a path.
        let is_only_place = in_registry || kind == Some(Kind::Path);
        push(&mut subject.names, fold(name));
        push(&mut subject.ids, fold(id));
        decodings(name).iter().for_each(|read| push(&mut subject.names, fold(read)));
        decodings(vendor).iter().for_each(|read| push(&mut subject.vendor, fold(read)));
        for (text, is_path) in [(name, false), (id, false), (path, true)] {
            if text.is_empty() {
                continue;
            }
            if in_registry {
                push(&mut subject.paths, fold_registry(text));
            } else if is_only_place {
                push(&mut subject.paths, fold_path(text));
            } else if is_path || is_place(text) {
                let place = fold_path(text);
                if let Some(file) = place.rsplit('/').next().filter(|_| has_file_names(kind)) {
                    push(&mut subject.keys, strip_ending(kind, file));
                }
                push(&mut subject.paths, place);
            } else {
                let folded = fold(text);
                let key = strip_ending(kind, &folded);
                if let Some(name) = before_version(kind, &key).or_else(|| before_arguments(kind, &folded)) {
                    push(&mut subject.keys, strip_ending(kind, name));
                }
                if let Some(name) = installer_name(kind, &folded) {
                    push(&mut subject.keys, name.replace(' ', "-"));
                    push(&mut subject.names, name);
                }
                push(&mut subject.keys, key);
            }
        }
        if matches!(kind, Some(Kind::Registry | Kind::UninstallKey | Kind::Msi)) {
            for text in [name, id, path].into_iter().filter(|text| may_be_in(text)) {
                code_in(&fold_registry(text)).into_iter().for_each(|code| push(&mut subject.ids, code.to_owned()));
            }
        }
        subject
    }

    /// Whether its path is that of a program file, not of an installation folder.
    pub(crate) fn is_a_program(&self) -> bool {
        self.kind.is_some() && has_file_names(self.kind)
    }

    /// Whether it is a driver or service whose file is not in Windows' own folder.
    pub(crate) fn is_in_program_folder(&self) -> bool {
        let is_program = matches!(self.kind, Some(Kind::Driver | Kind::Filter | Kind::Service));
        let is_elsewhere = |path: &String| {
            let has_drive = path.get(1..3) == Some(":/");
            has_drive || ["%programfiles%/", "%programdata%/", "~/"].iter().any(|folder| path.starts_with(folder))
        };
        is_program && self.paths.iter().any(is_elsewhere)
    }

    pub(crate) fn texts(&self, field: Field) -> &[String] {
        match field {
            Field::Name => &self.names,
            Field::Key => &self.keys,
            Field::Id => &self.ids,
            Field::Vendor => &self.vendor,
            Field::Path => &self.paths,
            Field::State => &self.state,
        }
    }
}

/// Placeholders that tools write for a missing publisher.
const UNSTATED: &[&str] = &[
    "unknown",
    "(unknown)",
    "<unknown>",
    "unknown publisher",
    "unknown vendor",
    "n/a",
    "na",
    "none",
    "(none)",
    "null",
    "(null)",
    "-",
    "--",
    "?",
    "not available",
    "not specified",
    "unspecified",
    "неизвестно",
    "неизвестный издатель",
    "нет данных",
    "unbekannt",
    "inconnu",
    "desconocido",
    "desconhecido",
    "sconosciuto",
    "nieznany",
    "未知",
    "不明",
];

/// The vendor, or an empty text for a placeholder.
fn stated(vendor: String) -> String {
    if UNSTATED.contains(&vendor.as_str()) { String::new() } else { vendor }
}

fn push(texts: &mut Vec<String>, text: String) {
    if !text.is_empty() && !texts.contains(&text) {
        texts.push(text);
    }
}

/// Kinds whose path ends in a file name that identifies the product. The path of an uninstall entry is only its folder.
const fn has_file_names(kind: Option<Kind>) -> bool {
    matches!(
        kind,
        None | Some(
            Kind::Service
                | Kind::Driver
                | Kind::Filter
                | Kind::Process
                | Kind::Task
                | Kind::AppBundle
                | Kind::Receipt
                | Kind::Launchd
                | Kind::SystemExtension
                | Kind::KernelModule
        )
    )
}

/// A technical name without the ending of its kind.
pub(crate) fn strip_ending(kind: Option<Kind>, text: &str) -> String {
    let Some(kind) = kind else {
        let endings = [".service", ".exe", ".sys", ".kext", ".app"];
        return endings.iter().find_map(|ending| text.strip_suffix(ending)).unwrap_or(text).to_owned();
    };
    if matches!(kind, Kind::Deb | Kind::Rpm | Kind::Apk | Kind::Pacman | Kind::Package) {
        return package_name(kind, text).to_owned();
    }
    if kind == Kind::ContainerImage {
        return image_name(text).to_owned();
    }
    if matches!(kind, Kind::SystemExtension | Kind::Launchd | Kind::AppBundle)
        && let Some((team, bundle)) = text.split_once('.')
        && is_team_id(team)
    {
        return strip_suffix(kind, bundle).to_owned();
    }
    strip_suffix(kind, text).to_owned()
}

/// Whether this is an Apple developer's team id: ten letters and digits.
fn is_team_id(text: &str) -> bool {
    text.len() == 10
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        // The first label of a bundle id may be a word of ten letters, so a digit is required.
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

fn strip_suffix(kind: Kind, text: &str) -> &str {
    let endings: &[&str] = match kind {
        Kind::Service => &[".service"],
        Kind::Process => &[".exe"],
        Kind::Driver | Kind::Filter => &[".sys", ".kext"],
        Kind::AppBundle => &[".app"],
        Kind::Launchd | Kind::Receipt => &[".plist", ".bom"],
        Kind::SystemExtension => &[".systemextension"],
        Kind::KernelModule => &[".ko", ".ko.xz", ".ko.zst", ".ko.gz"],
        Kind::Msi => &[".msi"],
        Kind::Os
        | Kind::Kernel
        | Kind::Machine
        | Kind::UninstallKey
        | Kind::Wsc
        | Kind::Task
        | Kind::Deb
        | Kind::Rpm
        | Kind::Apk
        | Kind::Pacman
        | Kind::Package
        | Kind::Snap
        | Kind::Flatpak
        | Kind::Appx
        | Kind::Path
        | Kind::Registry
        | Kind::Cert
        | Kind::BrowserExtension
        | Kind::ContainerImage => &[],
    };
    endings.iter().find_map(|ending| text.strip_suffix(ending)).unwrap_or(text)
}

/// Beginnings of the names of processor architectures, and names that stand for all of them.
const ARCHITECTURES: &[&str] = &[
    "aarch64",
    "all",
    "alpha",
    "amd64",
    "any",
    "arm",
    "e2k",
    "elbrus",
    "hppa",
    "hurd",
    "i386",
    "i486",
    "i586",
    "i686",
    "ia32",
    "ia64",
    "kfreebsd",
    "loong",
    "loongarch",
    "m68k",
    "mips",
    "noarch",
    "or1k",
    "powerpc",
    "ppc",
    "riscv",
    "s390",
    "sh4",
    "sparc",
    "sw_64",
    "x32",
    "x64",
    "x86",
];

/// Whether this is an architecture: one of [`ARCHITECTURES`], or a variant of one, such as `armv7hl` and `e2k-4c`.
fn is_architecture(text: &str) -> bool {
    let is_name =
        text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    // A word that only begins like one, such as `army` or `allow`, has letters after it and no number.
    let is_variant = |rest: &str| {
        matches!(rest, "" | "el" | "hf" | "eb" | "be" | "le" | "x")
            || (rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '_' | '-' | 'v'))
                && rest.bytes().any(|byte| byte.is_ascii_digit()))
    };
    is_name && ARCHITECTURES.iter().any(|known| text.strip_prefix(known).is_some_and(is_variant))
}

/// `kesl` of `kesl:amd64`, `kesl.x86_64`, `kesl_12.2.0-2517_amd64.deb` and `kesl-12.2.0-2517.x86_64.rpm`.
fn package_name(kind: Kind, text: &str) -> &str {
    if let Some(file) = text.strip_suffix(".deb") {
        // A .deb file is name_version_architecture, and Debian's package names have no underscore.
        return file.split('_').next().unwrap_or(file);
    }
    let without_arch = |text: &'_ str, mark: char| -> Option<usize> {
        let (name, architecture) = text.rsplit_once(mark)?;
        // Package names may contain the mark too, so only an architecture is cut off.
        is_architecture(architecture).then_some(name.len())
    };
    if let Some(file) = text.strip_suffix(".rpm") {
        let file = without_arch(file, '.').map_or(file, |end| &file[..end]);
        // An rpm file is name-version-release, so the name ends at the second dash from the end.
        let dashes: Vec<usize> = file.match_indices('-').map(|(at, _)| at).collect();
        return if dashes.len() >= 2 { &file[..dashes[dashes.len() - 2]] } else { file };
    }
    // dpkg writes name:architecture, and rpm writes name.architecture. Lists of inventories mix the two.
    let (first, second) = if kind == Kind::Deb { (':', '.') } else { ('.', ':') };
    without_arch(text, first).or_else(|| without_arch(text, second)).map_or(text, |end| &text[..end])
}

/// `kesl` of `registry.example/avs/kesl:12.2@sha256:…`: the name of a container image without registry, tag and digest.
fn image_name(text: &str) -> &str {
    let text = text.split('@').next().unwrap_or(text);
    let name = text.rsplit('/').next().unwrap_or(text);
    name.split(':').next().unwrap_or(name)
}

/// The name of an installer file without its ending; `None` if it is none.
fn without_installer_ending(kind: Kind, text: &str) -> Option<&str> {
    if !matches!(kind, Kind::Msi | Kind::Receipt | Kind::AppBundle | Kind::UninstallKey) {
        return None;
    }
    let endings = ["msi", "msix", "exe", "pkg", "mpkg", "dmg"];
    // Hardly any name has an ending, and this is the fastest way to see it.
    if !text.as_bytes()[text.len().saturating_sub(5)..].contains(&b'.') {
        return None;
    }
    let (name, ending) = text.rsplit_once('.')?;
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known)).then_some(name)
}

/// Whether the name may be that of an installer file.
pub(crate) fn is_installer_file(kind: Kind, name: &str) -> bool {
    without_installer_ending(kind, name.trim_end()).is_some()
}

/// `falcon sensor` of `falcon-sensor_7.31_x64.msi`: the name of an installer file without its version, in words.
fn installer_name(kind: Option<Kind>, text: &str) -> Option<String> {
    let file = without_installer_ending(kind?, text)?;
    let mut words: Vec<&str> = Vec::new();
    for word in file.split(['_', '-', ' ']).filter(|word| !word.is_empty()) {
        let number = word.strip_prefix('v').unwrap_or(word);
        // What follows a version is a build, a language or an architecture.
        if number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.') {
            break;
        }
        words.push(word);
    }
    while words.last().is_some_and(|word| is_architecture(word)) {
        words.pop();
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// `kesl` of `kesl-12.2.0-2412`, `kesl=12.2.0`, `kesl 12.2.0-1` and `kesl/now`: lists of packages write the version after
/// the name. Some names look the same, so the part before is only an additional name.
fn before_version(kind: Option<Kind>, text: &str) -> Option<&str> {
    if !matches!(kind, Some(Kind::Deb | Kind::Rpm | Kind::Apk | Kind::Pacman | Kind::Package | Kind::Snap)) {
        return None;
    }
    let name = match text.split_once([' ', '=', '\t']) {
        // `apt list` writes name/suite before the version.
        Some((name, _)) => name.split('/').next().unwrap_or(name),
        None => {
            let is_version = |part: &str| part.bytes().next().is_some_and(|first| first.is_ascii_digit());
            let mut dashes = text.match_indices('-').map(|(at, _)| at);
            // Names contain numbers after a dash as well, so a version must also have a dot.
            let at = dashes.find(|at| is_version(&text[at + 1..]) && text[at + 1..].contains('.'))?;
            &text[..at]
        }
    };
    let name = name.split(':').next().unwrap_or(name);
    (!name.is_empty() && name != text).then_some(name)
}

/// `kesl` of `kesl -s` and `[kesl]`, `avp.exe` of `avp.exe *32`, `kesl.service` of `● kesl.service loaded active running`,
/// `klif` of `klif 5 323600 0`: rows of `ps`, of the task manager, of `systemctl` and of `fltmc`.
fn before_arguments(kind: Option<Kind>, text: &str) -> Option<&str> {
    let name = match kind {
        Some(Kind::Process) => {
            // `ps` writes names in brackets when a process has no command line.
            let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
            let ends = [" -", " (", " [", " *"].iter().filter_map(|mark| bare.find(mark));
            let after_program = bare.find(".exe").map(|at| at + ".exe".len());
            // `avp.executor` is not `avp.exe` with arguments.
            let is_end = |at: &usize| bare[*at..].bytes().next().is_none_or(|next| !next.is_ascii_alphanumeric());
            ends.chain(after_program.filter(is_end)).min().map_or(bare, |end| &bare[..end])
        }
        Some(Kind::Service) => {
            let is_unit = |word: &&str| [".service", ".socket", ".timer"].iter().any(|ending| word.ends_with(ending));
            // `systemctl` writes a mark before units that need attention, so the unit may be the second word.
            text.split(' ').take(2).find(is_unit)?
        }
        Some(Kind::Driver | Kind::Filter) => text.split(' ').next()?,
        _ => return None,
    };
    (!name.is_empty() && name != text).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kind: Kind, name: &str, id: &str) -> Vec<String> {
        Subject::new(Some(kind), [name, id, ""], "", "").keys
    }

    #[test]
    fn technical_names_lose_the_ending_of_their_kind() {
        assert_eq!(keys(Kind::Service, "kess.service", "/etc/init.d/kess"), ["kess"]);
        assert_eq!(keys(Kind::Process, "KVRT.exe", "kaspersky_virus_removal_tool\\KVRT.exe"), ["kvrt"]);
        assert_eq!(keys(Kind::Driver, "klnke.kext", "/System/Library/Extensions/klnke.kext"), ["klnke"]);
        assert_eq!(keys(Kind::Deb, "kesl:amd64", "kesl_12.2.0-2517_amd64.deb"), ["kesl"]);
        assert_eq!(keys(Kind::Rpm, "kesl.x86_64", "kesl-12.2.0-2412.x86_64.rpm"), ["kesl"]);
        assert_eq!(keys(Kind::Rpm, "perl-Net.all-x", ""), ["perl-net.all-x"]);
        for line in
            ["kesl-12.2.0-2412.x86_64", "kesl 12.2.0-2412", "kesl=12.2.0-2412", "kesl/now 12.2.0 amd64 [installed]"]
        {
            assert_eq!(keys(Kind::Rpm, line, "").first().map(String::as_str), Some("kesl"), "{line}");
        }
        assert_eq!(keys(Kind::Deb, "linux-image-6.1.0-18-amd64", ""), ["linux-image", "linux-image-6.1.0-18-amd64"]);
        assert_eq!(
            keys(Kind::SystemExtension, "2Y8XE5CQ94.com.kaspersky.kav.sysext", ""),
            ["com.kaspersky.kav.sysext"]
        );
    }

    #[test]
    fn rows_lose_the_architecture_of_any_machine_and_nothing_else() {
        for arch in
            ["e2kv4", "e2k-4c", "riscv64", "loongarch64", "mips64el", "armv7hl", "ppc64el", "s390x", "sw_64", "aarch64"]
        {
            assert_eq!(keys(Kind::Rpm, &format!("kesl.{arch}"), ""), ["kesl"], "{arch}");
            assert_eq!(keys(Kind::Deb, &format!("kesl:{arch}"), ""), ["kesl"], "{arch}");
            assert_eq!(keys(Kind::Deb, &format!("kesl.{arch}"), ""), ["kesl"], "another list's mark, {arch}");
        }
        for name in ["org.army", "perl.allow", "x.anything", "python3.11", "a.exporter"] {
            assert_eq!(keys(Kind::Rpm, name, ""), [name]);
        }
    }

    #[test]
    fn the_names_of_images_and_installer_files_are_those_of_their_programs() {
        for image in ["kcs-scanner", "kcs-scanner:1.2", "r.example:5000/kaspersky/kcs-scanner:1.2@sha256:00aa"] {
            assert_eq!(keys(Kind::ContainerImage, image, ""), ["kcs-scanner"], "{image}");
        }
        let subject = |file: &str, kind| Subject::new(Some(kind), [file, "", ""], "", "");
        let names = |file: &str, kind| subject(file, kind).names.last().cloned().unwrap_or_default();
        assert_eq!(names("Sentinel-Agent_23.4.2_windows_64bit.msi", Kind::Msi), "sentinel agent");
        assert_eq!(names("Falcon Sensor-7.31_x64.pkg", Kind::Receipt), "falcon sensor");
        assert_eq!(names("klnagent_x64.msi", Kind::Msi), "klnagent");
        assert!(subject("SophosInstall_x64.exe", Kind::UninstallKey).keys.contains(&"sophosinstall".to_owned()));
    }

    #[test]
    fn an_id_that_is_a_path_is_tested_as_one() {
        let subject = Subject::new(Some(Kind::Process), ["kpm.exe", "\\AVP21.2\\Lab\\kpm.exe", ""], "", "");
        assert_eq!(subject.paths, ["/avp21.2/lab/kpm.exe"]);
        let registry = Subject::new(Some(Kind::Registry), ["HKLM\\SOFTWARE\\KasperskyLab", "", ""], "", "");
        assert_eq!(registry.paths, ["hklm/software/kasperskylab"]);
    }

    #[test]
    fn rows_of_command_line_tools_give_the_name() {
        assert!(keys(Kind::Process, "kesl -s", "").contains(&"kesl".to_owned()));
        assert!(keys(Kind::Process, "[kesl]", "").contains(&"kesl".to_owned()));
        for row in ["AVP.EXE *32", "avp.exe [4321]", "avp.exe:4321", "avp.exe (x)", "avp (deleted)"] {
            assert!(keys(Kind::Process, row, "").contains(&"avp".to_owned()), "{row}");
        }
        assert_eq!(keys(Kind::Process, "avp.executor", ""), ["avp.executor"]);
        assert!(keys(Kind::Filter, "klif  5  323600  0", "").contains(&"klif".to_owned()));
        assert!(keys(Kind::Service, "● kesl.service loaded active running", "").contains(&"kesl".to_owned()));
        assert!(keys(Kind::Service, "kesl.service enabled", "").contains(&"kesl".to_owned()));
        assert_eq!(keys(Kind::Process, "grep kesl", ""), ["grep kesl"]);
    }

    #[test]
    fn a_placeholder_is_no_vendor_and_a_wrongly_decoded_vendor_is_decoded() {
        let vendor = |vendor: &str| Subject::new(Some(Kind::UninstallKey), ["X", "", ""], vendor, "").vendor;
        assert_eq!(vendor("N/A"), [""]);
        assert_eq!(vendor("(none)"), [""]);
        assert!(vendor("Ëàáîðàòîðèÿ Êàñïåðñêîãî").contains(&"лаборатория касперского".to_owned()));
    }

    #[test]
    fn the_folder_of_an_uninstall_entry_is_not_a_name() {
        let subject = Subject::new(Some(Kind::UninstallKey), ["Tool", "", "C:\\Program Files\\kesl"], "", "");
        assert_eq!(subject.keys, ["tool"]);
    }
}
