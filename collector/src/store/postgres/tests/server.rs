//! A new database for each test, on the server of `MUSTER_TEST_POSTGRES` or on one that is started for all tests
//! (`deploy/ci/postgres shared`).

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The URL of the server, without a database.
fn server() -> &'static str {
    static SERVER: OnceLock<String> = OnceLock::new();
    SERVER.get_or_init(|| {
        if let Ok(given) = std::env::var("MUSTER_TEST_POSTGRES") {
            return given;
        }
        said(script().arg("shared"))
    })
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/ci/postgres"))
}

/// A server for one test, with a database `fleet`. Dropping it stops the server.
pub(super) struct Own {
    folder: std::path::PathBuf,
    url: String,
}

impl Own {
    /// A server with certificates and access rules that `prepare` writes into its directory.
    pub(super) fn secured(given: &Path) -> Self {
        let server = Self::launched(|folder| {
            let mut start = script();
            start.env("MUSTER_POSTGRES_TLS", given).arg("start").arg(folder);
            start
        });
        server.sql_of("postgres", "CREATE DATABASE fleet");
        server
    }

    pub(super) fn plain() -> Self {
        let server = Self::launched(|folder| {
            let mut start = script();
            start.arg("start").arg(folder);
            start
        });
        server.sql_of("postgres", "CREATE DATABASE fleet");
        server
    }

    /// A standby of another server; it accepts no writes.
    pub(super) fn following(other: &Self) -> Self {
        Self::launched(|folder| {
            let mut follow = script();
            follow.arg("standby").arg(folder).arg(&other.folder);
            follow
        })
    }

    fn launched(command: impl Fn(&Path) -> Command) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("muster-own-postgres-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let url = said(&mut command(&folder));
        Self { folder, url }
    }

    /// Promotes a standby: it accepts writes from now on.
    pub(super) fn promote(&self) {
        said(script().arg("promote").arg(&self.folder));
    }

    /// Host and port.
    pub(super) fn at(&self) -> &str {
        self.url.rsplit('@').next().map_or("", |rest| rest.trim_end_matches('/'))
    }

    pub(super) fn port(&self) -> &str {
        self.at().rsplit(':').next().unwrap_or_default()
    }

    pub(super) fn password(&self) -> &str {
        let before = self.url.split('@').next().unwrap_or_default();
        before.rsplit(':').next().unwrap_or_default()
    }

    pub(super) fn sql(&self, text: &str) -> String {
        self.sql_of("fleet", text)
    }

    fn sql_of(&self, database: &str, text: &str) -> String {
        psql(&format!("{}{database}", self.url), text)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = script().arg("stop").arg(&self.folder).output();
    }
}

/// The standard output of a command that must succeed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    out.trim().to_owned()
}

/// An empty database. Dropping it deletes the database.
pub(super) struct Database {
    name: String,
}

impl Database {
    pub(super) fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        admin(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        admin(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        Self { name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn url(&self) -> String {
        format!("{}{}", server(), self.name)
    }

    /// The URL with another password.
    pub(super) fn url_with_password(&self, password: &str) -> String {
        let url = self.url();
        let (before, rest) = url.split_once("://").expect("an address");
        let (user, host) = rest.split_once('@').expect("a user");
        format!("{before}://{}:{password}@{host}", user.split(':').next().unwrap_or(user))
    }

    /// The output of a statement.
    pub(super) fn sql(&self, text: &str) -> String {
        psql(&self.url(), text)
    }

    /// The number of rows that a statement changed.
    pub(super) fn sql_rows(&self, text: &str) -> u64 {
        let told = said(Command::new("psql").args([&self.url(), "-Xc", text]));
        told.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // What a test leaves behind on a server that goes away anyway is no failure of the test.
        let _ = Command::new("psql").args([&format!("{}postgres", server()), "-XAtqc", &drop]).output();
    }
}

fn admin(text: &str) -> String {
    psql(&format!("{}postgres", server()), text)
}

fn psql(url: &str, text: &str) -> String {
    said(Command::new("psql").args([url, "-XAtqc", text]))
}
