//! The types of the domain, used by every module of agent and collector. They know nothing of protobuf.

mod account;
mod attestation;
mod budget;
mod bulk;
mod cause;
mod clean;
mod closed_list;
mod disposition;
mod duty;
mod hidden;
mod host;
mod host_mark;
mod identifier;
mod identity;
mod ids;
mod ledger;
mod observation;
mod order;
mod order_change;
mod pace;
mod past;
mod report;
mod resources;
mod role;
mod roster;
mod roster_field;
mod roster_row;
mod roster_spelling;
mod section;
mod snapshot;
mod sort;
mod source;
mod states;
mod timeline;
mod timestamp;
mod token;
mod verdict;
mod waiver;
mod watchlist;

pub use account::{AccountReport, AccountTokenReport, Holder};
pub use attestation::{AttestationRow, StoredAttestation};
pub use budget::Budget;
pub use bulk::{BulkKind, BulkReport, HostLabel, HostNote, HostOwner, Label};
pub use cause::Cause;
pub use clean::clean_text;
pub(crate) use clean::{is_clean_text, is_visible_text};
pub use closed_list::UnknownName;
pub use disposition::{
    DecisionReport, DisposedHost, DispositionKind, DispositionReport, DispositionState, RetirementReport,
};
pub use duty::{DutyEvidence, DutyReport, DutyState, DutySubject, InvalidSubject};
pub use hidden::is_hidden;
pub use host::{HostFacts, HostState, Losses, RealtimeEvidence, SignatureState, UnitState, UserItem, UserScope};
pub use host_mark::{HoldersSign, HostActionKind, HostMark, MarkReport};
pub use identifier::{Identifier, IdentifierKind};
pub use identity::{IdentityScope, MachineIdentity};
pub use ids::{
    AccountId, AccountName, Digest, HostId, InvalidId, KeyFingerprint, OrderId, ProductId, RunId, SiteId, TokenId,
};
pub use ledger::{EntryKind, LedgerEntry};
pub use observation::{Kind, Observation, ObservationState};
pub use order::{Binding, MilestoneKind, Precision};
pub use order_change::{LaneMove, LaneMoves, OrderDifference, OrderFile, OrderFilesReport, OrdersChangeReport};
pub use pace::{Pace, RefusalClass};
pub use past::{PastAssessment, PastDecision, PastGap, PastHost, PastHostReport, PastSnapshot, PastVerdict};
pub use report::{
    Board, BoardCounts, ChangeRow, ChangesReport, CollectorStatus, Explanation, Finding, HitReport, HostActionReport,
    HostCandidate, HostName, HostReport, HostRow, LaneChange, MilestoneReport, OrderReport, ProductReport, PurgeCounts,
    RulesRefused, SoftwareCount, SoftwareEdition, SoftwareHost, SoftwareReport, SourceReport, StoreRefuses, TermReport,
    TokenReport, TokenStatus, UnprotectedTime, VerdictReport,
};
pub use resources::{ListenerUse, OperatorsCertificate, Resources, StoreUse};
pub use role::Role;
pub use roster::{
    CandidateReason, CandidateReport, EntryReport, EntryState, ImportCounts, ImportExamples, ImportReport, MatchBasis,
    RecordReport, RosterCounts, RosterSourceReport,
};
pub use roster_field::RosterField;
pub use roster_row::RosterRow;
pub use roster_spelling::RosterRowFault;
pub use section::Section;
pub use snapshot::{Snapshot, SnapshotEntry};
pub use sort::{ChangesSort, FindingsSort, HostsSort};
pub use source::{Outcome, Platform, SourceName};
pub use states::{DPKG_REINSTALL, DPKG_STATUS, DPKG_WANTED, ReportedState, SYSTEM_EXTENSION, agent_states};
pub use timeline::{
    DayCounts, ForecastReport, ForecastState, LaneStep, OmittedDays, PastUnknown, RateForecast, TimelineBy,
    TimelineDay, TimelineGroup, TimelineReport,
};
pub use timestamp::Timestamp;
pub use token::{CaPin, EnrollmentToken, Token, TokenError, TokenSecret};
pub use verdict::{
    Assessment, Evidence, Lane, Presence, ProductSeen, Protection, Reason, ReasonKind, Verdict, advice_line, is_silent,
};
pub use waiver::{ApprovalRule, WaiverReason, WaiverReport, WaiverState};
pub use watchlist::Watchlist;
