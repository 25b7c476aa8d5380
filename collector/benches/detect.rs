//! The cost of recognition: `cargo bench -p muster-collector --bench detect`. Prints the time of `detect` on one snapshot
//! for several sizes of the snapshot and the catalogue. Every snapshot has its own titles, like hosts that share nothing.
//! `detect` runs on the canonical bytes, as in the judge queue.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::Context;
use muster_collector::judge::detect;
use muster_collector::rules::{self, RuleSet};
use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Kind, Observation, Platform, Section, SourceName};

const SIZES: [usize; 5] = [100, 300, 1_000, 3_000, 10_000];
/// Snapshots of each size. No title appears twice.
const SNAPSHOTS: usize = 24;
/// The size and the catalogue for which a snapshot must take less than [`LIMIT`] on every platform.
const DECIDING: (usize, usize) = (3_000, 2);
const LIMIT: Duration = Duration::from_millis(1);
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
const PACKAGES: &str = include_str!("../../tests/fixtures/linux/debian-12-packages.tsv");

fn main() -> anyhow::Result<()> {
    println!("median and slowest time of one snapshot, every title new; one in 300 is that of a catalogued product");
    println!(
        "{:<10} {:>9} {:>12} {:>12} {:>12} {:>9}",
        "platform", "catalogue", "observations", "median", "slowest", "hits"
    );
    let mut decided = Vec::new();
    for times in [1, 2, 4] {
        let overlay = synthetic(times)?;
        let begun = Instant::now();
        let set = rules::load(Some(overlay.path()))?;
        let compiled = begun.elapsed();
        for platform in [Platform::Linux, Platform::Windows, Platform::Macos] {
            for size in SIZES {
                let median = measure(&set, platform, size, times);
                if size == DECIDING.0 && times <= DECIDING.1 {
                    decided.push((platform, times, median));
                }
            }
        }
        println!("catalogue {times}x: {} products, compiled in {compiled:.1?}", set.catalogue.products().len());
    }
    decide(&decided);
    Ok(())
}

/// Prints what the limit asks for: the time with the larger catalogue, and how many times the usual one's it is.
fn decide(measured: &[(Platform, usize, Duration)]) {
    let (size, times) = DECIDING;
    for (platform, _, median) in measured.iter().filter(|(_, of, _)| *of == times) {
        let usual = measured.iter().find(|(on, of, _)| on == platform && *of == 1).map_or(*median, |(_, _, one)| *one);
        let ratio = median.as_secs_f64() / usual.as_secs_f64();
        let verdict = if *median < LIMIT { "below" } else { "ABOVE" };
        println!(
            "{platform}, {size} observations, catalogue {times}x: {}, {ratio:.2} times that of 1x, {verdict} the limit of {LIMIT:?}",
            micros(*median)
        );
    }
}

fn measure(set: &RuleSet, platform: Platform, size: usize, times: usize) -> Duration {
    let snapshots: Vec<Vec<CanonicalSection>> = (0..SNAPSHOTS).map(|number| snapshot(platform, size, number)).collect();
    let (mut spans, mut hits) = (Vec::new(), 0);
    for sections in &snapshots {
        let begun = Instant::now();
        let found: usize = sections.iter().map(|section| detect(&set.catalogue, section).len()).sum();
        spans.push(begun.elapsed());
        hits += found;
    }
    // The first snapshots fill the caches of the automata, which a collector does once.
    let mut warm: Vec<Duration> = spans.split_off(SNAPSHOTS / 4);
    warm.sort();
    let (median, slowest) = (warm[warm.len() / 2], warm[warm.len() - 1]);
    let catalogue = format!("{times}x");
    let hits = hits / SNAPSHOTS;
    println!("{platform:<10} {catalogue:>9} {size:>12} {:>12} {:>12} {hits:>9}", micros(median), micros(slowest));
    median
}

fn micros(span: Duration) -> String {
    format!("{} µs", span.as_micros())
}

/// A generator of name-like words. The same seed gives the same words.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[(self.next() % of.len() as u64) as usize]
    }

    fn word(&mut self) -> String {
        let parts = ["ka", "lo", "ser", "to", "gn", "om", "py", "be", "kl", "av", "es", "ti", "db", "ra", "mi", "cu"];
        let length = 2 + self.next() % 3;
        (0..length).map(|_| self.pick(&parts)).collect()
    }
}

fn snapshot(platform: Platform, size: usize, number: usize) -> Vec<CanonicalSection> {
    let mut words = Words(0x9E37_79B9_7F4A_7C15 ^ ((number as u64 + 1) << 32) ^ size as u64);
    let shares: &[(SourceName, Kind, usize)] = match platform {
        Platform::Linux => &[
            (SourceName::Dpkg, Kind::Deb, 70),
            (SourceName::SystemdUnits, Kind::Service, 20),
            (SourceName::KernelModules, Kind::KernelModule, 10),
        ],
        Platform::Windows => &[
            (SourceName::UninstallKeys, Kind::UninstallKey, 40),
            (SourceName::Services, Kind::Service, 40),
            (SourceName::Drivers, Kind::Driver, 20),
        ],
        Platform::Macos => &[
            (SourceName::AppBundles, Kind::AppBundle, 30),
            (SourceName::Launchd, Kind::Launchd, 40),
            (SourceName::Receipts, Kind::Receipt, 30),
        ],
    };
    let section = |(source, kind, share): &(SourceName, Kind, usize)| {
        let count = size * share / 100;
        let seen = (0..count).map(|at| observation(platform, *kind, &mut words, at)).collect();
        CanonicalSection::from(&Section::new(platform, *source, seen))
    };
    shares.iter().map(section).collect()
}

fn observation(platform: Platform, kind: Kind, words: &mut Words, at: usize) -> Observation {
    let known = at % 300 == 299;
    static LINES: LazyLock<Vec<&str>> =
        LazyLock::new(|| PACKAGES.lines().filter(|line| !line.starts_with('#')).collect());
    let mut fields = LINES[at % 300].split('\t');
    let (base, version) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let vendor = fields.nth(1).unwrap_or_default();
    let (one, two) = (words.word(), words.word());
    let mut seen = Observation::new(kind, "");
    if kind == Kind::Deb {
        seen.name = if known { "kesl".to_owned() } else { format!("{base}-{one}") };
        seen.id = format!("{}:amd64", seen.name);
        (seen.version, seen.vendor) = (version.to_owned(), vendor.to_owned());
    } else if kind == Kind::UninstallKey {
        seen.name = if known { "Kaspersky Plus".to_owned() } else { format!("{one} {two} Client for {base}") };
        seen.vendor = format!("{two} Software GmbH");
        seen.id = format!("{{{:08X}-{:04X}-4E0F-9D2E-1B7E7A8F1A11}}", words.next() as u32, words.next() as u16);
        seen.path = format!(r"C:\Program Files\{one}\{two}");
    } else if kind == Kind::AppBundle {
        seen.name = if known { "Kaspersky.app".to_owned() } else { format!("{one} {two} {base}.app") };
        seen.id = format!("com.{one}.{two}");
        seen.path = format!("/Applications/{}", seen.name);
    } else if matches!(kind, Kind::Launchd | Kind::Receipt) {
        seen.name = if known { "com.kaspersky.kav".to_owned() } else { format!("com.{one}.{two}.{base}") };
        seen.id = seen.name.clone();
        if kind == Kind::Launchd {
            seen.path = format!("/Library/Application Support/{one}/{two}/{base}");
        }
    } else if kind == Kind::Service && platform == Platform::Windows {
        seen.name = if known { "AVP21.3".to_owned() } else { format!("{one} {two} Service") };
        seen.id = format!("{one}{two}Svc");
        seen.path = format!(r"C:\Program Files\{one}\{two}.exe");
    } else if kind == Kind::Service {
        seen.name = if known { "AVP21.3".to_owned() } else { format!("{one}-{two}.service") };
        seen.path = format!("/usr/lib/systemd/system/{one}-{two}.service");
    } else {
        seen.name = format!("{one}{two}");
        seen.path = format!(r"C:\Windows\System32\drivers\{one}{two}.sys");
    }
    seen
}

/// An overlay that makes the catalogue `times` as large: copies of every product and vendor with other words.
fn synthetic(times: usize) -> anyhow::Result<tempfile::TempDir> {
    let overlay = tempfile::tempdir()?;
    for kind in ["catalogue", "vendors"] {
        let folder = overlay.path().join(kind);
        fs::create_dir(&folder)?;
        for copy in 1..times {
            for entry in fs::read_dir(Path::new(RULES).join(kind)).context("the rules")? {
                let entry = entry?;
                let text = fs::read_to_string(entry.path())?;
                let name = format!("copy{copy}-{}", entry.file_name().to_string_lossy());
                fs::write(folder.join(name), respelt(&text, copy))?;
            }
        }
    }
    Ok(overlay)
}

fn respelt(text: &str, copy: usize) -> String {
    let (mut out, mut in_list) = (String::with_capacity(text.len()), false);
    for line in text.lines() {
        // The ids of products and vendors, and what refers to them.
        let names = ["id = \"", "product = \"", "vendor_id = \"", "vendor = \""];
        if let Some((key, rest)) = names.iter().find_map(|key| Some((key, line.strip_prefix(key)?))) {
            out.push_str(&format!("{key}copy{copy}-{rest}\n"));
            continue;
        }
        let lists = ["key = [", "name = [", "path = [", "id = [", "spellings = ["];
        in_list |= lists.iter().any(|key| line.starts_with(key));
        if in_list {
            out.push_str(&rotated(line, copy))
        } else {
            out.push_str(line)
        }
        out.push('\n');
        in_list &= !line.trim_end().ends_with(']');
    }
    out
}

/// Shifts each letter of the words between quotation marks that have four letters or more. Other text does not change.
fn rotated(line: &str, copy: usize) -> String {
    let letters: Vec<char> = line.chars().collect();
    let (mut out, mut at, mut quoted) = (String::new(), 0, false);
    while at < letters.len() {
        let c = letters[at];
        quoted ^= c == '"' || c == '\'';
        let end =
            letters[at..].iter().position(|c| !c.is_ascii_lowercase()).map_or(letters.len(), |length| at + length);
        let before = at.checked_sub(1).map(|before| letters[before]);
        let is_word = quoted
            && end - at >= 4
            && !matches!(before, Some('%' | '\\' | '@' | '{'))
            && letters.get(end) != Some(&'%');
        if is_word {
            let moved = |c: &char| char::from(b'a' + (*c as u8 - b'a' + 7 * copy as u8) % 26);
            out.extend(letters[at..end].iter().map(moved));
            at = end;
        } else if end > at {
            out.extend(&letters[at..end]);
            at = end;
        } else {
            out.push(c);
            at += 1;
        }
    }
    out
}
