//! Users of the collector's machine who used `muster-collector`. Ledger entries name them by number.

use crate::ledger::actor::{Actor, ActorId};
use crate::store::sql::{AdminTx, Step, StoreFault};

const FIND: &str = "SELECT no FROM system_user WHERE name = $1";
const ADD: &str = "INSERT INTO system_user (no, name) SELECT coalesce(max(no), 0) + 1, $1 FROM system_user";
const NAME: &str = "SELECT name FROM system_user WHERE no = $1";

/// The actor as an entry holds it.
pub(in crate::store) fn actor_id(tx: &mut dyn AdminTx, actor: &Actor) -> Step<ActorId> {
    Ok(match actor {
        Actor::Account { account, token } => ActorId::Account { account: account.clone(), token: token.clone() },
        Actor::Collector { user } => ActorId::Collector { user: number(tx, user)? },
        Actor::Rules => ActorId::Rules,
        Actor::Judge => ActorId::Judge,
        Actor::Agent => ActorId::Agent,
        Actor::Roster => ActorId::Roster,
        Actor::Bulk => ActorId::Bulk,
    })
}

/// The number of a user's name, which is added if it is new.
fn number(tx: &mut dyn AdminTx, name: &str) -> Step<u64> {
    if let Some(row) = tx.query(FIND, &[name.into()])?.first() {
        return row.count(0);
    }
    tx.execute(ADD, &[name.into()])?;
    let rows = tx.query(FIND, &[name.into()])?;
    rows.first().ok_or_else(|| StoreFault::damaged("a system user", "it was added, but has no row"))?.count(0)
}

/// The name with this number.
pub(super) fn name(tx: &mut dyn AdminTx, number: u64) -> Step<Option<String>> {
    let rows = tx.query(NAME, &[number.cast_signed().into()])?;
    rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, ADD, NAME];
