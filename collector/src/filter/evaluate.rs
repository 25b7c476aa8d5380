//! Whether a host matches a filter, decided in memory: the meaning that the SQL of a store must have, too.

use muster_proto::model::{Lane, Platform, Presence, ProductId, Protection, Timestamp};

use super::condition::{Choice, Condition, SearchText, SilentMatch, TextMatch, fold_case};
use super::roster::{RosterMatch, RosterState};
use super::time::{Comparison, InstantBound, Span, TimeMatch};
use super::{Filter, Term};

/// What a filter can ask of a host. A text is empty, and an option `None`, if it is unknown or if there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFields<'h> {
    /// The host name.
    pub name: &'h str,
    /// The full name in the DNS.
    pub fqdn: &'h str,
    /// The serial number of the machine.
    pub serial: &'h str,
    /// The number that its owner gave the machine.
    pub asset_tag: &'h str,
    /// IP addresses, and addresses of network cards, as text.
    pub addresses: &'h [String],
    /// Who owns it.
    pub owner: &'h str,
    /// The id of its site.
    pub site: &'h str,
    /// Its labels.
    pub labels: &'h [String],
    /// Its platform.
    pub platform: Option<Platform>,
    /// The name of its operating system.
    pub os: &'h str,
    /// The version of its agent.
    pub agent: &'h str,
    /// How it relates to the roster; `None` without a roster.
    pub roster: Option<RosterState>,
    /// The last check-in, by the collector's clock.
    pub last_seen: Option<Timestamp>,
    /// When it enrolled.
    pub enrolled: Option<Timestamp>,
    /// Whether it is in quarantine.
    pub quarantined: bool,
    /// The host under the order that is meant; `None` if the order does not apply to it, or if none is meant. Where any
    /// order may be meant, ask once for each.
    pub order: Option<OrderFields<'h>>,
}

/// A host under an order that applies to it.
#[derive(Debug, Clone, Copy)]
pub struct OrderFields<'h> {
    /// Its lane with silence and waivers, as the board counts it: `unknown` before the first judgement.
    pub lane: Lane,
    /// Whether it is not finished after the due milestone.
    pub overdue: bool,
    /// Whether it has not reported within the order's patience, whatever its lane is.
    pub silent: bool,
    /// Since when it has been in its lane.
    pub since: Option<Timestamp>,
    /// How a product of the order is present; `None` before the first judgement.
    pub presence: Option<Presence>,
    /// What else protects it; `None` before the first judgement.
    pub protection: Option<Protection>,
    /// The products of the order that were found on it; `None` before the first judgement.
    pub products: Option<&'h [ProductId]>,
    /// Whether a waiver in force covers it.
    pub waived: bool,
}

impl Filter {
    /// Whether a host matches every term.
    #[must_use]
    pub fn matches(&self, host: &HostFields<'_>, now: Timestamp) -> bool {
        self.terms.iter().all(|term| term.matches(host, now))
    }
}

impl Term {
    /// Whether a host matches. Exactly one of a term and its negation matches.
    #[must_use]
    pub fn matches(&self, host: &HostFields<'_>, now: Timestamp) -> bool {
        self.condition.holds(host, now) != self.negated
    }
}

impl Condition {
    /// Whether it holds for a host; not if what it asks is unknown.
    fn holds(&self, host: &HostFields<'_>, now: Timestamp) -> bool {
        let under = host.order;
        match self {
            Self::Order(_) => under.is_some(),
            Self::Lane(values) => choice_holds(values, under.map(|order| order.lane)),
            Self::Overdue(wanted) => under.is_some_and(|order| order.overdue == *wanted),
            Self::Silent(SilentMatch::Yes) => under.is_some_and(|order| order.silent),
            Self::Silent(SilentMatch::No) => under.is_some_and(|order| !order.silent),
            Self::Silent(SilentMatch::For(comparison, span)) => is_silent_for(host, *comparison, *span, now),
            Self::Site(values) => text_holds(values, host.site),
            Self::Label(values) => some_text_holds(values, host.labels),
            Self::Owner(values) => text_holds(values, host.owner),
            Self::Platform(values) => choice_holds(values, host.platform),
            Self::Os(values) => text_holds(values, host.os),
            Self::Name(values) => text_holds(values, host.name),
            Self::Serial(values) => text_holds(values, host.serial),
            Self::Roster(values) => host.roster.is_some_and(|state| roster_holds(values, state)),
            Self::Product(values) => {
                let products = under.and_then(|order| order.products);
                products.is_some_and(|products| product_holds(values, products))
            }
            Self::Presence(values) => choice_holds(values, under.and_then(|order| order.presence)),
            Self::Protection(values) => choice_holds(values, under.and_then(|order| order.protection)),
            Self::Agent(values) => text_holds(values, host.agent),
            Self::LastSeen(values) => time_holds(values, host.last_seen, now),
            Self::Since(values) => time_holds(values, under.and_then(|order| order.since), now),
            Self::Enrolled(values) => time_holds(values, host.enrolled, now),
            Self::Waiver(wanted) => under.is_some_and(|order| order.waived == *wanted),
            Self::Quarantined(wanted) => host.quarantined == *wanted,
            Self::Search(values) => search_holds(values, host),
        }
    }
}

fn is_silent_for(host: &HostFields<'_>, comparison: Comparison, span: Span, now: Timestamp) -> bool {
    match host.last_seen.or(host.enrolled) {
        Some(since) => InstantBound::ago(comparison, span, now).holds(since),
        None => matches!(comparison, Comparison::More | Comparison::AtLeast),
    }
}

fn choice_holds<T: Copy + PartialEq>(values: &[Choice<T>], known: Option<T>) -> bool {
    values.iter().any(|value| match value {
        Choice::Is(member) => known == Some(*member),
        Choice::Any => known.is_some(),
        Choice::None => known.is_none(),
    })
}

fn roster_holds(values: &[RosterMatch], state: RosterState) -> bool {
    values.iter().any(|value| value.includes(state))
}

fn time_holds(values: &[TimeMatch], at: Option<Timestamp>, now: Timestamp) -> bool {
    values.iter().any(|value| value.holds(at, now))
}

fn text_holds(values: &[TextMatch], text: &str) -> bool {
    let text = fold_case(text);
    values.iter().any(|value| match value {
        TextMatch::Is(wanted) => text == *wanted,
        TextMatch::StartsWith(beginning) => text.starts_with(beginning),
        TextMatch::Any => !text.is_empty(),
        TextMatch::None => text.is_empty(),
    })
}

fn some_text_holds(values: &[TextMatch], texts: &[String]) -> bool {
    if texts.is_empty() {
        return text_holds(values, "");
    }
    texts.iter().any(|text| text_holds(values, text))
}

fn product_holds(values: &[TextMatch], products: &[ProductId]) -> bool {
    if products.is_empty() {
        return text_holds(values, "");
    }
    products.iter().any(|product| text_holds(values, product.as_str()))
}

fn search_holds(values: &[SearchText], host: &HostFields<'_>) -> bool {
    let fields = [host.name, host.serial, host.fqdn, host.asset_tag, host.owner];
    let fields = fields.into_iter().chain(host.addresses.iter().map(String::as_str));
    fields.map(fold_case).any(|field| {
        values.iter().any(|value| match value {
            SearchText::Contains(text) => field.contains(text),
            SearchText::StartsWith(text) => field.starts_with(text),
        })
    })
}
