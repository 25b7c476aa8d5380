//! How a host relates to the roster, and what a filter asks about it.

use std::fmt;

/// A value of `roster`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RosterMatch {
    /// In this state.
    State(RosterState),
    /// On the roster: `matched`, `missing` or `excused`.
    Yes,
    /// Not on the roster: `outside`.
    No,
}

impl RosterMatch {
    /// Whether it means hosts in a state. `review` is neither on the roster nor outside: a person must decide it.
    #[must_use]
    pub fn includes(self, state: RosterState) -> bool {
        match self {
            Self::State(wanted) => wanted == state,
            Self::Yes => matches!(state, RosterState::Matched | RosterState::Missing | RosterState::Excused),
            Self::No => state == RosterState::Outside,
        }
    }
}

/// How a host relates to the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RosterState {
    /// A host with an agent that is on the roster.
    Matched,
    /// A host with an agent that is not on the roster.
    Outside,
    /// An entry of the roster that has never reported.
    Missing,
    /// An entry of the roster that need not report.
    Excused,
    /// It is uncertain which entry and which host belong together.
    Review,
}

impl RosterState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Matched, Self::Outside, Self::Missing, Self::Excused, Self::Review];

    /// Its spelling in a filter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Outside => "outside",
            Self::Missing => "missing",
            Self::Excused => "excused",
            Self::Review => "review",
        }
    }
}

impl fmt::Display for RosterMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State(state) => state.name(),
            Self::Yes => "yes",
            Self::No => "no",
        })
    }
}
