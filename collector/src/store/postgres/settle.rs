//! Settling: writes what the judge's answers change, for many hosts at a time and with one statement for each table.
//!
//! ```text
//!  [ BEGIN lock hosts, lock judge queue, load ] ─► decide ─► [ write what differs COMMIT ]
//! ```

mod attest;
mod write;

use std::collections::{BTreeSet, HashMap};

use muster_proto::model::{Cause, HostId, Lane, OrderId, Presence, Protection};
use tokio_postgres::Row;

use super::fault::Step;
use super::session::Session;
use super::small_dictionaries::{SmallDictionaries, SmallDictionary};
use super::{removal, row, rules, section_hits};
use crate::store::decide::settle::{Changes, HostNumbers, Judged, JudgedState, VerdictRow};
use crate::store::fault::StoreFault;
use crate::store::{Judgement, Settlement, decide};

/// Locks hosts in the order of their numbers.
const HOSTS: &str = "
    SELECT n.host, h.id, h.site, n.listed FROM host_current n JOIN host h ON h.no = n.host
    WHERE n.host = ANY (ARRAY(SELECT no FROM host WHERE id = ANY ($1::bytea[]))) ORDER BY n.host
    FOR NO KEY UPDATE OF n";

/// Locks their entries on the judge queue, in the same order.
const TICKETS: &str = "SELECT host, ticket FROM judge_queue WHERE host = ANY ($1::int4[]) ORDER BY host FOR UPDATE";

const VERDICTS: &str = "
    SELECT host, order_no, lane, in_scope, presence, protection, due, since, reason, advice, cause
    FROM verdict WHERE host = ANY ($1::int4[])";

const ENDED: &str = "
    SELECT host, order_no, max(until) FROM verdict_history WHERE host = ANY ($1::int4[]) GROUP BY host, order_no";

const REMEDIATIONS: &str = "SELECT host, order_no, record FROM host_remediation WHERE host = ANY ($1::int4[])";

/// The state of each host, what was judged last of it, when the host enrolled, and which rules judged it last.
const STATES: &str = "
    SELECT n.host, h.state, s.state_key, n.state_since, n.judged_state, h.enrolled_at, n.judged_rules
    FROM host_current n JOIN host h ON h.no = n.host LEFT JOIN judged_state s ON s.no = n.judged_state
    WHERE n.host = ANY ($1::int4[])";

/// The numbers of everything that a settlement names.
pub(super) struct Numbers<'j> {
    orders: HashMap<&'j str, i32>,
    phrases: HashMap<&'j str, i32>,
    rules: i32,
}

impl<'j> Numbers<'j> {
    /// Finds them, or adds new entries; outside of the transaction.
    pub(super) async fn of(
        session: &Session,
        dictionaries: &SmallDictionaries,
        settlement: &'j Settlement,
    ) -> Step<Self> {
        let judged = || settlement.judgements.iter().flat_map(|judgement| &judgement.orders);
        let orders: BTreeSet<&str> = judged().map(|judged| judged.order.as_str()).collect();
        let phrases: BTreeSet<&str> =
            judged().flat_map(|judged| [judged.reason.as_str(), judged.advice.as_str()]).collect();
        Ok(Self {
            orders: dictionaries.numbers(session, SmallDictionary::Order, &orders).await?,
            phrases: dictionaries.numbers(session, SmallDictionary::Phrase, &phrases).await?,
            rules: dictionaries.number(session, SmallDictionary::Rules, &settlement.rules_version).await?,
        })
    }
}

impl decide::settle::Numbers<i32> for Numbers<'_> {
    fn order(&self, id: &OrderId) -> Result<i32, StoreFault> {
        self.orders.get(id.as_str()).copied().ok_or_else(|| StoreFault::Other(format!("order {id} has no number")))
    }

    fn phrase(&self, text: &str) -> Result<i32, StoreFault> {
        self.phrases.get(text).copied().ok_or_else(|| StoreFault::Other("a phrase has no number".to_owned()))
    }

    fn rules(&self) -> i32 {
        self.rules
    }
}

/// What is stored of the hosts that are judged, while they are locked.
#[derive(Default)]
struct Before {
    numbers: HashMap<HostId, HostNumbers<i32>>,
    hosts: HashMap<i32, Judged<i32>>,
    /// The states that hosts have now, in their stored form.
    states: HashMap<i32, Vec<u8>>,
    /// The rules in force.
    in_force: Option<i32>,
}

impl Before {
    async fn read(session: &Session, dictionaries: &SmallDictionaries, judgements: &[Judgement]) -> Step<Self> {
        let mut before = Self::default();
        let ids: Vec<&[u8]> = judgements.iter().map(|judgement| judgement.host.as_bytes().as_slice()).collect();
        for found in session.query(HOSTS, &[&ids]).await? {
            let numbers = HostNumbers { no: found.try_get(0)?, site: found.try_get(2)?, is_listed: found.try_get(3)? };
            before.numbers.insert(row::host_id(&found, 1)?, numbers);
        }
        let hosts: Vec<i32> =
            before.numbers.values().map(|host| host.no).collect::<BTreeSet<i32>>().into_iter().collect();
        let values: super::session::Values<'_> = &[&hosts];
        session.prepare(&[TICKETS, VERDICTS, ENDED, REMEDIATIONS, STATES, rules::IN_FORCE]).await?;
        // `biased` sends the statement that locks the tickets first, so the others read what can no longer change.
        let (tickets, verdicts, ended, remediations, states, in_force) = tokio::join!(
            biased;
            session.query(TICKETS, values),
            session.query(VERDICTS, values),
            session.query(ENDED, values),
            session.query(REMEDIATIONS, values),
            session.query(STATES, values),
            session.query(rules::IN_FORCE, &[]),
        );
        before.in_force = in_force?.first().map(|found| found.try_get(0)).transpose()?;
        for found in tickets? {
            before.host(&found)?.ticket = Some(found.try_get::<_, i64>(1)?.cast_unsigned());
        }
        for found in verdicts? {
            let order = found.try_get(1)?;
            let verdict = (dictionaries.order(session, order).await?, read_verdict(&found)?);
            before.host(&found)?.verdicts.insert(order, verdict);
        }
        for found in ended? {
            before.host(&found)?.ended.insert(found.try_get(1)?, row::instant(&found, 2)?);
        }
        for found in remediations? {
            before.host(&found)?.remediations.insert(found.try_get(1)?, found.try_get(2)?);
        }
        for found in states? {
            before.host(&found)?.enrolled_at = row::instant(&found, 5)?;
            before.host(&found)?.rules = found.try_get(6)?;
            if let Some(key) = row::maybe_digest(&found, 2)? {
                let state = JudgedState { no: found.try_get(4)?, key, since: row::instant(&found, 3)? };
                before.host(&found)?.state = Some(state);
            }
            if let Some(state) = found.try_get(1)? {
                before.states.insert(found.try_get(0)?, state);
            }
        }
        Ok(before)
    }

    /// The host whose number is in the first column.
    fn host(&mut self, found: &Row) -> Step<&mut Judged<i32>> {
        Ok(self.hosts.entry(found.try_get(0)?).or_default())
    }
}

fn read_verdict(found: &Row) -> Step<VerdictRow<i32>> {
    Ok(VerdictRow {
        lane: row::member("a lane", Lane::from_code, found, 2)?,
        in_scope: found.try_get(3)?,
        presence: row::member("a presence", Presence::from_code, found, 4)?,
        protection: row::member("a protection", Protection::from_code, found, 5)?,
        due: row::maybe_instant(found, 6)?,
        since: row::instant(found, 7)?,
        reason: found.try_get(8)?,
        advice: found.try_get(9)?,
        cause: row::member("a cause", Cause::from_code, found, 10)?,
    })
}

/// Settles within a transaction that the caller commits, and says which hosts were judged. A judgement whose ticket is
/// no longer the newest is left out.
pub(super) async fn settle(
    session: &Session,
    dictionaries: &SmallDictionaries,
    numbers: &Numbers<'_>,
    settlement: &Settlement,
) -> Step<Vec<HostId>> {
    let Settlement { judgements, hits, rules_version, now, .. } = settlement;
    // Until the commit, no section and no judged state that is named here is removed.
    removal::share(session).await?;
    if judgements.is_empty() {
        // Hits alone change no host, so nothing needs a lock.
        section_hits::hits_put(session, hits, numbers.rules).await?;
        return Ok(Vec::new());
    }
    // This commit does not wait for the disk while it holds its locks. A crash of the server may undo it as a whole:
    // then the hosts are on the judge queue as before, and nobody was told otherwise.
    session.batch("SET LOCAL synchronous_commit = off").await?;
    let mut before = Before::read(session, dictionaries, judgements).await?;
    // Other rules have been adopted since: every host waits to be judged under those.
    if before.in_force.is_some_and(|no| no != numbers.rules) {
        return Ok(Vec::new());
    }
    let mut changes = Changes::new(*now);
    let mut judged = Vec::new();
    for judgement in judgements {
        let Some(numbers_of_host) = before.numbers.get(&judgement.host).copied() else { continue };
        // A second judgement of a host finds nothing here, and does not count.
        let host = before.hosts.remove(&numbers_of_host.no).unwrap_or_default();
        if changes.judge(numbers_of_host, judgement, host, numbers)? {
            judged.push(judgement.host);
        }
    }
    let attested = attest::attest(session, &changes, settlement).await?;
    let ledger = std::mem::take(&mut changes.ledger).into_entries(rules_version).chain(attested).collect();
    write::write(session, numbers, &before.states, changes, hits, ledger).await?;
    Ok(judged)
}
