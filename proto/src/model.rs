//! The words of the domain: plain types without prost, shared by every room of agent and collector.

mod closed_list;
mod host;
mod ids;
mod look;
mod observation;
mod pace;
mod report;
mod section;
mod source;
mod timestamp;
mod verdict;
mod watchlist;

pub use closed_list::UnknownName;
pub use host::{HostFacts, HostState, Losses, RealtimeEvidence, SignatureState, UnitState, UserItem, UserScope};
pub use ids::{Digest, HostId, InvalidId, OrderId, ProductId, RunId, SiteId, TokenId};
pub use look::{Look, LookEntry};
pub use observation::{Kind, Observation, ObservationState};
pub use pace::{Pace, RefusalClass};
pub use report::{
    Board, BoardCounts, CollectorStatus, Explanation, Finding, HitReport, HostReport, HostRow, OrderReport,
    ProductReport, RulesRefused, SoftwareCount, SoftwareEdition, SoftwareHost, SoftwareReport, SourceReport,
    StandingReport, TokenReport,
};
pub use section::Section;
pub use source::{Outcome, Platform, SourceName};
pub use timestamp::Timestamp;
pub use verdict::{Assessment, Evidence, Lane, Presence, Protection, Reason, Verdict};
pub use watchlist::Watchlist;
