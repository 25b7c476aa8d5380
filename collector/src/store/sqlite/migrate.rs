//! Migrations of the schema: numbered, embedded, forward only, each step in one transaction.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::fault::{Step, StoreFault};
use crate::store::StoreError;
use crate::store::schema::{Applied, Dialect, Migration, newest, pending};

/// The application id of a collector's database: "MUST" in ASCII.
const APPLICATION_ID: i64 = 0x4d55_5354;

const MIGRATIONS: &[Migration] = &[Migration {
    number: 1,
    name: "initial",
    admin: include_str!("../../../migrations/admin/0001_initial.sql"),
    own: include_str!("../../../migrations/sqlite/0001_initial.sql"),
    dialect: Dialect::Sqlite,
}];

/// Migrates the database to the newest schema.
///
/// # Errors
/// The database has a newer schema, was made by another build or belongs to another program, or a step failed; a failed
/// step changes nothing.
pub(super) fn migrate(sql: &mut Connection, place: &str) -> Result<(), StoreError> {
    for migration in pending(&applied(sql, place)?, MIGRATIONS, place)? {
        step(sql, migration).map_err(|fault| match fault {
            StoreFault::Other(reason) => {
                let Migration { number, name, .. } = migration;
                StoreError::Open { place: place.to_owned(), reason: format!("migration {number} ({name}): {reason}") }
            }
            other @ (StoreFault::Full
            | StoreFault::EditionsFull
            | StoreFault::Stopped(_)
            | StoreFault::Closed
            | StoreFault::Damaged { .. }) => other.into_error("migrate", place),
        })?;
    }
    Ok(())
}

/// The number of the schema: 0 if the file is new.
pub(super) fn found_version(sql: &Connection, place: &str) -> Result<i64, StoreError> {
    Ok(applied(sql, place)?.iter().map(|row| row.number).max().unwrap_or_default())
}

/// Whether the database has exactly the schema of this version.
pub(super) fn is_newest(sql: &Connection, place: &str) -> Result<bool, StoreError> {
    Ok(pending(&applied(sql, place)?, MIGRATIONS, place).is_ok_and(<[Migration]>::is_empty))
}

/// Refuses a database without the newest schema; changes nothing.
///
/// # Errors
/// It has another schema, is empty or belongs to another program.
pub(super) fn must_be_newest(sql: &Connection, place: &str) -> Result<(), StoreError> {
    newest(&applied(sql, place)?, MIGRATIONS, place)
}

/// The migrations that the database has; none if the file is new.
fn applied(sql: &Connection, place: &str) -> Result<Vec<Applied>, StoreError> {
    let ask = |text: &str| -> Step<i64> { Ok(sql.query_row(text, [], |row| row.get(0))?) };
    let found = || -> Step<Option<Vec<Applied>>> {
        // A file without tables is new and has no application id yet.
        if ask("SELECT count(*) FROM sqlite_master WHERE type = 'table'")? == 0 {
            return Ok(Some(Vec::new()));
        }
        let ours = ask("PRAGMA application_id")? == APPLICATION_ID
            && ask("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'")? == 1;
        if !ours {
            return Ok(None);
        }
        // Builds before the digests had no such column, and a statement that names it would fail.
        let has_digests = ask("SELECT count(*) FROM pragma_table_info('schema_version') WHERE name = 'digest'")? == 1;
        let digest = if has_digests { "digest" } else { "NULL" };
        let mut statement =
            sql.prepare(&format!("SELECT version, name, {digest} FROM schema_version ORDER BY version"))?;
        let rows = statement
            .query_map([], |row| Ok(Applied { number: row.get(0)?, name: row.get(1)?, digest: row.get(2)? }))?;
        Ok(Some(rows.collect::<Result<_, _>>()?))
    };
    found()
        .map_err(|fault| fault.into_error("open", place))?
        .ok_or_else(|| StoreError::Open { place: place.to_owned(), reason: "it belongs to another program".to_owned() })
}

fn step(sql: &mut Connection, migration: &Migration) -> Step<()> {
    let Migration { number, name, .. } = migration;
    let transaction = sql.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (
             version    INTEGER PRIMARY KEY,
             name       TEXT NOT NULL,
             digest     TEXT NOT NULL,
             applied_at INTEGER NOT NULL DEFAULT (unixepoch() * 1000)
         ) STRICT",
    )?;
    // Read again under the lock: another process may have been faster.
    let done: Option<i64> = transaction
        .query_row("SELECT 1 FROM schema_version WHERE version = ?1", [number], |row| row.get(0))
        .optional()?;
    if done.is_none() {
        transaction.execute_batch(&migration.statements())?;
        let row = (number, name, migration.digest());
        transaction.execute("INSERT INTO schema_version (version, name, digest) VALUES (?1, ?2, ?3)", row)?;
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
        for (index, Migration { number, name, own, .. }) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(*number), Ok(index + 1));
            assert!(!name.is_empty() && own.ends_with('\n'), "{number}");
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
        let own = "CREATE TABLE half (a INTEGER); CREATE TABLE half (a INTEGER);";
        let broken = Migration { number: 2, name: "broken", admin: "", own, dialect: Dialect::Sqlite };
        step(&mut sql, &broken).expect_err("twice");
        let half: i64 = sql
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'half'", [], |row| row.get(0))
            .expect("asks");
        assert_eq!(half, 0);
        assert_eq!(applied(&sql, "memory").expect("asks").len(), MIGRATIONS.len());
    }

    #[test]
    fn a_newer_schema_is_refused_and_says_what_to_do() {
        let mut sql = Connection::open_in_memory().expect("opens");
        migrate(&mut sql, "memory").expect("migrates");
        sql.execute("INSERT INTO schema_version (version, name, digest) VALUES (99, 'future', '')", [])
            .expect("inserts");
        let error = migrate(&mut sql, "fleet.db").expect_err("newer");
        assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
        assert!(error.advice().is_some_and(|advice| advice.contains("start the newer collector")), "{error}");
    }

    #[test]
    fn the_database_of_another_program_is_refused() {
        let mut sql = Connection::open_in_memory().expect("opens");
        sql.execute_batch("CREATE TABLE bookmarks (url TEXT)").expect("creates");
        let error = migrate(&mut sql, "places.sqlite").expect_err("not ours");
        assert_eq!(error.to_string(), "cannot open the database places.sqlite: it belongs to another program");
    }

    /// Without this check the collector started and failed later with "no such table".
    #[test]
    fn a_database_of_another_build_is_refused_with_what_to_do() {
        for (damage, name) in [
            ("UPDATE schema_version SET digest = 'of another text' WHERE version = 1", "another text"),
            ("ALTER TABLE schema_version DROP COLUMN digest", "a build without digests"),
        ] {
            let mut sql = Connection::open_in_memory().expect("opens");
            migrate(&mut sql, "memory").expect("migrates");
            sql.execute_batch(damage).expect("damages");
            let error = migrate(&mut sql, "fleet.db").expect_err(name);
            assert!(matches!(error, StoreError::OtherSchema { number: 1, .. }), "{name}: {error}");
            assert!(error.to_string().contains("fleet.db"), "{error}");
            assert!(error.advice().is_some_and(|advice| advice.contains("restore")), "{name}");
        }
    }
}
