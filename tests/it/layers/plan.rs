//! The plan of the house: every room, and the modules that it may use. Data flows one way, so no room uses one that
//! comes after it; a room that is pure uses none that does IO.

/// A room: a module of the crate's first level, or one below it with rules of its own.
pub(super) struct Module {
    /// Its place: `collector/src/store` stands for `store.rs` and `store/`.
    pub(super) place: &'static str,
    /// The modules of the same crate that it may use, by their places below `src/`.
    pub(super) uses: &'static [&'static str],
}

impl Module {
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

const fn module(place: &'static str, uses: &'static [&'static str]) -> Module {
    Module { place, uses }
}

/// Every room of the three crates.
pub(super) const MODULES: &[Module] = &[
    // The model makes sections canonical from birth, so these two know each other.
    module("proto/src/limits", &[]),
    module("proto/src/model", &["canonical", "limits"]),
    module("proto/src/canonical", &["model", "limits"]),
    module("proto/src/wire", &[]),
    module("proto/src/convert", &["model", "canonical", "limits", "wire"]),
    // The agent: what it stands on, then the flow.
    module("agent/src/os", &[]),
    module("agent/src/config", &["os"]),
    module("agent/src/telemetry", &["os", "config"]),
    module("agent/src/identity", &["os", "config"]),
    module("agent/src/schedule", &[]),
    module("agent/src/sources", &["os"]),
    module("agent/src/watch", &["os", "sources"]),
    module("agent/src/scan", &["os", "sources"]),
    module("agent/src/spool", &["os"]),
    module("agent/src/uplink", &["os", "config", "identity", "schedule", "spool"]),
    module(
        "agent/src/app",
        &["os", "config", "telemetry", "identity", "schedule", "sources", "watch", "scan", "spool", "uplink"],
    ),
    module(
        "agent/src/cli",
        &["os", "config", "telemetry", "identity", "schedule", "sources", "watch", "scan", "spool", "uplink", "app"],
    ),
    // The corpora of the fuzzers, on every parser wherever it stands.
    module("agent/src/corpus_tests", &["sources", "spool", "uplink"]),
    // The collector: what it stands on, then the flow. The judge is pure: rules in, verdict out.
    module("collector/src/config", &[]),
    module("collector/src/telemetry", &["config"]),
    // The CA names keys as the store does.
    module("collector/src/tls", &["config", "clock", "shutdown", "telemetry", "store/KeyFingerprint"]),
    module("collector/src/shutdown", &[]),
    // A clock that is handed in; only the doors and the loops may ask it, never the judge and never the store.
    module("collector/src/clock", &[]),
    // The store keeps the judge's words, and calls nothing of it.
    // It writes the ledger's entries in the transactions of their operations.
    module(
        "collector/src/store",
        &["judge/Remediation", "judge/Gone", "judge/Hit", "judge/Positive", "judge/Strength", "ledger/entry"],
    ),
    module("collector/src/ledger/entry", &[]),
    module("collector/src/store/KeyFingerprint", &[]),
    module("collector/src/ingest", &["config", "clock", "shutdown", "telemetry", "tls", "store", "rules"]),
    module("collector/src/rules", &[]),
    module("collector/src/judge", &["rules"]),
    module("collector/src/judge/Remediation", &[]),
    module("collector/src/judge/Gone", &[]),
    module("collector/src/judge/Hit", &[]),
    module("collector/src/judge/Positive", &[]),
    module("collector/src/judge/Strength", &[]),
    module("collector/src/ledger", &["clock", "shutdown", "store", "ledger/entry"]),
    module("collector/src/judge_queue", &["clock", "shutdown", "telemetry", "store", "rules", "judge", "ledger"]),
    module("collector/src/actions", &["clock", "store", "rules", "judge", "ledger", "tls"]),
    module("collector/src/reports", &["clock", "store", "rules", "judge", "ledger", "judge_queue"]),
    module(
        "collector/src/api",
        &["config", "telemetry", "clock", "tls", "store", "rules", "judge", "ledger", "actions", "reports"],
    ),
    // The operator's program is a client: it asks the collector and never opens a database. `catalogue match` and
    // `catalogue check` work without a server, on the rules alone.
    module("collector/src/cli", &["config", "tls", "rules", "judge"]),
    module(
        "collector/src/app",
        &[
            "clock",
            "config",
            "telemetry",
            "tls",
            "shutdown",
            "clock",
            "store",
            "ingest",
            "rules",
            "judge",
            "ledger",
            "judge_queue",
            "actions",
            "reports",
            "api",
            "cli",
        ],
    ),
    module("collector/src/bin", &["app", "cli", "config", "telemetry"]),
];

/// The doors: only they see the generated code of the contract.
pub(super) const WIRE_MODULES: &[&str] =
    &["agent/src/uplink", "collector/src/ingest", "collector/src/api/grpc", "collector/src/cli"];

/// Where code may ask which operating system it is built for.
pub(super) const OS_MODULES: &[&str] = &["agent/src/os", "agent/src/sources", "collector/src/shutdown"];

/// Where the wall clock is read; everywhere else time is an argument.
pub(super) const CLOCK_MODULES: &[&str] = &["agent/src/app", "agent/src/cli", "agent/src/main", "collector/src/clock"];

/// Whether the file belongs to the room: `x.rs`, or below `x/`.
pub(super) fn covers(module: &str, path: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}
