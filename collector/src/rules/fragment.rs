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

/// How rare the most common of these fragments is. A pattern that matches no ASCII text needs none and is the rarest.
pub(super) fn worth(fragments: &[String]) -> usize {
    fragments.iter().map(|one| worth_of(one)).min().unwrap_or(usize::MAX)
}

fn worth_of(fragment: &str) -> usize {
    if STRUCTURE.contains(&fragment) {
        0
    } else if COMMON.contains(&fragment) {
        1
    } else {
        fragment.len()
    }
}

/// The first item of the highest worth.
fn best<T>(all: impl Iterator<Item = T>, worth: impl Fn(&T) -> usize) -> Option<T> {
    all.reduce(|best, next| if worth(&next) > worth(&best) { next } else { best })
}

/// Fragments of which an ASCII text must contain one for the pattern to match; `None` if there is no such set.
pub(super) fn fragments(pattern: &Pattern) -> Option<Vec<String>> {
    match pattern {
        Pattern::Exact(text) => of_text(text),
        Pattern::Regex(source) => of_hir(&parse(source).ok()?),
    }
}

/// Fragments of the ways in which a text may begin that the pattern matches, and whether it may also be shorter than a
/// fragment. `None` if there is no such set. Families such as `fs(gk|ma|orsp)` have no common fragment, but this.
pub(super) fn beginnings(pattern: &Pattern) -> Option<(Vec<String>, bool)> {
    let Pattern::Regex(source) = pattern else { return None };
    let (mut fragments, mut short) = (Vec::new(), false);
    for literal in literals(source)? {
        match of_text(std::str::from_utf8(literal.as_bytes()).ok()?) {
            Some(pieces) => fragments.extend(pieces),
            // The whole text, not only its beginning, is shorter than a fragment.
            None if literal.is_exact() && (1..SHORTEST).contains(&literal.len()) => short = true,
            None => return None,
        }
    }
    Some((fragments, short))
}

/// Fragments of which every text that the pattern matches begins with one; `None` if there is no such set.
pub(super) fn starts(pattern: &Pattern) -> Option<Vec<String>> {
    // A better fragment may follow a dash, and then nothing separates it from what is before it.
    let begins =
        |text: &str| of_text(text).filter(|pieces| pieces.iter().all(|piece| text.starts_with(piece.as_str())));
    let texts: Vec<Option<Vec<String>>> = match pattern {
        Pattern::Exact(text) => vec![begins(text)],
        Pattern::Regex(source) => {
            literals(source)?.iter().map(|literal| begins(std::str::from_utf8(literal.as_bytes()).ok()?)).collect()
        }
    };
    texts.into_iter().collect::<Option<Vec<_>>>().map(|pieces| pieces.concat())
}

/// The ways in which a text may begin that a regular expression matches; `None` if they are too many or any text.
fn literals(source: &str) -> Option<Vec<Literal>> {
    let begins = Extractor::new().limit_total(BEGINNINGS).extract(&parse(source).ok()?);
    begins.literals().map(<[Literal]>::to_vec)
}

/// The most beginnings of one pattern. With more it has none, and its kinds are not filtered.
const BEGINNINGS: usize = 1_000;

/// Pieces that folding inserts in place of other text.
const WRITTEN: &[&str] = &["hklm", "hkcu", "hku", "appdata", "local", "roaming", "common", "files"];

/// The longest fragment of a folded text. A pattern that is not ASCII needs none: no ASCII text folds to it.
fn of_text(text: &str) -> Option<Vec<String>> {
    if !text.is_ascii() {
        return Some(Vec::new());
    }
    // Folding writes the names between percent signs, and some folders and registry roots, so they are not in the raw text.
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
            // A way without a fragment can match any text, so then the whole pattern needs none.
            let ways: Option<Vec<Vec<String>>> = ways.iter().map(of_hir).collect();
            Some(ways?.into_iter().flatten().collect())
        }
        HirKind::Concat(parts) => of_parts(parts),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The best fragments of the parts, where a run of plain letters counts as one part.
fn of_parts(parts: &[Hir]) -> Option<Vec<String>> {
    let (mut candidates, mut run) = (Vec::new(), String::new());
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
        candidates.push(of_text(&std::mem::take(&mut run)));
        candidates.push(of_hir(part));
    }
    candidates.push(of_text(&run));
    best(candidates.into_iter().flatten(), |needed| worth(needed))
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

    fn of(source: &str) -> Option<Vec<String>> {
        fragments(&Pattern::Regex(source.to_owned()))
    }

    fn list(of: &[&str]) -> Option<Vec<String>> {
        Some(of.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn a_family_of_names_needs_one_of_its_beginnings() {
        let of = |source: &str| beginnings(&Pattern::Regex(source.to_owned()));
        let both = |texts: &[&str], short| list(texts).map(|texts| (texts, short));
        assert_eq!(of("fs(gk|ma(32)?|orsp.*)"), both(&["fsgk", "fsma32", "fsma", "fsorsp"], false));
        assert_eq!(of("ay(agent)?"), both(&["ayagent"], true), "the short name alone, too");
        assert_eq!(of("k7.*"), None, "a short beginning of a longer text");
        assert_eq!(of(".*kesl"), None);
    }

    #[test]
    fn a_pattern_needs_the_longest_piece_that_folding_does_not_change() {
        let exact = |text: &str| fragments(&Pattern::Exact(text.to_owned()));
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
