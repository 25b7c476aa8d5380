//! Builds the reading of a source step by step: observations, how many of its places exist, and the first problem.

use std::{io, mem};

use muster_proto::limits;
use muster_proto::model::{Observation, Outcome};

use super::root::Entry;
use super::{HomeItem, ScanContext, SourceReading, error_reason, is_absent, is_denied};
use crate::memory::{ATTRIBUTES_COST, HOME_ITEM_COST, KEPT_BYTES, TEXT_COST};

/// Counts what a source keeps until its section is encoded.
#[derive(Debug, Default)]
pub(super) struct Kept {
    observations: usize,
    bytes: usize,
}

impl Kept {
    /// What there is more of than a source keeps; `None` if it may keep more.
    pub(super) fn excess(&self) -> Option<String> {
        if self.observations > limits::OBSERVATIONS_PER_SECTION {
            return Some(format!("more than {} items", limits::OBSERVATIONS_PER_SECTION));
        }
        let limit = KEPT_BYTES / (1024 * 1024);
        (self.bytes > KEPT_BYTES).then(|| format!("more than the {limit} MiB that the agent keeps of one source"))
    }

    /// Counts an observation, and cuts its texts to a little more than a section holds, so that one line as long as a file
    /// does not stay in memory.
    pub(super) fn add(&mut self, observation: &mut Observation) {
        cut_texts(observation);
        self.observations += 1;
        self.bytes += bytes_of(observation);
    }

    fn add_home_item(&mut self, item: &HomeItem) {
        self.bytes += HOME_ITEM_COST + item.home.len() + item.place.len();
    }
}

/// The bytes of an observation in memory.
pub(super) fn bytes_of(row: &Observation) -> usize {
    let Observation { name, vendor, version, id, path, state, attributes, kind: _ } = row;
    let cost = |text: &String| if text.is_empty() { 0 } else { TEXT_COST + text.capacity() };
    let texts: usize = [name, vendor, version, id, path, state].into_iter().map(cost).sum();
    let nodes = attributes.len().div_ceil(11) * ATTRIBUTES_COST;
    let attributes: usize = attributes.iter().map(|(name, value)| cost(name) + cost(value)).sum();
    mem::size_of::<Observation>() + texts + nodes + attributes
}

/// The reading so far.
#[derive(Debug, Default)]
pub(super) struct ReadingBuilder {
    pub(super) observations: Vec<Observation>,
    /// How many of the places of this source exist.
    pub(super) places_found: usize,
    /// Which of the observations are in whose home directory.
    pub(super) home_items: Vec<HomeItem>,
    kept: Kept,
    first_problem: Option<String>,
    denied: bool,
}

impl ReadingBuilder {
    /// Records that something could not be understood or read completely. Only the first problem is kept.
    pub(super) fn problem(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.first_problem.get_or_insert(reason);
    }

    /// Whether there are already more observations than a section may hold or the agent keeps. This is recorded as a problem,
    /// so that a home directory with a million extensions neither fills the memory nor goes unnoticed.
    pub(super) fn is_full(&mut self, place: &str) -> bool {
        let excess = self.kept.excess();
        let is_full = excess.is_some();
        excess.into_iter().for_each(|excess| self.problem(format!("{place} contains {excess}")));
        is_full
    }

    /// Adds an observation of a place, unless there are enough.
    pub(super) fn add(&mut self, place: &str, mut observation: Observation) {
        if !self.is_full(place) {
            self.kept.add(&mut observation);
            self.observations.push(observation);
        }
    }

    /// Adds what another builder has found at a place, without its problems.
    pub(super) fn adopt(&mut self, place: &str, other: Self) {
        other.observations.into_iter().for_each(|observation| self.add(place, observation));
    }

    /// Records in whose home directory an item is, unless there are enough.
    pub(super) fn add_home_item(&mut self, item: HomeItem) {
        if !self.is_full("a home directory") {
            self.kept.add_home_item(&item);
            self.home_items.push(item);
        }
    }

    /// Sorts the observations, and keeps each once.
    pub(super) fn keep_distinct(&mut self) {
        self.observations.sort_unstable();
        self.observations.dedup();
    }

    /// Records a failed access. Missing permissions take precedence over other problems, because an operator can grant them.
    pub(super) fn access_failed(&mut self, place: &str, error: &io::Error) {
        if self.first_problem.is_none() || (is_denied(error) && !self.denied) {
            self.first_problem = Some(error_reason(place, error));
            self.denied = is_denied(error);
        }
    }

    /// The entries of a directory; `None` when it does not exist or cannot be read, which is recorded.
    pub(super) fn list(&mut self, context: &ScanContext, dir: &str) -> Option<Vec<Entry>> {
        self.unless_absent(dir, context.root.list(dir))
    }

    /// The content of a file; `None` as for [`Self::list`].
    pub(super) fn read(&mut self, context: &ScanContext, path: &str, max: usize) -> Option<Vec<u8>> {
        self.unless_absent(path, context.root.read(path, max))
    }

    /// The result of an access. An absent place is not a problem; any other error is recorded.
    pub(super) fn unless_absent<T>(&mut self, place: &str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                self.access_failed(place, &error);
                None
            }
        }
    }

    /// Whether any problem was recorded.
    pub(super) const fn has_problem(&self) -> bool {
        self.first_problem.is_some()
    }

    /// The finished reading. `absent` is the reason when none of the places exist.
    pub(super) fn finish(self, absent: &str) -> SourceReading {
        match self.first_problem {
            // `denied` leads to another advice than `failed`: the operator can grant the permission.
            Some(reason) if self.denied && self.observations.is_empty() => {
                SourceReading { outcome: Outcome::Denied, ..SourceReading::failed(reason) }
            }
            Some(reason) => {
                SourceReading { home_items: self.home_items, ..SourceReading::partial(self.observations, reason) }
            }
            // Without any place the product is not installed, which differs from an empty place.
            None if self.places_found == 0 && self.observations.is_empty() => SourceReading::not_applicable(absent),
            None => SourceReading { home_items: self.home_items, ..SourceReading::complete(self.observations) },
        }
    }
}

/// Cuts the texts of an observation to a little more than a section holds.
pub(super) fn cut_texts(observation: &mut Observation) {
    let Observation { name, vendor, version, id, path, state, attributes, .. } = observation;
    for text in [name, vendor, version, id, path, state] {
        cut(text, limits::TEXT_BYTES);
    }
    attributes.values_mut().for_each(|text| cut(text, limits::PATH_BYTES));
}

fn cut(text: &mut String, most: usize) {
    if text.len() <= most {
        text.shrink_to_fit();
    } else {
        let end = (0..=most + 1).rev().find(|end| text.is_char_boundary(*end));
        // A copy: one that is cut in place leaves a hole in memory that the next long text does not fit into.
        *text = text[..end.unwrap_or_default()].to_owned();
    }
}

/// Whether a listing had to replace bytes of this name that are not UTF-8. The file cannot be opened by it.
pub(super) fn has_replaced_bytes(name: &str) -> bool {
    name.contains(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use muster_proto::model::Kind;

    use super::*;

    #[test]
    fn a_place_with_more_items_than_a_section_holds_is_named() {
        let mut builder = ReadingBuilder::default();
        let one = Observation::new(Kind::BrowserExtension, "x");
        for _ in 0..limits::OBSERVATIONS_PER_SECTION {
            builder.add("/home/x/.config/chromium", one.clone());
        }
        assert!(!builder.is_full("/home/x/.config/chromium"));
        builder.add("/home/x/.config/chromium", one);
        assert!(builder.is_full("/home/x/.config/chromium"));
        let reading = builder.finish("absent");
        assert_eq!(reading.outcome, Outcome::Partial);
        assert!(reading.reason.contains("/home/x/.config/chromium contains more than"), "{}", reading.reason);
    }

    #[test]
    fn a_place_with_larger_items_than_the_agent_keeps_is_named() {
        let mut builder = ReadingBuilder::default();
        let mut large = Observation::new(Kind::BrowserExtension, "x".repeat(100_000));
        large.path = "p".repeat(100_000);
        for number in 0..limits::OBSERVATIONS_PER_SECTION {
            large.id = number.to_string();
            builder.add("/x", large.clone());
            let (home, place) = (format!("/home/{}", "h".repeat(4000)), "p".to_owned());
            builder.add_home_item(HomeItem { home, place, watched: false });
        }
        let bytes: usize = builder.observations.iter().map(bytes_of).sum();
        assert!(bytes + builder.home_items.len() * 4000 <= KEPT_BYTES + 64 * 1024, "{bytes}");
        assert!(builder.observations.len() > 1000);
        let reading = builder.finish("absent");
        assert_eq!(reading.outcome, Outcome::Partial);
        let limit = "contains more than the 12 MiB that the agent keeps of one source";
        assert!(reading.reason.ends_with(limit), "{}", reading.reason);
    }
}
