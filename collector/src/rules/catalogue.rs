//! The catalogue: all products and vendors, compiled to recognise observations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use muster_proto::canonical::{CanonicalSection, ObservationView};
use muster_proto::model::{
    Evidence, HostState, Kind, Outcome, Platform, Presence, ProductId, RealtimeEvidence, SignatureState, UnitState,
};

use super::caution::Cautions;
use super::claimed::Claims;
use super::identity::{Identity, Owner};
use super::index::{Conjunction, Index, RecogniserIndex};
use super::pattern::{Pattern, Patterns};
use super::prefilter::Prefilter;
use super::product::{Product, slug};
use super::recognised::{OtherVendor, Recognised};
use super::recogniser::{Strength, Test};
use super::sign::{Realtime, Sign};
use super::state::{StateReading, StateTable, States};
use super::subject::{Field, Subject};
use super::text::fold;
use super::vendor::Vendor;

/// All products and vendors. Cheap to clone: the data is shared.
#[derive(Debug, Clone)]
pub struct Catalogue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    products: Vec<Product>,
    by_id: HashMap<ProductId, usize>,
    vendors: BTreeMap<String, Vendor>,
    /// The identities of vendors that have a file, by vendor id.
    identities: HashMap<String, Identity>,
    never: Vec<CompiledNever>,
    cautions: Cautions,
    states: States,
    /// The compiled signs of each product.
    signs: Vec<Vec<Patterns>>,
    /// Where the age of each product's signatures is read, compiled.
    fresh: Vec<Vec<(Platform, Patterns)>>,
    index: Index,
    prefilter: Prefilter,
}

#[derive(Debug)]
struct CompiledNever {
    vendor: String,
    platforms: Vec<Platform>,
    kinds: Vec<Kind>,
    except_white_label: bool,
    tests: Conjunction,
    /// Ids, of which one must match. Labels and receipts give their id as the name, so keys count as ids here.
    ids: Option<Patterns>,
    unless: Conjunction,
}

/// What a host's state shows of one sign of real-time protection.
#[derive(Debug, Clone, Copy)]
pub struct SignSeen<'c> {
    /// The sign.
    pub sign: &'c Realtime,
    /// On or off; `None` if unknown.
    pub on: Option<bool>,
    /// Whether it is off because the agent did not find it, not because the agent found it off.
    pub by_absence: bool,
}

impl Catalogue {
    /// Compiles products and vendors, and replaces `@vendor` in recognisers with the vendor's spellings.
    pub(crate) fn new(
        mut products: Vec<Product>,
        vendors: Vec<Vendor>,
        states: Vec<StateTable>,
    ) -> Result<Self, String> {
        products.sort_by(|a, b| a.id.cmp(&b.id));
        let vendors: BTreeMap<String, Vendor> = vendors.into_iter().map(|one| (one.id.clone(), one)).collect();
        for product in &mut products {
            for one in &mut product.recognisers {
                one.tests.iter_mut().chain(&mut one.unless).for_each(|test| spell(test, &vendors));
            }
        }
        let mut never = Vec::new();
        for vendor in vendors.values() {
            for one in &vendor.never {
                let (mut tests, mut unless) = (one.tests.clone(), one.unless.clone());
                tests.iter_mut().chain(&mut unless).for_each(|test| spell(test, &vendors));
                let (ids, tests): (Vec<Test>, Vec<Test>) = tests.into_iter().partition(|test| test.field == Field::Id);
                let ids = ids.first().map(|test| Patterns::new(&test.patterns)).transpose()?;
                never.push(CompiledNever {
                    vendor: vendor.id.clone(),
                    platforms: one.platforms.clone(),
                    kinds: one.kinds.clone(),
                    except_white_label: one.except_white_label,
                    tests: Conjunction::new(&tests)?,
                    ids,
                    unless: Conjunction::new(&unless)?,
                });
            }
        }
        let identities: Result<_, String> =
            vendors.values().map(|vendor| Ok((vendor.id.clone(), Identity::new(vendor)?))).collect();
        let identities = identities?;
        let (mut signs, mut fresh) = (Vec::new(), Vec::new());
        for product in &products {
            let of_product = product.realtime.iter().map(|one| Patterns::new(&one.patterns));
            signs.push(of_product.collect::<Result<Vec<_>, _>>()?);
            let of_product = product.freshness.iter();
            let of_product =
                of_product.map(|one| Ok((one.platform, Patterns::new(std::slice::from_ref(&one.pattern))?)));
            fresh.push(of_product.collect::<Result<Vec<_>, String>>()?);
        }
        let cautions = vendors.values().flat_map(|vendor| vendor.cautions.iter().map(|one| (vendor.id.as_str(), one)));
        let cautions = Cautions::new(cautions)?;
        let states = States::new(states)?;
        let (index, prefilter) = (Index::new(&products)?, Prefilter::new(&products)?);
        let by_id = products.iter().enumerate().map(|(at, product)| (product.id.clone(), at)).collect();
        Ok(Self(Arc::new(Inner {
            products,
            by_id,
            vendors,
            identities,
            never,
            cautions,
            states,
            signs,
            fresh,
            index,
            prefilter,
        })))
    }

    /// All products, in order of their ids.
    #[must_use]
    pub fn products(&self) -> &[Product] {
        &self.0.products
    }

    /// The product with this id.
    #[must_use]
    pub fn product(&self, id: &ProductId) -> Option<&Product> {
        self.0.by_id.get(id).and_then(|at| self.0.products.get(*at))
    }

    /// The vendors that have a file with their spellings.
    pub fn vendors(&self) -> impl Iterator<Item = &Vendor> {
        self.0.vendors.values()
    }

    /// The vendor ids of all products.
    #[must_use]
    pub fn vendor_ids(&self) -> BTreeSet<&str> {
        self.0.products.iter().map(|product| product.vendor_id.as_str()).collect()
    }

    /// Every recogniser that matches the subject, the strongest first. The publisher of the subject and the vendor's folder
    /// that contains it raise or lower their strength. A vendor's fallbacks apply only if none of its other recognisers
    /// proves as much, and of a vendor's folders and prefixes only the most specific one.
    #[must_use]
    pub fn recognise(&self, platform: Platform, subject: &Subject) -> Vec<Recognised<'_>> {
        self.answers(platform, subject, self.fitting(platform, subject))
    }

    /// What [`Catalogue::recognise`] answers, given every recogniser whose tests match the subject.
    pub(super) fn answers<'c>(
        &'c self,
        platform: Platform,
        subject: &Subject,
        mut found: Vec<Recognised<'c>>,
    ) -> Vec<Recognised<'c>> {
        if found.is_empty() {
            return found;
        }
        found.retain(|one| !self.is_never(platform, subject, one.product));
        let claims = Claims::of(&found);
        found.retain(|one| claims.keeps(*one));
        for one in &mut found {
            (one.strength, one.other_vendor) = self.strength(subject, *one, &claims);
        }
        // Fallbacks are compared after the publisher has changed the strengths, because it can make one the stronger.
        let mut strongest: HashMap<&str, Strength> = HashMap::new();
        for one in found.iter().filter(|one| !one.recogniser.fallback) {
            let best = strongest.entry(one.product.vendor_id.as_str()).or_insert(one.strength);
            *best = (*best).max(one.strength);
        }
        found.retain(|one| {
            let best = strongest.get(one.product.vendor_id.as_str());
            !one.recogniser.fallback || best.is_none_or(|best| *best < one.strength)
        });
        found.sort_by_key(|one| (std::cmp::Reverse(one.strength), one.recogniser.fallback));
        found
    }

    /// Every recogniser whose tests match the subject, before exclusions and fallbacks.
    pub(super) fn fitting(&self, platform: Platform, subject: &Subject) -> Vec<Recognised<'_>> {
        self.0.index.recognise(platform, subject).into_iter().filter_map(|place| self.at(place)).collect()
    }

    /// The strength for this subject: a technical name proves the vendor's product if the publisher or the folder is the
    /// vendor's, and proves nothing if it is another's. Also says which other vendor made it weak.
    fn strength<'c>(
        &self,
        subject: &Subject,
        found: Recognised<'c>,
        claims: &Claims<'c>,
    ) -> (Strength, Option<OtherVendor<'c>>) {
        let stated = found.recogniser.strength;
        // A white-label product has another publisher than the vendor of its code, so the publisher says nothing.
        if found.product.white_label {
            return (stated, None);
        }
        let owner = match self.0.identities.get(&found.product.vendor_id) {
            Some(identity) => identity.owner(subject),
            None => Owner::Unstated,
        };
        match owner {
            Owner::Vendor => (Strength::Proves, None),
            Owner::Another if found.recogniser.is_by_name_alone() => (Strength::Weak, Some(OtherVendor::Publisher)),
            Owner::Another => (stated, None),
            Owner::Unstated => match claims.folder_of_another(found.product) {
                Some(vendor) if found.recogniser.is_by_name_alone() => {
                    (Strength::Weak, Some(OtherVendor::Folder(vendor)))
                }
                _ => (stated, None),
            },
        }
    }

    /// The observations of a section that some recogniser may match; see `Prefilter`.
    #[must_use]
    pub fn let_through<'s>(&self, section: &'s CanonicalSection) -> Vec<ObservationView<'s>> {
        self.0.prefilter.let_through(section)
    }

    /// Whether the subject outlives the product: it alone shows a remnant. Only drivers that an installer copied to
    /// Windows' folder do; a driver in a program's folder is a part of that program, as in another vendor's product.
    pub(crate) fn lingers(&self, product: &Product, subject: &Subject) -> bool {
        !product.white_label && !subject.is_in_program_folder() && self.0.cautions.lingers(&product.vendor_id, subject)
    }

    /// What would break if somebody deleted what a piece of evidence of the product shows.
    pub(crate) fn cautions(&self, product: &Product, evidence: &Evidence) -> Vec<String> {
        let Evidence { kind, name, path, state, .. } = evidence;
        let subject = Subject::new(Some(*kind), [name, "", path], "", state);
        self.0.cautions.texts(&product.vendor_id, &subject).map(str::to_owned).collect()
    }

    fn at(&self, place: RecogniserIndex) -> Option<Recognised<'_>> {
        let product = self.0.products.get(place.product)?;
        product.recognisers.get(place.recogniser).map(|recogniser| Recognised {
            product,
            recogniser,
            strength: recogniser.strength,
            other_vendor: None,
        })
    }

    fn is_never(&self, platform: Platform, subject: &Subject, product: &Product) -> bool {
        self.0.never.iter().any(|never| {
            never.vendor == product.vendor_id
                && !(never.except_white_label && product.white_label)
                && (never.platforms.is_empty() || never.platforms.contains(&platform))
                // A record without a kind may be of any kind, so every exclusion applies to it.
                && (never.kinds.is_empty() || subject.kind.is_none_or(|kind| never.kinds.contains(&kind)))
                && never.tests.holds(subject)
                && never.ids.as_ref().is_none_or(|ids| {
                    ids.fit(subject.texts(Field::Id)) || ids.fit(subject.texts(Field::Key))
                })
                && !never.unless.holds_in_part(subject)
        })
    }

    /// What the state of an observation of this kind means.
    #[must_use]
    pub fn read_state(&self, kind: Option<Kind>, state: &str) -> StateReading {
        self.0.states.read(kind, state)
    }

    /// The products to which a unit or service with this name belongs, and how well the name proves it.
    pub(crate) fn products_of_unit(&self, platform: Platform, unit: &str) -> BTreeMap<&ProductId, Strength> {
        let subject = running_unit(platform, unit);
        let found = self.recognise(platform, &subject);
        let mut products = BTreeMap::new();
        // Other products share a weak name, so a unit with one shows nothing.
        // A driver that outlives its product runs without it.
        let shows = |one: &Recognised<'_>| one.strength > Strength::Weak && !self.lingers(one.product, &subject);
        for one in found.into_iter().filter(shows) {
            let strength = products.entry(&one.product.id).or_insert(one.strength);
            *strength = one.strength.max(*strength);
        }
        products
    }

    /// The presence of the product that a running unit with this name shows.
    pub(crate) fn unit_shows(&self, platform: Platform, unit: &str, product: &ProductId) -> Option<Presence> {
        let subject = running_unit(platform, unit);
        let found = self.recognise(platform, &subject);
        found.into_iter().find(|one| one.product.id == *product).map(|one| one.recogniser.shows)
    }

    /// What the state shows of each sign that this product has on the platform.
    pub(crate) fn signs_seen(&self, product: &Product, platform: Platform, state: &HostState) -> Vec<SignSeen<'_>> {
        let Some(at) = self.0.by_id.get(&product.id).copied() else { return Vec::new() };
        let all_units = state.units_outcome.is_some_and(Outcome::is_complete);
        let all_processes = state.realtime_outcome.is_some_and(Outcome::is_complete);
        let mut seen = Vec::new();
        for (sign, patterns) in self.0.products[at].realtime.iter().zip(&self.0.signs[at]) {
            if sign.platform != platform {
                continue;
            }
            // Several units or places can be one sign, and one that is on is enough.
            let observed = if sign.unit.is_some() {
                let fitting = state.units.iter().filter(|unit: &&UnitState| patterns.fit(&unit_keys(&unit.name)));
                fitting.map(|unit| unit.active).reduce(|a, b| a || b)
            } else {
                let fitting = state.realtime.iter().filter(|one| patterns.fit(&[fold(&one.place)]));
                fitting.filter_map(|one| shown_by(one, state)).reduce(|a, b| a || b)
            };
            // Absence counts only if the agent read all units or processes.
            let read_all = if sign.unit.is_some() { all_units } else { all_processes && sign.is_of_a_process() };
            let on = observed.or(read_all.then_some(false)).filter(|on| *on || sign.refutes);
            seen.push(SignSeen { sign, on, by_absence: observed.is_none() && read_all });
        }
        seen
    }

    /// The signatures in the state that belong to this product.
    pub(crate) fn signatures_of<'s>(
        &self,
        product: &Product,
        platform: Platform,
        state: &'s HostState,
    ) -> Vec<&'s SignatureState> {
        let Some(at) = self.0.by_id.get(&product.id) else { return Vec::new() };
        let mut claimed = Vec::new();
        if !self.0.fresh[*at].iter().any(|(of, _)| *of == platform) {
            return claimed;
        }
        for signature in &state.signatures {
            let place = [fold(&signature.place)];
            if self.0.fresh[*at].iter().any(|(of, patterns)| *of == platform && patterns.fit(&place)) {
                claimed.push(signature);
            }
        }
        claimed
    }

    /// Whether some product is from this vendor, so that an order may name it.
    pub(crate) fn knows_vendor(&self, id: &str) -> bool {
        self.0.products.iter().any(|product| product.vendor_id == id || slug(&product.vendor) == id)
    }
}

/// What a place of real-time evidence shows; `None` if it shows nothing. An extension that is enabled may not run: it protects
/// only while the process with its name does.
fn shown_by(one: &RealtimeEvidence, state: &HostState) -> Option<bool> {
    let Some(extension) = one.place.strip_prefix("sysext:").filter(|_| one.on) else { return Some(one.on) };
    let is_its_process = |other: &&RealtimeEvidence| other.place.strip_prefix("process:") == Some(extension);
    state.realtime.iter().find(is_its_process).filter(|process| process.on).map(|_| true)
}

/// A unit that runs: a job of launchd on macOS, a service elsewhere.
fn running_unit(platform: Platform, unit: &str) -> Subject {
    let kind = if platform == Platform::Macos { Kind::Launchd } else { Kind::Service };
    Subject::new(Some(kind), [unit, "", ""], "", "")
}

fn unit_keys(name: &str) -> Vec<String> {
    Subject::new(Some(Kind::Service), [name, "", ""], "", "").keys
}

fn spell(test: &mut Test, vendors: &BTreeMap<String, Vendor>) {
    let mut spelled = Vec::with_capacity(test.patterns.len());
    for pattern in test.patterns.drain(..) {
        match &pattern {
            Pattern::Exact(text) if text.starts_with('@') => {
                // A vendor without a file is reported when the rules are loaded.
                if let Some(vendor) = vendors.get(text.trim_start_matches('@')) {
                    spelled.extend(vendor.spellings.iter().cloned());
                }
            }
            Pattern::Exact(_) | Pattern::Regex(_) => spelled.push(pattern),
        }
    }
    test.patterns = spelled;
}

/// Whether a sign is strong enough to show that a product protects.
#[must_use]
pub(crate) fn shows_protection(sign: Sign) -> bool {
    sign >= Sign::Strong
}
