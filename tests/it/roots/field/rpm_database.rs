//! rpm's SQLite database with the tables that rpm reads by name: a header for each package, and the index of names.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::{Connection, params};

use super::table::RpmRow;

/// Writes `rpmdb.sqlite` into a folder.
pub(super) fn write(folder: &Path, rows: &[RpmRow]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut database = Connection::open(folder.join("rpmdb.sqlite"))?;
    database.execute_batch(
        "PRAGMA journal_mode = DELETE;
         CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);
         CREATE TABLE 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL,
           FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum));
         CREATE INDEX 'Name_key_idx' ON 'Name'(key ASC);",
    )?;
    let transaction = database.transaction()?;
    for (number, row) in (1_i64..).zip(rows) {
        let header = header(row)?;
        transaction.execute("INSERT INTO Packages VALUES (?1, ?2)", params![number, header])?;
        transaction.execute("INSERT INTO Name VALUES (?1, ?2, 0)", params![row.name, number])?;
    }
    transaction.commit()?;
    Ok(())
}

/// rpm's header: two counts, an index of tags, and their values. All numbers are big-endian.
fn header(row: &RpmRow) -> Result<Vec<u8>> {
    const STRING: u32 = 6;
    let (version, release) = row.version.split_once('-').context("a version without a release")?;
    let (mut index, mut values) = (Vec::new(), Vec::new());
    let texts = [(1000, &*row.name), (1001, version), (1002, release), (1011, &*row.vendor), (1022, "x86_64")];
    for (tag, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        for number in [tag, STRING, u32::try_from(values.len())?, 1] {
            index.extend(number.to_be_bytes());
        }
        values.extend(text.as_bytes());
        values.push(0);
    }
    let counts = [u32::try_from(index.len() / 16)?, u32::try_from(values.len())?];
    Ok(counts.into_iter().flat_map(u32::to_be_bytes).chain(index).chain(values).collect())
}
