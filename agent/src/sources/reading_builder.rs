//! Builds the reading of a source step by step: observations, how many of its places exist, and the first problem.

use std::io;

use muster_proto::limits;
use muster_proto::model::{Observation, Outcome};

use super::root::Entry;
use super::{HomeItem, ScanContext, SourceReading, error_reason, is_absent, is_denied};

/// The reading so far.
#[derive(Debug, Default)]
pub(super) struct ReadingBuilder {
    pub(super) observations: Vec<Observation>,
    /// How many of the places of this source exist.
    pub(super) places_found: usize,
    /// Which of the observations are in whose home directory.
    pub(super) home_items: Vec<HomeItem>,
    first_problem: Option<String>,
    denied: bool,
}

impl ReadingBuilder {
    /// Records that something could not be understood or read completely. Only the first problem is kept.
    pub(super) fn problem(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.first_problem.get_or_insert(reason);
    }

    /// Whether there are already more observations than a section may hold. This is recorded as a problem, so that a home
    /// directory with a million extensions neither fills the memory nor goes unnoticed.
    pub(super) fn is_full(&mut self, place: &str) -> bool {
        let full = self.observations.len() > limits::OBSERVATIONS_PER_SECTION;
        if full {
            self.problem(format!("{place} contains more than {} items", limits::OBSERVATIONS_PER_SECTION));
        }
        full
    }

    /// Adds an observation of a place, unless there are enough. Its texts are cut to a little more than a section holds, so
    /// that one line as long as a file does not stay in memory.
    pub(super) fn add(&mut self, place: &str, mut observation: Observation) {
        if self.is_full(place) {
            return;
        }
        cut_texts(&mut observation);
        self.observations.push(observation);
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
    if text.len() > most {
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
        builder.observations = vec![one.clone(); limits::OBSERVATIONS_PER_SECTION];
        assert!(!builder.is_full("/home/x/.config/chromium"));
        builder.observations.push(one);
        assert!(builder.is_full("/home/x/.config/chromium"));
        let reading = builder.finish("absent");
        assert_eq!(reading.outcome, Outcome::Partial);
        assert!(reading.reason.contains("/home/x/.config/chromium contains more than"), "{}", reading.reason);
    }
}
