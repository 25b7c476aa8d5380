//! Sample texts that a pattern matches, to try the catalogue with them.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::pattern::{Pattern, parse};

/// The most samples of one pattern.
const MOST: usize = 12;

/// Some texts that the pattern matches, one for each branch, at most [`MOST`]. A sample may fail to match: word boundaries
/// are ignored.
pub(super) fn samples(pattern: &Pattern) -> Vec<String> {
    match pattern {
        Pattern::Exact(text) => vec![text.clone()],
        Pattern::Regex(source) => parse(source).map(|hir| of(&hir)).unwrap_or_default(),
    }
}

fn of(hir: &Hir) -> Vec<String> {
    let mut texts = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![String::new()],
        HirKind::Literal(literal) => vec![String::from_utf8_lossy(&literal.0).into_owned()],
        HirKind::Class(class) => vec![letter(class).to_string()],
        HirKind::Capture(group) => of(&group.sub),
        HirKind::Alternation(ways) => ways.iter().flat_map(of).collect(),
        HirKind::Repetition(repeated) => {
            let sub = of(&repeated.sub);
            // A repetition such as `{1000}` must not make huge samples.
            let least = repeated.min.min(64) as usize;
            let mut texts: Vec<String> = sub.iter().map(|text| text.repeat(least)).collect();
            if least == 0 {
                // Repeated zero times, all samples are the same empty text.
                texts.truncate(1);
                texts.extend(sub);
            }
            texts
        }
        HirKind::Concat(parts) => {
            let parts: Vec<Vec<String>> = parts.iter().map(of).collect();
            let most = parts.iter().map(Vec::len).max().unwrap_or(0);
            let nth = |at: usize| parts.iter().map(|part| part[at.min(part.len() - 1)].as_str()).collect();
            if parts.iter().any(Vec::is_empty) { Vec::new() } else { (0..most).map(nth).collect() }
        }
    };
    texts.truncate(MOST);
    texts
}

/// A character of the class that folding does not change, if there is one.
fn letter(class: &Class) -> char {
    let Class::Unicode(class) = class else { return 'x' };
    let plain = ['x', 'a', '1', '-', '.', '_', ' '];
    let holds = |c: &char| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(c));
    let first = class.ranges().first().map_or('x', |range| range.start());
    plain.into_iter().find(holds).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_branch_of_a_pattern_has_a_sample() {
        let of = |source: &str| samples(&Pattern::Regex(source.to_owned()));
        assert_eq!(of(r"avp\d+(\.\d+)*"), ["avp1", "avp1.1"]);
        assert_eq!(of("(kesl|kess)-gui"), ["kesl-gui", "kess-gui"]);
        assert_eq!(samples(&Pattern::Exact("kesl".to_owned())), ["kesl"]);
    }
}
