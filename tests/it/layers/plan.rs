//! The plan of the layers: every module, and the modules that it may use. Data flows one way, so no module uses one that
//! comes after it, and a pure module uses none that does IO.

/// A module at the first level of a crate, or one below it that has its own rules.
pub(super) struct Module {
    /// Its path: `collector/src/store` means `store.rs` and `store/`.
    pub(super) place: &'static str,
    /// The modules of the same crate that it may use, as paths below `src/`.
    pub(super) uses: &'static [&'static str],
}

impl Module {
    /// Whether it may use the other, a module of the same crate.
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

/// Every module of the three crates.
pub(super) const MODULES: &[Module] = &[
    module("proto/src/error_chain", &[]),
    module("proto/src/suggest", &[]),
    module("proto/src/settings", &["suggest", "limits"]),
    module("proto/src/limits", &[]),
    module("proto/src/model", &["limits"]),
    module("proto/src/terminal", &["model"]),
    module("proto/src/canonical", &["model", "limits"]),
    module("proto/src/wire", &[]),
    module("proto/src/convert", &["model", "canonical", "limits", "wire"]),
    // The agent: the foundations first, then the flow.
    // Runs what may never return. Everything that reads a disk may use it.
    module("agent/src/deadline", &[]),
    module("agent/src/os", &["deadline"]),
    // Limits, and the turn of large sources.
    module("agent/src/memory", &["deadline", "os"]),
    module("agent/src/config", &["os", "memory"]),
    module("agent/src/telemetry", &["os", "config"]),
    module("agent/src/identity", &["os", "config", "memory"]),
    module("agent/src/schedule", &[]),
    module("agent/src/sources", &["deadline", "os", "memory"]),
    module("agent/src/watch", &["deadline", "os", "sources"]),
    module("agent/src/scan", &["deadline", "os", "memory", "sources"]),
    module("agent/src/spool", &["os", "memory"]),
    module("agent/src/uplink", &["deadline", "os", "memory", "config", "identity", "schedule", "spool"]),
    module(
        "agent/src/app",
        &[
            "deadline",
            "os",
            "memory",
            "config",
            "telemetry",
            "identity",
            "schedule",
            "sources",
            "watch",
            "scan",
            "spool",
            "uplink",
        ],
    ),
    module(
        "agent/src/cli",
        &[
            "deadline",
            "os",
            "memory",
            "config",
            "telemetry",
            "identity",
            "schedule",
            "sources",
            "watch",
            "scan",
            "spool",
            "uplink",
            "app",
        ],
    ),
    // Runs the fuzzers' corpora through every parser, so it uses the modules that have parsers.
    module("agent/src/corpus_tests", &["sources", "spool", "uplink"]),
    // The collector: the foundations first, then the flow. The judge is pure: rules in, verdict out.
    module("collector/src/config", &[]),
    module("collector/src/telemetry", &["config"]),
    module("collector/src/tls", &["config", "clock", "shutdown", "telemetry"]),
    module("collector/src/shutdown", &[]),
    // The injected clock. The judge and the store get the time as an argument.
    module("collector/src/clock", &[]),
    // The store keeps some of the judge's types. Of its functions it calls only those that say which lane silence and decisions make
    // of a stored one. It writes a ledger entry in the transaction of the operation that the entry is about.
    module(
        "collector/src/store",
        &[
            "judge/Remediation",
            "judge/Unprotected",
            "judge/Removal",
            "judge/Hit",
            "judge/Positive",
            "judge/Strength",
            "judge/NewDuty",
            "judge/Decision",
            "judge/HostDecisions",
            "judge/RetirementTerm",
            "judge/WaiverTerm",
            "judge/InForce",
            "judge/decided_lane",
            "judge/is_shown_silent",
            "judge/true_lane",
            "attestation",
            "filter",
            "ledger/entry",
            "ledger/actor",
            "ledger/checkpoint",
            "ledger/leaf",
            "ledger/tree",
            "ledger/verify",
        ],
    ),
    // Pure: entries to the leaves, checkpoints and tiles of a transparency log, and back.
    module("collector/src/ledger/tree", &[]),
    module("collector/src/ledger/leaf", &["ledger/tree"]),
    module("collector/src/ledger/note", &["attestation", "ledger/samples"]),
    module("collector/src/ledger/checkpoint", &["attestation", "ledger/note", "ledger/tree", "ledger/samples"]),
    module(
        "collector/src/ledger/tiles",
        &["attestation", "ledger/checkpoint", "ledger/leaf", "ledger/note", "ledger/tree", "ledger/samples"],
    ),
    module(
        "collector/src/ledger/verify",
        &["attestation", "ledger/checkpoint", "ledger/tiles", "ledger/tree", "ledger/samples"],
    ),
    module("collector/src/ledger/samples", &["attestation", "ledger/leaf", "ledger/tree"]),
    module("collector/src/ledger/actor", &[]),
    module("collector/src/ledger/entry", &["ledger/actor"]),
    module(
        "collector/src/ingest",
        &["config", "clock", "shutdown", "telemetry", "tls", "store", "rules", "ledger/actor"],
    ),
    // Asks the identity provider who a person is; it knows no account.
    module("collector/src/oidc", &["config", "clock"]),
    module("collector/src/rules", &[]),
    // Pure: stored facts to signed bytes, and back.
    module("collector/src/attestation", &[]),
    module("collector/src/judge", &["rules"]),
    module("collector/src/judge/Remediation", &[]),
    module("collector/src/judge/Unprotected", &[]),
    module("collector/src/judge/Removal", &[]),
    module("collector/src/judge/Hit", &[]),
    module("collector/src/judge/Positive", &[]),
    module("collector/src/judge/Strength", &[]),
    module("collector/src/judge/NewDuty", &[]),
    module("collector/src/judge/Decision", &[]),
    module("collector/src/judge/HostDecisions", &[]),
    module("collector/src/judge/RetirementTerm", &[]),
    module("collector/src/judge/WaiverTerm", &[]),
    module("collector/src/judge/InForce", &[]),
    module("collector/src/judge/decided_lane", &[]),
    module("collector/src/judge/is_shown_silent", &[]),
    module("collector/src/judge/true_lane", &[]),
    module("collector/src/ledger", &["clock", "shutdown", "store", "ledger/actor", "ledger/entry"]),
    module(
        "collector/src/judge_queue",
        &["clock", "shutdown", "telemetry", "store", "rules", "judge", "ledger", "attestation"],
    ),
    module(
        "collector/src/actions",
        &["config", "clock", "filter", "store", "rules", "judge", "ledger", "tls", "attestation"],
    ),
    module("collector/src/reports", &["clock", "filter", "store", "rules", "judge", "ledger", "judge_queue"]),
    module(
        "collector/src/api",
        &[
            "config",
            "telemetry",
            "clock",
            "tls",
            "filter",
            "store",
            "rules",
            "judge",
            "ledger",
            "oidc",
            "roster_file",
            "actions",
            "reports",
        ],
    ),
    // The operator's program is a client of the API and never opens a database. `catalogue match` and
    // `catalogue check` need the rules and no server.
    module(
        "collector/src/cli",
        &[
            "config",
            "tls",
            "filter",
            "rules",
            "judge",
            "attestation",
            "roster_file",
            "ledger/checkpoint",
            "ledger/note",
            "ledger/tiles",
            "ledger/tree",
            "ledger/verify",
        ],
    ),
    // Pure: the text that says which hosts are meant, to conditions, and back.
    module("collector/src/filter", &[]),
    // Pure: the bytes of a list of machines to rows.
    module("collector/src/roster_file", &[]),
    module(
        "collector/src/app",
        &[
            "attestation",
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
            "oidc",
            "actions",
            "reports",
            "api",
            "cli",
        ],
    ),
    module("collector/src/bin", &["app", "cli", "config", "telemetry"]),
];

/// The only modules that may use the generated code of the contract.
pub(super) const WIRE_MODULES: &[&str] =
    &["agent/src/uplink", "collector/src/ingest", "collector/src/api/grpc", "collector/src/cli"];

/// The only modules that may ask which operating system the code is built for.
pub(super) const OS_MODULES: &[&str] = &["agent/src/os", "agent/src/sources", "collector/src/shutdown"];

/// The only modules that may read the wall clock. Everywhere else time is an argument.
pub(super) const CLOCK_MODULES: &[&str] = &["agent/src/app", "agent/src/cli", "agent/src/main", "collector/src/clock"];

/// Whether the file belongs to the module: `x.rs`, or a file below `x/`.
pub(super) fn covers(module: &str, path: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}
