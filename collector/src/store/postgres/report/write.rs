//! Writes a batch: one statement for each table, over arrays.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use muster_proto::canonical;
use muster_proto::model::{Digest, Snapshot, Timestamp};
use tokio_postgres::Row;

use super::locked::LockedHost;
use super::{Batch, BatchContext, Kind};
use crate::store::contradiction::SectionRow;
use crate::store::decide::marks;
use crate::store::decide::report::{Gap, SnapshotChange};
use crate::store::postgres::fault::{PostgresFault, Step};
use crate::store::postgres::intern::{Draft, Intern};
use crate::store::postgres::memory::CachedHost;
use crate::store::postgres::session::{Session, Values};
use crate::store::postgres::{mark, row};
use crate::store::snapshot_codec;

/// Rows come in the order of their digests, so that two batches with the same sections do not wait crosswise.
pub(super) const SECTIONS: &str = "
    INSERT INTO section (digest, platform, source, observations, body)
    SELECT * FROM unnest($1::bytea[], $2::int2[], $3::int2[], $4::int4[], $5::bytea[])
    ON CONFLICT (digest) DO NOTHING RETURNING no, digest";

pub(super) const SNAPSHOTS: &str = "
    INSERT INTO snapshot (digest, entries, complete) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bool[])
    ON CONFLICT (digest) DO NOTHING RETURNING no, digest";

pub(super) const COMPLETE: &str = "
    WITH late AS (
        UPDATE snapshot l SET complete = true, entries = u.entries FROM (
            SELECT k.no, w.entries FROM unnest($1::int8[], $2::bytea[]) AS w (no, entries) JOIN snapshot k ON k.no = w.no
            WHERE NOT k.complete ORDER BY k.digest FOR NO KEY UPDATE OF k
        ) u WHERE l.no = u.no RETURNING l.no
    )
    INSERT INTO snapshot_late (snapshot) SELECT no FROM late ON CONFLICT DO NOTHING";

pub(super) const NOW: &str = "
    UPDATE host_current n SET last_seen = u.last_seen, run = u.run, seq = u.seq, previous_run = u.previous_run,
        previous_seq = u.previous_seq, returns = u.returns, snapshot = u.snapshot, snapshot_since = u.snapshot_since, snapshot_observed_at = u.snapshot_observed_at,
        revision = u.revision
    FROM unnest($1::int4[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::int8[], $7::int8[], $8::int8[],
                $9::int8[], $10::int4[], $11::int2[])
        AS u (host, last_seen, run, seq, previous_run, previous_seq, snapshot, snapshot_since, snapshot_observed_at, revision,
              returns)
    WHERE n.host = u.host";

pub(super) const HISTORY: &str = "
    INSERT INTO host_snapshot (host, since, until, observed_at, snapshot)
    SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[], $5::int8[])";

/// The first end of a gap is the right one: a crash can lose "last seen", and the gap is then found again.
pub(super) const GAPS: &str = "
    INSERT INTO host_gap (host, since, until) SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[])
    ON CONFLICT DO NOTHING";

pub(super) const OLD_GAPS: &str = "
    DELETE FROM host_gap g USING unnest($1::int4[], $2::int8[]) AS u (host, kept_from)
    WHERE g.host = u.host AND g.until < u.kept_from";

/// A job has to look at the identifiers of the hosts. A row that is there already is locked: the job deletes it before it reads
/// the facts.
pub(super) const FACTS: &str = "
    WITH changed AS (
    UPDATE host h SET hostname = u.hostname, platform = u.platform, os_name = u.os_name, kernel = u.kernel,
        architecture = u.architecture, agent_version = u.agent_version, offline_root = u.offline_root,
        state = coalesce(u.state, h.state), fingerprint = u.fingerprint, identity = u.identity
    FROM unnest($1::int4[], $2::text[], $3::int2[], $4::int4[], $5::int4[], $6::int4[], $7::int4[], $8::bool[], $9::bytea[],
                $10::bytea[], $11::bytea[])
        AS u (no, hostname, platform, os_name, kernel, architecture, agent_version, offline_root, state, fingerprint, identity)
    WHERE h.no = u.no RETURNING h.no
    )
    INSERT INTO identity_pending (host) SELECT no FROM changed ORDER BY no
    ON CONFLICT (host) DO UPDATE SET host = excluded.host";

pub(super) const STATES: &str = "
    UPDATE host h SET state = u.state FROM unnest($1::int4[], $2::bytea[]) AS u (no, state) WHERE h.no = u.no";

pub(super) const JUDGE_QUEUE: &str = "
    INSERT INTO judge_queue (host, queued_at, ticket)
    SELECT host, queued_at, nextval('judge_queue_ticket') FROM unnest($1::int4[], $2::int8[]) AS u (host, queued_at)
    ON CONFLICT (host) DO UPDATE SET ticket = excluded.ticket";

/// Sections to write, as columns.
#[derive(Default)]
pub(super) struct NewSections<'a> {
    digests: Vec<Vec<u8>>,
    platforms: Vec<i16>,
    sources: Vec<i16>,
    sizes: Vec<i32>,
    bodies: Vec<&'a [u8]>,
    drafts: BTreeMap<Digest, &'a Draft>,
}

impl NewSections<'_> {
    /// Writes them; returns the rows of those that no other transaction has written.
    pub(super) async fn put(&self, session: &Session) -> Step<Vec<Row>> {
        if self.digests.is_empty() {
            return Ok(Vec::new());
        }
        let Self { digests, platforms, sources, sizes, bodies, drafts: _ } = self;
        session.query(SECTIONS, &[digests, platforms, sources, sizes, bodies]).await
    }

    pub(super) fn digests(&self) -> BTreeSet<Digest> {
        self.drafts.keys().copied().collect()
    }

    /// Whether the numbers of all their editions were found in this generation of removals.
    pub(super) fn are_of(&self, generation: i32) -> bool {
        self.drafts.values().all(|draft| draft.generation() == Some(generation))
    }

    /// Whether all their editions are in the dictionary of this generation under the numbers that were found.
    pub(super) fn are_in(&self, intern: &Intern, generation: i32) -> bool {
        self.drafts.values().all(|draft| intern.has(draft, generation))
    }

    /// The row of one of them, which was written under this number.
    pub(super) fn row(&self, digest: &Digest, no: i64) -> Option<SectionRow> {
        self.drafts.get(digest).map(|draft| draft.row(no))
    }
}

impl Batch<'_> {
    /// Sections that came and are not stored, each once, by digest.
    pub(super) fn new_sections(&self) -> NewSections<'_> {
        let mut drafts: BTreeMap<Digest, &Draft> = BTreeMap::new();
        for operation in self.reports.iter().filter_map(|report| report.delivery()) {
            if self.numbers.contains_key(&operation.host) {
                let new = operation.drafts.iter().filter(|draft| !self.sections.contains_key(&draft.digest()));
                for draft in new {
                    // Only the first of several has a body; see `intern`.
                    drafts.entry(draft.digest()).or_insert(draft);
                }
            }
        }
        let mut sections = NewSections::default();
        for draft in drafts.values() {
            sections.digests.push(draft.digest().as_bytes().to_vec());
            sections.platforms.push(row::code(draft.section.platform().code()));
            sections.sources.push(row::code(draft.section.source().code()));
            sections.sizes.push(i32::try_from(draft.section.len()).unwrap_or(i32::MAX));
            sections.bodies.push(draft.body());
        }
        sections.drafts = drafts;
        sections
    }

    /// Writes snapshots that came and are not stored, each once, by digest; returns the rows of those that no other
    /// transaction has written.
    pub(super) async fn put_snapshots(&self, session: &Session) -> Step<Vec<Row>> {
        let mut snapshots = BTreeMap::new();
        for operation in self.reports.iter().filter_map(|report| report.delivery()) {
            let Some(snapshot) = operation.snapshot.as_ref().filter(|_| self.numbers.contains_key(&operation.host))
            else {
                continue;
            };
            let Some(state) = self.snapshots.get(&operation.digest).filter(|state| state.no.is_none()) else {
                continue;
            };
            if let Entry::Vacant(place) = snapshots.entry(operation.digest) {
                // Only the sections of a complete snapshot all have numbers to store.
                let is_complete = state.is_marked;
                place.insert((
                    if is_complete { self.stored(snapshot)? } else { canonical::snapshot_bytes(snapshot) },
                    is_complete,
                ));
            }
        }
        if snapshots.is_empty() {
            return Ok(Vec::new());
        }
        let digests: Vec<&[u8]> = snapshots.keys().map(|digest| digest.as_bytes().as_slice()).collect();
        let (entries, complete): (Vec<&[u8]>, Vec<bool>) =
            snapshots.values().map(|(entries, is_complete)| (entries.as_slice(), *is_complete)).unzip();
        session.query(SNAPSHOTS, &[&digests, &entries, &complete]).await
    }

    /// The stored form of a snapshot whose sections are all here.
    fn stored(&self, snapshot: &Snapshot) -> Step<Vec<u8>> {
        let sections = snapshot.entries().iter().filter_map(|entry| entry.section);
        let numbers: Option<Vec<i64>> = sections.map(|digest| Some(self.sections.get(&digest)?.no)).collect();
        let numbers = numbers.ok_or_else(|| PostgresFault::other("a section of a snapshot has no number"))?;
        Ok(snapshot_codec::encode(snapshot, &numbers))
    }

    /// Snapshots whose last section has come, with their stored forms.
    fn completed(&self) -> Step<(Vec<i64>, Vec<Vec<u8>>)> {
        let (mut numbers, mut entries) = (Vec::new(), Vec::new());
        for (digest, state) in &self.snapshots {
            let (Some(no), false, true) = (state.no, state.is_marked, state.is_complete()) else { continue };
            if let Some(Ok(snapshot)) = self.incomplete.get(digest) {
                numbers.push(no);
                entries.push(self.stored(snapshot)?);
            }
        }
        Ok((numbers, entries))
    }

    /// Writes what was decided and commits, all in one round trip if no host is to be marked.
    pub(super) async fn commit(&mut self, context: &BatchContext<'_>) -> Step<()> {
        let (completed, entries) = self.completed()?;
        let session = context.session;
        let complete = async {
            if completed.is_empty() { Ok(0) } else { session.execute(COMPLETE, &[&completed, &entries]).await }
        };
        let hosts = || self.hosts.values();
        let marks = hosts().any(|host| host.two_holders.is_some());
        // In the order of locks at the head of `writer`; `biased` sends the statements in this order.
        let outcomes = tokio::join!(
            biased;
            complete,
            put_judge_queue(session, hosts()),
            put_now(session, hosts().filter(|host| host.is_seen_anew)),
            put_history(session, hosts()),
            put_gaps(session, hosts()),
            put_facts(session, hosts().filter(|host| host.has_new_facts)),
            // `put_facts` writes the state of hosts that have new facts too.
            put_states(session, hosts().filter(|host| host.has_new_state && !host.has_new_facts)),
            // The server turns COMMIT into a rollback if a statement before it has failed.
            async { if marks { Ok(()) } else { session.batch("COMMIT").await } },
        );
        // The first that failed is the reason; those behind it only say that the transaction is lost.
        outcomes.0?;
        outcomes.1?;
        outcomes.2?;
        outcomes.3?;
        outcomes.4?;
        outcomes.5?;
        outcomes.6?;
        outcomes.7?;
        if marks {
            self.mark(session).await?;
            session.batch("COMMIT").await?;
        }
        Ok(())
    }

    /// Marks hosts with whose keys two machines report. Marks and ledger are the last in the order of locks.
    async fn mark(&mut self, session: &Session) -> Step<()> {
        for (id, no) in &self.numbers {
            let Some(host) = self.hosts.get_mut(no) else { continue };
            if let Some((sign, now)) = host.two_holders
                && !mark::two_holders(session, (*no, *id), sign, now).await?
            {
                // It has the mark already.
                host.two_holders = None;
            }
        }
        Ok(())
    }

    /// Updates the memory with what was committed.
    pub(super) fn remember(self, context: &BatchContext<'_>) {
        for (id, host) in self.numbers.iter().filter_map(|(id, no)| Some((*id, self.hosts.get(no)?))) {
            let live = CachedHost {
                no: host.no,
                revision: host.revision_now(),
                seen: host.seen,
                snapshot: host.digest,
                judged_at: host.judged_at,
                facts: host.facts_key,
                state: host.state_key,
            };
            context.memory.host_put(id, host.revision, live);
            if let Some((sign, _)) = host.two_holders {
                marks::log_two_holders(id, sign);
            }
        }
        // Who finds a snapshot in the cache takes it as complete.
        let complete = self.snapshots.iter().filter(|(_, snapshot)| snapshot.is_complete());
        let snapshots = complete.filter_map(|(digest, snapshot)| Some((*digest, (snapshot.no?, snapshot.platform))));
        context.digests.put(self.generation, self.sections.into_iter(), snapshots);
        for report in self.reports.iter_mut() {
            if let Kind::Deliver { operation, .. } = &mut report.0
                && self.numbers.contains_key(&operation.host)
            {
                let sections = std::mem::take(&mut operation.drafts).into_iter().map(|draft| draft.section).collect();
                context
                    .memory
                    .recent()
                    .keep(sections, operation.snapshot.take().map(|snapshot| (operation.digest, snapshot)));
            }
        }
        if self.hosts.values().any(|host| host.queued_since.is_some()) {
            context.memory.queue_notify().notify_one();
        }
    }
}

impl LockedHost {
    const fn revision_now(&self) -> i32 {
        if self.is_changed { self.revision.wrapping_add(1) } else { self.revision }
    }
}

async fn put_now(session: &Session, hosts: impl Iterator<Item = &LockedHost>) -> Step<()> {
    let mut numbers: Vec<i32> = Vec::new();
    let (mut last_seen, mut seqs, mut previous_seqs) = (Vec::<i64>::new(), Vec::<i64>::new(), Vec::<i64>::new());
    let (mut runs, mut previous_runs) = (Vec::<Vec<u8>>::new(), Vec::<Option<Vec<u8>>>::new());
    let (mut snapshots, mut since, mut observed) =
        (Vec::<Option<i64>>::new(), Vec::<Option<i64>>::new(), Vec::<Option<i64>>::new());
    let (mut revisions, mut returns) = (Vec::<i32>::new(), Vec::<i16>::new());
    for host in hosts {
        let Some(seen) = host.seen else { continue };
        numbers.push(host.no);
        last_seen.push(seen.last_seen.millis());
        runs.push(seen.run.as_bytes().to_vec());
        seqs.push(seen.seq.cast_signed());
        previous_runs.push(seen.previous.map(|(run, _)| run.as_bytes().to_vec()));
        previous_seqs.push(seen.previous.map_or(0, |(_, seq)| seq.cast_signed()));
        snapshots.push(host.current.map(|current| current.snapshot));
        since.push(host.current.map(|current| current.since.millis()));
        observed.push(host.current.map(|current| current.observed_at.millis()));
        revisions.push(host.revision_now());
        returns.push(row::code(seen.returns.code()));
    }
    if !numbers.is_empty() {
        let values: Values<'_> = &[
            &numbers,
            &last_seen,
            &runs,
            &seqs,
            &previous_runs,
            &previous_seqs,
            &snapshots,
            &since,
            &observed,
            &revisions,
            &returns,
        ];
        session.execute(NOW, values).await?;
    }
    Ok(())
}

async fn put_history(session: &Session, hosts: impl Iterator<Item = &LockedHost>) -> Step<()> {
    let mut numbers: Vec<i32> = Vec::new();
    let mut columns: [Vec<i64>; 4] = Default::default();
    for host in hosts {
        for SnapshotChange { before, now } in &host.ended {
            let Some(before) = before else { continue };
            numbers.push(host.no);
            let values = [before.since.millis(), now.since.millis(), before.observed_at.millis(), before.snapshot];
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
    }
    if !numbers.is_empty() {
        let [since, until, observed, snapshots] = &columns;
        session.execute(HISTORY, &[&numbers, since, until, observed, snapshots]).await?;
    }
    Ok(())
}

async fn put_gaps(session: &Session, hosts: impl Iterator<Item = &LockedHost>) -> Step<()> {
    let gaps: Vec<(i32, Gap)> = hosts.flat_map(|host| host.gaps.iter().map(|gap| (host.no, *gap))).collect();
    if gaps.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i32> = gaps.iter().map(|(no, _)| *no).collect();
    let since: Vec<i64> = gaps.iter().map(|(_, gap)| gap.since.millis()).collect();
    let until: Vec<i64> = gaps.iter().map(|(_, gap)| gap.until.millis()).collect();
    let kept_from: Vec<i64> = gaps.iter().map(|(_, gap)| gap.kept_from().millis()).collect();
    let (new, old): (Values<'_>, Values<'_>) = (&[&numbers, &since, &until], &[&numbers, &kept_from]);
    // Both are sent at once: what is sent after the first answer would come after the COMMIT.
    let (put, deleted) = tokio::join!(biased; session.execute(GAPS, new), session.execute(OLD_GAPS, old));
    put?;
    deleted.map(drop)
}

/// Facts, together with the state where that is new too, so that a row is rewritten once.
async fn put_facts(session: &Session, hosts: impl Iterator<Item = &LockedHost>) -> Step<()> {
    let mut numbers: Vec<i32> = Vec::new();
    let (mut hostnames, mut platforms, mut roots) = (Vec::<&str>::new(), Vec::<i16>::new(), Vec::<bool>::new());
    let mut phrases: [Vec<i32>; 4] = Default::default();
    let mut states: Vec<Option<&[u8]>> = Vec::new();
    let (mut fingerprints, mut identities) = (Vec::<&[u8]>::new(), Vec::<Option<&[u8]>>::new());
    for (host, facts) in hosts.filter_map(|host| Some((host, host.facts.as_ref()?))) {
        numbers.push(host.no);
        hostnames.push(&facts.hostname);
        platforms.push(facts.platform);
        roots.push(facts.offline_root);
        fingerprints.push(&facts.fingerprint);
        identities.push(facts.identity.as_deref());
        states.push(host.state.as_deref().filter(|_| host.has_new_state));
        for (column, value) in phrases.iter_mut().zip(facts.phrases) {
            column.push(value);
        }
    }
    if !numbers.is_empty() {
        let [systems, kernels, architectures, agents] = &phrases;
        let values: Values<'_> = &[
            &numbers,
            &hostnames,
            &platforms,
            systems,
            kernels,
            architectures,
            agents,
            &roots,
            &states,
            &fingerprints,
            &identities,
        ];
        session.execute(FACTS, values).await?;
    }
    Ok(())
}

async fn put_states(session: &Session, hosts: impl Iterator<Item = &LockedHost>) -> Step<()> {
    let changed = hosts.filter_map(|host| Some((host.no, host.state.as_deref()?)));
    let (numbers, states): (Vec<i32>, Vec<&[u8]>) = changed.unzip();
    if !numbers.is_empty() {
        session.execute(STATES, &[&numbers, &states]).await?;
    }
    Ok(())
}

async fn put_judge_queue(session: &Session, hosts: impl Iterator<Item = &LockedHost>) -> Step<()> {
    let waiting = hosts.filter_map(|host| Some((host.no, host.queued_since.map(Timestamp::millis)?)));
    let (numbers, since): (Vec<i32>, Vec<i64>) = waiting.unzip();
    if !numbers.is_empty() {
        session.execute(JUDGE_QUEUE, &[&numbers, &since]).await?;
    }
    Ok(())
}
