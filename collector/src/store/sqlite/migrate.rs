//! Migrations of the schema: numbered, embedded, forward only, each step in one transaction.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::{Step, StoreFault};
use crate::store::StoreError;

/// The application id of a collector's database: "MUST" in ASCII.
const APPLICATION_ID: i64 = 0x4d55_5354;

const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "initial", include_str!("../../../migrations/sqlite/0001_initial.sql"))];

/// The number of the newest schema that this version knows.
pub(super) const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Migrates the database to the newest schema.
///
/// # Errors
/// The database has a newer schema or belongs to another program, or a step failed; a failed step changes nothing.
pub(super) fn migrate(sql: &mut Connection, place: &str) -> Result<(), StoreError> {
    let found = found_version(sql, place)?;
    if found > NEWEST {
        return Err(StoreError::NewerSchema { place: place.to_owned(), found, known: NEWEST });
    }
    for (number, name, text) in MIGRATIONS.iter().filter(|(number, ..)| *number > found) {
        step(sql, *number, name, text).map_err(|fault| match fault {
            StoreFault::Other(reason) => {
                StoreError::Open { place: place.to_owned(), reason: format!("migration {number} ({name}): {reason}") }
            }
            other @ (StoreFault::Full | StoreFault::Closed | StoreFault::Damaged { .. }) => {
                other.into_error("migrate", place)
            }
        })?;
    }
    Ok(())
}

fn found_version(sql: &Connection, place: &str) -> Result<i64, StoreError> {
    let ask = |text: &str| -> Step<i64> { Ok(sql.query_row(text, [], |row| row.get(0))?) };
    let found = || -> Step<Option<i64>> {
        // A file without tables is new and has no application id yet.
        if ask("SELECT count(*) FROM sqlite_master WHERE type = 'table'")? == 0 {
            return Ok(Some(0));
        }
        let ours = ask("PRAGMA application_id")? == APPLICATION_ID
            && ask("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'")? == 1;
        if ours { ask("SELECT coalesce(max(version), 0) FROM schema_version").map(Some) } else { Ok(None) }
    };
    found()
        .map_err(|fault| fault.into_error("open", place))?
        .ok_or_else(|| StoreError::Open { place: place.to_owned(), reason: "it belongs to another program".to_owned() })
}

fn step(sql: &mut Connection, number: i64, name: &str, text: &str) -> Step<()> {
    let transaction = sql.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (
             version    INTEGER PRIMARY KEY,
             name       TEXT NOT NULL,
             applied_at INTEGER NOT NULL DEFAULT (unixepoch() * 1000)
         ) STRICT",
    )?;
    // Read again under the lock: another process may have been faster.
    let done: i64 =
        transaction.query_row("SELECT count(*) FROM schema_version WHERE version = ?1", [number], |row| row.get(0))?;
    if done == 0 {
        transaction.execute_batch(text)?;
        transaction.execute("INSERT INTO schema_version (version, name) VALUES (?1, ?2)", (number, name))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one_without_gaps() {
        for (index, (number, name, text)) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(*number), Ok(index + 1));
            assert!(!name.is_empty() && text.ends_with('\n'), "{number}");
        }
    }

    #[test]
    fn a_migrated_database_is_left_as_it_is() {
        let mut sql = Connection::open_in_memory().expect("opens");
        migrate(&mut sql, "memory").expect("first");
        let before: i64 = sql.query_row("PRAGMA schema_version", [], |row| row.get(0)).expect("asks");
        migrate(&mut sql, "memory").expect("second");
        let after: i64 = sql.query_row("PRAGMA schema_version", [], |row| row.get(0)).expect("asks");
        assert_eq!(before, after);
    }

    #[test]
    fn a_step_that_fails_leaves_nothing_behind() {
        let mut sql = Connection::open_in_memory().expect("opens");
        migrate(&mut sql, "memory").expect("migrates");
        step(&mut sql, 2, "broken", "CREATE TABLE half (a INTEGER); CREATE TABLE half (a INTEGER);")
            .expect_err("twice");
        let half: i64 = sql
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'half'", [], |row| row.get(0))
            .expect("asks");
        assert_eq!(half, 0);
        assert_eq!(found_version(&sql, "memory").expect("asks"), NEWEST);
    }

    #[test]
    fn a_newer_schema_is_refused_and_says_what_to_do() {
        let mut sql = Connection::open_in_memory().expect("opens");
        migrate(&mut sql, "memory").expect("migrates");
        sql.execute("INSERT INTO schema_version (version, name) VALUES (99, 'future')", []).expect("inserts");
        let error = migrate(&mut sql, "fleet.db").expect_err("newer");
        assert!(matches!(error, StoreError::NewerSchema { found: 99, known: NEWEST, .. }));
        assert!(error.to_string().contains("start the newer collector"), "{error}");
    }

    #[test]
    fn the_database_of_another_program_is_refused() {
        let mut sql = Connection::open_in_memory().expect("opens");
        sql.execute_batch("CREATE TABLE bookmarks (url TEXT)").expect("creates");
        let error = migrate(&mut sql, "places.sqlite").expect_err("not ours");
        assert_eq!(error.to_string(), "cannot open the database places.sqlite: it belongs to another program");
    }
}
