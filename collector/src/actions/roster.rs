//! The roster: importing lists of machines, deciding about its entries, and the job that matches them with hosts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{
    EntryState, HostId, Identifier, ImportCounts, ImportExamples, ImportReport, RosterCounts, RosterRow, SiteId,
    Timestamp,
};

use super::{ActionError, Caller};
use crate::clock::Clock;
use crate::ledger::actor::Actor;
use crate::rules::{Placeholders, RuleSet};
use crate::store::admin::identifiers;
use crate::store::admin::roster::by_hand::{self, ByHand};
use crate::store::admin::roster::import::{self, BeginRefusal, Portion, Running};
use crate::store::admin::roster::{entries, pending};
use crate::store::{Acting, AdminTx, ByHandRefusal, SiteScope, Store, StoreError, admin};

/// Names of rows of each kind that an answer has.
const EXAMPLES: usize = 20;
/// How often an import is noted as going on.
const TOUCH: Duration = Duration::from_secs(10);
/// Bytes of the name of a file.
const FILE_BYTES: usize = 255;

/// A list of machines to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAsked {
    /// The name of the source.
    pub source: String,
    /// The name of the file.
    pub file: String,
    /// Only say what would change.
    pub dry_run: bool,
    /// Accept that more than a tenth of the rows of the source are gone.
    pub accept_loss: bool,
    /// How many rows follow.
    pub rows: u64,
}

/// Why a list is not imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    /// The name of the source or of the file is not valid.
    #[error(
        "the name of a source has 1 to {} of a-z, 0-9, '.', '-' and '_', and that of a file at most {FILE_BYTES} bytes",
        limits::ROSTER_SOURCE_BYTES
    )]
    Name,
    /// Another import has not ended.
    #[error(
        "a list of \"{source_name}\" is being imported since {since}, so nothing was changed; try again when that has ended"
    )]
    Running {
        /// Its source.
        source_name: String,
        /// When it began.
        since: String,
    },
    /// There are as many sources as there may be.
    #[error("the roster has 32 sources, which is the limit; import the list under the name of one of them")]
    Sources,
    /// The list has more rows than it may.
    #[error(
        "the list has more than {} rows, which is the limit, so nothing was changed; split it, one part for each source",
        limits::ROSTER_ROWS
    )]
    Rows,
    /// Two rows are about one machine.
    #[error(
        "two rows have the {key}, so nothing was changed; remove one of them, or map another column as external-id"
    )]
    Twice {
        /// What both have.
        key: String,
    },
    /// Another number of rows came than was announced.
    #[error("{came} of {announced} rows came, so nothing was changed; import the list again")]
    Incomplete {
        /// The rows that came.
        came: u64,
        /// The rows that were announced.
        announced: u64,
    },
    /// The list has no row.
    #[error("the list has no row, so nothing was changed")]
    Empty,
    /// Too many rows are gone.
    #[error(
        "{absent} of the {known} machines that \"{source_name}\" had are not in this list, which is more than a tenth, so nothing was \
         changed; import the whole list, or accept the loss with --accept-loss"
    )]
    Loss {
        /// The source.
        source_name: String,
        /// Rows that are gone.
        absent: u64,
        /// Rows that the source had.
        known: u64,
    },
}

/// An import while its rows arrive.
pub struct RosterImport {
    store: Arc<dyn Store>,
    acting: Acting,
    asked: ListAsked,
    placeholders: Arc<Placeholders>,
    clock: Clock,
    /// Its number; `None` for a dry run, which stages nothing.
    number: Option<i64>,
    /// The open records of the source that no row was about yet.
    known: HashMap<[u8; 16], (i64, [u8; 16])>,
    /// How many there were.
    had: u64,
    /// The keys of the rows.
    seen: HashSet<[u8; 16]>,
    counts: ImportCounts,
    examples: ImportExamples,
    /// Rows that are not staged yet, and what they weigh.
    rows: Vec<RosterRow>,
    weight: usize,
    /// The number of the next portion.
    portion: i64,
    /// When the import was noted as going on.
    touched: Timestamp,
}

impl RosterImport {
    /// Begins an import.
    ///
    /// # Errors
    /// The list cannot be imported now, or the store failed.
    pub async fn begin(
        store: Arc<dyn Store>,
        caller: &Caller,
        rules: &RuleSet,
        clock: Clock,
        asked: ListAsked,
    ) -> Result<Self, ActionError> {
        let is_name = asked.source.len() <= limits::ROSTER_SOURCE_BYTES && SiteId::new(asked.source.clone()).is_ok();
        if !is_name || asked.file.len() > FILE_BYTES || asked.file.chars().any(char::is_control) {
            return Err(ImportRefusal::Name.into());
        }
        let begun = clock();
        let acting = caller.acting(begun);
        let number = match asked.dry_run {
            true => None,
            false => Some(begin(store.as_ref(), &acting, &asked).await?),
        };
        let mut known = HashMap::new();
        let mut after = 0;
        loop {
            let source = asked.source.clone();
            let read = move |tx: &mut dyn AdminTx| import::known(tx, &source, after);
            let page = admin::read(store.as_ref(), "roster_known", read).await?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            known.extend(page.into_iter().map(|(no, key, digest)| (key, (no, digest))));
        }
        let had = known.len() as u64;
        Ok(Self {
            store,
            acting,
            asked,
            placeholders: Arc::new(rules.placeholders().clone()),
            clock,
            number,
            known,
            had,
            seen: HashSet::new(),
            counts: ImportCounts::default(),
            examples: ImportExamples::default(),
            rows: Vec::new(),
            weight: 0,
            portion: 0,
            touched: begun,
        })
    }

    /// Takes rows of the list.
    ///
    /// # Errors
    /// The list cannot be imported, or the store failed. Then [`Self::abandon`] throws away what came.
    pub async fn push(&mut self, rows: Vec<RosterRow>) -> Result<(), ActionError> {
        let now = (self.clock)();
        // Rows that are as before are not staged, and still show that the client is there.
        if let Some(number) = self.number
            && self.touched.plus(TOUCH) < now
        {
            let touch = move |tx: &mut dyn AdminTx| import::touch(tx, number, now);
            admin::write(self.store.as_ref(), "roster_touch", self.acting.clone(), touch).await?;
            self.touched = now;
        }
        for row in rows {
            let (key, digest) = import::digests(&row);
            if !self.seen.insert(key) {
                return Err(ImportRefusal::Twice { key: row.key().replacen(':', " ", 1) }.into());
            }
            if self.seen.len() > limits::ROSTER_ROWS {
                return Err(ImportRefusal::Rows.into());
            }
            let (count, names) = match self.known.remove(&key) {
                Some((_, before)) if before == digest => {
                    self.counts.unchanged += 1;
                    continue;
                }
                Some(_) => (&mut self.counts.changed, &mut self.examples.changed),
                None => (&mut self.counts.added, &mut self.examples.added),
            };
            *count += 1;
            if names.len() < EXAMPLES {
                names.push(row.called());
            }
            let weight = Portion::weight(&row);
            if self.weight + weight > Portion::MOST {
                self.flush().await?;
            }
            self.weight += weight;
            self.rows.push(row);
        }
        Ok(())
    }

    /// Stages the rows that have come.
    async fn flush(&mut self) -> Result<(), ActionError> {
        let rows = std::mem::take(&mut self.rows);
        self.weight = 0;
        if !rows.is_empty() {
            self.stage(Portion::Rows(rows)).await?;
        }
        Ok(())
    }

    async fn stage(&mut self, portion: Portion) -> Result<(), ActionError> {
        let Some(number) = self.number else { return Ok(()) };
        let (no, now) = (self.portion, (self.clock)());
        self.portion += 1;
        let stage = move |tx: &mut dyn AdminTx| import::stage(tx, number, no, &portion, now);
        Ok(admin::write(self.store.as_ref(), "roster_stage", self.acting.clone(), stage).await?)
    }

    /// Applies the list, and matches its machines with hosts.
    ///
    /// # Errors
    /// The list cannot be imported, or the store failed. If it fails while the rows are applied, the job goes on with them.
    pub async fn finish(mut self) -> Result<ImportReport, ActionError> {
        match self.compare().await {
            Ok(()) => {}
            Err(refused) => {
                self.abandon().await;
                return Err(refused);
            }
        }
        if let Some(number) = self.number {
            let counts = self.counts;
            let start = move |tx: &mut dyn AdminTx| import::start(tx, number, counts);
            admin::write(self.store.as_ref(), "roster_start", self.acting.clone(), start).await?;
            apply(&self.store, &self.acting, number, &self.placeholders, &self.clock).await?;
            match_all(self.store.as_ref(), &self.placeholders, &self.clock).await?;
        }
        let roster = roster_counts(self.store.as_ref()).await?;
        let Self { asked: ListAsked { source, dry_run, .. }, counts, examples, .. } = self;
        Ok(ImportReport { source, dry_run, counts, examples, roster })
    }

    /// Finds what the list no longer has, and stages the rest.
    async fn compare(&mut self) -> Result<(), ActionError> {
        if self.seen.is_empty() && !self.asked.accept_loss {
            return Err(ImportRefusal::Empty.into());
        }
        let (came, announced) = (self.seen.len() as u64, self.asked.rows);
        if came != announced {
            return Err(ImportRefusal::Incomplete { came, announced }.into());
        }
        let mut absent: Vec<i64> = self.known.values().map(|(no, _)| *no).collect();
        absent.sort_unstable();
        self.counts.absent = absent.len() as u64;
        let first: Vec<i64> = absent.iter().copied().take(EXAMPLES).collect();
        let names = move |tx: &mut dyn AdminTx| import::names(tx, &first);
        self.examples.absent = admin::read(self.store.as_ref(), "roster_names", names).await?;
        if self.counts.absent * 10 > self.had && !self.asked.accept_loss && !self.asked.dry_run {
            let (source_name, absent, known) = (self.asked.source.clone(), self.counts.absent, self.had);
            return Err(ImportRefusal::Loss { source_name, absent, known }.into());
        }
        self.flush().await?;
        // Applied first: a machine that the source now lists under another key then joins its entry.
        self.portion = i64::MIN;
        for portion in import::absent(&absent).collect::<Vec<_>>() {
            self.stage(portion).await?;
        }
        Ok(())
    }

    /// Throws away what came. A failure is left to the job.
    pub async fn abandon(self) {
        if let Some(number) = self.number
            && let Err(failed) = throw_away(self.store.as_ref(), &self.acting, number).await
        {
            tracing::warn!(error = %failed, "an import could not be thrown away; this is tried again");
        }
    }
}

async fn begin(store: &dyn Store, acting: &Acting, asked: &ListAsked) -> Result<i64, ActionError> {
    let account = match &acting.actor {
        Actor::Account { account, .. } => account.to_string(),
        Actor::Collector { .. } | Actor::Rules | Actor::Judge | Actor::Agent | Actor::Roster | Actor::Bulk => {
            String::new()
        }
    };
    loop {
        let (ListAsked { source, file, .. }, account, now) = (asked.clone(), account.clone(), acting.now);
        let begin = move |tx: &mut dyn AdminTx| import::begin(tx, &source, &file, &account, now);
        match admin::write(store, "roster_begin", acting.clone(), begin).await? {
            Ok(number) => return Ok(number),
            Err(BeginRefusal::Sources) => return Err(ImportRefusal::Sources.into()),
            Err(BeginRefusal::Running(running)) if running.is_abandoned(acting.now) => {
                throw_away(store, acting, running.no).await?;
            }
            Err(BeginRefusal::Running(Running { source, started_at, .. })) => {
                let since = started_at.whole_seconds().to_string();
                return Err(ImportRefusal::Running { source_name: source, since }.into());
            }
        }
    }
}

async fn throw_away(store: &dyn Store, acting: &Acting, number: i64) -> Result<(), StoreError> {
    while admin::write(store, "roster_throw_away", acting.clone(), move |tx| import::throw_away(tx, number)).await? {}
    Ok(())
}

async fn apply(
    store: &Arc<dyn Store>,
    acting: &Acting,
    number: i64,
    placeholders: &Arc<Placeholders>,
    clock: &Clock,
) -> Result<(), StoreError> {
    loop {
        let (placeholders, now) = (Arc::clone(placeholders), clock());
        let apply =
            move |tx: &mut dyn AdminTx| import::apply(tx, number, &|one: &Identifier| !placeholders.has(one), now);
        let acting = Acting { now, ..acting.clone() };
        if !admin::write(store.as_ref(), "roster_apply", acting, apply).await? {
            return Ok(());
        }
    }
}

async fn match_all(store: &dyn Store, placeholders: &Arc<Placeholders>, clock: &Clock) -> Result<(), StoreError> {
    loop {
        let (placeholders, now) = (Arc::clone(placeholders), clock());
        let advance = move |tx: &mut dyn AdminTx| pending::advance(tx, &|one: &Identifier| !placeholders.has(one), now);
        let acting = Acting { actor: Actor::Roster, now };
        if !admin::write(store, "roster_match", acting, advance).await? {
            return Ok(());
        }
    }
}

/// Does what waits: identifiers of hosts, entries to match, and imports that a stop has interrupted.
///
/// # Errors
/// The store failed. What was done stays done.
pub async fn roster_advance(store: &Arc<dyn Store>, rules: &RuleSet, clock: &Clock) -> Result<(), StoreError> {
    let read =
        |tx: &mut dyn AdminTx| Ok((identifiers::is_pending(tx)?, pending::is_pending(tx)?, import::running(tx)?));
    let (has_hosts, has_entries, running) = admin::read(store.as_ref(), "roster_read", read).await?;
    if !has_hosts && !has_entries && running.is_none() {
        return Ok(());
    }
    let placeholders = Arc::new(rules.placeholders().clone());
    let identified = identify(store.as_ref(), has_hosts, clock).await;
    let acting = Acting { actor: Actor::Roster, now: clock() };
    let applied = match running {
        Some(running) if running.is_applied => apply(store, &acting, running.no, &placeholders, clock).await,
        Some(running) if running.is_abandoned(acting.now) => throw_away(store.as_ref(), &acting, running.no).await,
        Some(_) | None => Ok(()),
    };
    // What fails in one step does not hold up the others.
    let matched = match_all(store.as_ref(), &placeholders, clock).await;
    identified.and(applied).and(matched)
}

/// Writes the identifiers of the hosts that wait.
async fn identify(store: &dyn Store, mut is_unfinished: bool, clock: &Clock) -> Result<(), StoreError> {
    while is_unfinished {
        let acting = Acting { actor: Actor::Roster, now: clock() };
        let done = admin::write(store, "identifiers_advance", acting, identifiers::advance).await?;
        if !done.unreadable.is_empty() {
            tracing::error!(hosts = ?done.unreadable, "the identity of hosts is damaged in the store; they are recognised by their names alone");
        }
        is_unfinished = done.is_unfinished;
    }
    Ok(())
}

/// How many entries the roster has in each state, and how many hosts are not on it.
async fn roster_counts(store: &dyn Store) -> Result<RosterCounts, StoreError> {
    let counts = admin::read(store, "roster_counts", entries::counts).await?;
    let of = |is_meant: fn(EntryState) -> bool| -> u64 {
        counts.iter().filter(|(state, _)| is_meant(**state)).map(|(_, entries)| entries).sum()
    };
    let matched = of(|state| state == EntryState::Matched);
    Ok(RosterCounts {
        listed: of(EntryState::is_counted),
        matched,
        missing: of(EntryState::is_missing),
        review: of(|state| state == EntryState::Review),
        excused: of(|state| state == EntryState::Excused),
        outside: store.host_count(&SiteScope::All).await?.saturating_sub(matched),
    })
}

/// What a person decides about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryDecision {
    /// This host is the machine.
    Match(HostId),
    /// The host that it is matched with is not the machine.
    Unmatch,
    /// No host has to be the machine, for this reason.
    Excuse(String),
}

/// Does what a person decides about an entry.
///
/// # Errors
/// The reason is not valid, there is no such entry or host at the caller's sites, the decision does not fit the entry, or the store
/// failed.
pub async fn entry_decide(
    store: &dyn Store,
    caller: &Caller,
    entry: u64,
    decision: EntryDecision,
    clock: &Clock,
) -> Result<(), ActionError> {
    let decision = match decision {
        EntryDecision::Match(host) => ByHand::Match(host),
        EntryDecision::Unmatch => ByHand::Unmatch,
        EntryDecision::Excuse(reason) => {
            let reason = reason.trim();
            if reason.is_empty() || reason.len() > limits::ACTION_REASON_BYTES || reason.chars().any(char::is_control) {
                return Err(ActionError::Reason);
            }
            ByHand::Excuse(reason.to_owned())
        }
    };
    let (sites, now) = (caller.scope.clone(), clock());
    let decide = move |tx: &mut dyn AdminTx| by_hand::decide(tx, entry, &decision, &sites, now);
    let done = admin::write(store, "entry_decide", caller.acting(now), decide).await?;
    done.map_err(|refusal| ActionError::Entry { entry, refusal })
}

/// Why a decision about an entry was refused.
pub(super) fn of_entry(entry: u64, refusal: ByHandRefusal) -> String {
    match refusal {
        ByHandRefusal::NoEntry => format!("the roster has no entry {entry}"),
        ByHandRefusal::NoHost => "no such host".to_owned(),
        ByHandRefusal::Taken { entry: other } => {
            format!(
                "the host is matched with entry {other}; take them apart first with `muster roster unmatch {other}`"
            )
        }
        ByHandRefusal::Closed => format!("no list has entry {entry} any more, so it is closed"),
        ByHandRefusal::NotMatched => format!("entry {entry} is not matched with a host"),
        ByHandRefusal::Matched => format!("entry {entry} has a host, so it needs no excuse"),
    }
}

#[cfg(test)]
mod scale;
