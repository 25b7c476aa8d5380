//! The prefilter: lets through the observations of a section that some recogniser may match, and drops the others before
//! they are folded. Most observations of a machine match nothing.
//!
//! ```text
//!  recogniser ─► its most selective test ─► one fragment of each of its patterns ─► automaton of each of its kinds
//! ```
//!
//! Nearly all fragments begin words, so one pass over a text finds where words begin and looks up their first letters; only
//! where these are the first letters of a fragment the automaton of the kind runs. Observations that are let through are
//! recognised in full, so the prefilter may let through too many but never too few.
//!
//! Folding does not move or change letters, digits and dashes of ASCII text except for their case, so a fragment of a
//! folded pattern is in the raw text too. Where this does not hold (text that is not ASCII, and quotation marks, which
//! folding drops) the observation is let through.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, StartKind};
use hashbrown::HashMap;
use muster_proto::canonical::{CanonicalSection, ObservationView};
use muster_proto::model::{Kind, Platform};

use super::fragment::{Fragment, Pieces, SHORTEST, is_of_fragments, worth};
use super::pattern::Pattern;
use super::product::Product;
use super::recogniser::{Recogniser, Test};
use super::subject::{Field, is_installer_file};

/// The compiled prefilter; see the module's documentation.
#[derive(Debug)]
pub(crate) struct Prefilter {
    /// A kind without an entry has no recogniser. Each kind has its own automaton: a common one would not fit into a
    /// processor's cache, and fragments of one kind are by chance in names of others.
    kind_filters: HashMap<(Platform, Kind), KindFilter>,
}

/// The filter of one kind.
#[derive(Debug)]
struct KindFilter {
    /// Fragments that begin a text or a word. They are searched only there, so `avk` is not found within other words.
    words: Fragments,
    /// Fragments that may be anywhere in a text. Few kinds have any.
    anywhere: Option<Fragments>,
    /// Some recogniser has no fragment, so every observation is let through.
    open: bool,
    /// Some recogniser tests a name that is too short for a fragment, so observations with short names are let through.
    short: bool,
    /// Whether fragments can also be in the vendor or the state, not only in name, id and path.
    beyond: Beyond,
}

/// A set of fragments, to be searched at one position of a text.
#[derive(Debug)]
struct Fragments {
    /// How they begin. The automaton only runs where one may begin.
    begins: Box<Begins>,
    /// Each byte with which one begins, with its case bit set, eight times.
    first_letters: Vec<u64>,
    automaton: AhoCorasick,
}

/// The fields besides name, id and path that recognisers test.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Beyond {
    vendor: bool,
    state: bool,
}

/// The parts of a filter before its automaton is built.
#[derive(Debug, Default)]
struct Loose {
    words: BTreeSet<String>,
    anywhere: BTreeSet<String>,
    open: bool,
    short: bool,
    beyond: Beyond,
}

/// What an observation must contain for a recogniser to match it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needed {
    /// One of these.
    fragments: Vec<Fragment>,
    /// Or a name that is too short for a fragment.
    short: bool,
    beyond: Beyond,
}

impl Prefilter {
    pub(crate) fn new(products: &[Product]) -> Result<Self, String> {
        let mut loose: HashMap<(Platform, Kind), Loose> = HashMap::new();
        for one in products.iter().flat_map(|product| &product.recognisers) {
            let needed = most_selective(one);
            for kind in one.platforms.iter().flat_map(|on| one.kinds.iter().map(|kind| (*on, *kind))) {
                let kind_filter = loose.entry(kind).or_default();
                match &needed {
                    Some(needed) => {
                        for Fragment { text, begins_word } in &needed.fragments {
                            let of = if *begins_word { &mut kind_filter.words } else { &mut kind_filter.anywhere };
                            of.insert(text.clone());
                        }
                        kind_filter.short |= needed.short;
                        kind_filter.beyond.vendor |= needed.beyond.vendor;
                        kind_filter.beyond.state |= needed.beyond.state;
                    }
                    None => kind_filter.open = true,
                }
            }
        }
        let kind_filters =
            loose.into_iter().map(|(kind, loose)| Ok((kind, loose.tied()?))).collect::<Result<_, String>>()?;
        Ok(Self { kind_filters })
    }

    /// The observations of a section that may be recognised, in order.
    pub(crate) fn let_through<'s>(&self, section: &'s CanonicalSection) -> Vec<ObservationView<'s>> {
        let platform = section.platform();
        let mut through = Vec::new();
        // Observations of one kind follow each other in a section.
        let mut last: Option<(Kind, Option<&KindFilter>)> = None;
        // A path that the filter of this kind searched and did not let through.
        let mut searched_path = "";
        section.each(|_, observation| {
            let kind = observation.kind;
            let kind_filter = match last {
                Some((of, kind_filter)) if of == kind => kind_filter,
                _ => {
                    // Another kind has other fragments.
                    searched_path = "";
                    self.kind_filters.get(&(platform, kind))
                }
            };
            last = Some((kind, kind_filter));
            let Some(kind_filter) = kind_filter else { return };
            if kind_filter.lets(observation, searched_path) {
                through.push(*observation);
            } else {
                searched_path = observation.path;
            }
        });
        through
    }
}

impl KindFilter {
    /// Whether some recogniser may match. `searched_path` is that of an observation of this kind that was not let through.
    fn lets(&self, observation: &ObservationView<'_>, searched_path: &str) -> bool {
        let ObservationView { name, id, path, vendor, state, .. } = *observation;
        // The words of an installer file's name are joined in another way when it is folded.
        let is_installer = is_installer_file(observation.kind, name) || is_installer_file(observation.kind, id);
        if self.open || is_installer || (self.short && has_short_name(observation)) {
            return true;
        }
        // Most ids are the name with an architecture after it, so only the rest is new text.
        let id = id.strip_prefix(name).filter(|rest| rest.bytes().next().is_none_or(ends_fragments)).unwrap_or(id);
        let holds = |text: &str| self.lets_text(text.as_bytes(), 0);
        holds(name)
            || holds(id)
            || self.lets_text(path.as_bytes(), shared_folders(path.as_bytes(), searched_path.as_bytes()))
            || (self.beyond.vendor && holds(vendor))
            || (self.beyond.state && holds(state))
    }

    /// Whether the text contains a fragment at or after a position where a word begins, or folding changes it there.
    fn lets_text(&self, text: &[u8], from: usize) -> bool {
        let anywhere_letters = self.anywhere.as_ref().map_or(&[][..], |fragments| &fragments.first_letters);
        let (mut changed, mut after_end) = (0, 1);
        // A bit of each of these numbers stands for one of 64 bytes. One loop over the bits of so many bytes is faster than
        // a loop over those of each eight, whose number no processor can predict.
        for at in (from..text.len()).step_by(64) {
            let (mut ends, mut letters) = (0, 0);
            for shift in (0..(text.len() - at).min(64)).step_by(8) {
                let eight = eight_at(text, at + shift);
                changed |= changes(eight);
                ends |= highest_bits(ends_of_words(eight)) << shift;
                let folded = eight | Begins::CASE;
                let first = anywhere_letters.iter().fold(0, |first, letter| first | zeros(folded ^ letter));
                letters |= highest_bits(first) << shift;
            }
            let inside = u64::MAX >> 64_usize.saturating_sub(text.len() - at);
            let begins = (ends << 1 | after_end) & !ends & inside;
            after_end = ends >> 63;
            if self.words.are_at(text, at, begins)
                || self.anywhere.as_ref().is_some_and(|fragments| fragments.are_at(text, at, letters & inside))
            {
                return true;
            }
        }
        changed != 0
    }
}

impl Fragments {
    fn new(fragments: &BTreeSet<String>) -> Result<Self, String> {
        let begins = Box::new(Begins::of(fragments));
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            // A table of all states and bytes would be faster by little, because few positions get here, and take 50 MiB.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            // `is_at` searches only at one position, so the automaton needs no other start states.
            .start_kind(StartKind::Anchored)
            .build(fragments)
            .map_err(|error| format!("the fragments of the patterns are too many together: {error}"))?;
        let first: BTreeSet<u8> = fragments.iter().filter_map(|one| one.bytes().next()).collect();
        let first_letters = first.into_iter().map(|byte| eight_of(byte) | Begins::CASE).collect();
        Ok(Self { begins, first_letters, automaton })
    }

    /// Whether a fragment is at one of the positions from `at` on whose bits are set.
    #[inline]
    fn are_at(&self, text: &[u8], at: usize, mut positions: u64) -> bool {
        while positions != 0 {
            let at = at + positions.trailing_zeros() as usize;
            if self.begins.may_be(eight_at(text, at)) && self.is_at(text, at) {
                return true;
            }
            positions &= positions - 1;
        }
        false
    }

    // Apart from the loops, which are faster without it.
    #[cold]
    fn is_at(&self, text: &[u8], at: usize) -> bool {
        self.automaton.is_match(Input::new(text).range(at..).anchored(Anchored::Yes))
    }
}

/// The length of the folders that both paths begin with. Fragments do not span the character that ends a folder, so what
/// was found in one path need not be searched again in the other.
fn shared_folders(path: &[u8], other: &[u8]) -> usize {
    let shared = path.iter().zip(other).take_while(|(one, other)| one == other).count();
    path[..shared].iter().rposition(|byte| ends_fragments(*byte)).map_or(0, |at| at + 1)
}

/// Eight bytes from a position, the first one lowest. Bytes after the end are zero.
fn eight_at(text: &[u8], at: usize) -> u64 {
    if let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        u64::from_le_bytes(*eight)
    } else if let Some(last) = text.last_chunk() {
        u64::from_le_bytes(*last) >> (8 * (at + 8 - text.len()))
    } else {
        text.iter().skip(at).rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte))
    }
}

/// The same byte eight times.
const fn eight_of(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Not 0 if folding changes one of these bytes in more than its case: bytes that are not ASCII, and quotation marks.
const fn changes(eight: u64) -> u64 {
    (eight & eight_of(0x80)) | zeros(eight ^ eight_of(b'"'))
}

/// The highest bit of each byte that is 0, and sometimes of a byte that follows one.
const fn zeros(eight: u64) -> u64 {
    eight.wrapping_sub(eight_of(1)) & !eight & eight_of(0x80)
}

/// The highest bit of each byte, that of the first byte lowest.
const fn highest_bits(eight: u64) -> u64 {
    (eight & eight_of(0x80)).wrapping_mul(0x0002_0408_1020_4081) >> 56
}

/// The highest bit of each byte that is no letter or digit, and so no part of a word.
const fn ends_of_words(eight: u64) -> u64 {
    // Bytes that are not ASCII are no letters; the observation is let through because of them.
    let low = eight & !eight_of(0x80);
    let lower = low | eight_of(0x20);
    // The highest bit of each byte is set if it is at least `first`, and not greater than `last`.
    const fn between(low: u64, first: u8, last: u8) -> u64 {
        (low + eight_of(0x80 - first)) & !(low + eight_of(0x7f - last))
    }
    !(between(lower, b'a', b'z') | between(low, b'0', b'9')) & eight_of(0x80)
}

/// A set of the hashes of the beginnings of fragments: their first four bytes, or the first three if they have no more. Each
/// is two bits of a word. They are found with one access each, and few other beginnings have both bits.
#[derive(Debug)]
struct Begins {
    of_three: [u64; Self::OF_THREE],
    of_four: [u64; Self::OF_FOUR],
}

impl Begins {
    /// Few fragments are so short.
    const OF_THREE: usize = 1 << 6;
    const OF_FOUR: usize = 1 << 10;

    fn of<'f>(fragments: impl IntoIterator<Item = &'f String>) -> Self {
        let mut begins = Self { of_three: [0; Self::OF_THREE], of_four: [0; Self::OF_FOUR] };
        for fragment in fragments {
            let eight = eight_at(fragment.as_bytes(), 0);
            if fragment.len() == SHORTEST {
                let (word, bits) = Self::place(Self::first_three(eight), Self::OF_THREE);
                begins.of_three[word] |= bits;
            } else {
                let (word, bits) = Self::place(Self::first_four(eight), Self::OF_FOUR);
                begins.of_four[word] |= bits;
            }
        }
        begins
    }

    /// Whether a fragment may begin with these bytes, the first one lowest.
    const fn may_be(&self, eight: u64) -> bool {
        let (three, bits_of_three) = Self::place(Self::first_three(eight), Self::OF_THREE);
        let (four, bits_of_four) = Self::place(Self::first_four(eight), Self::OF_FOUR);
        // Both are looked up: which of them holds cannot be predicted.
        (!self.of_three[three] & bits_of_three == 0) | (!self.of_four[four] & bits_of_four == 0)
    }

    /// Sets the case bit, so that letters of both cases are equal. Other bytes may become equal too, so this finds too many.
    const CASE: u64 = eight_of(0x20);

    const fn first_three(eight: u64) -> u32 {
        Self::first_four(eight) & 0x00ff_ffff
    }

    const fn first_four(eight: u64) -> u32 {
        (eight | Self::CASE) as u32
    }

    /// The word of a beginning in a table of so many words, a power of two, and its two bits in it.
    const fn place(beginning: u32, words: usize) -> (usize, u64) {
        // Knuth's multiplicative hash. In a product the upper bits depend on all bytes, so they choose the word.
        let hash = beginning.wrapping_mul(0x9E37_79B1);
        let word = (hash >> 22) as usize & (words - 1);
        (word, 1 << (hash >> 16 & 63) | 1 << (hash >> 10 & 63))
    }
}

impl Loose {
    fn tied(self) -> Result<KindFilter, String> {
        let words = Fragments::new(&self.words)?;
        let anywhere = if self.anywhere.is_empty() { None } else { Some(Fragments::new(&self.anywhere)?) };
        Ok(KindFilter { words, anywhere, open: self.open, short: self.short, beyond: self.beyond })
    }
}

/// Whether the technical name may be shorter than a fragment. What a kind or a tool appends starts with a dash or with a
/// character that names do not have.
fn has_short_name(observation: &ObservationView<'_>) -> bool {
    let ObservationView { name, id, path, .. } = observation;
    [name, id, path].iter().any(|text| {
        let file = file_of(text);
        // Nearly every text fails the first test, which is much faster.
        may_have_short_word(file.as_bytes()) && has_short_piece(file)
    })
}

fn has_short_piece(file: &str) -> bool {
    let mut pieces = file.split(|c: char| !is_of_fragments(c));
    pieces.any(|piece| {
        let name = piece.bytes().take(SHORTEST).take_while(u8::is_ascii_alphanumeric).count();
        (1..SHORTEST).contains(&name)
    })
}

/// What follows the last folder of a path.
fn file_of(text: &str) -> &str {
    let bytes = text.as_bytes();
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'/' | b'\\' | b' ')).map_or(0, |at| at + 1);
    let begin = bytes[..end].iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
    &text[begin..]
}

/// Whether a word may have fewer letters and digits than a fragment. It finds too many, but never too few in ASCII.
fn may_have_short_word(text: &[u8]) -> bool {
    let mut after_end = 1;
    for at in (0..text.len()).step_by(64) {
        // What is after the end of the text ends words, too.
        let mut ends = u64::MAX;
        for shift in (0..(text.len() - at).min(64)).step_by(8) {
            let eight = highest_bits(ends_of_words(eight_at(text, at + shift)));
            ends = ends & !(0xff << shift) | eight << shift;
        }
        let begins = (ends << 1 | after_end) & !ends;
        // Nothing is known here of the bytes after these, so words that begin with the last two count as short.
        let (next, after_next) = (ends >> 1 | 1 << 63, ends >> 2 | 3 << 62);
        if begins & (next | after_next) != 0 {
            return true;
        }
        after_end = ends >> 63;
    }
    false
}

/// Whether no fragment spans this byte.
fn ends_fragments(byte: u8) -> bool {
    byte.is_ascii() && !is_of_fragments(char::from(byte))
}

/// What the recogniser's most selective test needs; `None` if no text is needed for a match.
fn most_selective(one: &Recogniser) -> Option<Needed> {
    let of_test = |test: &Test| {
        let beyond = Beyond { vendor: test.field == Field::Vendor, state: test.field == Field::State };
        let mut needed = Needed { beyond, ..Needed::default() };
        for pattern in &test.patterns {
            let is_key = test.field == Field::Key;
            let Pieces { fragments, beginnings } = Pieces::of(pattern);
            match (fragments, beginnings) {
                // The beginnings of `al(mon|svc)` are rarer than `mon` and `svc`.
                (Some(more), Some((begins, false))) if worth(&begins) > worth(&more) => {
                    needed.fragments.extend(begins);
                }
                (Some(more), _) => needed.fragments.extend(more),
                // Short patterns are allowed only for technical names, because `has_short_name` finds no others.
                (None, Some((more, short))) if !short || is_key => {
                    needed.fragments.extend(more);
                    needed.short |= short;
                }
                (None, _) if is_key && is_short(pattern) => needed.short = true,
                (None, _) => return None,
            }
        }
        // A vendor has many titles, so its name is the least selective and is used only if nothing else can be.
        let rank = (test.field != Field::Vendor, !needed.short, worth(&needed.fragments));
        Some((rank, needed))
    };
    one.tests.iter().filter_map(of_test).max_by_key(|(rank, _)| *rank).map(|(_, needed)| needed)
}

fn is_short(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Exact(text) if (1..SHORTEST).contains(&text.len()) && text.is_ascii())
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Observation, Section, SourceName};

    use super::*;
    use crate::rules::Subject;
    use crate::rules::test_overlay::overlay;

    #[test]
    fn a_text_with_a_fragment_or_that_folding_changes_is_let_through() {
        let fragments = ["kesl", "avp", "k7-tools", "as_kv"].map(str::to_owned);
        let kind_filter = Loose { anywhere: BTreeSet::from(fragments), ..Loose::default() }.tied().expect("builds");
        for text in ["KESL", "avp", "Avp21", "K7-tools", "As_KV", "кесл", "\"", "\u{ad}"] {
            // At every position, and in texts of every length.
            for (before, after) in (0..10).flat_map(|before| (0..10).map(move |after| (before, after))) {
                let text = format!("{}{text}{}", "x".repeat(before), ".".repeat(after));
                assert!(kind_filter.lets_text(text.as_bytes(), 0), "{text}");
            }
        }
        for text in ["", "k", "av", "ke sl", "openssl", "av-p", "avav", "kes", "k7_tools", "as\u{7f}kv"] {
            assert!(!kind_filter.lets_text(text.as_bytes(), 0), "{text}");
        }
    }

    #[test]
    fn a_beginning_of_a_technical_name_is_searched_only_where_a_name_begins() {
        let kind_filter =
            Loose { words: BTreeSet::from(["avk".to_owned()]), ..Loose::default() }.tied().expect("builds");
        for text in ["avk", "AVKService", "C:\\avk.exe", "[avk]", "● avk.service", "x.avk", "the avk"] {
            assert!(kind_filter.lets_text(text.as_bytes(), 0), "{text}");
        }
        for text in ["kavk", "1avk", "av k"] {
            assert!(!kind_filter.lets_text(text.as_bytes(), 0), "{text}");
        }
    }

    #[test]
    fn a_technical_name_is_found_whatever_an_inventory_writes_around_it() {
        let product = r#"
id = "acme-guard"
name = "Acme Guard"
vendor = "Acme"
category = "edr"
[[recogniser]]
platforms = ["linux"]
kinds = ["deb", "rpm", "service", "process", "container_image", "launchd", "msi", "receipt"]
strength = "supports"
key = ["ag-guard", "agd"]
"#;
        let vendor = "id = \"acme\"\nname = \"Acme\"\nspellings = [\"acme\"]\n";
        let place = overlay(&[("vendors/acme.toml", vendor), ("catalogue/acme-guard.toml", product)]);
        let set = crate::rules::load(Some(place.path())).unwrap_or_else(|faults| panic!("{faults}"));
        for (kind, name) in [
            (Kind::Deb, "AGD/now 12.2.0 amd64 [installed]"),
            (Kind::Rpm, "ag-guard-7.31.0-18410.el9.x86_64"),
            (Kind::Service, "● agd.service loaded active running"),
            (Kind::Process, "[agd]"),
            (Kind::Process, "agd -s"),
            (Kind::ContainerImage, "registry.example:5000/x/agd:12.2"),
            (Kind::Launchd, "2Y8XE5CQ94.agd.plist"),
            (Kind::Msi, "AG Guard-7.31_x64.msi"),
            (Kind::Receipt, "ag_guard_7.31_x64.pkg"),
        ] {
            let seen = vec![Observation::new(kind, name)];
            let section = CanonicalSection::from(&Section::new(Platform::Linux, SourceName::Dpkg, seen));
            let through = set.catalogue.let_through(&section);
            assert_eq!(through.len(), 1, "{kind} {name} is let through");
            let found = set.catalogue.recognise(Platform::Linux, &Subject::of(&through[0]));
            assert!(!found.is_empty(), "{kind} {name} is recognised");
        }
    }

    #[test]
    fn folders_that_were_searched_for_one_kind_are_searched_again_for_another() {
        let of_kind = |kind: Kind, fragment: &str| {
            let loose = Loose { anywhere: BTreeSet::from([fragment.to_owned()]), ..Loose::default() };
            ((Platform::Windows, kind), loose.tied().expect("builds"))
        };
        let kinds =
            [of_kind(Kind::Service, "absent"), of_kind(Kind::Driver, "kaspersky"), of_kind(Kind::Process, "two")];
        let prefilter = Prefilter { kind_filters: HashMap::from(kinds) };
        let seen = [
            (Kind::Service, "C:\\Kaspersky\\one.exe"),
            (Kind::Driver, "C:\\Kaspersky\\one.exe"),
            (Kind::Process, "C:\\Kaspersky\\one.exe"),
            (Kind::Process, "C:\\Kaspersky\\two.exe"),
        ];
        let seen = seen.map(|(kind, path)| Observation { path: path.to_owned(), ..Observation::new(kind, "name") });
        let section = Section::new(Platform::Windows, SourceName::Services, seen.to_vec());
        let section = CanonicalSection::from(&section);
        let through: Vec<_> = prefilter.let_through(&section).iter().map(|one| (one.kind, one.path)).collect();
        assert_eq!(through.len(), 2, "{through:?}");
        assert!(through.contains(&(Kind::Driver, "C:\\Kaspersky\\one.exe")), "{through:?}");
        assert!(through.contains(&(Kind::Process, "C:\\Kaspersky\\two.exe")), "{through:?}");
    }

    #[test]
    fn a_short_name_with_an_ending_is_let_through() {
        let is_short = |name: &str, path: &str| {
            let seen = Observation { path: path.to_owned(), ..Observation::new(Kind::Service, name) };
            let section = CanonicalSection::from(&Section::new(Platform::Linux, SourceName::SystemdUnits, vec![seen]));
            section.observations().iter().any(has_short_name)
        };
        for name in [
            "vt",
            "VT.service",
            "/opt/vt",
            "vt:amd64",
            "k-1.rpm",
            "2Y8XE5CQ94.vt.systemextension",
            " vt ",
            "[vt]",
            "● vt.service",
        ] {
            assert!(is_short(name, ""), "{name}");
            assert!(is_short("plain-name", name), "{name}");
        }
        for name in ["vtx.service", "/vt/daemon", "openssl", "2Y8XE5CQ94.vtx.systemextension"] {
            assert!(!is_short(name, ""), "{name}");
        }
        // At every position, also where the 64 bytes end that are looked at together.
        for (before, short) in (0..140).flat_map(|before| ["vt", "v", "v-x", "vt_1"].map(move |short| (before, short)))
        {
            let text = format!("{}.{short}.{}", "x".repeat(before), "y".repeat(before));
            assert!(may_have_short_word(text.as_bytes()) && has_short_piece(&text), "{text}");
        }
        assert!(!may_have_short_word(b"openssl client-tools 123.exe"));
    }

    #[test]
    fn few_kinds_have_no_filter() {
        let set = crate::rules::load(None).expect("rules");
        let prefilter = Prefilter::new(set.catalogue.products()).expect("builds");
        // A kind without a filter costs as much as without the prefilter, so machines must have few observations of it.
        let open: Vec<_> =
            prefilter.kind_filters.iter().filter(|(_, kind_filter)| kind_filter.open).map(|(kind, _)| *kind).collect();
        let without: Vec<String> = set
            .catalogue
            .products()
            .iter()
            .flat_map(|product| product.recognisers.iter().map(move |one| (product, one)))
            .filter(|(_, one)| most_selective(one).is_none() && one.kinds != [Kind::Wsc])
            .map(|(product, one)| format!("{}:{} {}", product.file, one.line, one.describe()))
            .collect();
        assert_eq!(open, [(Platform::Windows, Kind::Wsc)], "recognisers without a fragment:\n{}", without.join("\n"));
    }
}
