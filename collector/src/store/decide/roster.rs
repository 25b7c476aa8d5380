//! Which host is the machine of an entry of the roster.
//!
//! A serial number or hardware UUID that nobody else has is certain. Two of full name, name and address are probable. Everything
//! else is for a person to decide. A match by hand is never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_proto::model::{CandidateReason, Identifier, IdentifierKind, MatchBasis, Timestamp};

/// A host that has an identifier of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostSeen {
    pub(crate) no: i64,
    /// All its identifiers.
    pub(crate) identifiers: BTreeSet<Identifier>,
    pub(crate) last_seen: Timestamp,
    pub(crate) enrolled_at: Timestamp,
    /// The entry that it is matched with, and how.
    pub(crate) matched: Option<(i64, MatchBasis)>,
    /// Whether a person took it apart from this entry.
    pub(crate) is_apart: bool,
}

/// An entry, with what its identifiers are shared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntrySeen {
    pub(crate) no: i64,
    /// Its identifiers, without those that identify no machine.
    pub(crate) identifiers: BTreeSet<Identifier>,
    /// The identifiers that other open entries have too.
    pub(crate) shared: BTreeSet<Identifier>,
}

/// A host that a person is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) host: i64,
    pub(crate) agreeing: BTreeSet<IdentifierKind>,
    pub(crate) why: CandidateReason,
}

/// Which host is the machine of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Matching {
    /// The host, and how it was found.
    pub(crate) host: Option<(i64, MatchBasis)>,
    /// Hosts that a person is asked about; those with more agreeing identifiers come first.
    pub(crate) candidates: Vec<Candidate>,
}

/// "Last seen" may be written so much later.
const LAG: Duration = Duration::from_secs(5);

/// How many hosts a person is asked about.
const CANDIDATES: usize = 5;

/// The host that is the machine of an entry, or those that may be.
pub(crate) fn matching(entry: &EntrySeen, hosts: &[HostSeen]) -> Matching {
    let weighed: Vec<Weighed<'_>> =
        hosts.iter().filter(|host| !host.is_apart).map(|host| Weighed::of(entry, host)).collect();
    let free = |weighed: &&Weighed<'_>| weighed.host.matched.is_none_or(|(other, _)| other == entry.no);
    // A probable match with another entry gives way to a certain one.
    let gives_way = |weighed: &&Weighed<'_>| {
        free(weighed) || weighed.host.matched.is_some_and(|(_, basis)| basis == MatchBasis::Probable)
    };
    let certain: Vec<&Weighed<'_>> = weighed.iter().filter(|host| host.is_certain).filter(gives_way).collect();
    // Of several hosts with one serial number, the machine is the one that was seen last: it was installed anew. If a host still
    // reported when the other one enrolled, one of them has the number of another machine, and a person decides.
    let current = certain.iter().find(|weighed| weighed.host.matched.is_some_and(|(other, _)| other == entry.no));
    if let Some(current) = current {
        let came_later = |other: &&&Weighed<'_>| current.host.last_seen.plus(LAG) < other.host.enrolled_at;
        if !certain.iter().any(|other| came_later(&other)) {
            let others = certain.iter().filter(|other| other.host.no != current.host.no);
            let several = others.map(|other| other.candidate(CandidateReason::Several)).collect();
            return Matching { host: Some((current.host.no, MatchBasis::Certain)), candidates: first(several) };
        }
    }
    if let Some(newest) = certain.iter().max_by_key(|weighed| (weighed.host.last_seen, weighed.host.no)) {
        let others = certain.iter().filter(|other| other.host.no != newest.host.no);
        let reimaged = others.map(|other| other.candidate(CandidateReason::Reimaged)).collect();
        return Matching { host: Some((newest.host.no, MatchBasis::Certain)), candidates: first(reimaged) };
    }
    let probable: Vec<&Weighed<'_>> = weighed.iter().filter(|host| host.is_probable()).filter(free).collect();
    if let [only] = probable.as_slice() {
        return Matching { host: Some((only.host.no, MatchBasis::Probable)), candidates: Vec::new() };
    }
    let several = probable.len() > 1;
    let candidates = weighed.iter().map(|weighed| {
        let why = match weighed {
            Weighed { contradicts: true, .. } => CandidateReason::Contradiction,
            taken if !free(&taken) => CandidateReason::Taken,
            probable if probable.is_probable() && several => CandidateReason::Several,
            Weighed { is_shared: true, .. } => CandidateReason::SeveralEntries,
            _ => CandidateReason::OneIdentifier,
        };
        weighed.candidate(why)
    });
    Matching { host: None, candidates: first(candidates.collect()) }
}

fn first(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_key(|candidate| (std::cmp::Reverse(candidate.agreeing.len()), candidate.host));
    candidates.truncate(CANDIDATES);
    candidates
}

/// How a host agrees with an entry.
struct Weighed<'h> {
    host: &'h HostSeen,
    agreeing: BTreeSet<IdentifierKind>,
    /// Whether a serial number or hardware UUID agrees that no other entry has, and none differs.
    is_certain: bool,
    /// Whether a serial number or hardware UUID differs.
    contradicts: bool,
    /// Whether what agrees belongs to other entries too.
    is_shared: bool,
}

impl<'h> Weighed<'h> {
    fn of(entry: &EntrySeen, host: &'h HostSeen) -> Self {
        let agrees = |identifier: &&Identifier| {
            let swapped = identifier.swapped();
            host.identifiers.contains(*identifier) || swapped.is_some_and(|swapped| host.identifiers.contains(&swapped))
        };
        let same: Vec<&Identifier> = entry.identifiers.iter().filter(agrees).collect();
        let (shared, own): (Vec<&Identifier>, Vec<&Identifier>) =
            same.iter().partition(|identifier| entry.shared.contains(**identifier));
        let of_kind = |all: &BTreeSet<Identifier>, kind| all.iter().any(|one| one.kind == kind);
        let agreeing: BTreeSet<IdentifierKind> = same.iter().map(|identifier| identifier.kind).collect();
        let differs = |kind: &&IdentifierKind| {
            kind.is_certain()
                && !agreeing.contains(*kind)
                && of_kind(&entry.identifiers, **kind)
                && of_kind(&host.identifiers, **kind)
        };
        // A new board in an old case has the UUID of the board: one of the two that agrees outweighs the other.
        let is_certain = own.iter().any(|identifier| identifier.kind.is_certain());
        let contradicts = !is_certain && IdentifierKind::ALL.iter().any(|kind| differs(&kind));
        Self { host, is_certain, contradicts, is_shared: own.is_empty() && !shared.is_empty(), agreeing }
    }

    /// Whether two of full name, name and address agree, and nothing speaks against it.
    fn is_probable(&self) -> bool {
        let weak = self
            .agreeing
            .iter()
            .filter(|kind| matches!(kind, IdentifierKind::Fqdn | IdentifierKind::Name | IdentifierKind::Mac));
        weak.count() >= 2 && !self.contradicts && !self.is_shared
    }

    fn candidate(&self, why: CandidateReason) -> Candidate {
        Candidate { host: self.host.no, agreeing: self.agreeing.clone(), why }
    }
}

/// An open entry that a row of another source may be about, with what its records say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EntryKnown {
    pub(crate) identifiers: BTreeSet<Identifier>,
    /// Whether the source of the row has a record of it already.
    pub(crate) has_source: bool,
}

/// The entry that a new row of a source is about; `None` if it is a machine that no list has yet. Two lists of one organisation mean the
/// same machine where they agree about a serial number, UUID or object id, or about the full name or the name and neither serial number nor
/// UUID differs.
pub(crate) fn entry_of(identifiers: &BTreeSet<Identifier>, known: &BTreeMap<i64, EntryKnown>) -> Option<i64> {
    let agrees = |entry: &EntryKnown, kind: IdentifierKind| {
        let mut same = identifiers
            .iter()
            .filter(|one| one.kind == kind)
            .flat_map(|one| std::iter::once(one.clone()).chain(one.swapped()));
        same.any(|one| entry.identifiers.contains(&one))
    };
    // Names alone mean the same machine only where no serial number, UUID or full name differs.
    let differs = |entry: &EntryKnown| {
        let of_kind = |all: &BTreeSet<Identifier>, kind| all.iter().any(|one| one.kind == kind);
        IdentifierKind::ALL
            .iter()
            .filter(|kind| kind.is_certain() || **kind == IdentifierKind::Fqdn)
            .any(|kind| of_kind(identifiers, *kind) && of_kind(&entry.identifiers, *kind) && !agrees(entry, *kind))
    };
    let by = |kind: IdentifierKind| {
        let is_strong = kind.is_certain() || kind == IdentifierKind::EntraObjectId;
        let mut meant = known.iter().filter(|(_, entry)| agrees(entry, kind) && (is_strong || !differs(entry)));
        let (no, entry) = meant.next()?;
        // Several machines with it, of this list too, are no answer.
        Some(*no).filter(|_| meant.next().is_none() && !entry.has_source)
    };
    by(IdentifierKind::EntraObjectId)
        .or_else(|| by(IdentifierKind::HardwareUuid))
        .or_else(|| by(IdentifierKind::Serial))
        .or_else(|| by(IdentifierKind::Fqdn))
        .or_else(|| by(IdentifierKind::Name))
}

#[cfg(test)]
mod tests;
