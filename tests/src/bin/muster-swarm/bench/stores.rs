//! The stores that can be measured, and what each needs before a collector starts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use muster_tests::postgres::{self, Server};

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// The embedded database.
    Sqlite,
    /// A separate server.
    Postgres,
}

/// A store on which collectors can be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its name in the output.
    pub(crate) name: &'static str,
    /// A folder for data folders and logs.
    pub(crate) folder: PathBuf,
    /// The server, if the store has one.
    server: Option<Arc<Server>>,
}

/// The database of one collector.
#[derive(Debug)]
pub(crate) struct Database(Option<postgres::Database>);

/// The chosen stores, or all.
pub(crate) fn chosen(asked: &[Store]) -> Vec<Store> {
    if asked.is_empty() { Store::value_variants().to_vec() } else { asked.to_vec() }
}

impl Store {
    /// Its name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Starts what the store needs.
    pub(crate) fn prepare(self, folder: &Path) -> Result<Prepared> {
        match self {
            Self::Sqlite => Ok(Prepared { name: self.name(), folder: folder.to_owned(), server: None }),
            Self::Postgres => {
                let server = Some(Arc::new(Server::start(SETTINGS)?));
                Ok(Prepared { name: self.name(), folder: folder.to_owned(), server })
            }
        }
    }
}

/// Settings for a small machine that is shared with other programs. Durability keeps the defaults.
const SETTINGS: &[&str] = &["shared_buffers=256MB", "wal_compression=off", "checkpoint_timeout=15min"];

impl Prepared {
    /// A database for one collector.
    pub(crate) fn database(&self) -> Result<Database> {
        Ok(Database(self.server.as_ref().map(|server| server.database()).transpose()?))
    }
}

impl Database {
    /// Gives a collector its URL. It has a password, so it is not an argument.
    pub(crate) fn name_to(&self, command: &mut Command) {
        if let Some(database) = &self.0 {
            command.env("MUSTER_COLLECTOR__STORE__URL", database.url());
        }
    }

    /// Size of the database in bytes, after its collector has stopped.
    pub(crate) fn weigh(&self, data: &Path) -> Result<u64> {
        if let Some(database) = &self.0 {
            return database.bytes();
        }
        let mut bytes = 0;
        for entry in std::fs::read_dir(data)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_database(&name.to_string_lossy()) {
                bytes += entry.metadata()?.len();
            }
        }
        anyhow::ensure!(bytes > 0, "no database in {}", data.display());
        Ok(bytes)
    }
}

/// Whether a file is a database, its log or its index.
fn is_database(name: &str) -> bool {
    // SQLite keeps recent pages in a second file, so both count.
    let base = name.trim_end_matches("-wal").trim_end_matches("-shm");
    [".db", ".sqlite", ".sqlite3"].iter().any(|ending| base.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_database_is_weighed_with_it_and_keys_are_not() {
        for name in ["muster.db", "muster.db-wal", "muster.db-shm", "store.sqlite"] {
            assert!(is_database(name), "{name}");
        }
        for name in ["ca.pem", "server.pem", "listening.json", "admin.token", "muster.db.old"] {
            assert!(!is_database(name), "{name}");
        }
    }
}
