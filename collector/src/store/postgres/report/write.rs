//! How a batch is kept: one statement for each table, over arrays.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use muster_proto::canonical;
use muster_proto::model::{Digest, Look, Timestamp};
use tokio_postgres::Row;

use super::decide::HostState;
use super::{Desk, Kind, Work};
use crate::store::look_codec;
use crate::store::postgres::fault::{Fault, Step};
use crate::store::postgres::intern::Draft;
use crate::store::postgres::memory::Live;
use crate::store::postgres::row;
use crate::store::postgres::session::{Session, Values};

/// Rows come in the order of their digests, so that two batches with the same sections do not wait crosswise.
pub(super) const SECTIONS: &str = "
    INSERT INTO section (digest, platform, source, observations, body)
    SELECT * FROM unnest($1::bytea[], $2::int2[], $3::int2[], $4::int4[], $5::bytea[])
    ON CONFLICT (digest) DO NOTHING RETURNING no, digest";

pub(super) const LOOKS: &str = "
    INSERT INTO look (digest, entries, complete) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bool[])
    ON CONFLICT (digest) DO NOTHING RETURNING no, digest";

pub(super) const COMPLETE: &str = "
    WITH late AS (
        UPDATE look l SET complete = true, entries = u.entries FROM (
            SELECT k.no, w.entries FROM unnest($1::int8[], $2::bytea[]) AS w (no, entries) JOIN look k ON k.no = w.no
            WHERE NOT k.complete ORDER BY k.digest FOR NO KEY UPDATE OF k
        ) u WHERE l.no = u.no RETURNING l.no
    )
    INSERT INTO look_late (look) SELECT no FROM late ON CONFLICT DO NOTHING";

pub(super) const NOW: &str = "
    UPDATE host_now n SET last_seen = u.last_seen, run = u.run, seq = u.seq, previous_run = u.previous_run,
        previous_seq = u.previous_seq, look = u.look, look_since = u.look_since, look_observed_at = u.look_observed_at,
        revision = u.revision
    FROM unnest($1::int4[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::int8[], $7::int8[], $8::int8[],
                $9::int8[], $10::int4[])
        AS u (host, last_seen, run, seq, previous_run, previous_seq, look, look_since, look_observed_at, revision)
    WHERE n.host = u.host";

pub(super) const HISTORY: &str = "
    INSERT INTO host_look (host, since, until, observed_at, look)
    SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[], $5::int8[])";

pub(super) const FACTS: &str = "
    UPDATE host h SET hostname = u.hostname, platform = u.platform, os_name = u.os_name, kernel = u.kernel,
        architecture = u.architecture, agent_version = u.agent_version, offline_root = u.offline_root,
        state = coalesce(u.state, h.state)
    FROM unnest($1::int4[], $2::text[], $3::int2[], $4::int4[], $5::int4[], $6::int4[], $7::int4[], $8::bool[], $9::bytea[])
        AS u (no, hostname, platform, os_name, kernel, architecture, agent_version, offline_root, state)
    WHERE h.no = u.no";

pub(super) const STATES: &str = "
    UPDATE host h SET state = u.state FROM unnest($1::int4[], $2::bytea[]) AS u (no, state) WHERE h.no = u.no";

pub(super) const DOCKET: &str = "
    INSERT INTO docket (host, since, ticket)
    SELECT host, since, nextval('docket_ticket') FROM unnest($1::int4[], $2::int8[]) AS u (host, since)
    ON CONFLICT (host) DO UPDATE SET ticket = excluded.ticket";

/// Sections that are to be kept, as columns.
#[derive(Default)]
pub(super) struct NewSections<'a> {
    digests: Vec<Vec<u8>>,
    platforms: Vec<i16>,
    sources: Vec<i16>,
    sizes: Vec<i32>,
    bodies: Vec<&'a [u8]>,
}

impl NewSections<'_> {
    /// Keeps them, and says the numbers of those that nobody else has made.
    pub(super) async fn put(&self, session: &Session) -> Step<Vec<Row>> {
        if self.digests.is_empty() {
            return Ok(Vec::new());
        }
        let Self { digests, platforms, sources, sizes, bodies } = self;
        session.query(SECTIONS, &[digests, platforms, sources, sizes, bodies]).await
    }

    pub(super) fn digests(&self) -> BTreeSet<Digest> {
        self.digests.iter().filter_map(|digest| Digest::try_from(digest.as_slice()).ok()).collect()
    }
}

impl Work<'_> {
    /// Sections that came and are not here, each once, by digest.
    pub(super) fn new_sections(&self) -> NewSections<'_> {
        let mut drafts: BTreeMap<Digest, &Draft> = BTreeMap::new();
        for deed in self.reports.iter().filter_map(|report| report.delivery()) {
            if self.numbers.contains_key(&deed.host) {
                let new = deed.drafts.iter().filter(|draft| !self.sections.contains_key(&draft.digest()));
                for draft in new {
                    // Only the first of several is written out; see `intern`.
                    drafts.entry(draft.digest()).or_insert(draft);
                }
            }
        }
        let mut sections = NewSections::default();
        for draft in drafts.into_values() {
            sections.digests.push(draft.digest().as_bytes().to_vec());
            sections.platforms.push(row::code(draft.section.platform().code()));
            sections.sources.push(row::code(draft.section.source().code()));
            sections.sizes.push(i32::try_from(draft.section.len()).unwrap_or(i32::MAX));
            sections.bodies.push(draft.body());
        }
        sections
    }

    /// Keeps looks that came and are not here, each once, by digest; says the numbers of those that nobody else has made.
    pub(super) async fn put_looks(&self, session: &Session) -> Step<Vec<Row>> {
        let mut looks = BTreeMap::new();
        for deed in self.reports.iter().filter_map(|report| report.delivery()) {
            let Some(look) = deed.look.as_ref().filter(|_| self.numbers.contains_key(&deed.host)) else { continue };
            let Some(state) = self.looks.get(&deed.digest).filter(|state| state.no.is_none()) else { continue };
            if let Entry::Vacant(place) = looks.entry(deed.digest) {
                let is_complete = state.is_marked;
                place.insert((if is_complete { self.stored(look)? } else { canonical::look_bytes(look) }, is_complete));
            }
        }
        if looks.is_empty() {
            return Ok(Vec::new());
        }
        let digests: Vec<&[u8]> = looks.keys().map(|digest| digest.as_bytes().as_slice()).collect();
        let (entries, complete): (Vec<&[u8]>, Vec<bool>) =
            looks.values().map(|(entries, is_complete)| (entries.as_slice(), *is_complete)).unzip();
        session.query(LOOKS, &[&digests, &entries, &complete]).await
    }

    /// The stored form of a look whose sections are all here.
    fn stored(&self, look: &Look) -> Step<Vec<u8>> {
        let sections = look.entries().iter().filter_map(|entry| entry.section);
        let numbers: Option<Vec<i64>> = sections.map(|digest| self.sections.get(&digest).copied()).collect();
        let numbers = numbers.ok_or_else(|| Fault::other("a section of a look has no number"))?;
        Ok(look_codec::encode(look, &numbers))
    }

    /// Looks whose last section has come, with their stored forms.
    fn completed(&self) -> Step<(Vec<i64>, Vec<Vec<u8>>)> {
        let (mut numbers, mut entries) = (Vec::new(), Vec::new());
        for (digest, state) in &self.looks {
            let (Some(no), false, Ok(missing)) = (state.no, state.is_marked, &state.missing) else { continue };
            if !missing.is_empty() {
                continue;
            }
            if let Some(Ok(look)) = self.incomplete.get(digest) {
                numbers.push(no);
                entries.push(self.stored(look)?);
            }
        }
        Ok((numbers, entries))
    }

    /// Writes what was decided, and commits; all in one round trip.
    pub(super) async fn commit(&self, desk: &Desk<'_>) -> Step<()> {
        let (completed, entries) = self.completed()?;
        let session = desk.session;
        let complete = async {
            if completed.is_empty() { Ok(0) } else { session.execute(COMPLETE, &[&completed, &entries]).await }
        };
        let hosts = || self.hosts.values();
        let outcomes = tokio::join!(
            biased;
            complete,
            put_docket(session, hosts()),
            put_now(session, hosts().filter(|host| host.is_seen_anew)),
            put_history(session, hosts()),
            put_facts(session, hosts().filter(|host| host.has_new_facts)),
            put_states(session, hosts().filter(|host| host.has_new_state && !host.has_new_facts)),
            session.batch("COMMIT"),
        );
        // The first that failed is the reason; those behind it only say that the transaction is lost.
        outcomes.0?;
        outcomes.1?;
        outcomes.2?;
        outcomes.3?;
        outcomes.4?;
        outcomes.5?;
        outcomes.6
    }

    /// What is committed becomes known.
    pub(super) fn tell(self, desk: &Desk<'_>) {
        for (id, host) in self.numbers.iter().filter_map(|(id, no)| Some((*id, self.hosts.get(no)?))) {
            let live = Live {
                no: host.no,
                revision: host.revision_now(),
                seen: host.seen,
                look: host.digest,
                judged_at: host.judged_at,
                facts: host.facts_key,
                state: host.state_key,
            };
            desk.memory.host_put(id, host.revision, live);
        }
        let complete = self.looks.iter().filter(|(_, look)| matches!(&look.missing, Ok(m) if m.is_empty()));
        let looks = complete.filter_map(|(digest, look)| Some((*digest, look.no?)));
        desk.known.put(self.sections.into_iter(), looks);
        for report in self.reports.iter_mut() {
            if let Kind::Deliver { deed, .. } = &mut report.0
                && self.numbers.contains_key(&deed.host)
            {
                let sections = std::mem::take(&mut deed.drafts).into_iter().map(|draft| draft.section).collect();
                desk.memory.recent().keep(sections, deed.look.take().map(|look| (deed.digest, look)));
            }
        }
        if self.hosts.values().any(|host| host.docket.is_some()) {
            desk.memory.bell().notify_one();
        }
    }
}

impl HostState {
    const fn revision_now(&self) -> i32 {
        if self.is_changed { self.revision.wrapping_add(1) } else { self.revision }
    }
}

async fn put_now(session: &Session, hosts: impl Iterator<Item = &HostState>) -> Step<()> {
    let mut numbers: Vec<i32> = Vec::new();
    let (mut last_seen, mut seqs, mut previous_seqs) = (Vec::<i64>::new(), Vec::<i64>::new(), Vec::<i64>::new());
    let (mut runs, mut previous_runs) = (Vec::<Vec<u8>>::new(), Vec::<Option<Vec<u8>>>::new());
    let (mut looks, mut since, mut observed) =
        (Vec::<Option<i64>>::new(), Vec::<Option<i64>>::new(), Vec::<Option<i64>>::new());
    let mut revisions: Vec<i32> = Vec::new();
    for host in hosts {
        let Some(seen) = host.seen else { continue };
        numbers.push(host.no);
        last_seen.push(seen.last_seen.millis());
        runs.push(seen.run.as_bytes().to_vec());
        seqs.push(seen.seq.cast_signed());
        previous_runs.push(seen.previous.map(|(run, _)| run.as_bytes().to_vec()));
        previous_seqs.push(seen.previous.map_or(0, |(_, seq)| seq.cast_signed()));
        looks.push(host.look.map(|pointer| pointer.look));
        since.push(host.look.map(|pointer| pointer.since.millis()));
        observed.push(host.look.map(|pointer| pointer.observed_at.millis()));
        revisions.push(host.revision_now());
    }
    if !numbers.is_empty() {
        let values: Values<'_> = &[
            &numbers,
            &last_seen,
            &runs,
            &seqs,
            &previous_runs,
            &previous_seqs,
            &looks,
            &since,
            &observed,
            &revisions,
        ];
        session.execute(NOW, values).await?;
    }
    Ok(())
}

async fn put_history(session: &Session, hosts: impl Iterator<Item = &HostState>) -> Step<()> {
    let mut numbers: Vec<i32> = Vec::new();
    let mut columns: [Vec<i64>; 4] = Default::default();
    for host in hosts {
        for (pointer, until) in &host.ended {
            numbers.push(host.no);
            let values = [pointer.since.millis(), until.millis(), pointer.observed_at.millis(), pointer.look];
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
    }
    if !numbers.is_empty() {
        let [since, until, observed, looks] = &columns;
        session.execute(HISTORY, &[&numbers, since, until, observed, looks]).await?;
    }
    Ok(())
}

/// Facts, and with them the state where it is new too: a row is rewritten once.
async fn put_facts(session: &Session, hosts: impl Iterator<Item = &HostState>) -> Step<()> {
    let mut numbers: Vec<i32> = Vec::new();
    let (mut names, mut platforms, mut roots) = (Vec::<&str>::new(), Vec::<i16>::new(), Vec::<bool>::new());
    let mut phrases: [Vec<i32>; 4] = Default::default();
    let mut states: Vec<Option<&[u8]>> = Vec::new();
    for (host, facts) in hosts.filter_map(|host| Some((host, host.facts.as_ref()?))) {
        numbers.push(host.no);
        names.push(&facts.hostname);
        platforms.push(facts.platform);
        roots.push(facts.offline_root);
        states.push(facts.state.as_deref().filter(|_| host.has_new_state));
        for (column, value) in phrases.iter_mut().zip(facts.phrases) {
            column.push(value);
        }
    }
    if !numbers.is_empty() {
        let [systems, kernels, architectures, agents] = &phrases;
        let values: Values<'_> =
            &[&numbers, &names, &platforms, systems, kernels, architectures, agents, &roots, &states];
        session.execute(FACTS, values).await?;
    }
    Ok(())
}

async fn put_states(session: &Session, hosts: impl Iterator<Item = &HostState>) -> Step<()> {
    let told = hosts.filter_map(|host| Some((host.no, host.facts.as_ref()?.state.as_deref()?)));
    let (numbers, states): (Vec<i32>, Vec<&[u8]>) = told.unzip();
    if !numbers.is_empty() {
        session.execute(STATES, &[&numbers, &states]).await?;
    }
    Ok(())
}

async fn put_docket(session: &Session, hosts: impl Iterator<Item = &HostState>) -> Step<()> {
    let waiting = hosts.filter_map(|host| Some((host.no, host.docket.map(Timestamp::millis)?)));
    let (numbers, since): (Vec<i32>, Vec<i64>) = waiting.unzip();
    if !numbers.is_empty() {
        session.execute(DOCKET, &[&numbers, &since]).await?;
    }
    Ok(())
}
