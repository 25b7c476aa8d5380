//! Enrollments: those that arrive together are committed together.
//!
//! ```text
//!  host_enroll ─► waiting ─► the one with the turn takes all ─► [ BEGIN tokens, keys ─► decide ─► insert COMMIT ] ─► answers
//! ```
//!
//! Every enrollment needs the row of its token, the ledger's lock and the count of its site, and holds them until its commit
//! is on the disk. Alone, they would come one after the other at the speed of the disk. A batch holds them once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use muster_proto::model::{KeyFingerprint, TokenId};
use tokio::sync::{Mutex, oneshot};

use super::fault::Step;
use super::identity::{self, NewRow};
use super::ledger;
use super::memory::Memory;
use super::pool::{Pool, Transaction};
use super::session::Session;
use crate::ledger::actor::ActorId;
use crate::store::decide::enroll::{self, EnrollDecision, StoredToken};
use crate::store::decide::keys::StoredKey;
use crate::store::{Enrolled, Enrollment, HostIdentity, StoreError};

/// The most enrollments in one transaction.
const MOST: usize = 128;

/// An enrollment with the numbers of its system, kernel, architecture and agent.
#[derive(Debug)]
struct Request {
    enrollment: Enrollment,
    phrases: [i32; 4],
}

/// A request whose caller waits.
struct Waiting {
    request: Request,
    reply: oneshot::Sender<Result<Enrolled, StoreError>>,
}

/// See the head of the file.
#[derive(Clone)]
pub(super) struct Enrollments {
    inside: Arc<Inside>,
}

struct Inside {
    pool: Pool,
    memory: Arc<Memory>,
    waiting: std::sync::Mutex<Vec<Waiting>>,
    turn: Mutex<()>,
}

impl Enrollments {
    pub(super) fn new(pool: Pool, memory: Arc<Memory>) -> Self {
        Self { inside: Arc::new(Inside { pool, memory, waiting: std::sync::Mutex::default(), turn: Mutex::default() }) }
    }

    pub(super) async fn enroll(&self, enrollment: Enrollment, phrases: [i32; 4]) -> Result<Enrolled, StoreError> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { request: Request { enrollment, phrases }, reply };
        self.inside.waiting().push(waiting);
        // A task of its own: the caller may go away, and the others of the batch must not.
        tokio::spawn(Arc::clone(&self.inside).take_turn());
        answer.await.unwrap_or(Err(StoreError::Closed { operation: "host_enroll" }))
    }
}

impl Inside {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_turn(self: Arc<Self>) {
        let _turn = self.turn.lock().await;
        let batch: Vec<Waiting> = {
            let mut waiting = self.waiting();
            let most = waiting.len().min(MOST);
            waiting.drain(..most).collect()
        };
        if batch.is_empty() {
            // An earlier turn has taken it.
            return;
        }
        let (requests, replies): (Vec<Request>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.request, waiting.reply)).unzip();
        let answers = match self.commit(&requests).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) if requests.len() == 1 => vec![Err(error)],
            // One that cannot be stored must not take the others with it.
            Err(_) => self.one_by_one(&requests).await,
        };
        // The judge wakes even after an error, because the enrollment may have been committed.
        self.memory.queue_notify().notify_one();
        for (reply, answer) in replies.into_iter().zip(answers) {
            // The caller may be gone.
            let _ = reply.send(answer);
        }
    }

    async fn one_by_one(&self, requests: &[Request]) -> Vec<Result<Enrolled, StoreError>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let alone = self.commit(std::slice::from_ref(request)).await;
            answers.push(
                alone.and_then(|answers| {
                    answers.into_iter().next().ok_or(StoreError::Closed { operation: "host_enroll" })
                }),
            );
        }
        answers
    }

    /// The answers, in the order of the requests.
    async fn commit(&self, requests: &[Request]) -> Result<Vec<Enrolled>, StoreError> {
        self.pool.run("host_enroll", Transaction::Write, |lease| async move { write(&lease, requests).await }).await
    }
}

async fn write(session: &Session, requests: &[Request]) -> Step<Vec<Enrolled>> {
    // The tokens are locked before the keys are read: of two requests with one key, the second sees the host of the first.
    let mut tokens = lock_tokens(session, requests).await?;
    let mut holders = holders(session, requests).await?;
    let (mut answers, mut rows, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    let mut hosts_of_site: BTreeMap<i32, i64> = BTreeMap::new();
    let mut used: BTreeMap<i32, i64> = BTreeMap::new();
    for Request { enrollment, phrases } in requests {
        let token = tokens.get(&enrollment.token).cloned();
        match enroll::enroll(enrollment, token, holders.get(&enrollment.key).cloned()) {
            EnrollDecision::Answer(answer) => answers.push(answer),
            EnrollDecision::Create { token_no, site_no, entry, answer } => {
                // What the next request of this batch finds.
                if let Some(token) = tokens.get_mut(&enrollment.token) {
                    token.uses += 1;
                }
                if let Enrolled::Host { host, site } = &answer {
                    let (host, site) = (*host, site.clone());
                    let identity = HostIdentity { host, site, revoked: false, quarantined: false, superseded: false };
                    holders.insert(enrollment.key, identity);
                }
                *hosts_of_site.entry(site_no).or_default() += 1;
                *used.entry(token_no).or_default() += 1;
                rows.push(NewRow { new: enrollment.into(), site: site_no, token: Some(token_no), phrases: *phrases });
                entries.push(entry);
                answers.push(answer);
            }
        }
    }
    let Some(now) = rows.iter().map(|row| row.new.now).max() else { return Ok(answers) };
    let (numbers, uses): (Vec<i64>, Vec<i64>) = used.into_iter().map(|(no, uses)| (i64::from(no), uses)).unzip();
    let count = "UPDATE enrollment_token t SET uses = t.uses + u.uses
                 FROM unnest($1::int8[], $2::int8[]) AS u (no, uses) WHERE t.no = u.no";
    session.execute(count, &[&numbers, &uses]).await?;
    identity::create(session, &rows).await?;
    session.prepare(&ledger::STATEMENTS).await?;
    ledger::write_all(session, now, &ActorId::Agent, entries.into_iter()).await?;
    // Last, because every enrollment at a site needs its row.
    identity::count_hosts(session, &hosts_of_site).await?;
    Ok(answers)
}

/// The tokens of the requests, locked until the end of the transaction, so that their uses are counted one after the other.
/// They are locked in the order of their ids, so that no two collectors wait for each other.
async fn lock_tokens(session: &Session, requests: &[Request]) -> Step<HashMap<TokenId, StoredToken<i32>>> {
    let mut ids: Vec<&str> = requests.iter().map(|request| request.enrollment.token.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let find = "SELECT t.secret_hash, t.site::int4, s.id, t.expires_at, t.max_uses, t.uses, t.revoked_at IS NOT NULL,
                       t.no::int4, t.id
                FROM enrollment_token t JOIN site s ON s.no = t.site WHERE t.id = ANY ($1::text[])
                ORDER BY t.id FOR NO KEY UPDATE OF t";
    let mut tokens = HashMap::new();
    for found in session.query(find, &[&ids]).await? {
        let id = super::row::name("a token", &found, 8, TokenId::new)?;
        tokens.insert(id, identity::token(&found)?);
    }
    Ok(tokens)
}

/// The hosts that have the keys of the requests.
async fn holders(session: &Session, requests: &[Request]) -> Step<HashMap<KeyFingerprint, HostIdentity>> {
    let keys: Vec<&KeyFingerprint> = requests.iter().map(|request| &request.enrollment.key).collect();
    let found = identity::keys(session, &keys).await?;
    Ok(found.into_iter().map(|(key, stored)| (key, StoredKey::identity(stored))).collect())
}
