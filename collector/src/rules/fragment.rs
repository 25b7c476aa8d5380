//! Fragments: pieces that a text must contain for a pattern to match it. [`super::prefilter`] searches for them before
//! anything is folded or matched.

use regex_syntax::hir::literal::{Extractor, Literal};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::pattern::{Pattern, parse};

/// The least length of a fragment. Shorter ones are in too many texts.
pub(super) const SHORTEST: usize = 3;
/// Folders that most paths have, and labels that most ids have. They are used only if a pattern has nothing rarer.
const STRUCTURE: &[&str] = &[
    "app",
    "appdata",
    "application",
    "applications",
    "bin",
    "com",
    "common",
    "drivers",
    "extensions",
    "files",
    "frameworks",
    "lib",
    "lib64",
    "libexec",
    "library",
    "local",
    "microsoft",
    "opt",
    "org",
    "program",
    "software",
    "support",
    "system",
    "system32",
    "systemd",
    "users",
    "usr",
    "var",
    "windows",
];
/// Words that are common in names. They are used only if a pattern has nothing rarer.
const COMMON: &[&str] = &[
    "agent",
    "client",
    "conf",
    "control",
    "core",
    "daemon",
    "data",
    "desktop",
    "driver",
    "endpoint",
    "for",
    "free",
    "manager",
    "management",
    "net",
    "network",
    "one",
    "protection",
    "security",
    "server",
    "service",
    "services",
    "tracker",
];

pub(super) fn is_of_fragments(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// A piece of text, in lower case, that a text must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) text: String,
    /// Whether the text or one of its words begins with it, which is faster to find than a piece anywhere. Words consist of
    /// letters and digits only.
    pub(super) begins_word: bool,
}

/// How well fragments tell texts apart. A greater one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    /// Whether it is both rare and searched only where words begin.
    is_best: bool,
    /// The length of the shortest fragment, and less for words that are common.
    rarity: usize,
    begins_words: bool,
}

/// The worth of these fragments together, which is that of the worst. A pattern that matches no ASCII text needs none, which is the best.
pub(super) fn worth(fragments: &[Fragment]) -> Worth {
    let of_none = Worth { is_best: true, rarity: usize::MAX, begins_words: true };
    fragments.iter().map(worth_of).fold(of_none, |worst, one| Worth {
        is_best: worst.is_best && one.is_best,
        rarity: worst.rarity.min(one.rarity),
        begins_words: worst.begins_words && one.begins_words,
    })
}

fn worth_of(fragment: &Fragment) -> Worth {
    let text = fragment.text.as_str();
    let rarity = match text {
        _ if STRUCTURE.contains(&text) => 0,
        _ if COMMON.contains(&text) => 1,
        _ => text.len(),
    };
    let begins_words = fragment.begins_word;
    Worth { is_best: begins_words && rarity > 1, rarity, begins_words }
}

/// The first item of the highest worth.
fn best<T>(all: impl Iterator<Item = T>, worth: impl Fn(&T) -> Worth) -> Option<T> {
    all.reduce(|best, next| if worth(&next) > worth(&best) { next } else { best })
}

/// What a text must contain for a pattern to match it.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Fragments of which an ASCII text must contain one; `None` if there is no such set.
    pub(super) fragments: Option<Vec<Fragment>>,
    /// Fragments of the ways in which a text may begin, and whether it may also be shorter than a fragment. `None` if there is
    /// no such set. Families such as `fs(gk|ma|orsp)` have no common fragment, but this.
    pub(super) beginnings: Option<(Vec<Fragment>, bool)>,
}

impl Pieces {
    /// Parses the pattern once for both, which takes most of the time.
    pub(super) fn of(pattern: &Pattern) -> Self {
        match pattern {
            Pattern::Exact(text) => Self { fragments: of_text(text, true), beginnings: None },
            Pattern::Regex(source) => {
                // It was parsed before, so it has no fault.
                let Ok(hir) = parse(source) else { return Self { fragments: None, beginnings: None } };
                // Patterns are anchored, so a text begins where the pattern begins.
                Self { fragments: of_hir(&hir, true), beginnings: beginnings(&hir) }
            }
        }
    }
}

fn beginnings(hir: &Hir) -> Option<(Vec<Fragment>, bool)> {
    let (mut fragments, mut short) = (Vec::new(), false);
    for literal in literals_of(hir)? {
        match of_text(std::str::from_utf8(literal.as_bytes()).ok()?, true) {
            Some(pieces) => fragments.extend(pieces),
            // The whole text, not only its beginning, is shorter than a fragment.
            None if literal.is_exact() && (1..SHORTEST).contains(&literal.len()) => short = true,
            None => return None,
        }
    }
    Some((fragments, short))
}

/// The ways in which a text may begin that a regular expression matches; `None` if they are too many or any text.
pub(super) fn literals(source: &str) -> Option<Vec<Literal>> {
    literals_of(&parse(source).ok()?)
}

fn literals_of(hir: &Hir) -> Option<Vec<Literal>> {
    let begins = Extractor::new().limit_total(BEGINNINGS).extract(hir);
    begins.literals().map(<[Literal]>::to_vec)
}

/// The most beginnings of one pattern. With more it has none, and its kinds are not filtered.
const BEGINNINGS: usize = 1_000;

/// Pieces that folding inserts in place of other text.
const WRITTEN: &[&str] = &["hklm", "hkcu", "hku", "appdata", "local", "roaming", "common", "files"];

/// The best fragment of a folded text. A pattern that is not ASCII needs none: no ASCII text folds to it. `begins_word`
/// says whether a word begins where the text begins.
fn of_text(text: &str, begins_word: bool) -> Option<Vec<Fragment>> {
    if !text.is_ascii() {
        return Some(Vec::new());
    }
    // Folding writes the names between percent signs, and some folders and registry roots, so they are not in the raw text.
    let kept = text.split('%').enumerate().step_by(2);
    let pieces = kept.flat_map(|(at, part)| {
        let pieces = part.split(|c: char| !is_of_fragments(c)).enumerate();
        // All pieces but the first follow a character that ends a word.
        pieces.map(move |(piece_at, piece)| (begins_word || at + piece_at > 0, piece))
    });
    let fragments = pieces.filter(|(_, piece)| !WRITTEN.contains(piece)).map(|(begins_word, piece)| {
        let word = piece.trim_start_matches(['-', '_']);
        Fragment { text: word.to_ascii_lowercase(), begins_word: begins_word || word.len() < piece.len() }
    });
    best(fragments.filter(|fragment| fragment.text.len() >= SHORTEST), worth_of).map(|fragment| vec![fragment])
}

/// `begins_word` says whether a word begins where the text begins that this part matches.
fn of_hir(hir: &Hir, begins_word: bool) -> Option<Vec<Fragment>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => of_text(&letters(hir)?, begins_word),
        HirKind::Capture(group) => of_hir(&group.sub, begins_word),
        // Only the first repetition follows what is before it.
        HirKind::Repetition(repeated) if repeated.min > 0 => of_hir(&repeated.sub, begins_word),
        HirKind::Alternation(ways) => {
            // A way without a fragment can match any text, so then the whole pattern needs none.
            let ways: Option<Vec<Vec<Fragment>>> = ways.iter().map(|way| of_hir(way, begins_word)).collect();
            Some(ways?.into_iter().flatten().collect())
        }
        HirKind::Concat(parts) => of_parts(parts, begins_word),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The best fragments of the parts, where a run of plain letters counts as one part.
fn of_parts(parts: &[Hir], begins_word: bool) -> Option<Vec<Fragment>> {
    let (mut candidates, mut run, mut run_begins_word) = (Vec::new(), String::new(), begins_word);
    for part in parts {
        // An assertion matches no text, so the letters on both sides of it follow each other.
        if matches!(part.kind(), HirKind::Look(_)) {
            continue;
        }
        if let Some(text) = letters(part) {
            run.push_str(&text);
            continue;
        }
        // Other parts may match text of any length, so the letters after them start a new run.
        let begins_word = run.chars().next_back().map_or(run_begins_word, |last| !last.is_ascii_alphanumeric());
        candidates.push(of_text(&std::mem::take(&mut run), run_begins_word));
        candidates.push(of_hir(part, begins_word));
        run_begins_word = ends_word(part, begins_word);
    }
    candidates.push(of_text(&run, run_begins_word));
    best(candidates.into_iter().flatten(), |needed| worth(needed))
}

/// Whether a word begins after every ASCII text that this part matches; `before` says whether one begins before it.
fn ends_word(hir: &Hir, before: bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => before,
        HirKind::Literal(literal) => literal.0.last().is_none_or(|last| !last.is_ascii_alphanumeric()),
        HirKind::Class(Class::Unicode(class)) => {
            let all = class.ranges().iter().flat_map(|range| range.start()..=range.end().min('\u{7f}'));
            !all.into_iter().any(|c| c.is_ascii_alphanumeric())
        }
        HirKind::Class(Class::Bytes(_)) => false,
        HirKind::Capture(group) => ends_word(&group.sub, before),
        HirKind::Repetition(repeated) => (repeated.min > 0 || before) && ends_word(&repeated.sub, before),
        HirKind::Concat(parts) => parts.iter().fold(before, |before, part| ends_word(part, before)),
        HirKind::Alternation(ways) => ways.iter().all(|way| ends_word(way, before)),
    }
}

/// The text of a literal, or of a class that is one ASCII letter in both cases. Other members of such a class (the long s
/// beside the s) are not ASCII.
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

    fn texts(fragments: Vec<Fragment>) -> Vec<String> {
        fragments.into_iter().map(|fragment| fragment.text).collect()
    }

    fn regex(source: &str) -> Pieces {
        Pieces::of(&Pattern::Regex(source.to_owned()))
    }

    fn of(source: &str) -> Option<Vec<String>> {
        regex(source).fragments.map(texts)
    }

    fn list(of: &[&str]) -> Option<Vec<String>> {
        Some(of.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn a_fragment_begins_a_word_only_if_the_letters_before_it_cannot_be_of_the_same_word() {
        let begins_word = |source: &str| {
            let all = regex(source).fragments.expect("fragments");
            all.iter().map(|one| one.begins_word).collect::<Vec<_>>()
        };
        for source in ["kesl.*", "(.* )?kesl", r"(.*\W)?kesl", "kl[a-z]+_kesl", "[a-z]+[._-]kesl", "(ao|the) kesl"] {
            assert_eq!(begins_word(source), [true], "{source}");
        }
        for source in
            [".*kesl", "a?kesl", "[a-z_]+kesl", "( ?|x)kesl", r"\w*kesl", "(a |b)kesl", "[._-]?k?kesl", "((x-)+y)?kesl"]
        {
            assert_eq!(begins_word(source), [false], "{source}");
        }
        assert_eq!(begins_word("(.*/)?s1-?(sensor|helper)"), [false, false]);
        let exact = Pieces::of(&Pattern::Exact("%programfiles%/kaspersky lab".to_owned())).fragments;
        let exact = exact.expect("fragments");
        assert!(exact[0].begins_word, "{exact:?}");
    }

    #[test]
    fn a_fragment_that_begins_a_word_is_better_than_a_longer_one_anywhere() {
        assert_eq!(of("zone ?alarm.*"), list(&["zone"]));
        assert_eq!(of("g.*data"), list(&["data"]), "nothing else is there");
        let family = regex("k7 ?(totalsecurity|endpoint security)");
        let ((begins, _), any) = (family.beginnings.expect("some"), family.fragments.expect("some"));
        assert!(worth(&begins) > worth(&any), "one fragment anywhere costs a search of the whole text");
    }

    #[test]
    fn a_family_of_names_needs_one_of_its_beginnings() {
        let of = |source: &str| regex(source).beginnings.map(|(begins, short)| (texts(begins), short));
        let both = |texts: &[&str], short| list(texts).map(|texts| (texts, short));
        assert_eq!(of("fs(gk|ma(32)?|orsp.*)"), both(&["fsgk", "fsma32", "fsma", "fsorsp"], false));
        assert_eq!(of("ay(agent)?"), both(&["ayagent"], true), "the short name alone, too");
        assert_eq!(of("k7.*"), None, "a short beginning of a longer text");
        assert_eq!(of(".*kesl"), None);
    }

    #[test]
    fn a_pattern_needs_the_longest_piece_that_folding_does_not_change() {
        let exact = |text: &str| Pieces::of(&Pattern::Exact(text.to_owned())).fragments.map(texts);
        assert_eq!(exact("%programfiles%/kaspersky lab/x"), list(&["kaspersky"]));
        assert_eq!(exact("hklm/software/kav"), list(&["kav"]));
        assert_eq!(exact("лаборатория касперского"), list(&[]), "no ASCII text folds to it");
        assert_eq!(exact("k2"), None);
        assert_eq!(of(r"avp\d+(\.\d+)*"), list(&["avp"]));
        assert_eq!(of(r"(?:kesl|klnagent(?:64)?)"), list(&["kesl", "klnagent"]));
        assert_eq!(of("(?i:KLIF).K4W-[0-9-]+"), list(&["klif"]), "the first of equal length");
        assert_eq!(of("(?i)emsisoft k.*"), list(&["emsisoft"]), "letters with a third form too");
        assert_eq!(of(r".*\d+"), None);
        assert_eq!(of("(?:endpoint security)?x"), None, "an optional part is not needed");
    }
}
