//! Whether a check-in changes nothing that is stored or judged, so that the memory can answer it without the database.

use std::time::Duration;

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostFacts, HostState, Timestamp};

use crate::store::CheckIn;
use crate::store::last_seen::LastSeen;

/// An unchanged snapshot is judged again at the first check-in after this time.
const JUDGED_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Whether a judgement is so old that an unchanged snapshot is judged again: signatures age, and a removal is proven by
/// scans that are a day apart.
pub(in crate::store) fn is_old(judged_at: Option<Timestamp>, now: Timestamp) -> bool {
    judged_at.is_some_and(|judged_at| now.since(judged_at) >= JUDGED_AGAIN)
}

/// Whether a check-in comes after a gap: the host was silent under an order whose patience is this one.
pub(in crate::store) fn ends_gap(last_seen: Timestamp, now: Timestamp, patience: Option<Duration>) -> bool {
    patience.is_some_and(|patience| now.since(last_seen) > patience)
}

/// What the memory of a backend knows of a host. `None` means "not known".
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct Remembered {
    pub(in crate::store) snapshot: Option<Digest>,
    pub(in crate::store) judged_at: Option<Timestamp>,
    pub(in crate::store) seen: Option<LastSeen>,
    /// Of the stored facts and state.
    pub(in crate::store) facts_key: Option<Digest>,
    pub(in crate::store) state_key: Option<Digest>,
}

/// Digests of the facts and the state that a check-in carries.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct SentKeys {
    pub(in crate::store) facts: Option<Digest>,
    pub(in crate::store) state: Option<Digest>,
}

impl SentKeys {
    pub(in crate::store) fn of(check_in: &CheckIn) -> Self {
        let facts = check_in.facts.as_ref().map(|facts| facts_key(facts, &check_in.fingerprint));
        Self { facts, state: check_in.state.as_ref().map(state_key) }
    }

    /// Whether both were sent.
    const fn is_whole(self) -> bool {
        self.facts.is_some() && self.state.is_some()
    }

    /// Whether the check-in that carries these changes nothing but when the host was last seen. A check-in after a gap
    /// needs the database, because the gap is stored. So does one that leaves something out and does not continue the
    /// host's run: what it leaves out may not be what is stored. So does a run that comes back, because the database counts
    /// that.
    pub(in crate::store) fn change_nothing(self, check_in: &CheckIn, host: &Remembered) -> bool {
        let is_same = |sent: Option<Digest>, stored: Option<Digest>| sent.is_none() || sent == stored;
        let last_seen = host.seen.map(|seen| seen.last_seen);
        let continues = host.seen.is_some_and(|seen| seen.is_continued_by(check_in.run, check_in.seq));
        host.snapshot == Some(check_in.snapshot)
            && (continues || self.is_whole())
            && !host.seen.is_some_and(|seen| seen.is_return(check_in.run))
            && !is_old(host.judged_at, check_in.now)
            && !last_seen.is_some_and(|last_seen| ends_gap(last_seen, check_in.now, check_in.patience))
            && is_same(self.facts, host.facts_key)
            && is_same(self.state, host.state_key)
    }
}

/// The digest of facts in their stored form, and of the fingerprint that came with them.
pub(in crate::store) fn facts_key(facts: &HostFacts, fingerprint: &[u8]) -> Digest {
    Digest::of(&[stored::facts_bytes(facts).as_slice(), fingerprint].concat())
}

/// The digest of a state in its stored form.
pub(in crate::store) fn state_key(state: &HostState) -> Digest {
    Digest::of(&stored::state_bytes(state))
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{HostId, MachineIdentity, Platform, RunId};

    use super::*;
    use crate::store::last_seen::RunReturns;

    const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
    const NOW: Timestamp = Timestamp::from_millis(1_726_000_000_000);

    fn facts(hostname: &str) -> HostFacts {
        HostFacts {
            hostname: hostname.to_owned(),
            platform: Platform::Linux,
            os_name: "Debian GNU/Linux 12".to_owned(),
            kernel: "6.1".to_owned(),
            architecture: "x86_64".to_owned(),
            agent_version: "0.1.0".to_owned(),
            offline_root: false,
            identity: MachineIdentity::default(),
        }
    }

    fn state(boot_id: &str) -> HostState {
        HostState { boot_id: boot_id.to_owned(), ..HostState::default() }
    }

    fn check_in() -> CheckIn {
        CheckIn {
            host: HostId::from_bytes([1; 16]),
            run: RunId::from_bytes([1; 16]),
            seq: 1,
            observed_at: NOW,
            now: NOW,
            snapshot: Digest::of(b"snapshot"),
            facts: Some(facts("web-1")),
            state: Some(state("boot-1")),
            fingerprint: vec![1; 32],
            patience: Some(PATIENCE),
            allowance: crate::store::Allowance::unlimited(),
        }
    }

    /// The process before that of the check-in.
    fn seen(last_seen: Timestamp) -> LastSeen {
        LastSeen { last_seen, run: RunId::from_bytes([9; 16]), seq: 4, previous: None, returns: RunReturns::default() }
    }

    fn remembered() -> Remembered {
        Remembered {
            snapshot: Some(Digest::of(b"snapshot")),
            judged_at: Some(NOW.minus(Duration::from_secs(60))),
            seen: Some(seen(NOW.minus(Duration::from_secs(60)))),
            facts_key: Some(facts_key(&facts("web-1"), &[1; 32])),
            state_key: Some(state_key(&state("boot-1"))),
        }
    }

    fn changes_nothing(check_in: &CheckIn, host: &Remembered) -> bool {
        SentKeys::of(check_in).change_nothing(check_in, host)
    }

    #[test]
    fn a_check_in_with_what_is_stored_changes_nothing() {
        assert!(changes_nothing(&check_in(), &remembered()));
        let bare = CheckIn { facts: None, state: None, ..check_in() };
        let seen = Some(LastSeen { run: bare.run, seq: 0, ..seen(NOW) });
        assert!(changes_nothing(&bare, &Remembered { facts_key: None, state_key: None, seen, ..remembered() }));
    }

    #[test]
    fn another_snapshot_and_other_facts_or_state_need_the_database() {
        let others = [
            CheckIn { snapshot: Digest::of(b"another"), ..check_in() },
            CheckIn { facts: Some(facts("web-2")), ..check_in() },
            CheckIn { state: Some(state("boot-2")), ..check_in() },
            CheckIn { fingerprint: vec![2; 32], ..check_in() },
        ];
        for other in others {
            assert!(!changes_nothing(&other, &remembered()), "{other:?}");
        }
    }

    #[test]
    fn what_the_memory_does_not_know_needs_the_database() {
        assert!(!changes_nothing(&check_in(), &Remembered { facts_key: None, ..remembered() }));
        assert!(!changes_nothing(&check_in(), &Remembered { snapshot: None, ..remembered() }));
    }

    #[test]
    fn what_a_check_in_leaves_out_is_known_only_if_it_continues_the_run() {
        let without_state = CheckIn { state: None, ..check_in() };
        assert!(!changes_nothing(&without_state, &remembered()), "another process");
        let of_this_run =
            |seq| Remembered { seen: Some(LastSeen { run: check_in().run, seq, ..seen(NOW) }), ..remembered() };
        assert!(changes_nothing(&without_state, &of_this_run(0)));
        assert!(!changes_nothing(&without_state, &of_this_run(1)), "a repetition");
        assert!(changes_nothing(&check_in(), &of_this_run(1)), "a repetition that leaves nothing out");
    }

    #[test]
    fn a_run_that_comes_back_needs_the_database() {
        let before = |run| Some((run, 3));
        let replaced = |previous| Remembered { seen: Some(LastSeen { previous, ..seen(NOW) }), ..remembered() };
        assert!(changes_nothing(&check_in(), &replaced(before(RunId::from_bytes([8; 16])))));
        let again = CheckIn { seq: 4, ..check_in() };
        assert!(!changes_nothing(&again, &replaced(before(check_in().run))));
        let told = seen(NOW).noted_return(RunId::from_bytes([8; 16]));
        assert!(changes_nothing(&check_in(), &Remembered { seen: Some(told), ..remembered() }), "of no known run");
        let told = LastSeen { previous: before(RunId::from_bytes([8; 16])), ..seen(NOW) };
        let told = told.noted_return(RunId::from_bytes([8; 16]));
        assert!(!changes_nothing(&check_in(), &Remembered { seen: Some(told), ..remembered() }));
    }

    #[test]
    fn a_verdict_that_is_a_day_old_needs_the_database() {
        let old = Remembered { judged_at: Some(NOW.minus(JUDGED_AGAIN)), ..remembered() };
        assert!(!changes_nothing(&check_in(), &old));
        assert!(changes_nothing(&check_in(), &Remembered { judged_at: None, ..remembered() }), "it is queued anyway");
    }
    #[test]
    fn the_end_of_a_gap_needs_the_database() {
        let seen = |ago| Remembered { seen: Some(seen(NOW.minus(ago))), ..remembered() };
        assert!(changes_nothing(&check_in(), &seen(PATIENCE)), "the patience itself is not exceeded");
        let longer = seen(PATIENCE + Duration::from_millis(1));
        assert!(!changes_nothing(&check_in(), &longer));
        let without_orders = CheckIn { patience: None, ..check_in() };
        assert!(changes_nothing(&without_orders, &longer), "no order waits for the host");
    }
}
