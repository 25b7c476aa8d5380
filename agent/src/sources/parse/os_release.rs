//! `os-release`: assignments in shell syntax.

use std::collections::BTreeMap;

/// A parsed `os-release`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    fields: BTreeMap<String, String>,
}

/// The family of a distribution, by its package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// dpkg: Debian and derivatives.
    Dpkg,
    /// rpm: Red Hat, SUSE and derivatives.
    Rpm,
    /// apk: Alpine.
    Apk,
    /// pacman: Arch.
    Pacman,
}

impl OsRelease {
    /// Parses the assignments; other lines are skipped, as the format demands.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let assignment = |line: &str| {
            let line = line.trim();
            let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
            Some((name.trim().to_owned(), unquote(value.trim())))
        };
        Self { fields: text.lines().filter_map(assignment).collect() }
    }

    /// The value of a field; empty if it is missing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The display name.
    #[must_use]
    pub fn pretty_name(&self) -> String {
        let pretty = self.field("PRETTY_NAME");
        if pretty.is_empty() {
            format!("{} {}", self.field("ID"), self.field("VERSION_ID")).trim().to_owned()
        } else {
            pretty.to_owned()
        }
    }

    /// The family by `ID`, then by `ID_LIKE`; `None` when this agent knows neither.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        // ID_LIKE names the closest relatives first (os-release(5)).
        std::iter::once(self.field("ID")).chain(self.field("ID_LIKE").split_whitespace()).find_map(family_of)
    }
}

fn family_of(id: &str) -> Option<Family> {
    match id.to_ascii_lowercase().as_str() {
        "debian" | "ubuntu" | "linuxmint" | "raspbian" | "kali" | "pop" | "devuan" | "elementary" | "neon"
        | "zorin" | "astra" | "deepin" | "uos" | "pureos" | "parrot" | "proxmox" | "pardus" | "tails" => {
            Some(Family::Dpkg)
        }
        "rhel"
        | "fedora"
        | "centos"
        | "rocky"
        | "almalinux"
        | "ol"
        | "amzn"
        | "suse"
        | "opensuse"
        | "opensuse-leap"
        | "opensuse-tumbleweed"
        | "sles"
        | "sled"
        | "sle_hpc"
        | "mageia"
        | "openmandriva"
        | "altlinux"
        | "redos"
        | "azurelinux"
        | "mariner"
        | "photon"
        | "openeuler"
        | "anolis"
        | "cloudlinux"
        | "virtuozzo"
        | "scientific"
        | "rosa"
        | "nobara" => Some(Family::Rpm),
        "alpine" | "wolfi" | "chainguard" | "postmarketos" => Some(Family::Apk),
        "arch" | "archarm" | "manjaro" | "endeavouros" | "artix" | "cachyos" | "steamos" => Some(Family::Pacman),
        _ => None,
    }
}

fn unquote(value: &str) -> String {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let Some(quote) = quote else { return value.to_owned() };
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().skip(1);
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => break,
            // The format is that of a shell, where a backslash in single quotes is an ordinary character.
            '\\' if quote == '"' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_escapes_and_comments_follow_the_shell() {
        let text = "# ID=no\nID=debian\nPRETTY_NAME=\"A \\\"B\\\" \\$C\"\nVERSION_ID='12'\nnonsense\n";
        let os = OsRelease::parse(text);
        assert_eq!((os.field("ID"), os.field("VERSION_ID")), ("debian", "12"));
        assert_eq!(os.pretty_name(), "A \"B\" $C");
    }

    #[test]
    fn a_derivative_belongs_to_the_family_in_id_like() {
        let family = |text: &str| OsRelease::parse(text).family();
        assert_eq!(family("ID=neverheard\nID_LIKE=\"ubuntu debian\"\n"), Some(Family::Dpkg));
        assert_eq!(family("ID=eurolinux\nID_LIKE=\"rhel fedora centos\"\n"), Some(Family::Rpm));
        assert_eq!(family("ID=alpine\n"), Some(Family::Apk));
        assert_eq!(family("ID=void\n"), None);
        assert_eq!(family(""), None);
    }
}
