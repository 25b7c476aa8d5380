//! The writers of reports: a few tasks, each with its own connections, that commit what is queued.
//!
//! ```text
//!  check-in, delivery ─► queue ─► gather (2 ms) ─► read ─► intern ─► [ BEGIN lock, insert ─► decide ─► update COMMIT ] ─► answers
//! ```
//!
//! Answers are sent after the commit, so an answer means that the bytes are on the disk. A batch takes the same number of
//! statements however many reports it has, because each statement takes arrays. If a batch fails, its reports are tried
//! one by one, so that only those fail that cannot be stored.
//!
//! Every transaction takes its locks in this order, so that no two wait for each other:
//! the dictionary (under its lock, in a transaction of its own) → the lock of removals → `host_current` (by number) → `section`, `snapshot` (by digest) → `judge_queue`
//! (by host) → what belongs to locked hosts → `judged_state`, `section_hit` (by key) → the ledger's numbers → `tally` (by key)
//! → `site_hosts`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;

use super::fault::{PostgresFault, Step};
use super::intern::{Draft, Intern};
use super::memory::Memory;
use super::pool::{Lease, Pool, Transaction, Tries};
use super::removal;
use super::report::{self, Batch, BatchContext, Report};
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use crate::store::{Allowance, CheckIn, CheckInAnswer, Delivered, Delivery, HeldBack, StoreError};

/// Number of writers: while one batch waits for the disk, another is read and decided.
const WRITERS: usize = 3;
/// How long a batch waits for more reports once it has several.
const GATHER: Duration = Duration::from_millis(2);
/// Most reports in one transaction.
const MAX_REPORTS: usize = 256;

/// Sends reports to the writers.
pub(super) struct Writer {
    queue: std::sync::Mutex<Option<UnboundedSender<Report>>>,
    tasks: Mutex<JoinSet<()>>,
    pool: Pool,
    intern: Arc<Intern>,
}

/// What all writers share.
struct Shared {
    pool: Pool,
    memory: Arc<Memory>,
    intern: Arc<Intern>,
    dictionaries: Arc<SmallDictionaries>,
    digests: report::DigestCache,
    waiting: Mutex<UnboundedReceiver<Report>>,
    /// Batches under way: only beside another batch is it worth waiting for more reports.
    busy: AtomicUsize,
}

impl Writer {
    pub(super) fn start(
        pool: Pool,
        memory: Arc<Memory>,
        intern: Arc<Intern>,
        dictionaries: Arc<SmallDictionaries>,
    ) -> Self {
        let (queue, waiting) = unbounded_channel();
        let shared = Arc::new(Shared {
            pool: pool.clone(),
            memory,
            intern: Arc::clone(&intern),
            dictionaries,
            digests: report::DigestCache::default(),
            waiting: Mutex::new(waiting),
            busy: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            tasks.spawn(WriterTask::new(Arc::clone(&shared)).run());
        }
        Self { queue: std::sync::Mutex::new(Some(queue)), tasks: Mutex::new(tasks), pool, intern }
    }

    pub(super) async fn check_in(&self, operation: CheckIn) -> Result<CheckInAnswer, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send_and_wait("check_in", Report::check_in(operation, Some(reply)), answer).await
    }

    /// Queues a check-in again that was answered from memory; nobody waits for the answer.
    pub(super) fn check_in_again(&self, operation: CheckIn) {
        // If the store is closed, the agent reports the same with its next check-in.
        let _ = self.send("check_in", Report::check_in(operation, None));
    }

    pub(super) async fn snapshot_deliver(&self, operation: Delivery) -> Result<Delivered, StoreError> {
        // Most editions get their numbers here, in the caller's task and outside of any transaction.
        let drafts: Vec<Draft> = operation.sections.into_iter().map(|section| self.intern.draft(section)).collect();
        let (drafts, held_back) = self.admitted(drafts, &operation.allowance).await?;
        let (reply, answer) = oneshot::channel();
        let operation = report::Delivery {
            host: operation.host,
            run: operation.run,
            seq: operation.seq,
            observed_at: operation.observed_at,
            now: operation.now,
            digest: operation.digest,
            snapshot: operation.snapshot,
            drafts,
            held_back,
        };
        self.send_and_wait("snapshot_deliver", Report::deliver(operation, reply), answer).await
    }

    /// The leading drafts whose new editions may be added, and why the others may not.
    async fn admitted(
        &self,
        mut drafts: Vec<Draft>,
        allowance: &Allowance,
    ) -> Result<(Vec<Draft>, Option<HeldBack>), StoreError> {
        // A collector that has forgotten the dictionary, or missed what others have added, takes known editions for new.
        let mut is_fresh = false;
        if drafts.iter().any(Draft::is_incomplete) && self.intern.is_empty() {
            self.refresh().await?;
            is_fresh = true;
        }
        let mut admitted = 0;
        while let Some(draft) = drafts.get_mut(admitted) {
            match self.intern.admit(draft, allowance) {
                Ok(()) => admitted += 1,
                Err(reason) if is_fresh => {
                    drafts.truncate(admitted);
                    return Ok((drafts, Some(reason)));
                }
                Err(_) => {
                    self.refresh().await?;
                    is_fresh = true;
                }
            }
        }
        Ok((drafts, None))
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let intern = &self.intern;
        let read = |lease: Arc<Lease>| async move { intern.refresh(&lease).await };
        self.pool.run("snapshot_deliver", Transaction::Statement, read).await
    }

    async fn send_and_wait<T>(
        &self,
        operation: &'static str,
        report: Report,
        answer: oneshot::Receiver<Step<T>>,
    ) -> Result<T, StoreError> {
        self.send(operation, report)?;
        match answer.await {
            Ok(outcome) => outcome.map_err(|fault| fault.into_error(operation, self.pool.place())),
            Err(_) => Err(StoreError::Closed { operation }),
        }
    }

    fn send(&self, operation: &'static str, report: Report) -> Result<(), StoreError> {
        let queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_sent = queue.as_ref().is_some_and(|queue| queue.send(report).is_ok());
        if is_sent { Ok(()) } else { Err(StoreError::Closed { operation }) }
    }

    /// Forgets what is remembered of the dictionary: the server may have lost it.
    pub(super) fn forget_editions(&self) {
        self.intern.forget();
    }

    /// Refuses new reports, and waits until the queued ones are committed.
    pub(super) async fn close(&self) {
        // Without a sender, the tasks end once the queue is empty.
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }
}

/// One writer with its connections.
struct WriterTask {
    shared: Arc<Shared>,
    /// One session for transactions, one for new entries of dictionaries.
    sessions: Option<(Session, Session)>,
}

impl WriterTask {
    const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, sessions: None }
    }

    async fn run(mut self) {
        loop {
            let reports = self.gather().await;
            if reports.is_empty() {
                return;
            }
            // Relaxed, because the count only decides whether a batch waits a moment longer.
            self.shared.busy.fetch_add(1, Ordering::Relaxed);
            self.write(reports).await;
            self.shared.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes what is queued, and beside other batches what arrives within a moment. Empty when the store closes.
    async fn gather(&self) -> Vec<Report> {
        // Held while gathering, so that reports come together in one batch instead of one for each writer.
        let mut waiting = self.shared.waiting.lock().await;
        let mut reports = Vec::new();
        if waiting.recv_many(&mut reports, MAX_REPORTS).await == 0 {
            return reports;
        }
        if reports.len() > 1 || self.shared.busy.load(Ordering::Relaxed) > 0 {
            let until = tokio::time::Instant::now() + GATHER;
            while reports.len() < MAX_REPORTS {
                let more = MAX_REPORTS - reports.len();
                match tokio::time::timeout_at(until, waiting.recv_many(&mut reports, more)).await {
                    Ok(more) if more > 0 => {}
                    _ => break,
                }
            }
        }
        reports
    }

    async fn write(&mut self, mut reports: Vec<Report>) {
        let Err(fault) = self.attempt(&mut reports).await else {
            return reports.into_iter().for_each(Report::answer);
        };
        // A conflict or a lost connection is not due to one report, so trying each alone would not help.
        if reports.len() == 1 || !matches!(fault, PostgresFault::Store(_)) {
            for report in reports {
                report.fail(&fault);
            }
            return;
        }
        for report in reports {
            let mut alone = vec![report];
            let outcome = self.attempt(&mut alone).await;
            for report in alone {
                match &outcome {
                    Ok(()) => report.answer(),
                    Err(fault) => report.fail(fault),
                }
            }
        }
    }

    /// Writes these reports in one transaction, and tries again where that can help. It may repeat a commit of unknown
    /// outcome: a report that is stored already changes nothing.
    async fn attempt(&mut self, reports: &mut [Report]) -> Step<()> {
        let mut tries = Tries::new(true);
        let mut had_conflict = false;
        loop {
            let Err(fault) = self.write_batch(reports, had_conflict).await else { return Ok(()) };
            had_conflict |= matches!(fault, PostgresFault::Conflict(_));
            if matches!(fault, PostgresFault::ConnectionLost(_)) {
                // The server may have restarted without what was not yet on its disk.
                self.sessions = None;
                self.shared.intern.forget();
                self.shared.digests.forget();
            }
            // `true`, because a lost connection does not tell how far the batch came.
            tries.pause(fault, true).await?;
        }
    }

    /// Writes these reports in one transaction. After a conflict, nothing is removed from before the first read on: otherwise
    /// removals that follow each other could hold a batch up for long.
    async fn write_batch(&mut self, reports: &mut [Report], after_conflict: bool) -> Step<()> {
        let lost = |session: &Session| session.is_closed();
        if self.sessions.as_ref().is_none_or(|(session, dictionary_session)| lost(session) || lost(dictionary_session))
        {
            let (address, tls) = self.shared.pool.address();
            let session = Session::open_for_batches(address, tls).await?;
            session.prepare(report::STATEMENTS).await?;
            let dictionary_session = Session::open_for_batches(address, tls).await?;
            // Safe, because a later commit that waits for the disk makes these durable too; see `intern`.
            dictionary_session.batch("SET synchronous_commit = off").await?;
            // The new connection may be to a server that lacks the newest editions.
            self.shared.intern.forget();
            self.sessions = Some((session, dictionary_session));
        }
        let Some((session, dictionary_session)) = &self.sessions else { return Err(PostgresFault::closed()) };
        let shared = &*self.shared;
        let context = BatchContext {
            session,
            dictionary_session,
            memory: &shared.memory,
            intern: &shared.intern,
            dictionaries: &shared.dictionaries,
            digests: &shared.digests,
        };
        let written = async {
            if after_conflict {
                session.batch(removal::SHARE_FOR_SESSION).await?;
                shared.digests.advance(removal::generations(session).await?.rows);
                shared.intern.sync(session).await?;
            }
            Batch::new(reports).run(&context).await
        };
        let outcome = written.await;
        if outcome.is_err() {
            // Harmless if the transaction has not begun.
            let _ = session.batch("ROLLBACK").await;
        }
        // A connection that is closed has no lock.
        if after_conflict && session.batch(removal::RELEASE).await.is_err() {
            self.sessions = None;
        }
        outcome
    }
}
