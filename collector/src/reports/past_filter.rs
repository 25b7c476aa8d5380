//! A filter about hosts as they were: which of its terms can be answered of the past, and whether a host of then matches.

use muster_proto::model::{OrderId, PastVerdict, Timestamp};

use super::ReportError;
use crate::filter::{Condition, Filter, FilterKey, HostFields, OrderFields, RosterMatch, RosterState, SilentMatch};
use crate::store::admin::past::portion::HostThen;

/// A filter of which every term can be answered of the past.
#[derive(Debug, Clone)]
pub(super) struct PastFilter {
    filter: Filter,
    at: Timestamp,
}

impl PastFilter {
    /// The filter, meant at an instant.
    ///
    /// # Errors
    /// A term asks what is not kept of the past.
    pub(super) fn new(filter: Filter, at: Timestamp) -> Result<Self, ReportError> {
        match filter.terms().iter().find_map(|term| not_kept(&term.condition)) {
            Some((asked, instead)) => Err(ReportError::NotOfThePast { asked, instead }),
            None => Ok(Self { filter, at }),
        }
    }

    /// Whether it asks for owners, or for machines of the roster.
    pub(super) fn needs_said(&self) -> bool {
        let is_said = |condition: &Condition| matches!(condition, Condition::Owner(_) | Condition::Roster(_));
        self.filter.terms().iter().any(|term| is_said(&term.condition))
    }

    /// Whether it asks about hosts under an order.
    pub(super) fn needs_order(&self) -> bool {
        self.filter.needs_order()
    }

    /// Whether a host matches, under an order if there is a verdict.
    pub(super) fn matches(&self, host: &HostThen, verdict: Option<&PastVerdict>) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let labels: Vec<String> = host.labels.iter().map(ToString::to_string).collect();
        let past = host.past(-1);
        let under = |verdict: &PastVerdict| OrderFields {
            lane: verdict.lane,
            overdue: verdict.overdue,
            silent: verdict.silent,
            since: Some(verdict.since),
            presence: None,
            protection: None,
            products: None,
            waived: self.is_waived(host, &verdict.order),
        };
        let fields = HostFields {
            name: &host.hostname,
            owner: &host.owner,
            site: host.site.as_str(),
            labels: &labels,
            platform: Some(host.platform),
            os: &host.os_name,
            roster: host.entry.map(|_| RosterState::Matched),
            enrolled: Some(past.enrolled_at),
            order: verdict.filter(|verdict| verdict.in_scope).map(under),
            ..HostFields::default()
        };
        self.filter.matches(&fields, self.at)
    }

    /// Whether a waiver was in force, also if a disposition came before it.
    fn is_waived(&self, host: &HostThen, order: &OrderId) -> bool {
        host.past(-1).decisions.waivers.iter().any(|term| term.order == *order && term.is_in_force(self.at))
    }
}

/// What a term asks that is not kept, and what to do instead.
fn not_kept(condition: &Condition) -> Option<(String, &'static str)> {
    let instead = match condition {
        Condition::Roster(values) => {
            let is_kept =
                |value: &RosterMatch| matches!(value, RosterMatch::State(RosterState::Matched) | RosterMatch::Yes);
            if values.iter().all(is_kept) {
                return None;
            }
            return Some((
                "which hosts were to be reviewed".to_owned(),
                "`roster:matched` and `-roster:matched` are known of the past",
            ));
        }
        Condition::Silent(SilentMatch::For(..)) | Condition::LastSeen(_) => {
            "the last check-in is known only of hosts that were silent: use `silent:yes`"
        }
        Condition::Product(_) | Condition::Presence(_) | Condition::Protection(_) => {
            "use `lane:`; `muster explain HOST --as-of` judges the snapshot of one host again"
        }
        Condition::Serial(_) => "use `name:`, or find the host without --as-of",
        Condition::Agent(_) | Condition::Quarantined(_) => "ask it without --as-of",
        Condition::Search(_) => return Some(("text without a key".to_owned(), "write `name:` before it")),
        Condition::Order(_)
        | Condition::Lane(_)
        | Condition::Overdue(_)
        | Condition::Silent(SilentMatch::Yes | SilentMatch::No)
        | Condition::Site(_)
        | Condition::Label(_)
        | Condition::Owner(_)
        | Condition::Platform(_)
        | Condition::Os(_)
        | Condition::Name(_)
        | Condition::Since(_)
        | Condition::Enrolled(_)
        | Condition::Waiver(_) => return None,
    };
    let key = condition.key().map_or("", FilterKey::name);
    Some((format!("the filter key \"{key}\""), instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        let filter = Filter::parse(text).expect("a filter");
        PastFilter::new(filter, Timestamp::default()).err().map(|error| error.to_string())
    }

    #[test]
    fn what_is_not_kept_of_the_past_is_refused_by_name_with_what_to_do_instead() {
        let kept = "order:a lane:done,clear overdue:yes silent:no site:hq label:vip owner:jane* platform:linux os:debian* name:web* \
                    roster:matched -roster:yes since:>7d enrolled:<2026-01-01 waiver:no";
        assert_eq!(refused(kept), None);
        for (text, asked, instead) in [
            ("serial:x", "the filter key \"serial\"", "`name:`"),
            ("-product:kesl", "the filter key \"product\"", "muster explain HOST --as-of"),
            ("presence:active", "the filter key \"presence\"", "muster explain HOST --as-of"),
            ("protection:none", "the filter key \"protection\"", "muster explain HOST --as-of"),
            ("agent:1*", "the filter key \"agent\"", "without --as-of"),
            ("quarantined:yes", "the filter key \"quarantined\"", "without --as-of"),
            ("last-seen:>7d", "the filter key \"last-seen\"", "`silent:yes`"),
            ("silent:>7d", "the filter key \"silent\"", "`silent:yes`"),
            ("roster:outside", "which hosts were to be reviewed", "`-roster:matched`"),
            ("name:web web", "text without a key", "`name:`"),
        ] {
            let said = refused(text).expect("refused");
            assert!(said.starts_with(asked) && said.contains(instead), "{text}: {said}");
        }
        // A new key must be decided here: each is either kept or refused above.
        let named: Vec<FilterKey> =
            FilterKey::ALL.iter().copied().filter(|key| !kept.contains(&format!("{}:", key.name()))).collect();
        assert_eq!(named.len(), 7, "{named:?}");
    }
}
