//! The keys of the filter language, and what each takes.

use std::fmt;

use muster_proto::model::{Lane, Platform, Presence, Protection};

/// A key: what a term asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilterKey {
    /// The order under which the other keys are meant: one id.
    Order,
    /// The lane under the order.
    Lane,
    /// Whether the host is overdue under the order: `yes` or `no`.
    Overdue,
    /// Whether the host is silent under the order (`yes`, `no`), or for how long it has not reported.
    Silent,
    /// The site: its id.
    Site,
    /// The labels of the host.
    Label,
    /// The owner, as text.
    Owner,
    /// The platform.
    Platform,
    /// The name of the operating system, as text.
    Os,
    /// The host name, as text.
    Name,
    /// The serial number, as text.
    Serial,
    /// How the host relates to the roster.
    Roster,
    /// Products of the order that were found on the host: ids of the catalogue.
    Product,
    /// How a product of the order is present.
    Presence,
    /// What else protects the host, by the order.
    Protection,
    /// The version of the agent, as text.
    Agent,
    /// When the host last checked in.
    LastSeen,
    /// Since when the host has been in its lane under the order.
    Since,
    /// When the host enrolled.
    Enrolled,
    /// Whether a waiver in force covers the host under the order: `yes` or `no`.
    Waiver,
    /// Whether the host is in quarantine: `yes` or `no`.
    Quarantined,
}

impl FilterKey {
    /// Every key, in the order in which they are listed.
    pub const ALL: &[Self] = &[
        Self::Order,
        Self::Lane,
        Self::Overdue,
        Self::Silent,
        Self::Site,
        Self::Label,
        Self::Owner,
        Self::Platform,
        Self::Os,
        Self::Name,
        Self::Serial,
        Self::Roster,
        Self::Product,
        Self::Presence,
        Self::Protection,
        Self::Agent,
        Self::LastSeen,
        Self::Since,
        Self::Enrolled,
        Self::Waiver,
        Self::Quarantined,
    ];

    /// Its spelling in a filter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Lane => "lane",
            Self::Overdue => "overdue",
            Self::Silent => "silent",
            Self::Site => "site",
            Self::Label => "label",
            Self::Owner => "owner",
            Self::Platform => "platform",
            Self::Os => "os",
            Self::Name => "name",
            Self::Serial => "serial",
            Self::Roster => "roster",
            Self::Product => "product",
            Self::Presence => "presence",
            Self::Protection => "protection",
            Self::Agent => "agent",
            Self::LastSeen => "last-seen",
            Self::Since => "since",
            Self::Enrolled => "enrolled",
            Self::Waiver => "waiver",
            Self::Quarantined => "quarantined",
        }
    }

    /// The key with this name, without regard to the case of ASCII letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name().eq_ignore_ascii_case(name))
    }

    /// The values that it takes, for help and advice: `yes or no`.
    #[must_use]
    pub fn takes(self) -> String {
        const TIME: &str = ">7d (more than 7 days ago), <7d (less than 7 days ago), <2026-10-01 (before that day in \
                            UTC), an RFC 3339 time after < or >, any or none";
        match self {
            Self::Order => "one order id".to_owned(),
            Self::Overdue | Self::Waiver | Self::Quarantined => "yes or no".to_owned(),
            Self::Silent => "yes or no; or >7d: no report for more than 7 days".to_owned(),
            Self::Lane => listed(Lane::ALL.iter().map(|lane| lane.name()).chain(["any", "none"])),
            Self::Platform => listed(Platform::ALL.iter().map(|platform| platform.name()).chain(["any", "none"])),
            Self::Presence => listed(Presence::ALL.iter().map(|presence| presence.name()).chain(["any"])),
            Self::Protection => listed(Protection::ALL.iter().map(|protection| protection.name()).chain(["any"])),
            // Entries that are missing or excused have no host that a list could show.
            Self::Roster => listed(["matched", "outside", "review", "yes", "no"].into_iter()),
            Self::Site => "site ids, prefixes such as lab*, any or none".to_owned(),
            Self::Label => "labels, prefixes such as wave-*, any or none".to_owned(),
            Self::Product => "product ids, prefixes such as kaspersky-*, any or none".to_owned(),
            Self::Agent => "agent versions, prefixes such as 1.4*, any or none".to_owned(),
            Self::Owner | Self::Os | Self::Name | Self::Serial => {
                "exact texts, prefixes such as web*, any or none".to_owned()
            }
            Self::LastSeen | Self::Since | Self::Enrolled => TIME.to_owned(),
        }
    }
}

impl fmt::Display for FilterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// `a, b or c`.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<&str> = names.collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last.to_owned() } else { format!("{} or {last}", names.join(", ")) }
}
