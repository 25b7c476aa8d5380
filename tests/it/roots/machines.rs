//! Machines made by the systems' own tools: debootstrap and dpkg, rpm and the loader of Berkeley DB.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_tests::{binaries, left_out};
use tempfile::TempDir;

use super::catalogue::Planting;
use super::foreign;
use super::tools::{LEFT_OUT, can, path, run, write};

const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Whether the mirror answers. Without a network the Debian cannot be made, and the test is left out, unless `deploy/ci/test`
/// has found the mirror and set `needed`.
fn mirror_answers(mirror: &str) -> Result<bool> {
    if std::env::var(LEFT_OUT).is_ok_and(|value| value == "needed") {
        return Ok(true);
    }
    let mut ask = Command::new("wget");
    ask.args(["--quiet", "--spider", "--timeout=15", "--tries=2", &format!("{mirror}/dists/{SUITE}/InRelease")]);
    Ok(ask.status().context("start wget")?.success())
}

/// A Debian with systemd, made by debootstrap. It is made once and kept below the target folder; each test gets a copy.
pub(crate) fn debian() -> Result<Option<TempDir>> {
    const WHAT: &str = "tests on a Debian by debootstrap";
    if !can(WHAT, &["debootstrap", "wget", "dpkg", "dpkg-deb", "dpkg-query"])? {
        return Ok(None);
    }
    let kept = binaries::folder()?.join("roots").join(format!("debian-{SUITE}-systemd"));
    if !kept.is_dir() {
        let mirror = std::env::var("MUSTER_TEST_MIRROR").unwrap_or_else(|_| MIRROR.to_owned());
        if !mirror_answers(&mirror)? {
            left_out(WHAT, &format!("{mirror} does not answer, and none was made before"));
            return Ok(None);
        }
        make_debian(&kept, &mirror)?;
    }
    let copy = tempfile::Builder::new().prefix("muster-debian-").tempdir()?;
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(kept.join(".")).arg(copy.path()))?;
    Ok(Some(copy))
}

/// Makes the Debian under a lock, so that tests in parallel make it once.
fn make_debian(kept: &Path, mirror: &str) -> Result<()> {
    const MAKE: &str = r#"
        test -d "$1" && exit 0
        debootstrap --variant=minbase --include=systemd,systemd-sysv "$3" "$2" "$4" || exit
        rm -rf "$2/var/cache" "$2/usr/share/doc" "$2/usr/share/locale" "$2/usr/share/man"
        mv "$2" "$1""#;
    let folder = kept.parent().context("a folder")?;
    std::fs::create_dir_all(folder)?;
    let making = tempfile::Builder::new().prefix("making-").tempdir_in(folder)?;
    let mut command = Command::new("flock");
    command.arg(folder.join("lock")).args(["sh", "-c", MAKE, "sh"]).arg(kept).arg(making.path().join("root"));
    command.args([SUITE, mirror]).env("PATH", path());
    run(&mut command).map(drop)
}

/// The number of packages that dpkg lists.
pub(super) fn dpkg_rows(root: &Path) -> Result<usize> {
    let admin = format!("--admindir={}", root.join("var/lib/dpkg").display());
    Ok(run(Command::new("dpkg-query").arg(admin).args(["-W", "-f", "${Package}\\n"]))?.lines().count())
}

/// Builds a package for each name and installs it with the real dpkg.
pub(super) fn install_debs(root: &Path, all: &[Planting]) -> Result<()> {
    let work = tempfile::tempdir()?;
    let mut debs = Vec::new();
    let mut names = BTreeSet::new();
    for planting in all.iter().filter(|one| one.kind == "deb") {
        let name = planting.name.to_lowercase();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        if !name.chars().all(fits) || name.len() < 2 || !names.insert(name.clone()) {
            continue;
        }
        let tree = work.path().join(&name);
        std::fs::create_dir_all(tree.join("DEBIAN"))?;
        let vendor = if planting.vendor.is_empty() { "Vendor" } else { &planting.vendor };
        let control = format!(
            "Package: {name}\nVersion: 1.2.3-4\nArchitecture: amd64\nMaintainer: {vendor} <nobody@example.org>\nDescription: planted\n"
        );
        std::fs::write(tree.join("DEBIAN/control"), control)?;
        let deb = work.path().join(format!("{name}.deb"));
        run(Command::new("dpkg-deb").args(["-Znone", "--root-owner-group", "-b"]).arg(&tree).arg(&deb))?;
        debs.push(deb);
    }
    ensure!(!debs.is_empty(), "there are no packages to install");
    let root = format!("--root={}", root.display());
    run(Command::new("dpkg").arg(root).args(["--force-all", "--no-triggers", "-i"]).args(debs))?;
    Ok(())
}

/// Creates what needs no package manager: units, folders, modules, extensions, snaps and flatpaks.
pub(super) fn plant_files(root: &Path, all: &[Planting]) -> Result<()> {
    for planting in all {
        let name = planting.name.as_str();
        match planting.kind.as_str() {
            "service" if !name.contains('/') => {
                let unit = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
                write(root, &format!("usr/lib/systemd/system/{unit}"), "[Service]\nExecStart=/usr/bin/env planted\n")?;
            }
            // Two products may share a folder, or a file of one may be a folder of another, so all become folders.
            "path" if name.starts_with('/') => drop(std::fs::create_dir_all(root.join(&name[1..]))),
            "kernel_module" => write(root, &format!("usr/lib/modules/6.1.0/extra/{name}.ko.xz"), "")?,
            "browser_extension" => extension(root, planting)?,
            "snap" => {
                write(root, &format!("snap/{name}/7/meta/snap.yaml"), format!("name: {name}\nversion: '1.2'\n"))?;
                link(root, &format!("snap/{name}/current"), "7")?;
                write(root, &format!("var/lib/snapd/snaps/{name}_7.snap"), "")?;
            }
            "flatpak" => {
                let place = format!("var/lib/flatpak/app/{name}/x86_64/stable");
                write(root, &format!("{place}/0a1b/metadata"), format!("[Application]\nname={name}\n"))?;
                link(root, &format!("{place}/active"), "0a1b")?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates a browser extension: for Firefox if its id has an at sign, otherwise for Chrome.
fn extension(root: &Path, planting: &Planting) -> Result<()> {
    let is_id = planting.name.len() == 32 && planting.name.bytes().all(|byte| (b'a'..=b'p').contains(&byte));
    let id = if is_id { planting.name.as_str() } else { "ddoleachckhhdmhpbkddgechjfhnphpe" };
    let home = &format!("root/.config/google-chrome/Default/Extensions/{id}/2.0_0");
    if planting.name.contains('@') {
        let text = format!(
            r#"{{"addons":[{{"id":"{}","version":"7","type":"extension","location":"app-profile","active":true}}]}}"#,
            planting.name
        );
        return write(root, "root/.mozilla/firefox/x.default/extensions.json", &text);
    }
    write(root, &format!("{home}/manifest.json"), format!(r#"{{"name":"{}","version":"2.0"}}"#, planting.name))
}

fn link(root: &Path, place: &str, target: &str) -> Result<()> {
    match symlink(target, root.join(place)) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Roots with rpm's database in its three formats.
pub(super) struct RpmRoots {
    pub(super) roots: Vec<(&'static str, PathBuf)>,
    /// The number of packages that rpm lists.
    pub(super) packages: usize,
    _kept: TempDir,
}

/// Builds a package for each name, installs it with the real rpm, and writes the headers in the other two formats.
pub(super) fn rpm_roots(all: &[Planting]) -> Result<Option<RpmRoots>> {
    if !can("rpm's databases", &["rpm", "rpmbuild", "db5.3_load"])? {
        return Ok(None);
    }
    let kept = tempfile::Builder::new().prefix("muster-rpm-").tempdir()?;
    let roots: Vec<(&str, PathBuf)> =
        ["sqlite", "ndb", "berkeley"].into_iter().map(|form| (form, kept.path().join(form))).collect();
    for (_, root) in &roots {
        write(root, "etc/os-release", "ID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=9.4\n")?;
        std::fs::create_dir_all(root.join("var/lib/rpm"))?;
    }
    let (sqlite, ndb, berkeley) = (&roots[0].1, &roots[1].1, &roots[2].1);
    let packages = build_rpms(kept.path(), all)?;
    let rpm = |root: &Path, backend: &str| {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(root).args(["--define", "_dbpath /var/lib/rpm"]);
        command.args(["--define", &format!("_db_backend {backend}")]);
        command
    };
    run(rpm(sqlite, "sqlite").arg("--initdb"))?;
    run(rpm(sqlite, "sqlite").args(["-i", "--nodeps", "--nosignature", "--ignorearch", "--ignoreos"]).args(packages))?;
    let said = run(rpm(sqlite, "sqlite").arg("-qa"))?;
    let headers = foreign::rpm_headers(&sqlite.join("var/lib/rpm/rpmdb.sqlite"))?;
    ensure!(headers.len() == said.lines().count(), "{} headers, and rpm has {}", headers.len(), said.lines().count());
    write(ndb, "var/lib/rpm/Packages.db", foreign::ndb(&headers))?;
    foreign::berkeley(&berkeley.join("var/lib/rpm/Packages"), &headers)?;
    // rpm reads the databases that it did not write and finds the same packages.
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let back = run(rpm(berkeley, "bdb_ro").arg("-qa"))?;
    ensure!(sorted(&back) == sorted(&said), "rpm reads another database: {back}");
    Ok(Some(RpmRoots { packages: headers.len(), roots, _kept: kept }))
}

/// One build with a package for each name.
fn build_rpms(work: &Path, all: &[Planting]) -> Result<Vec<PathBuf>> {
    let mut spec = String::from(
        "Name: planted\nVersion: 1.2.3\nRelease: 4\nSummary: planted\nLicense: none\nVendor: Vendor\nBuildArch: x86_64\n%description\nplanted\n%files\n",
    );
    // A database without the base system is not the whole database, so an absence in it proves nothing.
    let base = ["filesystem", "bash", "rpm"];
    let mut names = BTreeSet::new();
    for name in all.iter().filter(|one| one.kind == "rpm").map(|one| one.name.as_str()).chain(base) {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        if name.chars().all(fits) && names.insert(name) {
            writeln!(spec, "%package -n {name}\nSummary: planted\n%description -n {name}\nplanted\n%files -n {name}")?;
        }
    }
    let file = work.join("planted.spec");
    std::fs::write(&file, spec)?;
    let top = work.join("build");
    let mut command = Command::new("rpmbuild");
    command.args(["-bb", "--quiet", "--target", "x86_64", "--define"]).arg(format!("_topdir {}", top.display()));
    run(command.arg(&file))?;
    let built = std::fs::read_dir(top.join("RPMS/x86_64"))?;
    Ok(built.filter_map(|entry| Some(entry.ok()?.path())).collect())
}
