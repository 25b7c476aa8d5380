//! How far the numbers of rows have come, and when. A number is not given again after the last row was removed, and a removal
//! knows which rows are old.

use muster_proto::model::Timestamp;
use rusqlite::Connection;

use super::fault::Step;
use crate::store::unreferenced::OldNumbers;

/// Notes how far numbers have come. The memory begins after the last of these marks when it is loaded, so a number is not
/// given again after the last row was removed.
pub(super) fn put(sql: &Connection, now: Timestamp) -> Step<()> {
    sql.prepare_cached(
        "INSERT OR REPLACE INTO number_mark (at, snapshot, section, edition)
         SELECT ?1, max((SELECT coalesce(max(no), 0) FROM snapshot), coalesce(max(m.snapshot), 0)),
             max((SELECT coalesce(max(no), 0) FROM section), coalesce(max(m.section), 0)),
             max((SELECT coalesce(max(no), 0) FROM edition), coalesce(max(m.edition), 0)) FROM number_mark m",
    )?
    .execute([now.millis()])?;
    Ok(())
}

/// The last numbers that were given.
pub(super) fn last_numbers(sql: &Connection) -> Step<OldNumbers> {
    let find = "SELECT max((SELECT coalesce(max(no), 0) FROM snapshot), coalesce(max(m.snapshot), 0)),
                    max((SELECT coalesce(max(no), 0) FROM section), coalesce(max(m.section), 0)),
                    max((SELECT coalesce(max(no), 0) FROM edition), coalesce(max(m.edition), 0)) FROM number_mark m";
    let read =
        |row: &rusqlite::Row<'_>| Ok(OldNumbers { snapshot: row.get(0)?, section: row.get(1)?, edition: row.get(2)? });
    Ok(sql.query_row(find, [], read)?)
}
