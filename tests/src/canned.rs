//! Canned machines: folders with the files of a Debian 12 root, with or without security products, intact or damaged.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Real packages of Debian 12; the head of the file describes its source.
const PACKAGES: &str = include_str!("../fixtures/linux/debian-12-packages.tsv");

/// Where dpkg keeps its database.
const STATUS: &str = "var/lib/dpkg/status";

/// The root of a machine, in a temporary folder.
#[derive(Debug)]
pub struct Root {
    folder: TempDir,
}

impl Root {
    /// A Debian 12 machine as it is after an ordinary installation, with no security product on it.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn debian(hostname: &str) -> Result<Self> {
        let root = Self { folder: tempfile::Builder::new().prefix("muster-root-").tempdir()? };
        root.write("usr/lib/os-release", OS_RELEASE)?;
        root.link("etc/os-release", "../usr/lib/os-release")?;
        root.write("etc/debian_version", "12.11\n")?;
        root.write("etc/hostname", &format!("{hostname}\n"))?;
        root.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")?;
        root.write(STATUS, &dpkg_status())?;
        root.write("var/lib/dpkg/info/format", "1\n")?;
        for package in packages() {
            let architecture =
                if package.multi_arch == "same" { format!(":{}", package.architecture) } else { String::new() };
            root.file_list(&format!("{}{architecture}", package.name))?;
        }
        // Merged /usr, as Debian has had it since 12.
        for name in ["bin", "sbin", "lib"] {
            root.write(&format!("usr/{name}/.keep"), "")?;
            root.link(name, &format!("usr/{name}"))?;
        }
        for (unit, text) in UNITS {
            root.write(&format!("usr/lib/systemd/system/{unit}"), text)?;
        }
        root.link("etc/systemd/system/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service")?;
        root.link("etc/systemd/system/sshd.service", "/lib/systemd/system/ssh.service")?;
        Ok(root)
    }

    /// Installs Kaspersky Endpoint Security for Linux and its network agent, with the files of their packages.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_kaspersky(self) -> Result<Self> {
        self.append_status(&kaspersky_stanza("kesl", "12.0.0-6672", "install ok installed"))?;
        self.append_status(&kaspersky_stanza("klnagent64", "15.1.0-20748", "install ok installed"))?;
        self.file_list("kesl")?;
        self.file_list("klnagent64")?;
        for file in
            ["kesl/bin/kesl-control", "kesl/libexec/kesl", "klnagent64/bin/klnagchk", "klnagent64/sbin/klnagent"]
        {
            self.write(&format!("opt/kaspersky/{file}"), "\u{7f}ELF")?;
        }
        self.write("etc/opt/kaspersky/kesl.ini", "[General]\n")?;
        self.write("var/opt/kaspersky/kesl/install-current", "12.0.0.6672\n")?;
        self.link("usr/bin/kesl-control", "/opt/kaspersky/kesl/bin/kesl-control")?;
        self.write(
            "usr/lib/systemd/system/kesl.service",
            &unit("Kaspersky Endpoint Security", "/opt/kaspersky/kesl/libexec/kesl"),
        )?;
        self.write(
            "usr/lib/systemd/system/klnagent64.service",
            &unit("Kaspersky Network Agent", "/opt/kaspersky/klnagent64/sbin/klnagent"),
        )?;
        let wants = "etc/systemd/system/multi-user.target.wants";
        self.link(&format!("{wants}/kesl.service"), "/lib/systemd/system/kesl.service")?;
        self.link(&format!("{wants}/klnagent64.service"), "/lib/systemd/system/klnagent64.service")?;
        Ok(self)
    }

    /// Kaspersky Endpoint Security removed but not purged: state `rc` in dpkg, configuration files left.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_kaspersky_removed(self) -> Result<Self> {
        self.append_status(&kaspersky_stanza("kesl", "12.0.0-6672", "deinstall ok config-files"))?;
        self.file_list("kesl")?;
        Ok(self)
    }

    /// Installs a package that no catalogue knows.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_package(self, name: &str, version: &str) -> Result<Self> {
        self.install(name, version)?;
        Ok(self)
    }

    /// Installs a package that no catalogue knows, later than the rest.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn install(&self, name: &str, version: &str) -> Result<()> {
        self.append_status(&stanza(
            name,
            version,
            "amd64",
            "Example <nobody@example.org>",
            "install ok installed",
            "",
        ))?;
        self.file_list(name)
    }

    /// Cuts the package database in the middle of a stanza.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_database_truncated(self) -> Result<Self> {
        let text = self.read(STATUS)?;
        let cut = text.len() / 2;
        let cut = text[cut..].find("\nVersion: ").map_or(cut, |at| cut + at + 5);
        self.write(STATUS, &text[..cut])?;
        Ok(self)
    }

    /// Cuts the package database in the stanza of this package, so that those before it are intact.
    ///
    /// # Errors
    /// There is no such package.
    pub fn with_database_truncated_in(self, package: &str) -> Result<Self> {
        let text = self.read(STATUS)?;
        let cut = text.find(&format!("\nPackage: {package}\n")).context("there is no such package")?;
        self.write(STATUS, &text[..cut + 12])?;
        Ok(self)
    }

    /// Cuts the package database between two stanzas. The file looks intact; only the file lists show which packages are
    /// missing.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_database_cut_between_stanzas(self) -> Result<Self> {
        let text = self.read(STATUS)?;
        let cut = text[..text.len() / 2].rfind("\n\n").context("a database without stanzas")?;
        self.write(STATUS, &text[..cut + 2])?;
        Ok(self)
    }

    /// Fills the package database with random bytes.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_database_of_garbage(self) -> Result<Self> {
        let mut chance = crate::chance::Chance::new(7);
        let bytes: Vec<u8> = (0..64 * 1024).map(|_| chance.number() as u8).collect();
        std::fs::write(self.path().join(STATUS), bytes)?;
        Ok(self)
    }

    /// Takes the right to read the package database away. Root may read everything, so for root it becomes a folder,
    /// which nobody can read as a file.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_database_unreadable(self) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(STATUS);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000))?;
        if std::fs::read(&path).is_ok() {
            std::fs::remove_file(&path)?;
            std::fs::create_dir(&path)?;
        }
        Ok(self)
    }

    /// Empties the package database.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn with_database_empty(self) -> Result<Self> {
        self.write(STATUS, "")?;
        Ok(self)
    }

    /// Takes the package database away.
    ///
    /// # Errors
    /// The folder could not be written.
    pub fn without_database(self) -> Result<Self> {
        std::fs::remove_file(self.path().join(STATUS))?;
        Ok(self)
    }

    /// Where the root is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file below the root.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write(&self, place: &str, text: &str) -> Result<()> {
        let path = self.made(place)?;
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    fn read(&self, place: &str) -> Result<String> {
        let path = self.path().join(place);
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Links are resolved inside the root: a target that begins with `/` is the root's own.
    fn link(&self, place: &str, target: &str) -> Result<()> {
        let path = self.made(place)?;
        symlink(target, &path).with_context(|| format!("link {}", path.display()))
    }

    /// The list of a package's files, which dpkg keeps beside the database.
    fn file_list(&self, package: &str) -> Result<()> {
        self.write(&format!("var/lib/dpkg/info/{package}.list"), "/.\n")
    }

    fn made(&self, place: &str) -> Result<PathBuf> {
        let path = self.path().join(place);
        let folder = path.parent().context("a file in no folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(path)
    }

    /// As dpkg does: writes a new file and renames it over the old one, so that no reader sees half of it.
    fn append_status(&self, stanza: &str) -> Result<()> {
        let text = self.read(STATUS)? + stanza;
        let new = self.path().join("var/lib/dpkg/status-new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, self.path().join(STATUS))?;
        Ok(())
    }
}

/// How many packages a canned machine has.
#[must_use]
pub fn package_count() -> usize {
    package_lines().count()
}

fn package_lines() -> impl Iterator<Item = &'static str> {
    PACKAGES.lines().filter(|line| !line.starts_with('#'))
}

/// One line of the fixture.
struct Package {
    name: &'static str,
    version: &'static str,
    architecture: &'static str,
    maintainer: &'static str,
    section: &'static str,
    priority: &'static str,
    size: &'static str,
    multi_arch: &'static str,
    summary: &'static str,
}

fn packages() -> impl Iterator<Item = Package> {
    package_lines().filter_map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, architecture, maintainer, section, priority, size, multi_arch, summary] = fields[..] else {
            return None;
        };
        Some(Package { name, version, architecture, maintainer, section, priority, size, multi_arch, summary })
    })
}

fn dpkg_status() -> String {
    let mut text = String::new();
    for package in packages() {
        let Package { name, version, architecture, maintainer, section, priority, size, multi_arch, summary } = package;
        let rest = format!(
            "Priority: {priority}\nSection: {section}\nInstalled-Size: {size}\nMulti-Arch: {multi_arch}\n\
             Depends: libc6 (>= 2.34)\nDescription: {summary}\n A longer description that nobody needs here.\n .\n \
             It has more than one line.\n"
        );
        text.push_str(&stanza(name, version, architecture, maintainer, "install ok installed", &rest));
    }
    text
}

fn stanza(name: &str, version: &str, architecture: &str, maintainer: &str, status: &str, rest: &str) -> String {
    format!(
        "Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nVersion: {version}\n\
         Maintainer: {maintainer}\n{rest}\n"
    )
}

/// Names and versions are those of public installation scripts.
fn kaspersky_stanza(name: &str, version: &str, status: &str) -> String {
    let rest = "Priority: optional\nSection: utils\nConffiles:\n /etc/opt/kaspersky/kesl.ini 0123456789abcdef0123456789abcdef\n";
    stanza(name, version, "amd64", "AO Kaspersky Lab", status, rest)
}

fn unit(description: &str, program: &str) -> String {
    format!(
        "[Unit]\nDescription={description}\nAfter=network.target\n\n[Service]\nType=forking\nExecStart={program}\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

const OS_RELEASE: &str = r#"PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
"#;

const UNITS: [(&str, &str); 3] = [
    (
        "ssh.service",
        "[Unit]\nDescription=OpenBSD Secure Shell server\n\n[Service]\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n\n\
         [Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n",
    ),
    (
        "cron.service",
        "[Unit]\nDescription=Regular background program processing daemon\n\n[Service]\nExecStart=/usr/sbin/cron -f\n",
    ),
    (
        "systemd-journald.service",
        "[Unit]\nDescription=Journal Service\n\n[Service]\nExecStart=/lib/systemd/systemd-journald\n",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canned_machine_has_hundreds_of_packages_and_each_has_a_version() {
        let root = Root::debian("one").unwrap();
        let status = root.read(STATUS).unwrap();
        assert!(package_count() >= 300, "{} packages", package_count());
        assert_eq!(status.matches("\nVersion: ").count(), package_count());
        assert!(status.contains("Package: dpkg\nStatus: install ok installed\n"));
    }

    #[test]
    fn a_truncated_database_ends_in_the_middle_of_a_stanza() {
        let root = Root::debian("two").unwrap().with_database_truncated().unwrap();
        let status = root.read(STATUS).unwrap();
        assert!(status.ends_with("\nVers"), "it ends with {:?}", &status[status.len() - 40..]);
    }

    #[test]
    fn nobody_can_read_an_unreadable_database() {
        let root = Root::debian("three").unwrap().with_database_unreadable().unwrap();
        assert!(std::fs::read(root.path().join(STATUS)).is_err());
    }
}
