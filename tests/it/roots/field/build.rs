//! Builds a root in a folder from its row of the table.
//!
//! Every file is written before the first link, so that no absolute link can lead a write out of the folder.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::super::tools::write;
use super::rpm_database;
use super::table::{Root, RpmRow, Stanza, System, Table};

/// A program that does nothing: the beginning of an ELF file.
const PROGRAM: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0";

const STATUS: &str = "var/lib/dpkg/status";

/// Builds the root of a host in an empty folder.
pub(super) fn build(root: &Path, table: &Table, host: &Root) -> Result<()> {
    let name = &host.name;
    let system = table.system.get(&host.system).with_context(|| format!("{name}: no system {:?}", host.system))?;
    write(root, "etc/os-release", &system.os_release)?;
    write(root, "etc/hostname", format!("{name}\n"))?;
    dpkg(root, system, host)?;
    pacman(root, system)?;
    if !system.rpm.is_empty() {
        let ordinary = system.rpm.iter().map(|name| RpmRow::ordinary(name));
        let rows: Vec<RpmRow> = ordinary.chain(host.rpm.iter().cloned()).collect();
        rpm_database::write(&root.join(below(&system.rpm_place)), &rows)?;
    }
    if let Some(place) = &host.empty_rpm {
        rpm_database::write(&root.join(below(place)), &[])?;
    }
    for place in &host.programs {
        write(root, below(place), PROGRAM)?;
        std::fs::set_permissions(root.join(below(place)), PermissionsExt::from_mode(0o755))?;
    }
    for (place, program) in &host.units {
        write(root, below(place), unit(place, program))?;
    }
    for (place, text) in &host.texts {
        write(root, below(place), text)?;
    }
    for place in &host.folders {
        std::fs::create_dir_all(root.join(below(place)))?;
    }
    for (place, target) in &host.links {
        let link = root.join(below(place));
        ensure!(!link.exists(), "{name}: {place} exists before its link");
        std::fs::create_dir_all(link.parent().context("a folder")?)?;
        symlink(target, &link).with_context(|| format!("{name}: link {place}"))?;
    }
    Ok(())
}

/// A place of the table as a place below the root.
fn below(place: &str) -> &str {
    place.trim_start_matches('/')
}

fn dpkg(root: &Path, system: &System, host: &Root) -> Result<()> {
    let mut status = String::new();
    let ordinary: Vec<Stanza> = system.dpkg.iter().map(|name| Stanza::ordinary(name)).collect();
    for stanza in ordinary.iter().chain(&host.dpkg) {
        let Stanza { name, version, architecture, status: state, maintainer } = stanza;
        write!(status, "Package: {name}\nStatus: {state}\nPriority: optional\nArchitecture: {architecture}\n")?;
        for (field, text) in [("Maintainer", maintainer), ("Version", version)] {
            if !text.is_empty() {
                writeln!(status, "{field}: {text}")?;
            }
        }
        status.push_str("Description: x\n\n");
    }
    if status.is_empty() {
        return Ok(());
    }
    status.extend(std::iter::repeat_n('\0', host.nul_bytes_after_status));
    write(root, STATUS, status)
}

fn pacman(root: &Path, system: &System) -> Result<()> {
    for folder in &system.pacman {
        let (rest, release) = folder.rsplit_once('-').context("no release")?;
        let (name, version) = rest.rsplit_once('-').context("no version")?;
        let place = format!("var/lib/pacman/local/{folder}");
        let description = format!("%NAME%\n{name}\n\n%VERSION%\n{version}-{release}\n\n%ARCH%\nx86_64\n\n");
        write(root, &format!("{place}/desc"), description)?;
        write(root, &format!("{place}/files"), "%FILES%\n")?;
    }
    if system.pacman.is_empty() { Ok(()) } else { write(root, "var/lib/pacman/local/ALPM_DB_VERSION", "9\n") }
}

fn unit(place: &str, program: &str) -> String {
    let name = place.rsplit('/').next().unwrap_or(place);
    format!(
        "[Unit]\nDescription={name}\n\n[Service]\nType=simple\nExecStart={program}\n\n[Install]\nWantedBy=multi-user.target\n"
    )
}
