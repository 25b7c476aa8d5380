//! Check-in: an agent reports that it is alive, with the digest of its latest snapshot.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_proto::convert::ConvertError;
use muster_proto::model::{Digest, HostFacts, HostState, Platform, RunId, Timestamp};
use muster_proto::{limits, wire};
use prost::Message as _;
use tonic::Extensions;

use super::refuse::Refused;
use super::{Inside, OfRules, peer};
use crate::store::{Allowance, CheckIn, CheckInAnswer};

pub(super) async fn check_in(
    inside: &Inside,
    extensions: &Extensions,
    request: wire::CheckInRequest,
) -> Result<wire::CheckInResponse, Refused> {
    let now = inside.now();
    let identity = peer::in_force(inside, extensions, request.facts.as_ref(), now).await?;
    // The limit of the gRPC server is that of the largest message, so the smaller one of check-ins is tested here.
    let bytes = request.encoded_len();
    if bytes > limits::CHECK_IN_BYTES {
        let (field, limit_name) = ("CheckInRequest", "CHECK_IN_BYTES");
        return Err(ConvertError::Limit { field, value: bytes, limit_name, limit: limits::CHECK_IN_BYTES }.into());
    }
    let run = RunId::try_from(request.run_id.as_ref()).map_err(Refused::id("CheckInRequest.run_id"))?;
    let snapshot =
        Digest::try_from(request.snapshot_digest.as_ref()).map_err(Refused::id("CheckInRequest.snapshot_digest"))?;
    let facts = request.facts.map(HostFacts::try_from).transpose()?;
    let platform = match request.platform.as_str() {
        "" => facts.as_ref().map(|facts| facts.platform),
        name => Some(name.parse().map_err(|source| ConvertError::Name { field: "CheckInRequest.platform", source })?),
    };
    let state = request.state.map(HostState::try_from).transpose()?;
    let fingerprint = fingerprint(request.fingerprint)?;
    if let Some(losses) = state.as_ref().map(|state| state.losses).filter(|losses| losses.total() > 0) {
        tracing::info!(
            host.id = %identity.host,
            losses.coalesced = losses.coalesced,
            losses.dropped = losses.dropped,
            losses.damaged = losses.damaged,
            "a host lost snapshots before it could deliver them"
        );
    }
    let observed_at = corrected(request.observed_at_ms, request.sent_at_ms, now);
    let rules = inside.of_rules();
    let (host, seq, patience) = (identity.host, request.seq, rules.patience);
    let allowance = Allowance::new(inside.budgets.changes(host, now));
    let changes = allowance.clone();
    let operation =
        CheckIn { host, run, seq, observed_at, now, snapshot, facts, state, fingerprint, patience, allowance };
    let answer = inside.store.check_in(operation).await?;
    inside.budgets.changed(host, changes.taken(), bytes, now);
    let state_wanted = answer == CheckInAnswer::StateWanted;
    let (snapshot_wanted, sections_wanted) = match answer {
        CheckInAnswer::Current | CheckInAnswer::StateWanted => (false, Vec::new()),
        CheckInAnswer::SnapshotWanted => (true, Vec::new()),
        CheckInAnswer::SectionsWanted(digests) => (true, digests),
        CheckInAnswer::NewRun => return Err(Refused::new_run(host)),
        CheckInAnswer::Throttled => {
            return Err(inside.over_budget(host, inside.budgets.changes_exceeded(host, now)));
        }
        CheckInAnswer::Contradicts(contradiction) => {
            return Err(Refused::malformed(format!("CheckInRequest.snapshot_digest: {contradiction}")));
        }
        CheckInAnswer::HostUnknown => return Err(Refused::unknown("this host is unknown to the collector")),
    };
    let watchlist = platform.and_then(|platform| rules.watchlists.get(&platform));
    let watchlist = watchlist.filter(|list| request.watchlist_version < list.version);
    let trust = inside.authority.trust().0;
    Ok(wire::CheckInResponse {
        snapshot_wanted,
        sections_wanted: wanted(&sections_wanted),
        pace: Some(inside.pace.into()),
        server_time_ms: now.millis(),
        watchlist: watchlist.cloned(),
        restored_at_ms: inside.restored_at_ms().await?,
        trust: (request.trust_version < trust).then(|| inside.trust()),
        state_wanted,
    })
}

/// The fingerprint of the machine; empty if it is unknown.
fn fingerprint(sent: Bytes) -> Result<Vec<u8>, Refused> {
    if sent.is_empty() || sent.len() == 32 {
        return Ok(sent.into());
    }
    Err(Refused::malformed(format!("CheckInRequest.fingerprint has {} bytes instead of 32", sent.len())))
}

/// Digests in wire form.
pub(super) fn wanted(digests: &[Digest]) -> Vec<Bytes> {
    digests.iter().map(|digest| Bytes::copy_from_slice(digest.as_bytes())).collect()
}

/// The time of a scan by the collector's clock: corrected by the difference of the clocks, and never in the future. The
/// correction of a clock that is far off is limited.
pub(super) fn corrected(observed_ms: i64, sent_ms: i64, now: Timestamp) -> Timestamp {
    let offset = now.millis().saturating_sub(sent_ms);
    let moved = Timestamp::from_millis(observed_ms.saturating_add(offset)).min(now);
    if offset.saturating_abs() <= limits::CLOCK_SKEW_MS {
        return moved;
    }
    // The times of such a clock are not trusted further than the limit, so the scan is at most that old.
    let skew = Duration::from_millis(limits::CLOCK_SKEW_MS.unsigned_abs());
    moved.max(now.minus(skew))
}

impl Inside {
    /// What check-ins need of the rules in force.
    fn of_rules(&self) -> Arc<OfRules> {
        let rules = self.rules.load();
        if let Some(made) = self.of_rules.load_full().filter(|made| made.version == rules.version) {
            return made;
        }
        // Two callers may build it at the same time; their results are equal, so no lock is needed.
        let made = Arc::new(OfRules {
            version: rules.version.clone(),
            watchlists: Platform::ALL
                .iter()
                .map(|platform| (*platform, rules.watchlist_of(*platform).into()))
                .collect(),
            patience: rules.shortest_patience(),
        });
        self.of_rules.store(Some(Arc::clone(&made)));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_726_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn at(observed: i64, sent: i64) -> i64 {
        corrected(observed, sent, Timestamp::from_millis(NOW)).millis()
    }

    #[test]
    fn a_clock_that_is_an_hour_off_is_corrected() {
        assert_eq!(at(NOW - HOUR - 5_000, NOW - HOUR), NOW - 5_000);
        assert_eq!(at(NOW + HOUR - 5_000, NOW + HOUR), NOW - 5_000);
    }

    #[test]
    fn a_snapshot_that_waited_for_weeks_keeps_its_age() {
        assert_eq!(at(NOW - 400 * HOUR, NOW), NOW - 400 * HOUR);
    }

    #[test]
    fn nothing_is_observed_in_the_future() {
        assert_eq!(at(NOW + HOUR, NOW), NOW);
        assert_eq!(at(i64::MAX, i64::MIN), NOW);
    }

    #[test]
    fn the_correction_of_a_clock_that_is_years_off_is_limited() {
        let years = 3 * 365 * 24 * HOUR;
        assert_eq!(at(NOW - years - 5_000, NOW - years), NOW - 5_000);
        assert_eq!(at(0, NOW - years), NOW - limits::CLOCK_SKEW_MS);
        assert_eq!(at(i64::MIN, i64::MAX), NOW - limits::CLOCK_SKEW_MS);
    }
}
