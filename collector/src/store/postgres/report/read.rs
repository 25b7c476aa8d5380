//! Loads what a batch needs to decide. Snapshots and sections are read before the transaction, which begins by making sure
//! that none of them was removed meanwhile; hosts are locked and read within it.

use std::collections::{BTreeSet, HashMap};

use muster_proto::model::{Digest, HostId, Platform, Snapshot, SourceName};

use super::locked::LockedHost;
use super::{Batch, BatchContext, SnapshotState};
use crate::store::Contradiction;
use crate::store::contradiction::{SectionRow, foreign_section};
use crate::store::postgres::fault::{PostgresFault, Step};
use crate::store::postgres::intern::Draft;
use crate::store::postgres::removal::Generations;
use crate::store::postgres::session::Values;
use crate::store::postgres::{removal, row, snapshot};

const HOSTS: &str = "SELECT id, no FROM host WHERE id = ANY ($1::bytea[])";
/// The platform is the second byte of the stored form and the sixth of the canonical one.
const SNAPSHOTS: &str = "SELECT digest, no, complete, CASE WHEN complete THEN NULL ELSE entries END,
                            get_byte(entries, CASE WHEN complete THEN 1 ELSE 5 END)::int2
                     FROM snapshot WHERE digest = ANY ($1::bytea[])";
const SECTIONS: &str = "SELECT no, digest, platform, source FROM section WHERE digest = ANY ($1::bytea[])";

/// Locks hosts in the order of their numbers, and reads what reports change.
pub(super) const LOCK: &str = "
    SELECT n.host, n.last_seen, n.run, n.seq, n.previous_run, n.previous_seq, n.returns, n.snapshot, n.snapshot_since,
           n.snapshot_observed_at, n.judged_at, n.revision, EXISTS (SELECT 1 FROM judge_queue d WHERE d.host = n.host),
           (SELECT ARRAY[h.enrolled_at, h.platform::int8] FROM host h WHERE h.no = n.host)
    FROM host_current n WHERE n.host = ANY ($1::int4[]) ORDER BY n.host FOR NO KEY UPDATE OF n";

/// Facts and state of hosts that sent some.
pub(super) const FACTS: &str = "
    SELECT no, hostname, platform, os_name, kernel, architecture, agent_version, offline_root, state, fingerprint, identity
    FROM host WHERE no = ANY ($1::int4[])";

/// Sections of a snapshot, each once, in its order.
fn sections_of(snapshot: &Snapshot) -> Vec<Digest> {
    let mut sections = Vec::new();
    for digest in snapshot.entries().iter().filter_map(|entry| entry.section) {
        if !sections.contains(&digest) {
            sections.push(digest);
        }
    }
    sections
}

impl Batch<'_> {
    /// Before the transaction: which hosts, snapshots and sections exist.
    pub(super) async fn read(&mut self, context: &BatchContext<'_>) -> Step<()> {
        // Before everything that is read: what was removed earlier is then not found.
        self.generation = match context.digests.generation() {
            Some(generation) => generation,
            None => {
                let generation = removal::generations(context.session).await?.rows;
                context.digests.advance(generation);
                generation
            }
        };
        self.read_hosts(context).await?;
        self.read_snapshots(context).await?;
        let mut wanted: BTreeSet<Digest> = self.incomplete.values().flatten().flat_map(sections_of).collect();
        for operation in self.reports.iter().filter_map(|report| report.delivery()) {
            wanted.extend(operation.drafts.iter().map(Draft::digest));
            if let Some(snapshot) =
                operation.snapshot.as_ref().filter(|_| !self.snapshots.contains_key(&operation.digest))
            {
                wanted.extend(sections_of(snapshot));
            }
        }
        self.sections = context.digests.sections(&mut wanted);
        self.read_sections(context, &wanted).await?;
        self.note_missing();
        Ok(())
    }

    /// The rows of these sections, as far as they are stored.
    async fn read_sections(&mut self, context: &BatchContext<'_>, wanted: &BTreeSet<Digest>) -> Step<()> {
        if !wanted.is_empty() {
            let keys: Vec<&[u8]> = wanted.iter().map(|digest| digest.as_bytes().as_slice()).collect();
            for found in context.session.query(SECTIONS, &[&keys]).await? {
                let row = SectionRow {
                    no: found.try_get(0)?,
                    platform: row::member("a section", Platform::from_code, &found, 2)?,
                    source: row::member("a section", SourceName::from_code, &found, 3)?,
                };
                self.sections.insert(row::digest(&found, 1)?, row);
            }
        }
        Ok(())
    }

    async fn read_hosts(&mut self, context: &BatchContext<'_>) -> Step<()> {
        let mut unknown: BTreeSet<HostId> = BTreeSet::new();
        for host in self.reports.iter().map(super::Report::host) {
            match context.memory.host_no(host) {
                Some(no) => drop(self.numbers.insert(host, no)),
                None => drop(unknown.insert(host)),
            }
        }
        if !unknown.is_empty() {
            let keys: Vec<&[u8]> = unknown.iter().map(|host| host.as_bytes().as_slice()).collect();
            for found in context.session.query(HOSTS, &[&keys]).await? {
                self.numbers.insert(row::host_id(&found, 0)?, found.try_get(1)?);
            }
        }
        Ok(())
    }

    /// Snapshots that are stored.
    async fn read_snapshots(&mut self, context: &BatchContext<'_>) -> Step<()> {
        let digests: BTreeSet<Digest> = self.reports.iter().map(super::Report::digest).collect();
        let mut unknown = Vec::new();
        for digest in digests {
            match context.digests.snapshot(&digest) {
                Some((no, platform)) => {
                    // The cache holds only complete snapshots.
                    let (no, missing) = (Some(no), Ok(Vec::new()));
                    let state = SnapshotState { no, platform, missing, foreign: None, is_marked: true };
                    self.snapshots.insert(digest, state);
                }
                None => unknown.push(digest),
            }
        }
        self.read_snapshot_rows(context, &unknown).await
    }

    async fn read_snapshot_rows(&mut self, context: &BatchContext<'_>, digests: &[Digest]) -> Step<()> {
        if digests.is_empty() {
            return Ok(());
        }
        let keys: Vec<&[u8]> = digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
        for found in context.session.query(SNAPSHOTS, &[&keys]).await? {
            let digest = row::digest(&found, 0)?;
            let is_marked: bool = found.try_get(2)?;
            if let Some(entries) = found.try_get::<_, Option<&[u8]>>(3)? {
                // A snapshot that cannot be read fails the reports that name it, and no others.
                self.incomplete.insert(digest, snapshot::incomplete(entries, &digest));
            }
            let platform = row::member("a snapshot", Platform::from_code, &found, 4)?;
            let (no, missing) = (Some(found.try_get(1)?), Ok(Vec::new()));
            self.snapshots.insert(digest, SnapshotState { no, platform, missing, foreign: None, is_marked });
        }
        Ok(())
    }

    /// Notes which sections each snapshot lacks once this batch is stored.
    fn note_missing(&mut self) {
        let deliveries = self.reports.iter().filter_map(|report| report.delivery());
        let of_hosts: Vec<_> = deliveries.filter(|operation| self.numbers.contains_key(&operation.host)).collect();
        let drafts = of_hosts.iter().flat_map(|operation| &operation.drafts);
        let arriving: HashMap<Digest, SectionRow> = drafts.map(|draft| (draft.digest(), draft.row(0))).collect();
        let here = |digest: &Digest| self.sections.get(digest).or_else(|| arriving.get(digest)).copied();
        let missing_of = |snapshot: &Snapshot| -> Vec<Digest> {
            sections_of(snapshot).into_iter().filter(|digest| here(digest).is_none()).collect()
        };
        for (digest, snapshot) in &self.incomplete {
            if let Some(state) = self.snapshots.get_mut(digest) {
                state.missing = snapshot.as_ref().map(missing_of).map_err(Clone::clone);
                state.foreign = snapshot.as_ref().ok().and_then(|snapshot| foreign_section(snapshot, here));
            }
        }
        for operation in of_hosts {
            let Some(snapshot) = operation.snapshot.as_ref() else { continue };
            self.snapshots.entry(operation.digest).or_insert_with(|| {
                let (missing, foreign) = (missing_of(snapshot), foreign_section(snapshot, here));
                let is_marked = missing.is_empty() && foreign.is_none();
                SnapshotState { no: None, platform: snapshot.platform(), missing: Ok(missing), foreign, is_marked }
            });
        }
    }

    /// Begins the transaction: locks and reads hosts and writes sections, all in one round trip; then writes snapshots,
    /// which name sections by their numbers.
    pub(super) async fn begin(&mut self, context: &BatchContext<'_>) -> Step<()> {
        let hosts: Vec<i32> = self.numbers.values().copied().collect::<BTreeSet<i32>>().into_iter().collect();
        let has_sent = |report: &&super::Report| {
            report.checked_in().is_some_and(|operation| operation.facts.is_some() || operation.state.is_some())
        };
        let sent: Vec<i32> = self
            .reports
            .iter()
            .filter(has_sent)
            .filter_map(|report| self.numbers.get(&report.host()).copied())
            .collect();
        let sections = self.new_sections();
        let session = context.session;
        let facts = async { if sent.is_empty() { Ok(Vec::new()) } else { session.query(FACTS, &[&sent]).await } };
        let locking: Values<'_> = &[&hosts];
        // `biased` sends the statements in this order, so hosts are locked before their facts are read.
        let (begun, shared, generations, locked, facts, written) = tokio::join!(
            biased;
            session.batch("BEGIN"),
            session.execute(removal::SHARE, &[]),
            session.query_first(removal::GENERATIONS, &[]),
            session.query(LOCK, locking),
            facts,
            sections.put(session),
        );
        begun?;
        shared?;
        let now = Generations::of(generations?.as_ref())?;
        if now.rows != self.generation {
            context.digests.advance(now.rows);
            return Err(PostgresFault::Conflict("sections or snapshots were removed meanwhile".to_owned()));
        }
        if !sections.are_of(now.editions) {
            // Nothing more is removed while the lock is shared.
            context.intern.sync(context.dictionary_session).await?;
            if !sections.are_in(context.intern, now.editions) {
                return Err(PostgresFault::Conflict("editions were removed meanwhile".to_owned()));
            }
        }
        let (locked, facts, written) = (locked?, facts?, written?);
        // `ON CONFLICT DO NOTHING` returns no row for a section that another transaction has written.
        let mut others = sections.digests();
        let mut new = Vec::with_capacity(written.len());
        for found in &written {
            let digest = row::digest(found, 1)?;
            others.remove(&digest);
            if let Some(row) = sections.row(&digest, found.try_get(0)?) {
                new.push((digest, row));
            }
        }
        self.sections.extend(new);
        for found in &locked {
            let host = LockedHost::read(found)?;
            self.hosts.insert(host.no, host);
        }
        for found in &facts {
            if let Some(host) = self.hosts.get_mut(&found.try_get::<_, i32>(0)?) {
                host.read_facts(found)?;
            }
        }
        // Sections that another transaction has written meanwhile.
        self.read_sections(context, &others).await?;
        let written = self.put_snapshots(session).await?;
        self.number_snapshots(context, &written).await
    }

    /// Notes the numbers of new snapshots; reads those that another transaction has written meanwhile.
    async fn number_snapshots(&mut self, context: &BatchContext<'_>, written: &[tokio_postgres::Row]) -> Step<()> {
        for found in written {
            if let Some(state) = self.snapshots.get_mut(&row::digest(found, 1)?) {
                state.no = Some(found.try_get(0)?);
            }
        }
        let others: Vec<Digest> =
            self.snapshots.iter().filter(|(_, snapshot)| snapshot.no.is_none()).map(|(digest, _)| *digest).collect();
        if others.is_empty() {
            return Ok(());
        }
        let before: Vec<(Digest, Step<Vec<Digest>>, Option<Contradiction>)> = others
            .iter()
            .filter_map(|digest| Some((*digest, self.snapshots.get(digest)?)))
            .map(|(digest, state)| (digest, state.missing.clone(), state.foreign.clone()))
            .collect();
        self.read_snapshot_rows(context, &others).await?;
        for (digest, missing, foreign) in before {
            match self.snapshots.get_mut(&digest) {
                // The same snapshot lacks the same sections.
                Some(state) if state.no.is_some() && !state.is_marked => {
                    (state.missing, state.foreign) = (missing, foreign);
                }
                Some(state) if state.no.is_some() => {}
                _ => {
                    return Err(PostgresFault::Conflict(format!(
                        "snapshot {} is being written by another transaction",
                        digest.short()
                    )));
                }
            }
        }
        Ok(())
    }
}
