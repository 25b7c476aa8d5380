//! The judge's answers: an assessment of a snapshot, and a verdict on a host at an instant.

use std::fmt;

use super::closed_list::closed_list;
use super::{Kind, OrderId, Outcome, Platform, ProductId, SourceName, Timestamp};

closed_list! {
    /// How an order's product is present in a snapshot.
    Presence {
        /// Installed and running.
        Active = 1, "active";
        /// Installed.
        Installed = 2, "installed";
        /// Only the vendor's management agent or console is there.
        ManagementOnly = 3, "management-only";
        /// The vendor's code inside another vendor's product.
        Embedded = 4, "embedded";
        /// Left behind by a removal: a package in state `rc`, an orphaned service, a bare folder.
        Remnant = 5, "remnant";
        /// Weak evidence that does not prove the product by itself.
        Suspect = 6, "suspect";
        /// Every required source was read completely, and the product was not found.
        None = 7, "none";
        /// Sources that the order needs were not read completely.
        Unknown = 8, "unknown";
    }
}

closed_list! {
    /// What else protects the host.
    Protection {
        /// An accepted product is active, with evidence.
        Approved = 1, "approved";
        /// A security product is installed, but it does not protect: it is off, or its signatures are out of date.
        Unapproved = 2, "unapproved";
        /// No accepted product is installed.
        None = 3, "none";
        /// The sources do not show whether an accepted product is active.
        Unknown = 4, "unknown";
        /// The order requires none on this platform.
        NotRequired = 5, "not-required";
    }
}

closed_list! {
    /// The one remediation state of a host under an order. The judge checks lanes in the order of their codes; the first
    /// that applies is the host's.
    Lane {
        /// A disposition is recorded.
        Retired = 1, "retired";
        /// A waiver in force covers it.
        Waived = 2, "waived";
        /// On the roster, and it has never reported.
        Missing = 3, "missing";
        /// A prohibited product is present, and no accepted protection is known to be active.
        Replace = 4, "replace";
        /// A prohibited product is present; accepted protection is active, or none is required.
        Remove = 5, "remove";
        /// It has not reported within the order's patience.
        Silent = 6, "silent";
        /// Required sources were not read completely, evidence is only weak, or protection is unknown after a removal.
        Unknown = 7, "unknown";
        /// The product is removed; protection is required, and no accepted one is active.
        Protect = 8, "protect";
        /// The product is removed and the host is protected; the removal is not yet proven, or remnants are left.
        Confirm = 9, "confirm";
        /// It had the product; the removal is proven and protection is accepted.
        Done = 10, "done";
        /// It never had the product; every required source was read completely.
        Clear = 11, "clear";
    }
}

impl Lane {
    /// Whether nothing is left to do for a host in this lane.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Retired | Self::Waived | Self::Done | Self::Clear)
    }

    /// Whether something must be done on the host itself.
    #[must_use]
    pub const fn is_finding(self) -> bool {
        matches!(self, Self::Replace | Self::Remove | Self::Protect | Self::Confirm)
    }

    /// Whether silence moves a host out of this lane into `silent`. A prohibited product that was found stays found.
    #[must_use]
    pub const fn yields_to_silence(self) -> bool {
        matches!(self, Self::Unknown | Self::Protect | Self::Confirm | Self::Done | Self::Clear)
    }

    /// The lane of a host whose lane is this one while it reports.
    #[must_use]
    pub const fn with_silence(self, is_silent: bool) -> Self {
        if is_silent && self.yields_to_silence() { Self::Silent } else { self }
    }

    /// Whether a host in this lane could not be judged completely.
    #[must_use]
    pub const fn is_coverage_gap(self) -> bool {
        matches!(self, Self::Missing | Self::Silent | Self::Unknown)
    }
}

/// Whether a host is silent: it last reported before this instant, or never.
#[must_use]
pub fn is_silent(last_seen: Option<Timestamp>, silent_before: Timestamp) -> bool {
    last_seen.is_none_or(|last_seen| last_seen < silent_before)
}

closed_list! {
    /// Which step of the judge gave a reason. Code decides by this and by the fields of [`Reason`], never by its text.
    ReasonKind {
        /// Why the host is in its lane.
        Lane = 1, "lane";
        /// The host has not reported within the order's patience.
        Silence = 2, "silence";
        /// The product was removed: how far the removal is proven.
        Removal = 3, "removal";
        /// A product of the order that was present before the removal.
        PastProduct = 4, "past-product";
        /// A product of the order in the current snapshot.
        Product = 5, "product";
        /// A product in the current snapshot that the order exempts.
        Exempt = 6, "exempt";
        /// Every required source was read, and no product of the order was found.
        Absence = 7, "absence";
        /// What else protects the host.
        Protection = 8, "protection";
        /// A required source that was not read completely.
        Coverage = 9, "coverage";
        /// A source that was read with a watchlist older than the catalogue.
        Watchlist = 10, "watchlist";
        /// A command that removes what was found.
        Uninstall = 11, "uninstall";
        /// A product that would count as protection, but that another active order covers.
        ExcludedProtection = 12, "excluded-protection";
        /// Something on the host that no source reads and that no order needs: images of containers.
        NotRead = 13, "not-read";
        /// A security product that is on the host, and that the order does not accept as protection.
        UnapprovedProtection = 14, "unapproved-protection";
    }
}

/// The observation on which a reason rests. `Display` writes it as people read it: `deb kesl 12.2.0-2517 [ii]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// The source that reported it.
    pub source: SourceName,
    /// The kind of observation.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version; empty when the source gives none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its state as the source spells it; empty when the source gives none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Where it is; empty when the source does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The vendor that it states, if that vendor makes the name of a catalogue product weak evidence; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub other_vendor: String,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        // A path is shown as the place alone.
        if !self.version.is_empty() && self.kind != Kind::Path {
            write!(f, " {}", self.version)?;
        }
        if !self.state.is_empty() {
            write!(f, " [{}]", self.state)?;
        }
        Ok(())
    }
}

/// A catalogue product as a reason names it. `Display` writes name and version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProductSeen {
    /// The product's id.
    pub id: ProductId,
    /// The product's name.
    pub name: String,
    /// The version that was found; empty when no source gave one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// How it is present.
    pub presence: Presence,
}

impl fmt::Display for ProductSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.version.is_empty() { Ok(()) } else { write!(f, " {}", self.version) }
    }
}

/// One reason of an assessment or a verdict.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// Which step of the judge gave it.
    pub kind: ReasonKind,
    /// Stable name of the rule: a recogniser (`kaspersky-endpoint-security/linux/deb#1`) or a step of the judge
    /// (`lane/replace`, `coverage/dpkg-failed`).
    pub rule: String,
    /// One sentence for people.
    pub text: String,
    /// The product that the reason is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductSeen>,
    /// The source that the reason is about; evidence names its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// The outcome of that source; `None` when the snapshot does not have the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The observation on which it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The command that removes what was found. Muster prints it and never runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The other order that the reason names, such as the one that excludes a product from protection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
}

impl Reason {
    /// A reason that is about no product, source or observation.
    #[must_use]
    pub fn new(kind: ReasonKind, rule: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind,
            rule: rule.into(),
            text: text.into(),
            product: None,
            source: None,
            outcome: None,
            evidence: None,
            command: None,
            order: None,
        }
    }
}

/// Presence, protection, coverage and reasons of one snapshot under one order. It contains no host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Assessment {
    /// The order.
    pub order: OrderId,
    /// The version of catalogue and orders that judged.
    pub rules_version: String,
    /// The platform of the snapshot.
    pub platform: Platform,
    /// How the order's product is present.
    pub presence: Presence,
    /// What else protects the host.
    pub protection: Protection,
    /// Whether every source that the order needs was read completely.
    pub covered: bool,
    /// Whether a product is present in a way that this order prohibits.
    pub prohibited: bool,
    /// Whether remnants are present, with or without the product itself.
    pub remnants: bool,
    /// Whether an antivirus or EDR of the order runs, which protects the host although it must go; `None` if it is unknown.
    pub guarding: Option<bool>,
    /// The reasons, most important first.
    pub reasons: Vec<Reason>,
}

/// The lane of a host under an order at an instant, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// The order.
    pub order: OrderId,
    /// The lane.
    pub lane: Lane,
    /// The lane without what was decided about the host; the same as `lane` if nothing was.
    pub true_lane: Lane,
    /// Whether the order applies to the host.
    pub in_scope: bool,
    /// In scope and not finished at the order's due milestone.
    pub overdue: bool,
    /// Not reported within the order's patience, whatever the lane is.
    pub silent: bool,
    /// The order's due milestone.
    pub due: Option<Timestamp>,
    /// What to do next, one sentence.
    pub advice: String,
    /// The commands that the advice means: reasons of kind `uninstall`, each with its command. Empty if it means none.
    pub commands: Vec<Reason>,
    /// Why it is in this lane, then the reasons of the assessment. Commands are not among them.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// The advice and its commands in one line.
    #[must_use]
    pub fn advice_line(&self) -> String {
        advice_line(&self.advice, &self.commands)
    }
}

/// An advice and its commands in one line: `Remove the prohibited software: apt-get purge kesl; rpm -e klnagent64`.
#[must_use]
pub fn advice_line(advice: &str, commands: &[Reason]) -> String {
    let commands: Vec<&str> = commands.iter().filter_map(|reason| reason.command.as_deref()).collect();
    if commands.is_empty() { advice.to_owned() } else { format!("{advice}: {}", commands.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_finished_or_a_finding_or_a_gap_and_only_one_of_them() {
        for lane in Lane::ALL {
            let kinds = [lane.is_finished(), lane.is_finding(), lane.is_coverage_gap()];
            assert_eq!(kinds.iter().filter(|is| **is).count(), 1, "{lane}");
        }
    }
}
