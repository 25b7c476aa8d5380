//! The pin of the CA that this store is used with. A collector with another CA is refused before it serves: its agents
//! would all be locked out.

use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;

/// Stores the pin unless there is one; returns the pin that is stored.
pub(super) fn claim(sql: &Connection, pin: &str) -> Step<String> {
    sql.execute("INSERT INTO authority (only_one, pin) VALUES (1, ?1) ON CONFLICT DO NOTHING", [pin])?;
    Ok(get(sql)?.unwrap_or_else(|| pin.to_owned()))
}

/// The stored pin.
pub(super) fn get(sql: &Connection) -> Step<Option<String>> {
    Ok(sql.query_row("SELECT pin FROM authority", [], |row| row.get(0)).optional()?)
}
