//! Conflicts between recognisers that are each valid: one that can never match, one that others always override, and two
//! that prove different products by the same text.
//!
//! ```text
//!  recogniser ─► sample texts of its patterns ─► an observation with these texts ─► catalogue ─► which recognisers match?
//! ```
//!
//! Only certain conflicts are reported; a pattern without a sample is skipped.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, Platform, Presence};

use super::catalogue::Catalogue;
use super::pattern::{Pattern, Patterns};
use super::product::Product;
use super::recognised::Recognised;
use super::recogniser::{Recogniser, Strength};
use super::rule_fault::RuleFault;
use super::samples::samples;
use super::subject::{Field, Subject};

/// The conflicts in a catalogue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conflicts {
    /// Recognisers or patterns that can never match.
    pub(crate) never: Vec<RuleFault>,
    /// Recognisers that others always override.
    pub(crate) shadowed: Vec<RuleFault>,
    /// Recognisers that prove different products by the same text.
    pub(crate) overlaps: Vec<RuleFault>,
}

/// Tries every recogniser of the catalogue.
pub(crate) fn conflicts(catalogue: &Catalogue) -> Conflicts {
    let mut conflicts = Conflicts::default();
    for product in catalogue.products() {
        // What a vendor's folders and prefixes show gives way to the product's own recognisers by design.
        for one in product.recognisers.iter().filter(|one| one.claim.is_none()) {
            let mut trial = Trial { catalogue, product, one, fits: false, answers: false, rivals: BTreeSet::new() };
            let dead = trial.run();
            trial.report(dead, &mut conflicts);
        }
    }
    conflicts
}

/// One recogniser while it is tried with sample texts.
struct Trial<'c> {
    catalogue: &'c Catalogue,
    product: &'c Product,
    one: &'c Recogniser,
    /// Whether it matched any sample.
    fits: bool,
    /// Whether it was among the catalogue's answers to any of them.
    answers: bool,
    /// Other recognisers among the answers, and how they conflict.
    rivals: BTreeSet<(Rival, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rival {
    /// Proves another product by the same text.
    Overlaps,
    /// Answers in its place.
    Shadows,
}

impl<'c> Trial<'c> {
    /// Tries every pattern, and returns those that can never match.
    fn run(&mut self) -> Vec<&'c Pattern> {
        let one = self.one;
        let mut dead = Vec::new();
        for test in &one.tests {
            let others = self.others(test.field);
            for pattern in &test.patterns {
                let texts = samples(pattern);
                // Not `any`, which would stop early: every sample can reveal another conflict.
                let tried = texts.iter().map(|text| self.try_text(test.field, text, &others)).filter(|fits| *fits);
                let tried = tried.count();
                if tried == 0 && is_certain(pattern, &texts) && self.others_are_certain(test.field) {
                    dead.push(pattern);
                }
            }
        }
        dead
    }

    /// Whether the recogniser matches an observation with this text and one of the variants of matching texts in all other fields.
    fn try_text(&mut self, field: Field, text: &str, others: &[Vec<(Field, String)>]) -> bool {
        let mut fits = false;
        for platform in &self.one.platforms {
            // The loader adds `package` to the kinds of package managers that a rule names; only those are the rule's own.
            let is_only = self.one.kinds.len() == 1;
            for kind in self.one.kinds.iter().filter(|kind| is_only || **kind != Kind::Package) {
                fits |= others.iter().any(|others| self.ask(*platform, *kind, field, text, others));
            }
        }
        fits
    }

    /// Matching texts for all other tests, in a few variants.
    fn others(&self, field: Field) -> Vec<Vec<(Field, String)>> {
        let others: Vec<(Field, Vec<String>)> = self
            .one
            .tests
            .iter()
            .filter(|test| test.field != field)
            .map(|test| (test.field, test.patterns.iter().flat_map(samples).collect()))
            .collect();
        // A few combinations find a match; all of them would be the product of the lengths of the lists.
        let most = others.iter().map(|(_, texts)| texts.len()).max().unwrap_or(1).clamp(1, 8);
        let nth = |at: usize| {
            let text =
                // Without samples `get` finds nothing; the 1 only prevents a division by zero.
                |(field, texts): &(Field, Vec<String>)| Some((*field, texts.get(at % texts.len().max(1))?.clone()));
            others.iter().filter_map(text).collect()
        };
        (0..most).map(nth).collect()
    }

    /// Whether the samples of the other tests are known to match.
    fn others_are_certain(&self, field: Field) -> bool {
        let mut others = self.one.tests.iter().filter(|test| test.field != field);
        others.all(|test| {
            test.patterns.iter().flat_map(samples).next().is_some()
                && test.patterns.iter().all(|pattern| is_certain(pattern, &samples(pattern)))
        })
    }

    fn ask(&mut self, on: Platform, kind: Kind, field: Field, text: &str, others: &[(Field, String)]) -> bool {
        let mut seen = Observation::new(kind, "");
        let has_name = field == Field::Name || others.iter().any(|(field, _)| *field == Field::Name);
        for (field, text) in others.iter().map(|(field, text)| (*field, text.as_str())).chain([(field, text)]) {
            let place = match field {
                Field::Name => &mut seen.name,
                // Technical names are read from the id as well, so a test of both fields fits into one observation.
                Field::Key if has_name => &mut seen.id,
                Field::Key => &mut seen.name,
                Field::Id => &mut seen.id,
                Field::Vendor => &mut seen.vendor,
                Field::Path => &mut seen.path,
                Field::State => &mut seen.state,
            };
            text.clone_into(place);
        }
        let subject = Subject::new(Some(kind), [&seen.name, &seen.id, &seen.path], &seen.vendor, &seen.state);
        // A number is unique only within its product, so the address identifies the recogniser.
        let is_this = |found: &Recognised<'_>| std::ptr::eq(found.recogniser, self.one);
        let fitting = self.catalogue.fitting(on, &subject);
        if !fitting.iter().any(is_this) {
            return false;
        }
        let answers = self.catalogue.answers(on, &subject, fitting);
        self.fits = true;
        self.answers |= answers.iter().any(is_this);
        for found in answers.iter().filter(|found| !is_this(found)) {
            if let Some(rival) = self.rival(found) {
                self.rivals.insert((rival, format!("{}#{} ({text:?})", found.product.id, found.recogniser.number)));
            }
        }
        true
    }

    fn rival(&self, found: &Recognised<'_>) -> Option<Rival> {
        let is_other = found.product.id != self.product.id;
        let proves =
            |one: &Recogniser| one.strength == Strength::Proves && !one.fallback && one.shows != Presence::Remnant;
        // A white-label product contains another vendor's code, so one text may rightly prove both.
        if is_other && proves(self.one) && proves(found.recogniser) && !found.product.white_label {
            return Some(Rival::Overlaps);
        }
        Some(Rival::Shadows)
    }

    fn report(&self, dead: Vec<&Pattern>, conflicts: &mut Conflicts) {
        let name = format!("{}#{}", self.product.id, self.one.number);
        let fault = |reason: String| RuleFault { file: self.product.file.clone(), line: self.one.line, reason };
        let patterns: usize = self.one.tests.iter().map(|test| test.patterns.len()).sum();
        // One fault for the recogniser is clearer than one for each of its patterns.
        if !self.fits && !dead.is_empty() && dead.len() == patterns {
            return conflicts
                .never
                .push(fault(format!("{name} can never match: no observation of its kinds can have such texts")));
        }
        for pattern in dead {
            let text = match pattern {
                Pattern::Exact(text) => text.clone(),
                Pattern::Regex(source) => format!("~{source}"),
            };
            conflicts.never.push(fault(format!("{name}: the pattern {text:?} can never match")));
        }
        let of = |kind: Rival| {
            let names = self.rivals.iter().filter(move |(rival, _)| *rival == kind).map(|(_, name)| name.as_str());
            names.take(3).collect::<Vec<_>>().join(", ")
        };
        if self.fits && !self.answers {
            let by = of(Rival::Shadows);
            // Without a rival only an exclusion can have taken the answer away.
            let by = if by.is_empty() { "the vendor's [[never]]".to_owned() } else { by };
            conflicts.shadowed.push(fault(format!("{name} has no effect: it is shadowed by {by}")));
        }
        if let Some(twin) = self.twin() {
            let reason = format!("{name} has no effect: #{} of the same product matches all of it", twin.number);
            conflicts.shadowed.push(fault(reason));
        }
        let overlaps = of(Rival::Overlaps);
        if !overlaps.is_empty() {
            conflicts.overlaps.push(fault(format!("{name} overlaps {overlaps}: the same text proves two products")));
        }
    }

    /// An earlier recogniser of the product that matches everything this one matches, with the same presence and at least
    /// the same strength.
    fn twin(&self) -> Option<&'c Recogniser> {
        let one = self.one;
        let plain = |one: &Recogniser| one.unless.is_empty() && one.within.is_empty();
        let covers = |other: &&Recogniser| {
            other.number < one.number
                && other.shows == one.shows
                && other.strength >= one.strength
                && other.fallback == one.fallback
                && plain(other)
                && one.platforms.iter().all(|platform| other.platforms.contains(platform))
                && one.kinds.iter().all(|kind| other.kinds.contains(kind))
                && other.tests.iter().all(|test| {
                    let mine = one.tests.iter().find(|mine| mine.field == test.field);
                    mine.is_some_and(|mine| mine.patterns.iter().all(|pattern| test.patterns.contains(pattern)))
                })
        };
        self.product.recognisers.iter().find(covers)
    }
}

/// Whether the samples really test the pattern: one of them matches it.
fn is_certain(pattern: &Pattern, texts: &[String]) -> bool {
    Patterns::new(std::slice::from_ref(pattern)).is_ok_and(|compiled| compiled.fit(texts))
}
