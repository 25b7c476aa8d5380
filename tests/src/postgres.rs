//! A PostgreSQL server from the system's packages. `deploy/ci/postgres` does the work; it is embedded, so that no checkout is
//! needed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::process::Answer;

const SCRIPT: &str = include_str!("../../deploy/ci/postgres");

/// A running server. Dropping it stops the server and deletes its data, except for the server of `MUSTER_TEST_POSTGRES` and
/// the one that all tests share.
#[derive(Debug)]
pub struct Server {
    url: String,
    own: Option<PathBuf>,
}

impl Server {
    /// The server of `MUSTER_TEST_POSTGRES`, or one that all tests of this user share.
    ///
    /// # Errors
    /// It does not start, or PostgreSQL is not installed.
    pub fn shared() -> Result<Self> {
        match std::env::var("MUSTER_TEST_POSTGRES") {
            Ok(url) => Ok(Self { url, own: None }),
            Err(_) => Ok(Self { url: script(&["shared"])?, own: None }),
        }
    }

    /// Starts a separate, durable server with these settings (`NAME=VALUE`).
    ///
    /// # Errors
    /// It does not start, or PostgreSQL is not installed.
    pub fn start(settings: &[&str]) -> Result<Self> {
        // Not below the caller's folder: the server runs as another user, who must be able to enter.
        let own = std::env::temp_dir().join(format!("muster-postgres-{}", std::process::id()));
        let folder = own.display().to_string();
        let url = script(&[&["start", &folder], settings].concat())?;
        Ok(Self { url, own: Some(own) })
    }

    /// A new and empty database.
    ///
    /// # Errors
    /// The server refused.
    pub fn database(&self) -> Result<Database> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("lab_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        psql(&format!("{}postgres", self.url), &format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        Ok(Database { server: self.url.clone(), name })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            // There is no caller to report a failure to.
            let _ = script(&["stop", &own.display().to_string()]);
        }
    }
}

/// A database. It is dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Its URL with the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.server, self.name)
    }

    /// Runs a statement: one line for each row, columns separated by `|`.
    ///
    /// # Errors
    /// The statement was refused.
    pub fn sql(&self, text: &str) -> Result<String> {
        psql(&self.url(), text)
    }

    /// Bytes of all tables and indexes, without the write-ahead log.
    ///
    /// # Errors
    /// The statement failed.
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.sql("CHECKPOINT; SELECT pg_database_size(current_database())")?.parse()?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The server may have been stopped already, together with the database.
        let _ = psql(&format!("{}postgres", self.server), &drop);
    }
}

fn psql(url: &str, text: &str) -> Result<String> {
    let answer = Answer::of(Command::new("psql").args([url, "-XAtqc", text]))?;
    Ok(answer.expect_code(0).with_context(|| format!("psql: {text}"))?.stdout.trim().to_owned())
}

/// Runs the script.
fn script(arguments: &[&str]) -> Result<String> {
    let answer = Answer::of(Command::new("bash").args(["-c", SCRIPT, "postgres"]).args(arguments));
    let answer = answer?.expect_code(0).context("start a PostgreSQL of our own")?;
    Ok(answer.stdout.trim().to_owned())
}
