//! Values that rule files spell by name: closed lists of the model, and those of the rules.

use muster_proto::model::{
    Binding, IdentifierKind, Kind, Lane, MilestoneKind, Outcome, Platform, Precision, Presence, Protection, SourceName,
};

/// A value of a closed list.
pub(crate) trait NamedValue: Copy + 'static {
    /// All values.
    const VALUES: &'static [Self];

    /// The name of this value in rule files.
    fn spelling(self) -> &'static str;

    /// The value with this name.
    fn with_name(name: &str) -> Option<Self> {
        Self::VALUES.iter().copied().find(|value| value.spelling() == name)
    }
}

macro_rules! closed_lists_of_the_model {
    ($($list:ty),+) => {$(
        impl NamedValue for $list {
            const VALUES: &'static [Self] = Self::ALL;
            fn spelling(self) -> &'static str { self.name() }
        }
    )+};
}

closed_lists_of_the_model!(
    Binding,
    IdentifierKind,
    Kind,
    Lane,
    MilestoneKind,
    Outcome,
    Platform,
    Precision,
    Presence,
    Protection,
    SourceName
);
