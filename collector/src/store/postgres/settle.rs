//! Settling judgements: hits, verdicts, their history, the cases behind them, tally and ledger, many hosts at a time
//! and one statement for each table.
//!
//! ```text
//!  [ BEGIN lock hosts, lock judge queue, read what stands ] ─► compare ─► [ write what differs COMMIT ]
//! ```

mod compare;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use muster_proto::model::{HostId, Lane, OrderId, Presence, Protection, Timestamp};
use tokio_postgres::Row;

use self::compare::Comparison;
use super::fault::{PostgresFault, Step};
use super::session::Session;
use super::small_dictionaries::{SmallDictionaries, SmallDictionary};
use super::{ledger, row, rules, section_hits, tally};
use crate::judge::Remediation;
use crate::store::{Judgement, Settlement};

/// Locks hosts in the order of their numbers.
const HOSTS: &str = "
    SELECT n.host, h.id FROM host_current n JOIN host h ON h.no = n.host
    WHERE n.host = ANY (ARRAY(SELECT no FROM host WHERE id = ANY ($1::bytea[]))) ORDER BY n.host
    FOR NO KEY UPDATE OF n";

/// Locks their entries on the judge queue, in the same order.
const TICKETS: &str = "SELECT host, ticket FROM judge_queue WHERE host = ANY ($1::int4[]) ORDER BY host FOR UPDATE";

const STANDINGS: &str = "
    SELECT host, order_no, lane, in_scope, presence, protection, due, since, reason, advice, rules
    FROM verdict WHERE host = ANY ($1::int4[])";

const ENDS: &str = "
    SELECT host, order_no, max(until) FROM verdict_history WHERE host = ANY ($1::int4[]) GROUP BY host, order_no";

const CASES: &str = "SELECT host, order_no, record FROM host_remediation WHERE host = ANY ($1::int4[])";

/// The state that each host has, and what of one was judged last.
const STATES: &str = "
    SELECT n.host, h.state, s.state_key, n.state_since, n.judged_state
    FROM host_current n JOIN host h ON h.no = n.host LEFT JOIN judged_state s ON s.no = n.judged_state
    WHERE n.host = ANY ($1::int4[])";

/// A verdict as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    id: OrderId,
    lane: Lane,
    in_scope: bool,
    presence: Presence,
    protection: Protection,
    due: Option<Timestamp>,
    since: Timestamp,
    reason: i32,
    advice: i32,
    rules: i32,
}

impl Verdict {
    fn read(found: &Row, id: OrderId) -> Step<Self> {
        Ok(Self {
            id,
            lane: row::member("a lane", Lane::from_code, found, 2)?,
            in_scope: found.try_get(3)?,
            presence: row::member("a presence", Presence::from_code, found, 4)?,
            protection: row::member("a protection", Protection::from_code, found, 5)?,
            due: row::maybe_instant(found, 6)?,
            since: row::instant(found, 7)?,
            reason: found.try_get(8)?,
            advice: found.try_get(9)?,
            rules: found.try_get(10)?,
        })
    }
}

/// The numbers of everything that a settlement dictionaries.
pub(super) struct Numbers<'j> {
    orders: HashMap<&'j str, i32>,
    phrases: HashMap<&'j str, i32>,
    rules: i32,
}

impl<'j> Numbers<'j> {
    /// Finds or makes them, outside of the transaction.
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

    fn order(&self, text: &str) -> Step<i32> {
        self.orders.get(text).copied().ok_or_else(|| PostgresFault::other("an order has no number"))
    }

    fn phrase(&self, text: &str) -> Step<i32> {
        self.phrases.get(text).copied().ok_or_else(|| PostgresFault::other("a phrase has no number"))
    }
}

/// What is judged of a state: its key, since when, and its number.
struct Judged {
    key: Vec<u8>,
    since: Timestamp,
    no: i32,
}

/// The state that a host has, and what of one was judged last.
type Told = (Option<Vec<u8>>, Option<Judged>);

/// What is known of the hosts that are judged, while they are locked.
#[derive(Default)]
struct Before {
    numbers: HashMap<HostId, i32>,
    tickets: HashMap<i32, i64>,
    verdicts: HashMap<i32, BTreeMap<i32, Verdict>>,
    ends: HashMap<(i32, i32), Timestamp>,
    cases: HashMap<i32, BTreeMap<i32, Remediation>>,
    states: HashMap<i32, Told>,
    /// The rules in force.
    in_force: Option<i32>,
}

impl Before {
    async fn read(session: &Session, dictionaries: &SmallDictionaries, judgements: &[Judgement]) -> Step<Self> {
        let mut before = Self::default();
        let ids: Vec<&[u8]> = judgements.iter().map(|judgement| judgement.host.as_bytes().as_slice()).collect();
        for found in session.query(HOSTS, &[&ids]).await? {
            before.numbers.insert(row::host_id(&found, 1)?, found.try_get(0)?);
        }
        let hosts: Vec<i32> = before.numbers.values().copied().collect::<BTreeSet<i32>>().into_iter().collect();
        let values: super::session::Values<'_> = &[&hosts];
        session.prepare(&[TICKETS, STANDINGS, ENDS, CASES, STATES, rules::IN_FORCE]).await?;
        let (tickets, verdicts, ends, cases, states, in_force) = tokio::join!(
            biased;
            session.query(TICKETS, values),
            session.query(STANDINGS, values),
            session.query(ENDS, values),
            session.query(CASES, values),
            session.query(STATES, values),
            session.query(rules::IN_FORCE, &[]),
        );
        before.in_force = in_force?.first().map(|found| found.try_get(0)).transpose()?;
        for found in tickets? {
            before.tickets.insert(found.try_get(0)?, found.try_get(1)?);
        }
        for found in verdicts? {
            let order = found.try_get(1)?;
            let verdict = Verdict::read(&found, dictionaries.order(session, order).await?)?;
            before.verdicts.entry(found.try_get(0)?).or_default().insert(order, verdict);
        }
        for found in ends? {
            before.ends.insert((found.try_get(0)?, found.try_get(1)?), row::instant(&found, 2)?);
        }
        for found in cases? {
            let case = row::from_json("a case", found.try_get(2)?)?;
            before.cases.entry(found.try_get(0)?).or_default().insert(found.try_get(1)?, case);
        }
        for found in states? {
            let last = match found.try_get::<_, Option<Vec<u8>>>(2)? {
                Some(key) => Some(Judged { key, since: row::instant(&found, 3)?, no: found.try_get(4)? }),
                None => None,
            };
            before.states.insert(found.try_get(0)?, (found.try_get(1)?, last));
        }
        Ok(before)
    }
}

/// Settles within a transaction that the caller commits, and says which hosts were judged. A judgement whose ticket is no
/// longer the newest is left out.
pub(super) async fn settle(
    session: &Session,
    dictionaries: &SmallDictionaries,
    numbers: &Numbers<'_>,
    settlement: &Settlement,
) -> Step<Vec<HostId>> {
    let Settlement { judgements, hits, rules_version, now } = settlement;
    if judgements.is_empty() {
        section_hits::hits_put(session, hits, numbers.rules).await?;
        return Ok(Vec::new());
    }
    // Nobody is told that a host was judged. A judgement that a fall of the server takes away takes everything of it along,
    // and the host is on the judge queue as before: so this commit need not wait for the disk with the locks that it holds.
    session.batch("SET LOCAL synchronous_commit = off").await?;
    let before = Before::read(session, dictionaries, judgements).await?;
    // Others have been adopted since: everybody waits for judgement under those.
    if before.in_force.is_some_and(|no| no != numbers.rules) {
        return Ok(Vec::new());
    }
    let mut comparison = Comparison::new(numbers, *now);
    let mut judged = Vec::new();
    for judgement in judgements {
        let Some(no) = before.numbers.get(&judgement.host).copied() else { continue };
        // Twice in one settlement is once: the first has taken the host off the judge queue.
        let is_newest = before.tickets.get(&no) == Some(&judgement.ticket.cast_signed());
        if is_newest && comparison.is_new(no) {
            comparison.judge(no, judgement, &before)?;
            judged.push(judgement.host);
        }
    }
    comparison.write(session, hits, rules_version).await?;
    Ok(judged)
}
