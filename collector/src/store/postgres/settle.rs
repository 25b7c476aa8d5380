//! Settling judgements: verdicts, their history, the cases behind them, assessments, tally and ledger, many hosts at a
//! time and one statement for each table.
//!
//! ```text
//!  [ BEGIN lock hosts, lock docket, read what stands ] ─► compare ─► [ write what differs COMMIT ]
//! ```

mod compare;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use muster_proto::model::{Assessment, Digest, HostId, Lane, Presence, Protection, Timestamp};
use tokio_postgres::Row;

use self::compare::Settlement;
use super::fault::{Fault, Step};
use super::names::{Book, Names};
use super::session::Session;
use super::{ledger, row, tally};
use crate::judge::Case;
use crate::store::Judgement;

/// Locks hosts in the order of their numbers.
const HOSTS: &str = "
    SELECT n.host, h.id FROM host_now n JOIN host h ON h.no = n.host
    WHERE n.host = ANY (ARRAY(SELECT no FROM host WHERE id = ANY ($1::bytea[]))) ORDER BY n.host
    FOR NO KEY UPDATE OF n";

/// Locks their entries on the docket, in the same order.
const TICKETS: &str = "SELECT host, ticket FROM docket WHERE host = ANY ($1::int4[]) ORDER BY host FOR UPDATE";

const STANDINGS: &str = "
    SELECT host, ord, lane, in_scope, presence, protection, due, since, reason, advice, rules
    FROM verdict WHERE host = ANY ($1::int4[])";

const ENDS: &str = "
    SELECT host, ord, max(until) FROM verdict_history WHERE host = ANY ($1::int4[]) GROUP BY host, ord";

const CASES: &str = "SELECT host, ord, body FROM host_case WHERE host = ANY ($1::int4[])";

/// The state under whose key each host was judged last, and the state that it has.
const STATES: &str = "
    SELECT h.no, h.state, s.state_key, s.since FROM host h LEFT JOIN LATERAL (
        SELECT state_key, since FROM host_state WHERE host = h.no ORDER BY since DESC LIMIT 1
    ) s ON true WHERE h.no = ANY ($1::int4[])";

const LOOKS: &str = "SELECT no, digest FROM look WHERE digest = ANY ($1::bytea[])";

/// A verdict as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
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

impl Standing {
    fn read(found: &Row) -> Step<Self> {
        Ok(Self {
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

/// The numbers of everything that judgements name.
pub(super) struct Numbers<'j> {
    orders: HashMap<&'j str, i32>,
    rules: HashMap<&'j str, i32>,
    phrases: HashMap<&'j str, i32>,
    looks: HashMap<Digest, i64>,
}

impl<'j> Numbers<'j> {
    /// Finds or makes them, outside of the transaction.
    pub(super) async fn of(session: &Session, names: &Names, judgements: &'j [Judgement]) -> Step<Self> {
        let judged = || judgements.iter().flat_map(|judgement| &judgement.orders);
        let orders: BTreeSet<&str> = judged().map(|judged| judged.order.as_str()).collect();
        let rules: BTreeSet<&str> = judgements.iter().map(|judgement| judgement.rules_version.as_str()).collect();
        let phrases: BTreeSet<&str> =
            judged().flat_map(|judged| [judged.reason.as_str(), judged.advice.as_str()]).collect();
        let looks: BTreeSet<Digest> = judgements.iter().filter_map(|judgement| judgement.look).collect();
        let keys: Vec<&[u8]> = looks.iter().map(|digest| digest.as_bytes().as_slice()).collect();
        let mut numbers = HashMap::new();
        for found in session.query(LOOKS, &[&keys]).await? {
            numbers.insert(row::digest(&found, 1)?, found.try_get(0)?);
        }
        Ok(Self {
            orders: names.numbers(session, Book::Order, &orders).await?,
            rules: names.numbers(session, Book::Rules, &rules).await?,
            phrases: names.numbers(session, Book::Phrase, &phrases).await?,
            looks: numbers,
        })
    }

    fn order(&self, text: &str) -> Step<i32> {
        self.orders.get(text).copied().ok_or_else(|| Fault::other("an order has no number"))
    }

    fn phrase(&self, text: &str) -> Step<i32> {
        self.phrases.get(text).copied().ok_or_else(|| Fault::other("a phrase has no number"))
    }
}

/// The state that a host has, and under which key since when it was judged last.
type Told = (Option<String>, Option<(Vec<u8>, Timestamp)>);

/// What is known of the hosts that are judged, while they are locked.
#[derive(Default)]
struct Before {
    numbers: HashMap<HostId, i32>,
    tickets: HashMap<i32, i64>,
    standings: HashMap<i32, BTreeMap<i32, Standing>>,
    ends: HashMap<(i32, i32), Timestamp>,
    cases: HashMap<i32, BTreeMap<i32, Case>>,
    states: HashMap<i32, Told>,
}

impl Before {
    async fn read(session: &Session, judgements: &[Judgement]) -> Step<Self> {
        let mut before = Self::default();
        let ids: Vec<&[u8]> = judgements.iter().map(|judgement| judgement.host.as_bytes().as_slice()).collect();
        for found in session.query(HOSTS, &[&ids]).await? {
            before.numbers.insert(row::host_id(&found, 1)?, found.try_get(0)?);
        }
        let hosts: Vec<i32> = before.numbers.values().copied().collect::<BTreeSet<i32>>().into_iter().collect();
        let values: super::session::Values<'_> = &[&hosts];
        session.prepare(&[TICKETS, STANDINGS, ENDS, CASES, STATES]).await?;
        let (tickets, standings, ends, cases, states) = tokio::join!(
            biased;
            session.query(TICKETS, values),
            session.query(STANDINGS, values),
            session.query(ENDS, values),
            session.query(CASES, values),
            session.query(STATES, values),
        );
        for found in tickets? {
            before.tickets.insert(found.try_get(0)?, found.try_get(1)?);
        }
        for found in standings? {
            before.standings.entry(found.try_get(0)?).or_default().insert(found.try_get(1)?, Standing::read(&found)?);
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
                Some(key) => Some((key, row::instant(&found, 3)?)),
                None => None,
            };
            before.states.insert(found.try_get(0)?, (found.try_get(1)?, last));
        }
        Ok(before)
    }
}

/// Settles these judgements within a transaction that the caller commits, and says which hosts were judged. A judgement
/// whose ticket is no longer the newest is left out.
pub(super) async fn settle(
    session: &Session,
    numbers: &Numbers<'_>,
    judgements: &[Judgement],
    now: Timestamp,
) -> Step<Vec<HostId>> {
    let before = Before::read(session, judgements).await?;
    let mut settlement = Settlement::new(numbers, now);
    let mut judged = Vec::new();
    for judgement in judgements {
        let Some(no) = before.numbers.get(&judgement.host).copied() else { continue };
        // Twice in one settlement is once: the first has taken the host off the docket.
        let is_newest = before.tickets.get(&no) == Some(&judgement.ticket.cast_signed());
        if is_newest && settlement.is_new(no) {
            settlement.judge(no, judgement, &before)?;
            judged.push(judgement.host);
        }
    }
    settlement.write(session).await?;
    Ok(judged)
}

/// The assessments of one look and state, as they are kept.
type Assessed<'j> = BTreeMap<(i64, &'j Digest), (i32, Vec<&'j Assessment>)>;
