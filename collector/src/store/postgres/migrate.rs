//! Migrations of the schema: numbered as in the SQLite backend, embedded, forward only, each step in one transaction.
//! Collectors that start at the same time take turns by an advisory lock.

use super::fault::{PostgresFault, Step};
use super::session::Session;
use crate::store::StoreError;
use crate::store::schema::{Applied, Dialect, Migration, newest, pending};

/// The advisory lock: "MUST" in ASCII, like the application id of a SQLite file.
const LOCK: i64 = 0x4d55_5354;

const MIGRATIONS: &[Migration] = &[Migration {
    number: 1,
    name: "initial",
    admin: include_str!("../../../migrations/admin/0001_initial.sql"),
    own: include_str!("../../../migrations/postgres/0001_initial.sql"),
    dialect: Dialect::Postgres,
}];

/// Migrates the database to the newest schema.
///
/// # Errors
/// The database has a newer schema, was made by another build or belongs to another program, or a step failed; a failed
/// step changes nothing.
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
    for migration in pending(&found(session, place).await?, MIGRATIONS, place)? {
        if let Err(fault) = step(session, migration).await {
            // The fault of the step is the one to report.
            let _ = session.batch("ROLLBACK").await;
            let reason = match fault {
                PostgresFault::Conflict(reason) | PostgresFault::ConnectionLost(reason) => reason,
                other @ PostgresFault::Store(_) => other.into_error("migrate", place).to_string(),
            };
            let Migration { number, name, .. } = migration;
            let reason = format!("migration {number} ({name}): {reason}");
            return Err(StoreError::Open { place: place.to_owned(), reason });
        }
    }
    Ok(())
}

/// Refuses a database without the newest schema; changes nothing.
///
/// # Errors
/// It has another schema, is empty or belongs to another program.
pub(super) async fn must_be_newest(session: &Session, place: &str) -> Result<(), StoreError> {
    newest(&found(session, place).await?, MIGRATIONS, place)
}

async fn found(session: &Session, place: &str) -> Result<Vec<Applied>, StoreError> {
    let found = applied(session).await.map_err(|fault| fault.into_error("open", place))?;
    found
        .ok_or_else(|| StoreError::Open { place: place.to_owned(), reason: "it belongs to another program".to_owned() })
}

/// The migrations that the database has: none if it is empty, `None` if it belongs to another program.
async fn applied(session: &Session) -> Step<Option<Vec<Applied>>> {
    let ask = "SELECT count(*), count(*) FILTER (WHERE relname = 'schema_version')
               FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";
    let Some(row) = session.query_first(ask, &[]).await? else { return Ok(Some(Vec::new())) };
    match (row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?) {
        (0, _) => return Ok(Some(Vec::new())),
        (_, 1) => {}
        _ => return Ok(None),
    }
    // As JSON, because builds before the digests had no such column, and a statement that names it would fail.
    let rows = "SELECT version, name, to_jsonb(s) ->> 'digest' FROM schema_version s ORDER BY version";
    let row = |row: tokio_postgres::Row| -> Step<Applied> {
        Ok(Applied { number: row.try_get(0)?, name: row.try_get(1)?, digest: row.try_get(2)? })
    };
    session.query(rows, &[]).await?.into_iter().map(row).collect::<Step<_>>().map(Some)
}

/// The number of the schema: 0 if the database is empty, `None` if it belongs to another program.
pub(super) async fn found_version(session: &Session) -> Step<Option<i64>> {
    Ok(applied(session).await?.map(|rows| rows.iter().map(|row| row.number).max().unwrap_or_default()))
}

/// Creates the schema with this number in an empty database, within the caller's transaction.
pub(super) async fn create(session: &Session, schema: i64) -> Step<()> {
    for migration in MIGRATIONS.iter().filter(|migration| migration.number <= schema) {
        apply(session, migration).await?;
    }
    Ok(())
}

/// Migrates rows that were restored to the newest schema, within the caller's transaction.
///
/// # Errors
/// They are of a newer version or of another build, or a step failed.
pub(super) async fn advance(session: &Session, place: &str) -> Result<(), StoreError> {
    let failed = |fault: PostgresFault| fault.into_error("migrate", place);
    let found = applied(session).await.map_err(failed)?.unwrap_or_default();
    for migration in pending(&found, MIGRATIONS, place)? {
        apply(session, migration).await.map_err(failed)?;
    }
    Ok(())
}

async fn step(session: &Session, migration: &Migration) -> Step<()> {
    session.batch("BEGIN").await?;
    apply(session, migration).await?;
    session.batch("COMMIT").await
}

async fn apply(session: &Session, migration: &Migration) -> Step<()> {
    let table = "CREATE TABLE IF NOT EXISTS schema_version (
                     version    bigint PRIMARY KEY,
                     applied_at timestamptz NOT NULL DEFAULT now(),
                     name       text NOT NULL,
                     digest     text NOT NULL
                 )";
    session.batch(table).await?;
    session.batch(&migration.statements()).await?;
    let insert = "INSERT INTO schema_version (version, name, digest) VALUES ($1, $2, $3)";
    session.query_once(insert, &[&migration.number, &migration.name, &migration.digest()]).await?;
    Ok(())
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
        let ours: Vec<String> = MIGRATIONS.iter().map(|one| format!("{:04}_{}.sql", one.number, one.name)).collect();
        assert_eq!(names("postgres"), ours);
    }
}
