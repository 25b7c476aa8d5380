//! `[listeners]`: what the agents' and the operators' port allow to a connection, an address and a host.

use std::time::Duration;

use muster_proto::settings::Layers;

use super::span::format_span;

/// Bounds of connections, for both ports.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listeners {
    /// `listeners.strangers_per_address`: open connections of one address that has not proven itself lately. The oldest
    /// one is closed for the next.
    pub strangers_per_address: usize,
    /// `listeners.per_host`: connections of one host.
    pub per_host: usize,
    /// `listeners.per_account`: connections of one account.
    pub per_account: usize,
    /// `listeners.calls_per_host`: calls at once of one host, over all of its connections.
    pub calls_per_host: usize,
    /// `listeners.calls_per_account`: calls at once of one account.
    pub calls_per_account: usize,
    /// `listeners.wrong_tokens`: wrong tokens of one address in a period. Further ones are not tried; a token that was
    /// right lately always is.
    pub wrong_tokens: u32,
    /// `listeners.wrong_token_period`: the period.
    #[serde(with = "humantime_serde")]
    pub wrong_token_period: Duration,
    /// `listeners.known_addresses`: addresses that are remembered because a peer there has proven itself.
    pub known_addresses: usize,
    /// `listeners.known_for`: how long they are remembered.
    #[serde(with = "humantime_serde")]
    pub known_for: Duration,
    /// `listeners.stranger_handshakes`: TLS handshakes at once of addresses that are not known, at most a quarter of the
    /// connections.
    pub stranger_handshakes: usize,
    /// `listeners.handshake_turn`: how long a handshake keeps its place; a slower one goes on without it.
    #[serde(with = "humantime_serde")]
    pub handshake_turn: Duration,
    /// `listeners.first_request`: how long a peer may wait with its first request. For a stranger it is the limit of
    /// every wait: for the rest of a request, for the next one, and for reading an answer.
    #[serde(with = "humantime_serde")]
    pub first_request: Duration,
    /// `listeners.idle_grace`: an agent's connection is closed after its pace, jitter and this without a call.
    #[serde(with = "humantime_serde")]
    pub idle_grace: Duration,
    /// `listeners.operator_idle`: an operator's connection is closed after this without a call.
    #[serde(with = "humantime_serde")]
    pub operator_idle: Duration,
    /// `listeners.unread_answer`: an agent that does not take the next part of an answer for this long is disconnected.
    #[serde(with = "humantime_serde")]
    pub unread_answer: Duration,
    /// `listeners.operator_unread_answer`: the same for an operator.
    #[serde(with = "humantime_serde")]
    pub operator_unread_answer: Duration,
    /// `listeners.streams`: calls at once on one connection.
    pub streams: u32,
    /// `listeners.unsent_bytes`: bytes of one answer that wait in buffers for the peer.
    pub unsent_bytes: usize,
    /// `listeners.reserved_descriptors`: file descriptors that connections leave to the store, the probes and the rules.
    pub reserved_descriptors: u64,
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            // The first day of a site behind one address: all of its hosts are strangers until one has enrolled. A
            // thousand at once take a small collector less than two seconds.
            strangers_per_address: 1024,
            // An agent has one. More remain for a while if its network breaks connections without closing them.
            per_host: 16,
            // A quarter of the operators' port. Scripts of a team may share an account.
            per_account: 64,
            // An agent has one. With a closed window, an answer of each may wait in memory: about 1 MiB for a host.
            calls_per_host: 32,
            // Answers to operators are larger, up to some MiB.
            calls_per_account: 64,
            // Secrets have 256 bits, so this bounds work and log lines. A script with an old token makes dozens of calls.
            wrong_tokens: 100,
            wrong_token_period: Duration::from_secs(60),
            // About 4 MB. A host whose address is forgotten is a stranger until its handshake, which does no harm in peace.
            known_addresses: 20_000,
            // A laptop returns to the same office the next morning.
            known_for: Duration::from_secs(86_400),
            // A quarter of what known addresses have.
            stranger_handshakes: 64,
            // Ten times the round trip across an ocean.
            handshake_turn: Duration::from_millis(250),
            // The same as for a handshake: one slow round trip with a lost packet.
            first_request: Duration::from_secs(10),
            // An agent may check in late because it scans first; a scan is limited to a minute.
            idle_grace: Duration::from_secs(120),
            // A person reads between two commands.
            operator_idle: Duration::from_secs(600),
            // Answers to agents are small. A link that moves nothing for so long is broken.
            unread_answer: Duration::from_secs(30),
            // A person may have stopped a long list in a pager.
            operator_unread_answer: Duration::from_secs(600),
            // An agent has one call at a time, the operators' program two. A proxy of a site may have more.
            streams: 16,
            // One window of HTTP/2.
            unsent_bytes: 65_536,
            // SQLite and its readers, or 15 connections to PostgreSQL; rules, probes, logs: less than a hundred in all.
            reserved_descriptors: 256,
        }
    }
}

impl Listeners {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let span = |span: &Duration| format_span(*span);
        let many = (1, 1_000_000);
        layers.limit("listeners.strangers_per_address", &self.strangers_per_address, many, usize::to_string);
        layers.limit("listeners.per_host", &self.per_host, many, usize::to_string);
        layers.limit("listeners.per_account", &self.per_account, many, usize::to_string);
        layers.limit("listeners.calls_per_host", &self.calls_per_host, many, usize::to_string);
        layers.limit("listeners.calls_per_account", &self.calls_per_account, many, usize::to_string);
        layers.limit("listeners.wrong_tokens", &self.wrong_tokens, (1, 1_000_000), u32::to_string);
        layers.limit("listeners.wrong_token_period", &self.wrong_token_period, (second, day), span);
        layers.limit("listeners.known_addresses", &self.known_addresses, many, usize::to_string);
        layers.limit("listeners.known_for", &self.known_for, (second, day * 7), span);
        layers.limit("listeners.stranger_handshakes", &self.stranger_handshakes, (1, 65_536), usize::to_string);
        layers.limit("listeners.handshake_turn", &self.handshake_turn, (second / 100, second * 300), span);
        layers.limit("listeners.first_request", &self.first_request, (second, second * 3600), span);
        layers.limit("listeners.idle_grace", &self.idle_grace, (second, day), span);
        layers.limit("listeners.operator_idle", &self.operator_idle, (second, day), span);
        layers.limit("listeners.unread_answer", &self.unread_answer, (second, second * 3600), span);
        layers.limit("listeners.operator_unread_answer", &self.operator_unread_answer, (second, day), span);
        layers.limit("listeners.streams", &self.streams, (1, 1000), u32::to_string);
        layers.limit("listeners.unsent_bytes", &self.unsent_bytes, (4096, 1 << 20), usize::to_string);
        layers.limit("listeners.reserved_descriptors", &self.reserved_descriptors, (32, 1_000_000), u64::to_string);
    }
}
