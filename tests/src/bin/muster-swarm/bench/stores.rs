//! The stores that can be measured, and what each needs before a collector can be started on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use muster_tests::postgres::{self, Server};

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// The embedded one.
    Sqlite,
    /// A server of its own.
    Postgres,
}

/// A store on which collectors can be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its name in the output.
    pub(crate) name: &'static str,
    /// A folder for data folders and logs.
    pub(crate) folder: PathBuf,
    /// The server, when the store is one.
    server: Option<Arc<Server>>,
}

/// The database of one collector.
#[derive(Debug)]
pub(crate) struct Database(Option<postgres::Database>);

/// Those that were asked for, or all.
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

    /// Starts what it needs.
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

/// Of a server on a small machine that it shares; what concerns durability is as it comes.
const SETTINGS: &[&str] = &["shared_buffers=256MB", "wal_compression=off", "checkpoint_timeout=15min"];

impl Prepared {
    /// A database for one collector.
    pub(crate) fn database(&self) -> Result<Database> {
        Ok(Database(self.server.as_ref().map(|server| server.database()).transpose()?))
    }
}

impl Database {
    /// Tells a collector's program where it is; the address holds a password, and stays out of the arguments.
    pub(crate) fn name_to(&self, command: &mut Command) {
        if let Some(database) = &self.0 {
            command.env("MUSTER_COLLECTOR__STORE__URL", database.url());
        }
    }

    /// Bytes of all files of the database, after its collector has stopped.
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
        anyhow::ensure!(bytes > 0, "no database stands in {}", data.display());
        Ok(bytes)
    }
}

/// The file itself, its log and its index.
fn is_database(name: &str) -> bool {
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
