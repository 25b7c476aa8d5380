//! Regular expressions, compiled into one automaton that is built while it searches.
//!
//! What it has built is its cache. The catalogue has thousands of automata, so there is one cache for each and not one for each
//! thread that ever searched: with those a collector would hold hundreds of MiB. Searches are short, and few threads search at a
//! time: the judge, and reports of what is not judged yet.

use std::sync::{Mutex, PoisonError};

use regex_automata::hybrid::dfa::{Cache as LazyCache, DFA as Lazy};
use regex_automata::nfa::thompson::pikevm::{Cache as WalkCache, PikeVM as Walk};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, PatternSet};

/// How much an automaton may build. Only those of many patterns need much.
const CACHE_BYTES: usize = 256 << 10;
const CACHE_BYTES_PER_PATTERN: usize = 32 << 10;
const MOST_CACHE_BYTES: usize = 8 << 20;
/// The most memory of the states of one automaton.
const STATES_BYTES: usize = 64 << 20;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Automaton {
    /// Goes from state to state, and needs little memory.
    walk: Walk,
    /// Goes from set of states to set of states, which it builds; `None` for patterns that are tried rarely.
    lazy: Option<Lazy>,
    caches: Mutex<Caches>,
}

/// Empty before the first search: most automata are never asked.
#[derive(Debug, Default)]
struct Caches {
    walk: Option<WalkCache>,
    lazy: Option<LazyCache>,
}

impl Automaton {
    /// Compiles regular expressions, each anchored at both ends.
    pub(super) fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, String> {
        let nfa = states(patterns)?;
        let config = Lazy::config()
            // A text can match several patterns, and `each_match` must find all of them.
            .match_kind(MatchKind::All)
            // At a character that is not ASCII it stops if it needs to know what a word is, and the other one goes on.
            .unicode_word_boundary(true)
            .cache_capacity((CACHE_BYTES + patterns.len() * CACHE_BYTES_PER_PATTERN).min(MOST_CACHE_BYTES))
            // The least that it can work with may be more.
            .skip_cache_capacity_check(true);
        let lazy = Lazy::builder().configure(config).build_from_nfa(nfa.clone());
        let lazy = lazy.map_err(|error| format!("the patterns are too large together: {error}"))?;
        Ok(Self { lazy: Some(lazy), ..Self::walking(nfa)? })
    }

    /// Like [`Automaton::new`], for a few patterns that are tried rarely: it builds nothing, which would only take memory.
    pub(super) fn rare<S: AsRef<str>>(patterns: &[S]) -> Result<Self, String> {
        Self::walking(states(patterns)?)
    }

    fn walking(nfa: NFA) -> Result<Self, String> {
        let walk = Walk::builder().configure(Walk::config().match_kind(MatchKind::All)).build_from_nfa(nfa);
        let walk = walk.map_err(|error| format!("the patterns are too large together: {error}"))?;
        Ok(Self { walk, lazy: None, caches: Mutex::default() })
    }

    /// Whether one of the patterns matches the text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.is_match_with(&mut self.caches.lock().unwrap_or_else(PoisonError::into_inner), text)
    }

    /// Calls for each pattern that matches the text, by its place in the list.
    pub(super) fn each_match(&self, text: &str, matched: impl FnMut(usize)) {
        let fitting = {
            let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
            // Most texts match nothing, which is found out without allocating a set of all patterns.
            if !self.is_match_with(&mut caches, text) {
                return;
            }
            self.matches_with(&mut caches, text)
        };
        fitting.iter().map(|pattern| pattern.as_usize()).for_each(matched);
    }

    fn is_match_with(&self, Caches { walk, lazy }: &mut Caches, text: &str) -> bool {
        let input = Input::new(text).earliest(true);
        let found = self.lazy.as_ref().and_then(|automaton| {
            let cache = lazy.get_or_insert_with(|| automaton.create_cache());
            automaton.try_search_fwd(cache, &input).ok()
        });
        found.map_or_else(
            || self.walk.is_match(walk.get_or_insert_with(|| self.walk.create_cache()), input),
            |found| found.is_some(),
        )
    }

    fn matches_with(&self, Caches { walk, lazy }: &mut Caches, text: &str) -> PatternSet {
        let (input, patterns) = (Input::new(text), self.walk.pattern_len());
        if let Some(automaton) = &self.lazy {
            let mut fitting = PatternSet::new(patterns);
            let cache = lazy.get_or_insert_with(|| automaton.create_cache());
            if automaton.try_which_overlapping_matches(cache, &input, &mut fitting).is_ok() {
                return fitting;
            }
        }
        let mut fitting = PatternSet::new(patterns);
        let cache = walk.get_or_insert_with(|| self.walk.create_cache());
        self.walk.which_overlapping_matches(cache, &input, &mut fitting);
        fitting
    }
}

fn states<S: AsRef<str>>(patterns: &[S]) -> Result<NFA, String> {
    let anchored: Vec<String> = patterns.iter().map(|pattern| anchored(pattern.as_ref())).collect();
    let config = thompson::Config::new()
        .nfa_size_limit(Some(STATES_BYTES))
        // Where a match begins and ends is never asked. Slots for it would take memory that grows with the square of the patterns.
        .which_captures(WhichCaptures::None);
    let mut compiler = thompson::Compiler::new();
    let compiler = compiler.syntax(syntax_config()).configure(config);
    compiler.build_many(&anchored).map_err(|error| format!("the patterns are too large together: {error}"))
}

/// Anchors a pattern. Texts are folded to lower case first, so only patterns with capitals need to be case-insensitive;
/// the automaton of the others is three times smaller.
pub(super) fn anchored(pattern: &str) -> String {
    let mut escaped = false;
    let has_capitals = pattern.chars().any(|c| {
        let was_escaped = escaped;
        escaped = c == '\\' && !was_escaped;
        // Escaped capitals such as `\D` are classes of characters, not letters.
        !was_escaped && c.is_uppercase()
    });
    if has_capitals { format!(r"\A(?i:{pattern})\z") } else { format!(r"\A(?:{pattern})\z") }
}

pub(super) fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_that_matches_is_found_with_and_without_an_automaton() {
        // The last one needs to know what a word is.
        let patterns = ["kesl.*", r"kesl-\d+", "(?:avp|kesl-7)", r"kesl\b.ё"];
        for automaton in [Automaton::new(&patterns), Automaton::rare(&patterns)] {
            let automaton = automaton.expect("compiles");
            for (text, expected) in [
                ("kesl-7", &[0, 1, 2][..]),
                ("avp", &[2]),
                ("kes", &[]),
                ("", &[]),
                ("kesl", &[0]),
                ("kesl ё", &[0, 3]),
            ] {
                let mut found = Vec::new();
                automaton.each_match(text, |pattern| found.push(pattern));
                assert_eq!(found, expected, "{text}");
                assert_eq!(automaton.is_match(text), !expected.is_empty(), "{text}");
            }
        }
    }
}
