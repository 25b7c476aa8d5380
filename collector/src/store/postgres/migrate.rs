//! Migrations of the schema: numbered as in the SQLite backend, embedded, forward only, each step in one transaction.
//! Collectors that start at the same time take turns by an advisory lock.

use super::fault::{PostgresFault, Step};
use super::session::Session;
use crate::store::StoreError;

/// The advisory lock: "MUST" in ASCII, like the application id of a SQLite file.
const LOCK: i64 = 0x4d55_5354;

const MIGRATIONS: &[(i64, &str, &str)] =
    &[(1, "initial", include_str!("../../../migrations/postgres/0001_initial.sql"))];

/// The number of the newest schema that this version knows.
pub(super) const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Migrates the database to the newest schema.
///
/// # Errors
/// The database has a newer schema or belongs to another program, or a step failed; a failed step changes nothing.
pub(super) async fn migrate(session: &Session, place: &str) -> Result<(), StoreError> {
    // A second collector waits for the first, however long its step takes.
    let locked = session.batch(&format!("SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})")).await;
    locked.map_err(|fault| fault.into_error("migrate", place))?;
    let outcome = steps(session, place).await;
    let unlock = format!("SELECT pg_advisory_unlock({LOCK}); SET statement_timeout = '60s'");
    session.batch(&unlock).await.map_err(|fault| fault.into_error("migrate", place))?;
    outcome
}

async fn steps(session: &Session, place: &str) -> Result<(), StoreError> {
    let found = found_version(session).await.map_err(|fault| fault.into_error("open", place))?;
    let Some(found) = found else {
        let reason = "it belongs to another program".to_owned();
        return Err(StoreError::Open { place: place.to_owned(), reason });
    };
    if found > NEWEST {
        return Err(StoreError::NewerSchema { place: place.to_owned(), found, known: NEWEST });
    }
    for (number, name, text) in MIGRATIONS.iter().filter(|(number, ..)| *number > found) {
        if let Err(fault) = step(session, *number, name, text).await {
            // The fault of the step is the one to report.
            let _ = session.batch("ROLLBACK").await;
            let reason = match fault {
                PostgresFault::Conflict(reason) | PostgresFault::ConnectionLost(reason) => reason,
                other @ PostgresFault::Store(_) => other.into_error("migrate", place).to_string(),
            };
            let reason = format!("migration {number} ({name}): {reason}");
            return Err(StoreError::Open { place: place.to_owned(), reason });
        }
    }
    Ok(())
}

/// The number of the schema: 0 for an empty database, `None` for the database of another program.
async fn found_version(session: &Session) -> Step<Option<i64>> {
    let ask = "SELECT count(*), count(*) FILTER (WHERE relname = 'schema_version')
               FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";
    let Some(row) = session.query_first(ask, &[]).await? else { return Ok(Some(0)) };
    match (row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?) {
        (0, _) => Ok(Some(0)),
        (_, 1) => {
            let newest = session.query_first("SELECT coalesce(max(version), 0) FROM schema_version", &[]).await?;
            Ok(Some(newest.map_or(Ok(0), |row| row.try_get(0))?))
        }
        _ => Ok(None),
    }
}

async fn step(session: &Session, number: i64, name: &str, text: &str) -> Step<()> {
    session.batch("BEGIN").await?;
    let table = "CREATE TABLE IF NOT EXISTS schema_version (
                     version    bigint PRIMARY KEY,
                     applied_at timestamptz NOT NULL DEFAULT now(),
                     name       text NOT NULL
                 )";
    session.batch(table).await?;
    session.batch(text).await?;
    session.query_once("INSERT INTO schema_version (version, name) VALUES ($1, $2)", &[&number, &name]).await?;
    session.batch("COMMIT").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_have_the_numbers_and_names_of_the_other_backend() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let names = |backend: &str| {
            let entries = std::fs::read_dir(folder.join(backend)).expect("is there");
            let mut names: Vec<String> =
                entries.map(|entry| entry.expect("reads").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names("postgres"), names("sqlite"));
        let ours: Vec<String> = MIGRATIONS.iter().map(|(number, name, _)| format!("{number:04}_{name}.sql")).collect();
        assert_eq!(names("postgres"), ours);
    }
}
