//! What a source gathers on its way: observations, how many of its places were there, and the first thing that it
//! could not see.

use std::io;

use muster_proto::limits;
use muster_proto::model::Observation;

use crate::sources::root::Entry;
use crate::sources::{Owned, ScanContext, SourceReading, error_reason, is_absent, is_denied};

/// Gathered so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) observations: Vec<Observation>,
    /// How many of the places of this source are there.
    pub(super) places: usize,
    /// Which of the observations stand in whose home.
    pub(super) owned: Vec<Owned>,
    fault: Option<String>,
    denied: bool,
}

impl Findings {
    /// Something is there that cannot be understood.
    pub(super) fn broken(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.fault.get_or_insert(reason);
    }

    /// Whether there is more already than a section may hold: whoever makes a million extensions in a home gets no further,
    /// and is named.
    pub(super) fn is_full(&mut self, place: &str) -> bool {
        let full = self.observations.len() > limits::OBSERVATIONS_PER_SECTION;
        if full {
            self.broken(format!("{place} holds more than {} things", limits::OBSERVATIONS_PER_SECTION));
        }
        full
    }

    /// Something could not be read. A lack of rights is what the operator can mend: it is named before anything else.
    pub(super) fn refused(&mut self, place: &str, error: &io::Error) {
        if self.fault.is_none() || (is_denied(error) && !self.denied) {
            self.fault = Some(error_reason(place, error));
            self.denied = is_denied(error);
        }
    }

    /// The entries of a directory; `None` when it is not there or could not be read, which is then kept.
    pub(super) fn list(&mut self, context: &ScanContext, dir: &str) -> Option<Vec<Entry>> {
        self.unless_absent(dir, context.root.list(dir))
    }

    /// A whole file; `None` as for [`Self::list`].
    pub(super) fn read(&mut self, context: &ScanContext, path: &str, max: usize) -> Option<Vec<u8>> {
        self.unless_absent(path, context.root.read(path, max))
    }

    /// The answer of the system; that nothing is there is no fault.
    pub(super) fn unless_absent<T>(&mut self, place: &str, answer: io::Result<T>) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                self.refused(place, &error);
                None
            }
        }
    }

    /// The first fault.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The sum of it; `nothing` says what is not there when no place was.
    pub(super) fn reading(self, nothing: &str) -> SourceReading {
        match self.fault {
            Some(reason) if self.denied && self.observations.is_empty() => {
                SourceReading { outcome: muster_proto::model::Outcome::Denied, ..SourceReading::failed(reason) }
            }
            Some(reason) => SourceReading { owned: self.owned, ..SourceReading::partial(self.observations, reason) },
            None if self.places == 0 && self.observations.is_empty() => SourceReading::not_applicable(nothing),
            None => SourceReading { owned: self.owned, ..SourceReading::complete(self.observations) },
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Kind, Outcome};

    use super::*;

    #[test]
    fn a_place_with_more_than_a_section_holds_is_named() {
        let mut findings = Findings::default();
        let one = Observation::new(Kind::BrowserExtension, "x");
        findings.observations = vec![one.clone(); limits::OBSERVATIONS_PER_SECTION];
        assert!(!findings.is_full("/home/x/.config/chromium"));
        findings.observations.push(one);
        assert!(findings.is_full("/home/x/.config/chromium"));
        let reading = findings.reading("nothing");
        assert_eq!(reading.outcome, Outcome::Partial);
        assert!(reading.reason.contains("/home/x/.config/chromium holds more than"), "{}", reading.reason);
    }
}
