//! A write that changes nothing, to learn whether the file accepts writes.

use rusqlite::Connection;

use super::fault::Step;

/// Writes the header of the file again. The number that it sets is not used, and is set to what it is.
pub(super) fn write(sql: &Connection) -> Step<()> {
    let number: i64 = sql.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(sql.pragma_update(None, "user_version", number)?)
}
