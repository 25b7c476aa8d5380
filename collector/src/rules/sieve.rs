//! Which observations of a section are worth recognising at all: those that hold a fragment without which no recogniser
//! can fit. One pass of one automaton, that of its kind, over its bytes; what it lets through is recognised in full, so it may
//! let through too much and never too little.
//!
//! ```text
//!  recogniser ─► its most telling test ─► one fragment of each of its patterns ─► automaton for each of its kinds
//! ```
//!
//! Folding keeps letters, digits and dashes of ASCII text where they are and as they are but for case, so a fragment of
//! a folded pattern stands in the text as it was sent. Where that does not hold (text that is not ASCII, quotation
//! marks, which folding drops) the observation is let through.

use std::collections::{BTreeSet, HashMap};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use muster_proto::canonical::{CanonicalSection, ObservationView};
use muster_proto::model::{Kind, Platform};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::pattern::{Pattern, parse};
use super::product::Product;
use super::recogniser::{Recogniser, Test};
use super::subject::Field;

/// A shorter fragment stands in too many texts.
const SHORTEST: usize = 3;
/// A technical name that is shorter than a fragment has at most this length with what its kind adds: a team before it, and
/// `.systemextension` after it.
const SHORT_NAME: usize = "2Y8XE5CQ94.".len() + SHORTEST - 1 + ".systemextension".len();

/// Words that stand in the names and places of everything: they tell only where nothing else does.
const COMMON: &[&str] = &[
    "agent",
    "appdata",
    "application",
    "applications",
    "bin",
    "client",
    "common",
    "conf",
    "control",
    "core",
    "daemon",
    "data",
    "desktop",
    "driver",
    "drivers",
    "endpoint",
    "files",
    "free",
    "lib",
    "lib64",
    "library",
    "local",
    "manager",
    "management",
    "microsoft",
    "net",
    "network",
    "one",
    "opt",
    "program",
    "protection",
    "security",
    "server",
    "service",
    "services",
    "software",
    "support",
    "system",
    "system32",
    "systemd",
    "tracker",
    "users",
    "usr",
    "var",
    "windows",
];

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Sieve {
    /// A kind that is not here has no recogniser. Each has an automaton of its own: together they would be too large for a
    /// processor's cache, and a fragment of one kind stands by chance in names of others.
    meshes: HashMap<(Platform, Kind), Mesh>,
}

/// What lets observations of one kind through.
#[derive(Debug)]
struct Mesh {
    fragments: AhoCorasick,
    /// How fragments begin: the automaton is only asked about a text in which one may.
    begins: Box<Begins>,
    /// A recogniser has no fragment: all are let through.
    open: bool,
    /// A recogniser tests a name that is too short for a fragment: those with short names are let through.
    short: bool,
    /// Fragments may stand in the vendor, or in the state; else only in name, id and path.
    beyond: Beyond,
}

/// Which fields beyond name, id and path are told apart by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Beyond {
    vendor: bool,
    state: bool,
}

/// A mesh before its automaton is made.
#[derive(Debug, Default)]
struct Loose {
    fragments: BTreeSet<String>,
    open: bool,
    short: bool,
    beyond: Beyond,
}

/// What must stand in an observation that a recogniser fits.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needed {
    /// One of these.
    fragments: Vec<String>,
    /// Or a name that is too short for one.
    short: bool,
    beyond: Beyond,
}

impl Sieve {
    pub(crate) fn new(products: &[Product]) -> Result<Self, String> {
        let mut loose: HashMap<(Platform, Kind), Loose> = HashMap::new();
        for one in products.iter().flat_map(|product| &product.recognisers) {
            let needed = telling(one);
            for kind in one.platforms.iter().flat_map(|on| one.kinds.iter().map(|kind| (*on, *kind))) {
                let mesh = loose.entry(kind).or_default();
                match &needed {
                    Some(needed) => {
                        mesh.fragments.extend(needed.fragments.iter().cloned());
                        mesh.short |= needed.short;
                        mesh.beyond.vendor |= needed.beyond.vendor;
                        mesh.beyond.state |= needed.beyond.state;
                    }
                    None => mesh.open = true,
                }
            }
        }
        let meshes = loose.into_iter().map(|(kind, loose)| Ok((kind, loose.tied()?))).collect::<Result<_, String>>()?;
        Ok(Self { meshes })
    }

    /// The observations of a section that may be recognised, in order.
    pub(crate) fn let_through<'s>(&self, section: &'s CanonicalSection) -> Vec<ObservationView<'s>> {
        let platform = section.platform();
        let mut through = Vec::new();
        // Observations of one kind stand together.
        let mut last: Option<(Kind, Option<&Mesh>)> = None;
        section.each(|_, observation| {
            let kind = observation.kind;
            let mesh = match last {
                Some((of, mesh)) if of == kind => mesh,
                _ => self.meshes.get(&(platform, kind)),
            };
            last = Some((kind, mesh));
            if mesh.is_some_and(|mesh| mesh.lets(observation)) {
                through.push(*observation);
            }
        });
        through
    }
}

impl Mesh {
    fn lets(&self, observation: &ObservationView<'_>) -> bool {
        let ObservationView { name, id, path, vendor, state, .. } = *observation;
        if self.open || (self.short && has_short_name(observation)) {
            return true;
        }
        // Most ids are the name, with an architecture after it.
        let id = id.strip_prefix(name).filter(|rest| rest.bytes().next().is_none_or(ends_fragments)).unwrap_or(id);
        let holds = |text: &str| match self.begins.scan(text.as_bytes()) {
            Scan::Nothing => false,
            Scan::MayHold => self.fragments.is_match(text),
            Scan::NotPlain => true,
        };
        holds(name)
            || holds(id)
            || holds(path)
            || (self.beyond.vendor && holds(vendor))
            || (self.beyond.state && holds(state))
    }
}

/// The classes of three bytes in a row with which a fragment begins, as a set of bits.
#[derive(Debug)]
struct Begins([u64; 1 << 9]);

/// What a look at a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// No fragment is in it.
    Nothing,
    /// One may be.
    MayHold,
    /// Folding changes it: nothing can be said.
    NotPlain,
}

/// The class of a byte that folding changes.
const CHANGED: u8 = 31;

/// Letters are one class in both cases, digits are one together, and what is in no fragment is one: five bits.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            letter @ b'a'..=b'z' => letter - b'a' + 1,
            letter @ b'A'..=b'Z' => letter - b'A' + 1,
            b'0'..=b'9' => 27,
            b'-' => 28,
            b'_' => 29,
            b'"' | 128.. => CHANGED,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

impl Begins {
    fn of<'f>(fragments: impl Iterator<Item = &'f String>) -> Self {
        let mut begins = Self([0; 1 << 9]);
        for fragment in fragments {
            let first = fragment.bytes().take(SHORTEST).fold(0, Self::with);
            begins.0[first >> 6] |= 1 << (first & 63);
        }
        begins
    }

    const fn with(window: usize, byte: u8) -> usize {
        (window << 5 | CLASSES[byte as usize] as usize) & ((1 << 15) - 1)
    }

    /// One step a byte, and no decision on the way.
    fn scan(&self, text: &[u8]) -> Scan {
        let (mut window, mut hit, mut changed) = (0, 0, false);
        for byte in text {
            window = Self::with(window, *byte);
            hit |= self.0[window >> 6] >> (window & 63) & 1;
            changed |= window & 31 == usize::from(CHANGED);
        }
        match (changed, hit) {
            (true, _) => Scan::NotPlain,
            (false, 0) => Scan::Nothing,
            (false, _) => Scan::MayHold,
        }
    }
}

impl Loose {
    fn tied(self) -> Result<Mesh, String> {
        let begins = Box::new(Begins::of(self.fragments.iter()));
        let fragments = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(self.fragments)
            .map_err(|error| format!("the fragments of the patterns are too many together: {error}"))?;
        Ok(Mesh { fragments, begins, open: self.open, short: self.short, beyond: self.beyond })
    }
}

fn has_short_name(observation: &ObservationView<'_>) -> bool {
    let ObservationView { name, id, path, .. } = observation;
    [name, id, path].iter().any(|text| {
        let file = text.trim_end_matches(['/', '\\', ' ']).rsplit(['/', '\\']).next().unwrap_or(text);
        (1..=SHORT_NAME).contains(&file.len())
    })
}

/// Whether no fragment goes beyond this byte of a plain text.
fn ends_fragments(byte: u8) -> bool {
    byte.is_ascii() && !is_of_fragments(char::from(byte))
}

fn is_of_fragments(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// What the recogniser's most telling test needs; `None` when an observation that it fits need hold nothing.
fn telling(one: &Recogniser) -> Option<Needed> {
    let of_test = |test: &Test| {
        let beyond = Beyond { vendor: test.field == Field::Vendor, state: test.field == Field::State };
        let mut needed = Needed { beyond, ..Needed::default() };
        for pattern in &test.patterns {
            match fragments(pattern) {
                Some(more) => needed.fragments.extend(more),
                None if test.field == Field::Key && is_short(pattern) => needed.short = true,
                None => return None,
            }
        }
        // A vendor is on many titles, and what it is called only on some: the vendor decides where nothing else can.
        let rank = (test.field != Field::Vendor, !needed.short, worth(&needed.fragments));
        Some((rank, needed))
    };
    one.tests.iter().filter_map(of_test).max_by_key(|(rank, _)| *rank).map(|(_, needed)| needed)
}

fn is_short(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Exact(text) if (1..SHORTEST).contains(&text.len()) && text.is_ascii())
}

/// How seldom the worst of these stands somewhere by chance. A pattern that only text beyond ASCII can fit needs none.
fn worth(fragments: &[String]) -> usize {
    fragments.iter().map(|one| worth_of(one)).min().unwrap_or(usize::MAX)
}

fn worth_of(fragment: &str) -> usize {
    if COMMON.contains(&fragment) { 1 } else { fragment.len() }
}

/// The first of the best.
fn best<T>(all: impl Iterator<Item = T>, worth: impl Fn(&T) -> usize) -> Option<T> {
    all.reduce(|best, next| if worth(&next) > worth(&best) { next } else { best })
}

/// Fragments of which one must stand in an ASCII text that the pattern fits.
fn fragments(pattern: &Pattern) -> Option<Vec<String>> {
    match pattern {
        Pattern::Exact(text) => of_text(text),
        Pattern::Regex(source) => of_hir(&parse(source).ok()?),
    }
}

/// Pieces that folding writes where something else stood.
const WRITTEN: &[&str] = &["hklm", "hkcu", "hku", "appdata", "local", "roaming", "common", "files"];

/// The longest fragment of a folded text. None are needed of a text that is not ASCII: no ASCII text is folded to it.
fn of_text(text: &str) -> Option<Vec<String>> {
    if !text.is_ascii() {
        return Some(Vec::new());
    }
    // What stands between percent signs, and the names of some folders and registry roots, are written by folding.
    let kept = text.split('%').step_by(2);
    let pieces = kept.flat_map(|part| part.split(|c: char| !is_of_fragments(c)));
    let usable = pieces.filter(|piece| piece.len() >= SHORTEST && !WRITTEN.contains(piece));
    best(usable.map(str::to_ascii_lowercase), |piece| worth_of(piece)).map(|piece| vec![piece])
}

fn of_hir(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => of_text(&letters(hir)?),
        HirKind::Capture(group) => of_hir(&group.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => of_hir(&repeated.sub),
        HirKind::Alternation(ways) => {
            let ways: Option<Vec<Vec<String>>> = ways.iter().map(of_hir).collect();
            Some(ways?.into_iter().flatten().collect())
        }
        HirKind::Concat(parts) => of_parts(parts),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The best that one of the parts, or a run of plain letters, demands.
fn of_parts(parts: &[Hir]) -> Option<Vec<String>> {
    let (mut candidates, mut run) = (Vec::new(), String::new());
    for part in parts {
        if matches!(part.kind(), HirKind::Look(_)) {
            continue;
        }
        if let Some(text) = letters(part) {
            run.push_str(&text);
            continue;
        }
        candidates.push(of_text(&std::mem::take(&mut run)));
        candidates.push(of_hir(part));
    }
    candidates.push(of_text(&run));
    best(candidates.into_iter().flatten(), |needed| worth(needed))
}

/// The text of a literal, or of a class that is one letter of ASCII in both cases. What else is in it (the long s beside
/// the s) stands in no ASCII text.
fn letters(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok(),
        HirKind::Class(Class::Unicode(class)) => {
            let all = class.ranges().iter().flat_map(|range| range.start()..=range.end().min('\u{7f}'));
            let mut letters = all.filter(char::is_ascii);
            let first = letters.next()?.to_ascii_lowercase();
            let is_one = first.is_ascii_alphabetic() && letters.all(|c| c.to_ascii_lowercase() == first);
            is_one.then(|| first.to_string())
        }
        HirKind::Empty
        | HirKind::Class(Class::Bytes(_))
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Capture(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Option<Vec<String>> {
        fragments(&Pattern::Regex(source.to_owned()))
    }

    fn list(of: &[&str]) -> Option<Vec<String>> {
        Some(of.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn a_pattern_demands_the_longest_piece_that_folding_leaves_alone() {
        let exact = |text: &str| fragments(&Pattern::Exact(text.to_owned()));
        assert_eq!(exact("%programfiles%/kaspersky lab/x"), list(&["kaspersky"]));
        assert_eq!(exact("hklm/software/kav"), list(&["kav"]));
        assert_eq!(exact("лаборатория касперского"), list(&[]), "no ASCII text is folded to it");
        assert_eq!(exact("k2"), None);
        assert_eq!(of(r"avp\d+(\.\d+)*"), list(&["avp"]));
        assert_eq!(of(r"(?:kesl|klnagent(?:64)?)"), list(&["kesl", "klnagent"]));
        assert_eq!(of("(?i:KLIF).K4W-[0-9-]+"), list(&["klif"]), "the first of equals");
        assert_eq!(of("(?i)emsisoft k.*"), list(&["emsisoft"]), "letters that have three cases too");
        assert_eq!(of(r".*\d+"), None);
        assert_eq!(of("(?:endpoint security)?x"), None, "what may be missing is not demanded");
    }

    #[test]
    fn a_scan_finds_every_beginning_in_any_case_and_what_folding_changes() {
        let fragments = ["kesl", "avp", "k7-tools"].map(str::to_owned);
        let begins = Begins::of(fragments.iter());
        for text in ["xKESLx", "avp", "a-AVP21.3", "usr/lib/k7-tools"] {
            assert_eq!(begins.scan(text.as_bytes()), Scan::MayHold, "{text}");
        }
        for text in ["", "k", "ke sl", "openssl", "av-p"] {
            assert_eq!(begins.scan(text.as_bytes()), Scan::Nothing, "{text}");
        }
        for text in ["кесл", "\"avp\"", "x\u{ad}"] {
            assert_eq!(begins.scan(text.as_bytes()), Scan::NotPlain, "{text}");
        }
    }

    #[test]
    fn hardly_a_kind_is_open() {
        let set = crate::rules::load(None).expect("rules");
        let sieve = Sieve::new(set.catalogue.products()).expect("builds");
        // Each of these makes its kind as slow as it is without a sieve: it has to be a kind of which machines have few.
        let open: Vec<_> = sieve.meshes.iter().filter(|(_, mesh)| mesh.open).map(|(kind, _)| *kind).collect();
        assert_eq!(open, [(Platform::Windows, Kind::Wsc)]);
    }
}
