//! Real roots, made by the usual tools: Debian by debootstrap and dpkg, rpm databases by rpm, Arch by pacman. Every product
//! of the catalogue is planted on each, scanned by the real agent, and must be recognised.
//!
//! For some formats there is no tool here. Berkeley DB is written by its own loader from rpm's headers, and rpm reads it
//! back. ndb and apk are written by hand as documented (a database written by rpm's own ndb is among the fixtures of the
//! unit tests), and so are the trees of snaps.

mod catalogue;
mod field;
mod foreign;
pub(crate) mod machines;
mod macos;
pub(crate) mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use muster_tests::binaries;
use muster_tests::process::Answer;
use serde_json::Value;

use catalogue::{Planting, plantings};

/// The scan of one root: the outcome of each source, its rows, and the recognised products.
struct ScanOutput {
    outcomes: BTreeMap<String, (String, String)>,
    rows: BTreeMap<String, usize>,
    products: BTreeSet<String>,
}

impl ScanOutput {
    fn outcome(&self, source: &str) -> &str {
        self.outcomes.get(source).map_or("no record", |(outcome, _)| outcome.as_str())
    }
}

/// Scans a root with the real agent and matches the result, as `scan | muster catalogue match` does.
fn scan(root: &Path) -> Result<ScanOutput> {
    let mut found = match_all(&[scanned(root)?])?;
    found.pop().context("no answer")
}

/// What the real agent prints of a root, as one line for each outcome and observation.
fn scanned(root: &Path) -> Result<String> {
    let mut scan = Command::new(binaries::find("muster-agent")?);
    Ok(Answer::of(scan.arg("scan").arg("--root").arg(root).args(["-o", "ndjson"]))?.expect_code(0)?.stdout)
}

/// Matches what was scanned of several roots with one start of `muster`, which reads the catalogue once.
fn match_all(scanned: &[String]) -> Result<Vec<ScanOutput>> {
    let mut matcher = Command::new(binaries::find("muster")?)
        .args(["catalogue", "match", "-o", "ndjson"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start muster")?;
    let mut input = matcher.stdin.take().context("no input")?;
    let lines = scanned.concat();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = matcher.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    ensure!(output.status.success(), "muster catalogue match: {:?}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let mut lines = text.lines();
    let found = scanned.iter().map(|of_root| collect(lines.by_ref().take(of_root.lines().count()))).collect();
    ensure!(lines.next().is_none(), "muster catalogue match has answered with more lines than it was given");
    found
}

/// Collects the answers for one root.
fn collect<'l>(lines: impl Iterator<Item = &'l str>) -> Result<ScanOutput> {
    let mut found = ScanOutput { outcomes: BTreeMap::new(), rows: BTreeMap::new(), products: BTreeSet::new() };
    for line in lines {
        let record: Value = serde_json::from_str(line)?;
        let field = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        if record["record"] == "outcome" {
            found.outcomes.insert(field("source"), (field("outcome"), field("reason")));
            continue;
        }
        *found.rows.entry(field("source")).or_default() += 1;
        let also = record["also"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned));
        found.products.extend(also.chain([field("product")]).filter(|product| !product.is_empty()));
    }
    Ok(found)
}

/// The products that can be planted by one of these kinds.
fn products(all: &[Planting], kinds: &[&str]) -> BTreeSet<String> {
    all.iter().filter(|one| kinds.contains(&one.kind.as_str())).map(|one| one.product.clone()).collect()
}

fn assert_all_recognised(found: &ScanOutput, expected: &BTreeSet<String>) {
    assert!(!expected.is_empty(), "nothing was planted");
    let missed: Vec<&String> = expected.difference(&found.products).collect();
    assert!(missed.is_empty(), "planted and not recognised: {missed:?}\n{:?}", found.outcomes);
}

#[test]
fn on_a_debian_made_by_debootstrap_every_product_is_recognised() -> Result<()> {
    let Some(root) = machines::debian()? else { return Ok(()) };
    let before = scan(root.path())?;
    assert_eq!((before.outcome("dpkg"), before.outcome("host")), ("found", "found"), "{:?}", before.outcomes);
    assert_eq!(before.rows["dpkg"], machines::dpkg_rows(root.path())?);
    let all = plantings()?;
    machines::install_debs(root.path(), &all)?;
    machines::plant_files(root.path(), &all)?;
    let found = scan(root.path())?;
    for source in ["dpkg", "systemd-units", "watch-paths", "snap", "flatpak", "browser-extensions"] {
        assert_eq!(found.outcome(source), "found", "{source}: {:?}", found.outcomes);
    }
    assert_eq!(found.rows["dpkg"], machines::dpkg_rows(root.path())?);
    let kinds = ["deb", "service", "path", "snap", "flatpak", "kernel_module", "browser_extension"];
    assert_all_recognised(&found, &products(&all, &kinds));
    Ok(())
}

#[test]
fn in_every_form_of_rpms_database_every_product_is_recognised() -> Result<()> {
    let all = plantings()?;
    let Some(made) = machines::rpm_roots(&all)? else { return Ok(()) };
    for (form, root) in &made.roots {
        let found = scan(root)?;
        assert_eq!(found.outcome("rpm"), "found", "{form}: {:?}", found.outcomes);
        assert_eq!(found.rows["rpm"], made.packages, "{form}");
        assert_all_recognised(&found, &products(&all, &["rpm"]));
    }
    Ok(())
}

#[test]
fn on_an_alpine_every_product_is_recognised() -> Result<()> {
    let all = plantings()?;
    assert_recognised_on("apk", foreign::alpine(&all)?.path(), &all)
}

#[test]
fn on_an_arch_whose_packages_pacman_installed_every_product_is_recognised() -> Result<()> {
    if !tools::can("packages by pacman", &["pacman", "tar"])? {
        return Ok(());
    }
    let all = plantings()?;
    assert_recognised_on("pacman", foreign::arch(&all)?.path(), &all)
}

#[test]
fn what_flatpak_itself_has_installed_is_recognised_with_its_version() -> Result<()> {
    if !tools::can("applications by flatpak", &["flatpak"])? {
        return Ok(());
    }
    let all = plantings()?;
    let root = foreign::flatpaks(&all)?;
    let found = scan(root.path())?;
    assert_eq!(found.outcome("flatpak"), "found", "{:?}", found.outcomes);
    let planted = all.iter().filter(|one| foreign::is_application(one)).map(|one| one.product.clone()).collect();
    assert_all_recognised(&found, &planted);
    ensure!(root.path().join("var/lib/flatpak/.changed").is_file(), "flatpak does not touch what is watched any more");
    Ok(())
}

/// The source and the kind of its observations have one name.
fn assert_recognised_on(source: &str, root: &Path, all: &[Planting]) -> Result<()> {
    let found = scan(root)?;
    assert_eq!(found.outcome(source), "found", "{:?}", found.outcomes);
    // What is packaged nowhere for this system is there by its units and folders all the same.
    machines::plant_files(root, all)?;
    assert_all_recognised(&scan(root)?, &products(all, &[source, "service", "path"]));
    Ok(())
}

/// Products that cannot be planted by a name: of the first three only patterns are known; of the last only its running
/// program.
const NOT_IN_A_ROOT: &[&str] =
    &["container-storage", "deep-instinct", "kaspersky-intelligence-and-training", "threatlocker"];

#[test]
fn every_product_with_recognisers_for_linux_can_be_planted() -> Result<()> {
    let all = plantings()?;
    let planted: BTreeSet<String> = all.iter().map(|one| one.product.clone()).collect();
    let known = catalogue::products_on_linux()?;
    let unplanted: Vec<&String> = known.difference(&planted).collect();
    assert_eq!(unplanted, NOT_IN_A_ROOT.iter().collect::<Vec<_>>(), "{} of {}", planted.len(), known.len());
    Ok(())
}
