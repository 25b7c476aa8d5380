//! Machines that are not like Debian: Arch by the real pacman, flatpaks by the real flatpak. Package databases whose tools
//! are not available here are written as their formats are documented.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::catalogue::Planting;
use super::tools::{run, write};

fn names<'a>(all: &'a [Planting], kind: &str) -> BTreeSet<&'a str> {
    all.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect()
}

/// An Alpine with a hand-written apk database: stanzas of lines that begin with a letter.
pub(super) fn alpine(all: &[Planting]) -> Result<TempDir> {
    let root = tempfile::Builder::new().prefix("muster-alpine-").tempdir()?;
    write(root.path(), "etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n")?;
    let mut installed = String::new();
    for name in names(all, "apk").into_iter().chain(["musl", "busybox", "apk-tools"]) {
        write!(
            installed,
            "C:Q1wGMBJKxYyAmGbAs9UGMwZXAYkb8=\nP:{name}\nV:1.2.3-r4\nA:x86_64\nS:4096\nI:8192\nT:planted\nU:https://x.example\nL:MIT\n\
             o:{name}\nm:Somebody <nobody@example.org>\nt:1700000000\nc:0123\nF:usr\nF:usr/bin\nR:{name}\na:0:0:755\nZ:Q1abc=\n\n"
        )?;
    }
    write(root.path(), "lib/apk/db/installed", installed)?;
    write(root.path(), "etc/apk/world", "busybox\napk-tools\n")?;
    Ok(root)
}

/// An Arch with packages that the real pacman installs.
pub(super) fn arch(all: &[Planting]) -> Result<TempDir> {
    let root = tempfile::Builder::new().prefix("muster-arch-").tempdir()?;
    let work = tempfile::tempdir()?;
    write(root.path(), "etc/os-release", "ID=arch\n")?;
    let database = root.path().join("var/lib/pacman");
    std::fs::create_dir_all(&database)?;
    let mut packages = Vec::new();
    for name in names(all, "pacman").into_iter().chain(["pacman", "glibc"]) {
        let tree = work.path().join(name);
        write(&tree, &format!("usr/share/planted/{name}"), name)?;
        let info = format!(
            "pkgname = {name}\npkgbase = {name}\npkgver = 1.2.3-4\npkgdesc = planted\nurl = https://x.example\nbuilddate = 1700000000\n\
             packager = Somebody <nobody@example.org>\nsize = 4\narch = x86_64\nlicense = MIT\n"
        );
        write(&tree, ".PKGINFO", info)?;
        let package = work.path().join(format!("{name}-1.2.3-4-x86_64.pkg.tar"));
        run(Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&package).args([".PKGINFO", "usr"]))?;
        packages.push(package);
    }
    write(
        work.path(),
        "pacman.conf",
        "[options]\nArchitecture = x86_64\nSigLevel = Never\nLocalFileSigLevel = Never\n",
    )?;
    let pacman = || {
        let mut pacman = Command::new("pacman");
        pacman.arg("--config").arg(work.path().join("pacman.conf")).arg("--root").arg(root.path());
        pacman.arg("--dbpath").arg(&database).arg("--cachedir").arg(work.path().join("cache"));
        pacman.arg("--logfile").arg(work.path().join("log"));
        pacman
    };
    run(pacman().args(["--noconfirm", "--noscriptlet", "-Udd"]).args(&packages))?;
    let listed = run(pacman().arg("-Q"))?;
    ensure!(listed.lines().count() == packages.len(), "pacman lists {listed}");
    Ok(root)
}

/// Whether flatpak accepts the name: it needs three parts or more, which not every name from the catalogue's patterns has.
pub(super) fn is_application(planting: &Planting) -> bool {
    planting.kind == "flatpak" && planting.name.split('.').filter(|part| !part.is_empty()).count() > 2
}

/// A Fedora with applications that the real flatpak exports and installs.
pub(super) fn flatpaks(all: &[Planting]) -> Result<TempDir> {
    let root = tempfile::Builder::new().prefix("muster-flatpak-").tempdir()?;
    let work = tempfile::tempdir()?;
    write(root.path(), "etc/os-release", "ID=fedora\n")?;
    write(root.path(), "etc/passwd", "root:x:0:0::/root:/bin/sh\n")?;
    std::fs::create_dir_all(root.path().join("var/lib"))?;
    let repository = work.path().join("repository");
    let names: BTreeSet<&str> = all.iter().filter(|one| is_application(one)).map(|one| one.name.as_str()).collect();
    for name in &names {
        let tree = work.path().join(name);
        let metadata =
            format!("[Application]\nname={name}\nruntime=org.x.Platform/x86_64/1\nsdk=org.x.Sdk/x86_64/1\ncommand=x\n");
        write(&tree, "metadata", metadata)?;
        let described = format!(
            "<component type=\"desktop\"><id>{name}</id><releases><release version=\"12.3\"/></releases></component>"
        );
        write(&tree, &format!("files/share/metainfo/{name}.metainfo.xml"), described)?;
        std::fs::create_dir_all(tree.join("export"))?;
        run(Command::new("flatpak")
            .args(["build-export", "--disable-sandbox"])
            .arg(&repository)
            .arg(&tree)
            .arg("stable"))?;
    }
    let flatpak = || {
        let mut flatpak = Command::new("flatpak");
        flatpak.env("FLATPAK_SYSTEM_DIR", root.path().join("var/lib/flatpak")).env("HOME", work.path()).arg("--system");
        flatpak
    };
    run(flatpak().args(["remote-add", "--no-gpg-verify", "planted"]).arg(&repository))?;
    run(flatpak().args(["install", "--no-deps", "--noninteractive", "-y", "planted"]).args(&names))?;
    Ok(root)
}

/// The headers in rpm's SQLite database, by their numbers.
pub(super) fn rpm_headers(database: &Path) -> Result<Vec<(u32, Vec<u8>)>> {
    let sql = rusqlite::Connection::open(database)?;
    let mut rows = sql.prepare("select hnum, blob from Packages order by hnum")?;
    let headers = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(headers.collect::<Result<_, _>>()?)
}

/// Writes the hash database with Berkeley DB's own loader: number to header, and number 0 to the highest number.
pub(super) fn berkeley(place: &Path, headers: &[(u32, Vec<u8>)]) -> Result<()> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut dump = String::from("VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n");
    let highest = headers.iter().map(|(number, _)| *number).max().unwrap_or_default();
    writeln!(dump, " {}\n {}", hex(&0_u32.to_le_bytes()), hex(&highest.to_le_bytes()))?;
    for (number, header) in headers {
        writeln!(dump, " {}\n {}", hex(&number.to_le_bytes()), hex(header))?;
    }
    dump.push_str("DATA=END\n");
    let mut loader = Command::new("db5.3_load").arg(place).stdin(Stdio::piped()).spawn().context("start db5.3_load")?;
    loader.stdin.take().context("no input")?.write_all(dump.as_bytes())?;
    let status = loader.wait()?;
    ensure!(status.success(), "db5.3_load: {status}");
    Ok(())
}

const NDB_PAGE: usize = 4096;
const NDB_BLOCK: usize = 16;

/// An ndb database of rpm: a page of slots with the first block of each header, then the headers between magic words, each
/// with a checksum.
pub(super) fn ndb(headers: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let pages = (2 + headers.len()).div_ceil(NDB_PAGE / NDB_BLOCK);
    let next = headers.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
    let mut bytes = Vec::new();
    for word in [u32::from_le_bytes(*b"RpmP"), 0, 1, u32::try_from(pages).unwrap_or(1), next, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    let mut blobs = Vec::new();
    let start = pages * NDB_PAGE / NDB_BLOCK;
    for (number, header) in headers {
        let offset = u32::try_from(start + blobs.len() / NDB_BLOCK).unwrap_or(u32::MAX);
        let mut blob = Vec::new();
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        for word in [u32::from_le_bytes(*b"BlbS"), *number, 1, length] {
            blob.extend(word.to_le_bytes());
        }
        blob.extend(header);
        while !(blob.len() + 12).is_multiple_of(NDB_BLOCK) {
            blob.push(0);
        }
        let sum = adler(&blob);
        for word in [sum, length, u32::from_le_bytes(*b"BlbE")] {
            blob.extend(word.to_le_bytes());
        }
        let blocks = u32::try_from(blob.len() / NDB_BLOCK).unwrap_or(u32::MAX);
        for word in [u32::from_le_bytes(*b"Slot"), *number, offset, blocks] {
            bytes.extend(word.to_le_bytes());
        }
        blobs.extend(blob);
    }
    while bytes.len() < pages * NDB_PAGE {
        for word in [u32::from_le_bytes(*b"Slot"), 0, 0, 0] {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes.extend(blobs);
    bytes
}

fn adler(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    high << 16 | low
}
