//! Which pieces of a text must stand in it for a pattern to fit: for [`super::prefilter`], which looks for them before anything
//! is folded or matched.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::pattern::{Pattern, parse};

/// A shorter fragment stands in too many texts.
pub(super) const SHORTEST: usize = 3;
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

pub(super) fn is_of_fragments(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// How seldom the worst of these stands somewhere by chance. A pattern that only text beyond ASCII can fit needs none.
pub(super) fn worth(fragments: &[String]) -> usize {
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
pub(super) fn fragments(pattern: &Pattern) -> Option<Vec<String>> {
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
}
