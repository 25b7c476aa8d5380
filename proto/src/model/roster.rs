//! The roster: the machines that should answer, from the lists of an organisation. It is what every percentage is a part of.

use super::closed_list::closed_list;
use super::{HostId, IdentifierKind, Platform, RosterRow, SiteId, Timestamp};

closed_list! {
    /// What is known of an entry of the roster.
    EntryState {
        /// A host is the machine.
        Matched = 1, "matched";
        /// No host is the machine.
        Missing = 2, "missing";
        /// No host is known to be the machine, but some may be: a person decides.
        Review = 3, "review";
        /// A person said why no host has to be the machine.
        Excused = 4, "excused";
        /// No list has it any more.
        Closed = 5, "closed";
    }
}

impl EntryState {
    /// Whether the machine should answer, so that it counts.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Matched | Self::Missing | Self::Review)
    }

    /// Whether the machine should answer and no host is known to be it.
    #[must_use]
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::Missing | Self::Review)
    }
}

closed_list! {
    /// How an entry and a host were matched.
    MatchBasis {
        /// They are not matched.
        None = 0, "none";
        /// By a serial number or hardware UUID that nobody else has.
        Certain = 1, "certain";
        /// By two of full name, name, and address.
        Probable = 2, "probable";
        /// By a person.
        ByHand = 3, "by-hand";
    }
}

closed_list! {
    /// Why a host that may be the machine of an entry was not matched with it.
    CandidateReason {
        /// Only one identifier agrees, and other machines can have the same.
        OneIdentifier = 1, "one-identifier";
        /// Several hosts agree equally well.
        Several = 2, "several";
        /// A serial number or hardware UUID differs.
        Contradiction = 3, "contradiction";
        /// The host is matched with another entry.
        Taken = 4, "taken";
        /// It has the serial number or hardware UUID of the host that is matched, and was seen before it: the machine was probably
        /// installed anew.
        Reimaged = 5, "reimaged";
        /// Several entries agree equally well.
        SeveralEntries = 6, "several-entries";
    }
}

/// A host that may be the machine of an entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CandidateReport {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// The kinds of identifiers that agree.
    pub agreeing: Vec<IdentifierKind>,
    /// Why it was not matched.
    pub why: CandidateReason,
}

/// What one list says of an entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RecordReport {
    /// The name of the source.
    pub source: String,
    /// The row of its list.
    pub row: RosterRow,
    /// Since when the list no longer has it.
    pub closed: Option<Timestamp>,
}

/// An entry of the roster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EntryReport {
    /// Its number, by which people name it.
    pub number: u64,
    /// The name of the machine, or its first identifier if no list has a name.
    pub name: String,
    /// Its site, if a list says it; of a matched entry, that of its host.
    pub site: Option<SiteId>,
    /// Its platform, if a list says it.
    pub platform: Option<Platform>,
    /// What is known of it.
    pub state: EntryState,
    /// Since when.
    pub since: Timestamp,
    /// When a list had it first.
    pub listed: Timestamp,
    /// The host that is the machine.
    pub host: Option<HostId>,
    /// The name of the host.
    pub hostname: String,
    /// How they were matched.
    pub basis: MatchBasis,
    /// Why a person excused it.
    pub note: String,
    /// What each list says of it.
    pub records: Vec<RecordReport>,
    /// Hosts that may be the machine.
    pub candidates: Vec<CandidateReport>,
}

/// A list of machines.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RosterSourceReport {
    /// Its name.
    pub name: String,
    /// When it was last imported.
    pub imported: Timestamp,
    /// Rows that its last import had.
    pub records: u64,
    /// Those of them without a host.
    pub missing: u64,
}

/// What an import does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ImportCounts {
    /// Rows that the source did not have before.
    pub added: u64,
    /// Rows that differ from before.
    pub changed: u64,
    /// Rows as before.
    pub unchanged: u64,
    /// Rows that the source had before and no longer has.
    pub absent: u64,
}

/// The answer to an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ImportReport {
    /// The name of the source.
    pub source: String,
    /// Whether nothing was changed, because it was only asked what would change.
    pub dry_run: bool,
    /// What the import changes of the source.
    pub counts: ImportCounts,
    /// Names of the first rows of each kind: added, changed, absent; at most 20 each.
    pub examples: ImportExamples,
    /// What the entries of the roster are after it, as far as they are matched at this moment. Those before it, for a dry run.
    pub roster: RosterCounts,
}

/// Names of rows that an import changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ImportExamples {
    /// Added.
    pub added: Vec<String>,
    /// Changed.
    pub changed: Vec<String>,
    /// Absent.
    pub absent: Vec<String>,
}

/// How many entries of the roster are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct RosterCounts {
    /// Entries whose machines should answer.
    pub listed: u64,
    /// Those of them with a host.
    pub matched: u64,
    /// Those of them without a host, with those to review.
    pub missing: u64,
    /// Those of the missing ones for which a host is proposed.
    pub review: u64,
    /// Entries that a person excused, which do not count.
    pub excused: u64,
    /// Hosts that no entry is matched with.
    pub outside: u64,
}
