//! The editions in memory: the dictionary of both backends.
//!
//! ```text
//!                     ┌─► titles    each platform, kind, name and vendor once
//!  number of edition ─┤
//!                     └─► details   form of the id, state, id, version
//!                             └───► shared    states and ends of ids that many editions have
//! ```
//!
//! A detail takes some fifteen bytes, and a table of numbers finds an edition by the hash of its content: nothing is there
//! twice, not even as a key. `edition_table/tests` holds the memory of a million editions to a bound.
//!
//! Numbers start at 1 and grow by one. A number is not given again after its edition was forgotten.

#[cfg(test)]
mod tests;

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use muster_proto::canonical::ObservationView;

use super::arena::{Arena, reserve_some};
use super::edition_bounds::EditionTotals;
use super::edition_detail::{Detail, Id, name_in, split, text_of, write_title};
use super::number_set::NumberSet;
use super::texts::Texts;
use super::varint;

/// The most shared texts: their numbers then have two bytes at most.
const SHARED: u32 = 0x4000;
/// The longest shared text. Longer ones seldom repeat.
const SHARED_BYTES: usize = 64;

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct EditionTable {
    titles: Texts,
    columns: Columns,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    totals: EditionTotals,
    /// The bytes of details that were forgotten.
    unused: usize,
    /// For the detail that is being written.
    scratch: Vec<u8>,
}

/// What is known by the number of an edition.
#[derive(Debug, Default)]
struct Columns {
    /// The numbers of the titles; 0 where there is no edition.
    titles: Vec<u32>,
    details: Arena,
    shared: Texts,
}

/// What was found of an observation's edition.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct FoundEdition {
    title: u32,
    hash: u64,
    /// 0 if there is no such edition.
    pub(in crate::store) number: u32,
}

impl Columns {
    /// Title and detail of a number.
    fn get(&self, number: u32) -> Option<(u32, Detail<'_>)> {
        let title = self.title(number)?;
        Some((title, self.read(self.details.get(number)?)?))
    }

    fn title(&self, number: u32) -> Option<u32> {
        let title = self.titles.get((number as usize).checked_sub(1)?)?;
        (*title > 0).then_some(*title)
    }

    /// ```text
    /// detail := form:u8 state id version      no id; or an id as a shared text, a text or sixteen bytes; the version is the rest
    /// shared text := number:varint | 0 text
    /// ```
    fn write(&mut self, detail: &Detail<'_>, bytes: &mut Vec<u8>) {
        let form = match detail.id {
            Id::None => 0,
            Id::Text(_) => 1,
            Id::AfterName(_) => 2,
            Id::Code(_) => 3,
        };
        bytes.push(form);
        self.write_shared(detail.state, bytes);
        match &detail.id {
            Id::None => {}
            Id::Text(text) => varint::put_text(bytes, text),
            Id::AfterName(rest) => self.write_shared(rest, bytes),
            Id::Code(code) => bytes.extend_from_slice(code),
        }
        bytes.extend_from_slice(detail.version);
    }

    fn write_shared(&mut self, text: &[u8], bytes: &mut Vec<u8>) {
        let hash = self.shared.hash(text);
        let has_space = self.shared.len() + 1 < SHARED && text.len() <= SHARED_BYTES;
        match self.shared.find_hashed(hash, text) {
            Some(number) => varint::put(bytes, number as usize),
            None if has_space => varint::put(bytes, self.shared.add(hash, text) as usize),
            None => {
                bytes.push(0);
                varint::put_text(bytes, text);
            }
        }
    }

    fn read<'a>(&'a self, mut bytes: &'a [u8]) -> Option<Detail<'a>> {
        let (form, rest) = bytes.split_first()?;
        bytes = rest;
        let state = self.read_shared(&mut bytes)?;
        let id = match form {
            0 => Id::None,
            1 => Id::Text(varint::read_text(&mut bytes)?),
            2 => Id::AfterName(self.read_shared(&mut bytes)?),
            _ => {
                let (code, rest) = bytes.split_first_chunk::<16>()?;
                bytes = rest;
                Id::Code(*code)
            }
        };
        Some(Detail { id, state, version: bytes })
    }

    fn read_shared<'a>(&'a self, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        match varint::read(bytes)? {
            0 => varint::read_text(bytes),
            number => self.shared.get(u32::try_from(number).ok()?),
        }
    }
}

impl EditionTable {
    /// The last number.
    pub(in crate::store) fn last(&self) -> u32 {
        self.columns.details.len()
    }

    /// The number of editions, and the bytes of their texts.
    pub(in crate::store) const fn totals(&self) -> EditionTotals {
        self.totals
    }

    /// The titles by their numbers.
    pub(in crate::store) const fn titles(&self) -> &Texts {
        &self.titles
    }

    /// The number of the title of each edition, from that with number 1 on; 0 where there is none.
    pub(in crate::store) fn titles_of_editions(&self) -> &[u32] {
        &self.columns.titles
    }

    /// The number of the title of an edition, the title, and the detail.
    pub(in crate::store) fn get(&self, number: u32) -> Option<(u32, &[u8], Detail<'_>)> {
        let (title, detail) = self.columns.get(number)?;
        Some((title, self.titles.get(title)?, detail))
    }

    /// The text of an edition.
    pub(in crate::store) fn text(&self, number: u32) -> Option<Vec<u8>> {
        let (_, title, detail) = self.get(number)?;
        let name = name_in(title);
        let mut text = Vec::with_capacity(title.len() + detail.text_bytes(name));
        text.extend_from_slice(title);
        detail.spell(name, &mut text);
        Some(text)
    }

    /// The text of an edition without the platform.
    pub(in crate::store) fn edition(&self, number: u32) -> Option<Vec<u8>> {
        let (_, title, detail) = self.get(number)?;
        let name = name_in(title);
        let mut text = Vec::with_capacity(title.len() + detail.text_bytes(name));
        text.extend_from_slice(title.get(1..)?);
        detail.spell(name, &mut text);
        Some(text)
    }

    /// The number of the edition with this text.
    pub(in crate::store) fn find(&self, text: &[u8]) -> Option<u32> {
        let (title, detail) = split(text)?;
        let title = self.titles.find(title)?;
        self.find_hashed(self.hash(title, &detail), title, &detail)
    }

    fn hash(&self, title: u32, detail: &Detail<'_>) -> u64 {
        self.hasher.hash_one((title, detail))
    }

    fn find_hashed(&self, hash: u64, title: u32, detail: &Detail<'_>) -> Option<u32> {
        let is_it = |number: &u32| self.columns.get(*number) == Some((title, *detail));
        self.numbers.find(hash, is_it).copied()
    }

    /// The editions of these observations. All hashes are computed first, so that the processor can fetch memory for several
    /// look-ups at once.
    pub(in crate::store) fn editions(&self, platform: u8, observations: &[ObservationView<'_>]) -> Vec<FoundEdition> {
        let mut text = Vec::new();
        let hash = |seen: &ObservationView<'_>| {
            write_title(platform, seen, &mut text);
            let title = self.titles.find(&text)?;
            Some(FoundEdition { title, hash: self.hash(title, &Detail::of(seen)), number: 0 })
        };
        let mut found: Vec<FoundEdition> = observations.iter().map(hash).map(Option::unwrap_or_default).collect();
        for (found, seen) in found.iter_mut().zip(observations).filter(|(found, _)| found.title > 0) {
            found.number = self.find_hashed(found.hash, found.title, &Detail::of(seen)).unwrap_or_default();
        }
        found
    }

    /// The editions of these observations that are not there, each once. `found` gets the numbers of those that have been added
    /// since.
    pub(in crate::store) fn new_editions(
        &self,
        platform: u8,
        observations: &[ObservationView<'_>],
        found: &mut [FoundEdition],
    ) -> EditionTotals {
        let (mut new, mut counted) = (EditionTotals::default(), HashSet::new());
        for (found, seen) in found.iter_mut().zip(observations).filter(|(found, _)| found.number == 0) {
            let text = text_of(platform, seen);
            found.number = self.find(&text).unwrap_or_default();
            if found.number == 0 && counted.insert((seen.edition, seen.state)) {
                new.add(text.len());
            }
        }
        new
    }

    /// The number of the edition with this text, which is added if it is new; `None` if it is no such text.
    pub(in crate::store) fn number(&mut self, text: &[u8]) -> Option<u32> {
        self.find(text).or_else(|| self.add(text))
    }

    /// Adds the edition with this text, which must be new, and returns its number; `None` if it is no such text.
    pub(in crate::store) fn add(&mut self, text: &[u8]) -> Option<u32> {
        let (title, detail) = split(text)?;
        // Editions that come together mostly have the same title.
        let newest = self.columns.titles.last().copied().filter(|newest| self.titles.get(*newest) == Some(title));
        let title = newest.unwrap_or_else(|| self.titles.number(title));
        Some(self.put(title, &detail))
    }

    /// Adds a new edition, and returns its number.
    pub(in crate::store) fn put(&mut self, title: u32, detail: &Detail<'_>) -> u32 {
        let hash = self.hash(title, detail);
        let title_text = self.titles.get(title).unwrap_or_default();
        self.totals.add(title_text.len() + detail.text_bytes(name_in(title_text)));
        let Self { columns, numbers, hasher, scratch, .. } = self;
        scratch.clear();
        columns.write(detail, scratch);
        reserve_some(&mut columns.titles, 1);
        columns.titles.push(title);
        let number = columns.details.push(scratch);
        numbers.insert_unique(hash, number, |other| hasher.hash_one(columns.get(*other).unwrap_or(NOTHING)));
        number
    }

    /// Adds a title as it was stored. Titles come in the order of their numbers; numbers that are left out have no title. If an
    /// earlier number has the same title, it was forgotten before its row was removed; it is forgotten again and returned.
    pub(in crate::store) fn title_load(&mut self, number: u32, title: &[u8]) -> Option<u32> {
        let hash = self.titles.hash(title);
        let earlier = self.titles.find_hashed(hash, title);
        earlier.into_iter().for_each(|earlier| self.titles.forget(earlier));
        self.titles.skip_to(number);
        self.titles.add(hash, title);
        earlier
    }

    /// Leaves the numbers before this one without editions.
    pub(in crate::store) fn skip_to(&mut self, number: u32) {
        self.columns.details.skip_to(number);
        self.columns.titles.resize(self.columns.details.len() as usize, 0);
    }

    /// Makes space for so many more editions, for a caller who adds them and calls [`Self::shrink`] then.
    pub(in crate::store) fn reserve(&mut self, editions: usize) {
        let Self { columns, numbers, hasher, .. } = self;
        columns.titles.reserve_exact(editions);
        columns.details.reserve(editions);
        numbers.reserve(editions, |other| hasher.hash_one(columns.get(*other).unwrap_or(NOTHING)));
    }

    /// Makes space for so many more titles.
    pub(in crate::store) fn titles_reserve(&mut self, titles: usize) {
        self.titles.reserve(titles);
    }

    /// Gives back the memory that is not in use.
    pub(in crate::store) fn shrink(&mut self) {
        self.titles.shrink();
        self.columns.titles.shrink_to_fit();
        self.columns.details.shrink();
        self.columns.shared.shrink();
    }

    /// Forgets an edition, whose number is not given again. Its bytes stay until enough of them are unused.
    pub(in crate::store) fn forget(&mut self, number: u32) {
        let Some((title, title_text, detail)) = self.get(number) else { return };
        let (hash, text_bytes) = (self.hash(title, &detail), title_text.len() + detail.text_bytes(name_in(title_text)));
        if let Ok(entry) = self.numbers.find_entry(hash, |known| *known == number) {
            entry.remove();
        }
        self.totals.take(text_bytes);
        let Columns { titles, details, .. } = &mut self.columns;
        titles[number as usize - 1] = 0;
        self.unused += details.get(number).unwrap_or_default().len();
        if details.is_wasteful(self.unused) {
            details.retain(|number| titles[number as usize - 1] > 0);
            self.unused = 0;
        }
    }

    /// Forgets a title, which no edition may have.
    pub(in crate::store) fn title_forget(&mut self, title: u32) {
        self.titles.forget(title);
    }

    /// Whether a title has a number that was not forgotten.
    pub(in crate::store) fn has_title(&self, title: u32) -> bool {
        self.titles.has(title)
    }

    /// The titles that editions have.
    pub(in crate::store) fn titles_in_use(&self) -> NumberSet {
        self.columns.titles.iter().map(|title| i64::from(*title)).collect()
    }

    /// The memory that it has.
    pub(in crate::store) fn heap_bytes(&self) -> usize {
        let Columns { titles, details, shared } = &self.columns;
        let columns = titles.capacity() * size_of::<u32>() + details.heap_bytes() + shared.heap_bytes();
        self.titles.heap_bytes() + columns + self.numbers.allocation_size() + self.scratch.capacity()
    }
}

/// What is hashed for a number that has no edition; no table of numbers has one.
const NOTHING: (u32, Detail<'static>) = (0, Detail { id: Id::None, state: &[], version: &[] });
