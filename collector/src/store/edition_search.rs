//! Search in the dictionary of editions: first for the titles whose name or vendor contains a text, then for the editions that
//! have one of these titles.
//!
//! It goes in steps, between which the caller frees the dictionary, because deliveries add editions to it. A search finds
//! every edition that was there when it began.

use aho_corasick::{AhoCorasick, Input};
use muster_proto::canonical::Edition;
use muster_proto::model::Kind;

use super::SoftwareQuery;
use super::edition_detail::{Detail, Title};
use super::edition_table::EditionTable;
use super::fault::{Step, StoreFault};
use super::number_set::NumberSet;
use super::software::Editions;

/// The name under which agents report that a host has storage of container images.
const CONTAINER_STORAGE: &str = "container-storage";

/// How many bytes of titles one step searches: about a millisecond.
const STEP_BYTES: usize = 1 << 20;
/// How many editions one step goes over, and how many of them it takes: a few milliseconds.
const STEP_EDITIONS: usize = 1 << 20;
const STEP_FOUND: usize = 1 << 13;

/// Finds a text, ignoring case.
enum Wanted {
    /// An ASCII text: one automaton searches all bytes.
    Plain(AhoCorasick),
    /// Any other text, in lower case.
    Folded(String),
}

impl Wanted {
    fn new(text: &str) -> Step<Self> {
        if !text.is_ascii() {
            return Ok(Self::Folded(text.to_lowercase()));
        }
        let built = AhoCorasick::builder().ascii_case_insensitive(true).build([text]);
        built.map(Self::Plain).map_err(|error| StoreFault::Other(format!("the text cannot be searched for: {error}")))
    }

    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Plain(automaton) => automaton.is_match(text),
            Self::Folded(wanted) => !text.is_ascii() && text.to_lowercase().contains(wanted),
        }
    }

    /// The position of the next candidate in concatenated titles.
    fn next(&self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Plain(automaton) => automaton.find(Input::new(bytes).range(from..)).map(|hit| hit.start()),
            Self::Folded(_) => (from < bytes.len()).then_some(from),
        }
    }
}

/// See the head of the file.
pub(in crate::store) struct EditionSearch<'q> {
    query: &'q SoftwareQuery,
    wanted: Wanted,
    /// The titles that were found.
    titles: NumberSet,
    titles_done: u32,
    all_titles_done: bool,
    editions_done: usize,
    found: Editions,
}

impl<'q> EditionSearch<'q> {
    pub(in crate::store) fn new(query: &'q SoftwareQuery) -> Step<Self> {
        Ok(Self {
            query,
            wanted: Wanted::new(&query.text)?,
            titles: NumberSet::default(),
            titles_done: 0,
            all_titles_done: false,
            editions_done: 0,
            found: Editions::new(),
        })
    }

    /// Searches on; returns whether anything is left. All steps need the same dictionary.
    pub(in crate::store) fn step(&mut self, table: &EditionTable) -> Step<bool> {
        self.query.budget.check()?;
        if self.all_titles_done {
            return self.editions_step(table);
        }
        self.titles_step(table)?;
        Ok(true)
    }

    /// The editions that were found.
    pub(in crate::store) fn found(self) -> Editions {
        self.found
    }

    fn titles_step(&mut self, table: &EditionTable) -> Step<()> {
        let titles = table.titles();
        let Some((bytes, mut place, last)) = titles.arena().stretch(self.titles_done, STEP_BYTES) else {
            self.all_titles_done = true;
            // A bit for each number.
            return Ok(self.query.budget.spend(0, titles.len() as usize / 8)?);
        };
        // A hit may also be in a length, or span two titles; only name and vendor count.
        while let Some(hit) = self.wanted.next(bytes, place) {
            let Some((number, end)) = titles.arena().at(hit) else { break };
            // One hit in a title is enough, so the search goes on after its end.
            place = end;
            if titles.get(number).and_then(Title::read).is_some_and(|title| self.is_wanted(&title)) {
                self.titles.insert(i64::from(number));
            }
        }
        self.titles_done = last;
        Ok(())
    }

    fn is_wanted(&self, title: &Title<'_>) -> bool {
        // Agents do not read such storage, so its name is no software.
        let is_storage = title.kind == Kind::Path.code() && title.name == CONTAINER_STORAGE;
        !is_storage && (self.wanted.is_in(title.name) || self.wanted.is_in(title.vendor))
    }

    fn editions_step(&mut self, table: &EditionTable) -> Step<bool> {
        let titles = table.titles_of_editions();
        let rest = titles.get(self.editions_done..).unwrap_or_default();
        if self.titles.is_empty() || rest.is_empty() {
            return Ok(false);
        }
        let mut matched = 0;
        for title in &rest[..rest.len().min(STEP_EDITIONS)] {
            self.editions_done += 1;
            if !self.titles.contains(i64::from(*title)) {
                continue;
            }
            self.take(table, u32::try_from(self.editions_done).unwrap_or(u32::MAX))?;
            matched += 1;
            if matched == STEP_FOUND {
                break;
            }
        }
        Ok(true)
    }

    /// Takes an edition that has one of the titles, if it matches the rest of the query.
    fn take(&mut self, table: &EditionTable, number: u32) -> Step<()> {
        let Some((_, title, detail)) = table.get(number) else { return Ok(()) };
        let damaged = |reason: String| StoreFault::damaged(format!("edition {number}"), reason);
        let title = Title::read(title).ok_or_else(|| damaged("its title is not readable".to_owned()))?;
        let Detail { id: _, state, version } = detail;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| damaged("a text is not UTF-8".to_owned()));
        let (state, version) = (text(state)?, text(version)?);
        if !self.query.version.matches(version) {
            return Ok(());
        }
        let kind = Kind::from_code(title.kind).ok_or_else(|| damaged(format!("kind {} is unknown", title.kind)))?;
        // A person does not see ids.
        let edition = Edition { kind, name: title.name, vendor: title.vendor, version, id: "" };
        self.found.add(number, title.platform, &edition, state, self.query)
    }
}
