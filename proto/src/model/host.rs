//! What belongs to one host only: its facts, and the state that differs from host to host and from day to day.

use super::closed_list::closed_list;
use super::{MachineIdentity, Outcome, Platform, Timestamp};

closed_list! {
    /// How much an agent reports about items in home directories and their users. Sections list the items without users.
    UserScope {
        /// All items.
        All = 1, "all";
        /// Items that the watchlist names.
        Watchlist = 2, "watchlist";
        /// No items.
        None = 3, "none";
    }
}

/// How a host describes itself. Shown to people; never used as proof.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostFacts {
    /// The host name, at most [`crate::limits::HOSTNAME_BYTES`].
    pub hostname: String,
    /// The platform of the scanned machine.
    pub platform: Platform,
    /// The system's name: `Debian GNU/Linux 12 (bookworm)`.
    pub os_name: String,
    /// The kernel's release.
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// The agent's version.
    pub agent_version: String,
    /// Whether the agent scans a mounted image (`--root`) instead of the running system.
    pub offline_root: bool,
    /// What identifies the machine beyond its name. Unknown if `scan.identity` of the agent is `none`.
    #[serde(default, skip_serializing_if = "MachineIdentity::is_unknown")]
    pub identity: MachineIdentity,
}

/// The small record beside the snapshot. It contains everything that differs between two machines of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct HostState {
    /// The kernel's boot id; empty if unknown and with `--root`.
    pub boot_id: String,
    /// IP addresses of the host without loopback; at most [`crate::limits::ADDRESSES_PER_HOST`].
    pub addresses: Vec<String>,
    /// The outcome of listing running units; `None` if they were not listed.
    pub units_outcome: Option<Outcome>,
    /// Units and services of the watchlist that exist; at most [`crate::limits::UNITS_PER_HOST`].
    pub units: Vec<UnitState>,
    /// Signature databases whose version or date could be read; at most [`crate::limits::SIGNATURES_PER_HOST`].
    pub signatures: Vec<SignatureState>,
    /// Evidence of real-time protection; at most [`crate::limits::REALTIME_PER_HOST`].
    pub realtime: Vec<RealtimeEvidence>,
    /// Whether the system needs a restart; `None` if unknown.
    pub pending_reboot: Option<bool>,
    /// The outcome of looking for real-time evidence; `None` if nobody looked. Missing evidence means something only if
    /// this outcome is complete.
    pub realtime_outcome: Option<Outcome>,
    /// Items in home directories with their users, as far as the agent's `user_scope` allows; at most
    /// [`crate::limits::USER_ITEMS_PER_HOST`].
    pub user_items: Vec<UserItem>,
    /// The outcome of listing them; `None` if they were not listed.
    pub users_outcome: Option<Outcome>,
    /// Snapshots of this host that were never delivered.
    pub losses: Losses,
}

impl HostState {
    /// The state without the fields that differ on every host. Hosts of one image can have the rest in common.
    #[must_use]
    pub fn shared(self) -> Self {
        let (boot_id, addresses, user_items) = (String::new(), Vec::new(), Vec::new());
        Self { boot_id, addresses, user_items, losses: Losses::default(), ..self }
    }
}

/// Snapshots that were lost before they were delivered, counted since the agent's spool was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Losses {
    /// Replaced by a later snapshot of the same hour or day.
    pub coalesced: u64,
    /// Dropped because of their age, because the spool was full, or because the collector refuses them.
    pub dropped: u64,
    /// Damaged on disk.
    pub damaged: u64,
}

impl Losses {
    /// The sum of the three counters.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.coalesced.saturating_add(self.dropped).saturating_add(self.damaged)
    }

    /// Adds other counts; a counter stops at its maximum.
    pub const fn add(&mut self, other: Self) {
        self.coalesced = self.coalesced.saturating_add(other.coalesced);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.damaged = self.damaged.saturating_add(other.damaged);
    }
}

/// A unit or service that the watchlist names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct UnitState {
    /// Its full name: `clamav-daemon.service`.
    pub name: String,
    /// Whether it is running.
    pub active: bool,
}

/// The signature database of a product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SignatureState {
    /// Where it was read. The catalogue assigns it to a product by this text.
    pub place: String,
    /// The version as the product writes it.
    pub version: String,
    /// When it was released.
    pub released: Option<Timestamp>,
}

/// One piece of evidence of real-time protection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RealtimeEvidence {
    /// The evidence: `process:clamonacc`, `fanotify:clamonacc`, `bpf:mdatp.service`, `module:falcon_lsm_serviceable`,
    /// a path of a status file, `wsc:Microsoft Defender`.
    pub place: String,
    /// Whether protection is on.
    pub on: bool,
}

/// An item in the home directory of one user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct UserItem {
    /// The user's pseudonym. It is different on every host.
    pub user: String,
    /// What it is: `browser-extension:ID`, `flatpak:ID`, `unit:NAME`, `launchd:LABEL`, `app:ID`.
    pub place: String,
}
