//! The plan of the house: every room, and the rooms that it may use. Data flows one way, so no room uses one that
//! comes after it; a room that is pure uses none that does IO.

/// A room: a module of the crate's first level, or one below it with rules of its own.
pub(super) struct Room {
    /// Its place: `collector/src/store` stands for `store.rs` and `store/`.
    pub(super) place: &'static str,
    /// The rooms of the same crate that it may use, by their places below `src/`.
    pub(super) uses: &'static [&'static str],
}

impl Room {
    /// Whether it may use the other, a room of the same crate.
    pub(super) fn may_use(&self, other: &Self) -> bool {
        let Some(name) = other.place.strip_prefix(self.crate_place()).map(|rest| rest.trim_start_matches('/')) else {
            return false;
        };
        let inside = other.place.starts_with(self.place) || self.place.starts_with(other.place);
        inside || self.uses.iter().any(|used| name == *used || name.starts_with(&format!("{used}/")))
    }

    /// `collector/src` of `collector/src/store`.
    pub(super) fn crate_place(&self) -> &'static str {
        let end = self.place.find("/src").map_or(self.place.len(), |at| at + 4);
        &self.place[..end]
    }
}

const fn room(place: &'static str, uses: &'static [&'static str]) -> Room {
    Room { place, uses }
}

/// Every room of the three crates.
pub(super) const ROOMS: &[Room] = &[
    // The model makes sections canonical from birth, so these two know each other.
    room("proto/src/limits", &[]),
    room("proto/src/model", &["canonical", "limits"]),
    room("proto/src/canonical", &["model", "limits"]),
    room("proto/src/wire", &[]),
    room("proto/src/convert", &["model", "canonical", "limits", "wire"]),
    // The agent: what it stands on, then the flow.
    room("agent/src/os", &[]),
    room("agent/src/config", &["os"]),
    room("agent/src/telemetry", &["os", "config"]),
    room("agent/src/identity", &["os", "config"]),
    room("agent/src/schedule", &[]),
    room("agent/src/sources", &["os"]),
    room("agent/src/watch", &["os", "sources"]),
    room("agent/src/look", &["os", "sources"]),
    room("agent/src/spool", &["os"]),
    room("agent/src/uplink", &["os", "config", "identity", "schedule", "spool"]),
    room(
        "agent/src/app",
        &["os", "config", "telemetry", "identity", "schedule", "sources", "watch", "look", "spool", "uplink"],
    ),
    room(
        "agent/src/cli",
        &["os", "config", "telemetry", "identity", "schedule", "sources", "watch", "look", "spool", "uplink", "app"],
    ),
    // The corpora of the fuzzers, on every parser wherever it stands.
    room("agent/src/corpus_tests", &["sources", "spool", "uplink"]),
    // The collector: what it stands on, then the flow. The judge is pure: rules in, verdict out.
    room("collector/src/config", &[]),
    room("collector/src/telemetry", &["config"]),
    // The CA names keys as the store does.
    room("collector/src/tls", &["config", "clock", "shutdown", "telemetry", "store/KeyFingerprint"]),
    room("collector/src/shutdown", &[]),
    // A clock that is handed in; only the doors and the loops may ask it, never the judge and never the store.
    room("collector/src/clock", &[]),
    // The store keeps the judge's words, and calls nothing of it.
    // It writes the ledger's entries in the transactions of their deeds.
    room(
        "collector/src/store",
        &["judge/Case", "judge/Gone", "judge/Hit", "judge/Positive", "judge/Strength", "ledger/entry"],
    ),
    room("collector/src/ledger/entry", &[]),
    room("collector/src/store/KeyFingerprint", &[]),
    room("collector/src/intake", &["config", "clock", "shutdown", "telemetry", "tls", "store", "rules"]),
    room("collector/src/rules", &[]),
    room("collector/src/judge", &["rules"]),
    room("collector/src/judge/Case", &[]),
    room("collector/src/judge/Gone", &[]),
    room("collector/src/judge/Hit", &[]),
    room("collector/src/judge/Positive", &[]),
    room("collector/src/judge/Strength", &[]),
    room("collector/src/ledger", &["clock", "shutdown", "store", "ledger/entry"]),
    room("collector/src/docket", &["clock", "shutdown", "telemetry", "store", "rules", "judge", "ledger"]),
    room("collector/src/deeds", &["clock", "store", "rules", "judge", "ledger", "tls"]),
    room("collector/src/watchman", &["clock", "shutdown", "store", "rules", "judge", "ledger", "docket"]),
    room("collector/src/reports", &["clock", "store", "rules", "judge", "ledger", "docket"]),
    room(
        "collector/src/faces",
        &["config", "telemetry", "clock", "tls", "store", "rules", "judge", "ledger", "deeds", "reports"],
    ),
    // The operator's program is a client: it asks the collector and never opens a database. `catalogue match` and
    // `catalogue check` work without a server, on the rules alone.
    room("collector/src/faces/cli", &["config", "tls", "rules", "judge"]),
    room(
        "collector/src/app",
        &[
            "clock",
            "config",
            "telemetry",
            "tls",
            "shutdown",
            "clock",
            "store",
            "intake",
            "rules",
            "judge",
            "ledger",
            "docket",
            "deeds",
            "watchman",
            "reports",
            "faces",
        ],
    ),
    room("collector/src/bin", &["app", "faces", "config", "telemetry"]),
];

/// The doors: only they see the generated code of the contract.
pub(super) const WIRE_ROOMS: &[&str] =
    &["agent/src/uplink", "collector/src/intake", "collector/src/faces/grpc", "collector/src/faces/cli"];

/// Where code may ask which operating system it is built for.
pub(super) const OS_ROOMS: &[&str] = &["agent/src/os", "agent/src/sources", "collector/src/shutdown"];

/// Where the wall clock is read; everywhere else time is an argument.
pub(super) const CLOCK_ROOMS: &[&str] = &["agent/src/app", "agent/src/cli", "agent/src/main", "collector/src/clock"];

/// Whether the file belongs to the room: `x.rs`, or below `x/`.
pub(super) fn covers(room: &str, path: &str) -> bool {
    path.strip_prefix(room).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}
