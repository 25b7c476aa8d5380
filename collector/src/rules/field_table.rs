//! The patterns of one field, by the quickest way to find those that match a text: exact texts, folders and literal
//! beginnings in hash maps, and only what is left in one automaton.
//!
//! An automaton of thousands of patterns with similar beginnings builds new states for nearly every text, which takes
//! milliseconds. A beginning is found by its hash, and then only the few patterns with this beginning are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

// Its hash is faster for short texts than that of the standard library, which resists hostile keys; these are the
// catalogue's.
use hashbrown::HashMap;

use super::automaton::Automaton;
use super::pattern::{Lead, Pattern};
use super::subject::Field;

/// Shorter beginnings are in too many texts to be worth a try of their own.
const SHORTEST_LEAD: usize = 3;

/// So many patterns with one beginning are tried faster by an automaton. Few beginnings have so many, so this takes little
/// memory.
const WORTH_AN_AUTOMATON: usize = 4;

/// The slots in which each pattern is.
pub(super) type Slots = HashMap<Pattern, Vec<u32>>;

/// What was compiled and parsed before: a recogniser of many kinds is in the table of each, and they share its automaton.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    automata: HashMap<Vec<String>, Arc<Automaton>>,
    /// By the source of the regular expression.
    leads: HashMap<String, Option<Lead>>,
}

impl Compiled {
    /// The beginning of a pattern, if it is long enough. Only parsing the pattern finds it.
    fn lead(&mut self, pattern: &Pattern) -> Option<Lead> {
        let Pattern::Regex(source) = pattern else { return None };
        let find = || pattern.lead().filter(|lead| lead.text.len() >= SHORTEST_LEAD);
        self.leads.entry_ref(source.as_str()).or_insert_with(find).clone()
    }

    /// The automaton of patterns with one beginning.
    fn led(&mut self, sources: Vec<String>) -> Result<Arc<Automaton>, String> {
        if sources.len() < WORTH_AN_AUTOMATON { self.of(sources, Automaton::rare) } else { self.all(sources) }
    }

    /// The automaton of patterns that begin in different ways.
    fn all(&mut self, sources: Vec<String>) -> Result<Arc<Automaton>, String> {
        self.of(sources, Automaton::new)
    }

    fn of(
        &mut self,
        sources: Vec<String>,
        compile: impl FnOnce(&[String]) -> Result<Automaton, String>,
    ) -> Result<Arc<Automaton>, String> {
        if let Some(known) = self.automata.get(&sources) {
            return Ok(Arc::clone(known));
        }
        let automaton = Arc::new(compile(&sources)?);
        self.automata.insert(sources, Arc::clone(&automaton));
        Ok(automaton)
    }
}

/// The patterns of one field.
#[derive(Debug)]
pub(super) struct FieldTable {
    field: Field,
    exact: HashMap<Box<str>, Vec<u32>>,
    /// Folders that match with everything below them. There are a thousand, for which automata would take 60 MiB.
    folders: HashMap<Box<str>, Vec<u32>>,
    leads: Leads,
    set: Option<RegexSet>,
}

/// Patterns by the literal text with which their matches begin.
#[derive(Debug, Default)]
struct Leads {
    /// The different lengths of the beginnings.
    lengths: Vec<usize>,
    by_text: HashMap<Box<str>, Led>,
}

/// The patterns with one beginning.
#[derive(Debug, Default)]
struct Led {
    /// Of patterns that match whatever follows.
    decided: Vec<u32>,
    others: Option<RegexSet>,
}

/// Compiled patterns with their slots.
#[derive(Debug)]
struct RegexSet {
    automaton: Arc<Automaton>,
    slots: Vec<Vec<u32>>,
}

impl RegexSet {
    fn each_hit(&self, text: &str, hit: &mut impl FnMut(u32)) {
        self.automaton.each_match(text, |pattern| self.slots[pattern].iter().copied().for_each(&mut *hit));
    }
}

/// Patterns that begin in the same way, before they are compiled.
#[derive(Default)]
struct Gathered {
    decided: Vec<u32>,
    // In order, so that equal groups have equal keys in `Compiled`.
    others: BTreeMap<String, Vec<u32>>,
}

impl FieldTable {
    pub(super) fn new(field: Field, patterns: Slots, compiled: &mut Compiled) -> Result<Self, String> {
        let (mut exact, mut folders) = (HashMap::new(), HashMap::new());
        let mut gathered: HashMap<String, Gathered> = HashMap::new();
        // In order, as in `Gathered`.
        let mut others = BTreeMap::new();
        for (pattern, hit) in patterns {
            if let Some(folder) = pattern.folder() {
                folders.insert(folder.into_boxed_str(), hit);
                continue;
            }
            let lead = compiled.lead(&pattern);
            match (pattern, lead) {
                (Pattern::Exact(text), _) => {
                    exact.insert(text.into_boxed_str(), hit);
                }
                (Pattern::Regex(_), Some(lead)) if lead.decides => {
                    // Patterns that are written differently can have the same beginning.
                    gathered.entry(lead.text).or_default().decided.extend(hit);
                }
                (Pattern::Regex(source), Some(lead)) => {
                    gathered.entry(lead.text).or_default().others.insert(source, hit);
                }
                (Pattern::Regex(source), None) => {
                    others.insert(source, hit);
                }
            }
        }
        let (sources, slots): (Vec<String>, Vec<Vec<u32>>) = others.into_iter().unzip();
        let set = if sources.is_empty() { None } else { Some(RegexSet { automaton: compiled.all(sources)?, slots }) };
        Ok(Self { field, exact, folders, leads: Leads::new(gathered, compiled)?, set })
    }

    pub(super) const fn field(&self) -> Field {
        self.field
    }

    pub(super) fn each_hit(&self, text: &str, mut hit: impl FnMut(u32)) {
        if let Some(slots) = self.exact.get(text) {
            slots.iter().copied().for_each(&mut hit);
        }
        if !self.folders.is_empty() {
            let ends = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
            let around = ends.filter_map(|end| self.folders.get(&text[..end]));
            around.flatten().copied().for_each(&mut hit);
        }
        self.leads.each_hit(text, &mut hit);
        if let Some(set) = &self.set {
            set.each_hit(text, &mut hit);
        }
    }
}

impl Leads {
    fn new(gathered: HashMap<String, Gathered>, compiled: &mut Compiled) -> Result<Self, String> {
        let lengths: BTreeSet<usize> = gathered.keys().map(String::len).collect();
        let mut by_text = HashMap::with_capacity(gathered.len());
        for (text, Gathered { decided, others }) in gathered {
            let (sources, slots): (Vec<String>, Vec<Vec<u32>>) = others.into_iter().unzip();
            let others =
                if sources.is_empty() { None } else { Some(RegexSet { automaton: compiled.led(sources)?, slots }) };
            by_text.insert(text.into_boxed_str(), Led { decided, others });
        }
        Ok(Self { lengths: lengths.into_iter().collect(), by_text })
    }

    fn each_hit(&self, text: &str, hit: &mut impl FnMut(u32)) {
        for length in self.lengths.iter().take_while(|length| **length <= text.len()) {
            // In the middle of a character there is no beginning.
            let Some(led) = text.get(..*length).and_then(|lead| self.by_text.get(lead)) else { continue };
            // The patterns' `.` matches no line break.
            if !led.decided.is_empty() && !text[*length..].contains('\n') {
                led.decided.iter().copied().for_each(&mut *hit);
            }
            if let Some(others) = &led.others {
                others.each_hit(text, hit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Form;
    use super::super::text::fold;
    use super::*;

    #[test]
    fn every_way_of_finding_a_pattern_gives_what_the_patterns_alone_give() {
        let written = [
            "kesl",
            "kes*",
            "kesl-*",
            r"~kesl-\d+",
            "~kesl-(gui|net)",
            "*agent",
            "~avp(21)?",
            "лаборатория*",
            r"~лаб\w+",
            "~k.*l",
        ];
        let patterns: Vec<Pattern> =
            written.iter().map(|text| Pattern::parse(text, Form::Text, fold).expect("a pattern")).collect();
        let slots = patterns.iter().cloned().zip((0..).map(|slot| vec![slot])).collect();
        let table = FieldTable::new(Field::Name, slots, &mut Compiled::default()).expect("compiles");
        for text in [
            "",
            "k",
            "kesl",
            "kes",
            "kesl-",
            "kesl-1",
            "kesl-gui",
            "kesl-agent",
            "kes\nl",
            "avp21",
            "лаборатория x",
            "лаб",
            "лабр",
            "x agent",
            "кesl",
        ] {
            let mut found = Vec::new();
            table.each_hit(text, |slot| found.push(slot));
            found.sort_unstable();
            let alone = |pattern: &Pattern| {
                Automaton::new(&[match pattern {
                    Pattern::Exact(text) => regex_syntax::escape(text),
                    Pattern::Regex(source) => source.clone(),
                }])
                .expect("compiles")
                .is_match(text)
            };
            let expected: Vec<u32> =
                patterns.iter().zip(0..).filter(|(pattern, _)| alone(pattern)).map(|(_, slot)| slot).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
