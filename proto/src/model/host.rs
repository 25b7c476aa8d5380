//! What belongs to one host alone: its facts, and the state that differs from host to host and day to day.

use super::closed_list::closed_list;
use super::{Outcome, Platform, Timestamp};

closed_list! {
    /// How much an agent tells of who has what in a home. Sections name what is there, never whose it is.
    UserScope {
        /// Of everything that stands in somebody's home.
        All = 1, "all";
        /// Of what the watchlist names.
        Watchlist = 2, "watchlist";
        /// Of nothing.
        None = 3, "none";
    }
}

/// How a host names and describes itself. Shown to people; proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostFacts {
    /// The name that the host gives itself.
    pub hostname: String,
    /// The platform that is looked at.
    pub platform: Platform,
    /// For people: `Debian GNU/Linux 12 (bookworm)`.
    pub os_name: String,
    /// The kernel's release.
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// The agent's version.
    pub agent_version: String,
    /// Whether the agent looks at a mounted image (`--root`) and not at the running system.
    pub offline_root: bool,
}

/// The small record beside the snapshot. Everything that would make two machines of one image differ is here.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct HostState {
    /// The kernel's boot id; empty when unknown (also under `--root`).
    pub boot_id: String,
    /// Addresses of the host, without loopback.
    pub addresses: Vec<String>,
    /// What became of asking for running units; `None` when nobody asked.
    pub units_outcome: Option<Outcome>,
    /// Units and services of the watchlist that exist, and whether they are running.
    pub units: Vec<UnitState>,
    /// Signature versions and dates that could be read.
    pub signatures: Vec<SignatureState>,
    /// Evidence that something protects in real time.
    pub realtime: Vec<RealtimeEvidence>,
    /// Whether the system says that it waits for a restart; `None` when unknown.
    pub pending_reboot: Option<bool>,
    /// What became of asking for real-time evidence; `None` when nobody asked. Only after a complete snapshot does it mean
    /// anything that a process has no evidence.
    pub realtime_outcome: Option<Outcome>,
    /// What stands in the home of whom, as far as the agent's setting lets that leave.
    pub user_items: Vec<UserItem>,
    /// What became of asking for them; `None` when nobody asked.
    pub users_outcome: Option<Outcome>,
    /// Looks of this host that nobody will ever see.
    pub losses: Losses,
}

impl HostState {
    /// The same without what is this one host's: what hosts of one image may share.
    #[must_use]
    pub fn shared(self) -> Self {
        let (boot_id, addresses, user_items) = (String::new(), Vec::new(), Vec::new());
        Self { boot_id, addresses, user_items, losses: Losses::default(), ..self }
    }
}

/// Looks that were lost before they could be delivered, since the agent's spool was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Losses {
    /// Looks for which a later one of the same hour or day stands.
    pub coalesced: u64,
    /// Looks dropped for their age, for lack of room, or because the collector cannot take them.
    pub dropped: u64,
    /// Looks that the disk did not give back as they were written.
    pub damaged: u64,
}

impl Losses {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.coalesced.saturating_add(self.dropped).saturating_add(self.damaged)
    }

    /// Counts others too; what is more than a counter holds stays at its end.
    pub const fn add(&mut self, other: Self) {
        self.coalesced = self.coalesced.saturating_add(other.coalesced);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.damaged = self.damaged.saturating_add(other.damaged);
    }
}

/// One unit or service that the watchlist names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct UnitState {
    /// Its full name: `clamav-daemon.service`.
    pub name: String,
    /// Whether it is running.
    pub active: bool,
}

/// A signature database of a product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SignatureState {
    /// Where it was read; a catalogue product claims it by this text.
    pub place: String,
    /// The version as the product spells it.
    pub version: String,
    /// When it was released.
    pub released: Option<Timestamp>,
}

/// One piece of evidence of real-time work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RealtimeEvidence {
    /// What was seen: `process:clamonacc`, `fanotify:clamonacc`, `bpf:mdatp.service`, `module:falcon_lsm_serviceable`,
    /// a file that says so, `wsc:Microsoft Defender`.
    pub place: String,
    /// Whether it says on or off.
    pub on: bool,
}

/// Something that stands in one person's home.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct UserItem {
    /// A pseudonym that only this host gives to this person.
    pub user: String,
    /// What it is: `browser-extension:ID`, `flatpak:ID`, `unit:NAME`.
    pub place: String,
}
