//! The index of recognisers: for each platform and kind, one table for each field that recognisers test. One pass over a text
//! finds every recogniser that matches it.

use hashbrown::HashMap;
use muster_proto::model::{Kind, Platform};

use super::field_table::{Compiled, FieldTable};
use super::pattern::{Pattern, Patterns};
use super::product::Product;
use super::recogniser::{Recogniser, Test};
use super::subject::{Field, Subject};

/// A recogniser, by its position within its product and the product's position in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecogniserIndex {
    pub(crate) product: usize,
    pub(crate) recogniser: usize,
}

/// All tables.
#[derive(Debug, Default)]
pub(crate) struct Index {
    tables: HashMap<(Platform, Kind), Table>,
    by_name: HashMap<Platform, Table>,
    conditions: HashMap<RecogniserIndex, Conditions>,
}

/// Tests that are rare, and made only of the few observations that the tables match.
#[derive(Debug)]
struct Conditions {
    unless: Vec<(Field, Patterns)>,
    within: Option<Patterns>,
}

impl Index {
    pub(crate) fn new(products: &[Product]) -> Result<Self, String> {
        let mut index = Self::default();
        let mut compiled = Compiled::default();
        for platform in Platform::ALL {
            let mut all = Builder::default();
            let mut by_kind: HashMap<Kind, Builder> = HashMap::new();
            for (place, one) in recognisers(products).filter(|(_, one)| one.platforms.contains(platform)) {
                for kind in &one.kinds {
                    by_kind.entry(*kind).or_default().add(place, one);
                }
                if one.kinds.iter().any(|kind| !is_a_place(*kind)) {
                    all.add(place, one);
                }
            }
            for (kind, builder) in by_kind {
                index.tables.insert((*platform, kind), builder.finish(&mut compiled)?);
            }
            index.by_name.insert(*platform, all.finish(&mut compiled)?);
        }
        for (place, one) in recognisers(products) {
            if !one.unless.is_empty() || !one.within.is_empty() {
                index.conditions.insert(place, Conditions::new(one)?);
            }
        }
        Ok(index)
    }

    /// Every recogniser that matches the subject. A subject without a kind is tried with all recognisers that test names.
    pub(crate) fn recognise(&self, platform: Platform, subject: &Subject) -> Vec<RecogniserIndex> {
        let table = match subject.kind {
            Some(kind) => self.tables.get(&(platform, kind)),
            None => self.by_name.get(&platform),
        };
        let mut places = table.map_or_else(Vec::new, |table| table.recognise(subject));
        places.retain(|place| self.conditions.get(place).is_none_or(|condition| condition.lets_through(subject)));
        places
    }
}

/// Kinds that are recognised by their path. A record without a kind cannot be one of them.
const fn is_a_place(kind: Kind) -> bool {
    matches!(kind, Kind::Path | Kind::Registry | Kind::Cert)
}

fn recognisers(products: &[Product]) -> impl Iterator<Item = (RecogniserIndex, &Recogniser)> {
    products.iter().enumerate().flat_map(|(product, owner)| {
        let place = move |(recogniser, one)| (RecogniserIndex { product, recogniser }, one);
        owner.recognisers.iter().enumerate().map(place)
    })
}

impl Conditions {
    fn new(one: &Recogniser) -> Result<Self, String> {
        let mut unless = Vec::new();
        for test in &one.unless {
            unless.push((test.field, Patterns::new(&test.patterns)?));
        }
        let within = if one.within.is_empty() { None } else { Some(Patterns::new(&one.within)?) };
        Ok(Self { unless, within })
    }

    fn lets_through(&self, subject: &Subject) -> bool {
        let excluded = self.unless.iter().any(|(field, patterns)| patterns.fit(subject.texts(*field)));
        let elsewhere =
            self.within.as_ref().is_some_and(|places| !subject.paths.is_empty() && !places.fit(&subject.paths));
        !excluded && !elsewhere
    }
}

/// Several tests, compiled for a vendor's `never`.
#[derive(Debug)]
pub(crate) struct Conjunction(Vec<(Field, Patterns)>);

impl Conjunction {
    pub(crate) fn new(tests: &[Test]) -> Result<Self, String> {
        let compiled: Result<_, String> =
            tests.iter().map(|test| Ok((test.field, Patterns::new(&test.patterns)?))).collect();
        compiled.map(Self)
    }

    pub(crate) fn holds(&self, subject: &Subject) -> bool {
        self.0.iter().all(|(field, patterns)| patterns.fit(subject.texts(*field)))
    }

    pub(crate) fn holds_in_part(&self, subject: &Subject) -> bool {
        self.0.iter().any(|(field, patterns)| patterns.fit(subject.texts(*field)))
    }
}

/// The recognisers of one platform and kind.
#[derive(Debug)]
struct Table {
    /// The recogniser of each slot, and the set of fields that must all match.
    slots: Vec<(RecogniserIndex, u8)>,
    fields: Vec<FieldTable>,
}

impl Table {
    fn recognise(&self, subject: &Subject) -> Vec<RecogniserIndex> {
        // Few recognisers match in any field, so a list of (slot, fields) is faster than a map.
        let mut hits: Vec<(u32, u8)> = Vec::new();
        for table in &self.fields {
            let bit = bit(table.field());
            for text in subject.texts(table.field()) {
                table.each_hit(text, |slot| match hits.iter_mut().find(|(other, _)| *other == slot) {
                    Some((_, fields)) => *fields |= bit,
                    None => hits.push((slot, bit)),
                });
            }
        }
        let mut places: Vec<RecogniserIndex> = hits
            .into_iter()
            .filter_map(|(slot, fields)| self.slots.get(slot as usize).filter(|(_, wanted)| fields == *wanted))
            .map(|(place, _)| *place)
            .collect();
        // Hash maps have a random order, on which the answers must not depend.
        places.sort_unstable();
        places
    }
}

const fn bit(field: Field) -> u8 {
    // There are six fields, so a byte holds a set of them.
    1 << field as u8
}

#[derive(Default)]
struct Builder {
    slots: Vec<(RecogniserIndex, u8)>,
    patterns: HashMap<Field, HashMap<Pattern, Vec<u32>>>,
}

impl Builder {
    fn add(&mut self, place: RecogniserIndex, one: &Recogniser) {
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let mut wanted = 0;
        for test in &one.tests {
            wanted |= bit(test.field);
            let patterns = self.patterns.entry(test.field).or_default();
            for pattern in &test.patterns {
                let slots = patterns.entry(pattern.clone()).or_default();
                // Patterns of one test can be equal after folding. Slots are added in order, so the last one shows it.
                if slots.last() != Some(&slot) {
                    slots.push(slot);
                }
            }
        }
        self.slots.push((place, wanted));
    }

    fn finish(self, compiled: &mut Compiled) -> Result<Table, String> {
        let of_field = |(field, patterns)| FieldTable::new(field, patterns, compiled);
        let fields = self.patterns.into_iter().map(of_field).collect::<Result<_, String>>()?;
        Ok(Table { slots: self.slots, fields })
    }
}
