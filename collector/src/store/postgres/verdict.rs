//! Verdicts as readers see them.

use std::collections::HashMap;

use muster_proto::model::{Cause, Lane, LaneChange, OrderId, Presence, Protection};

use super::fault::Step;
use super::row;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use crate::judge::Remediation;
use crate::store::StoredVerdict;

/// The verdicts of hosts, by their numbers, in the order of the orders' ids.
pub(super) async fn of_hosts(session: &Session, hosts: &[i32]) -> Step<HashMap<i32, Vec<StoredVerdict>>> {
    let find = "
        SELECT v.host, o.text, v.lane, v.in_scope, v.presence, v.protection, v.due, v.since,
               (SELECT text FROM phrase WHERE no = v.reason), (SELECT text FROM phrase WHERE no = v.advice),
               (SELECT record FROM host_remediation c WHERE c.host = v.host AND c.order_no = v.order_no)
        FROM verdict v JOIN orders o ON o.no = v.order_no WHERE v.host = ANY ($1::int4[]) ORDER BY o.text";
    let mut verdicts: HashMap<i32, Vec<StoredVerdict>> = HashMap::new();
    for found in session.query(find, &[&hosts]).await? {
        let remediation = match found.try_get::<_, Option<&str>>(10)? {
            Some(text) => row::from_json("a remediation record", text)?,
            None => Remediation::default(),
        };
        verdicts.entry(found.try_get(0)?).or_default().push(StoredVerdict {
            order: row::name("an order", &found, 1, OrderId::new)?,
            awake_lane: row::member("a lane", Lane::from_code, &found, 2)?,
            in_scope: found.try_get(3)?,
            presence: row::member("a presence", Presence::from_code, &found, 4)?,
            protection: row::member("a protection", Protection::from_code, &found, 5)?,
            due: row::maybe_instant(&found, 6)?,
            since: row::instant(&found, 7)?,
            reason: found.try_get(8)?,
            advice: found.try_get(9)?,
            remediation,
        });
    }
    Ok(verdicts)
}

/// The lane changes of a host, oldest first.
pub(super) async fn history(session: &Session, dictionaries: &SmallDictionaries, host: i32) -> Step<Vec<LaneChange>> {
    let find = "SELECT order_no, since, lane, cause FROM verdict_history WHERE host = $1
                UNION ALL SELECT order_no, since, lane, cause FROM verdict WHERE host = $1";
    let mut history = Vec::new();
    for found in session.query(find, &[&host]).await? {
        let order = dictionaries.order(session, found.try_get(0)?).await?;
        let lane = row::member("a lane", Lane::from_code, &found, 2)?;
        let cause = row::member("a cause", Cause::from_code, &found, 3)?;
        history.push(LaneChange { order, since: row::instant(&found, 1)?, lane, cause });
    }
    // Sorted here, because the statement knows only the numbers of orders.
    history.sort_by(|a, b| (a.since, &a.order).cmp(&(b.since, &b.order)));
    Ok(history)
}
