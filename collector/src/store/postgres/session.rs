//! One connection to the database: how it is set up, and its prepared statements.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row, Statement};

use super::address::Address;
use super::fault::{PostgresFault, Step};
use super::tls::Tls;

/// Parameters of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How long a whole attempt to connect may take, all hosts included.
const CONNECT: Duration = Duration::from_secs(20);

/// What each connection is told first. Time limits bound what a stuck neighbour can do to us; operations count on seeing what
/// others committed before each statement; nobody is acknowledged before the log is on the disk, whatever the server's
/// default is; and statements over arrays are planned as look-ups by index even
/// while a table is too young to have statistics. What is long is compressed with lz4 where the server has it.
const SETTINGS: &str = "
    SET statement_timeout = '60s';
    SET lock_timeout = '20s';
    SET idle_in_transaction_session_timeout = '60s';
    SET default_transaction_isolation = 'read committed';
    SET client_min_messages = warning;
    SET jit = off;
    SET enable_seqscan = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SELECT set_config('default_toast_compression', 'lz4', false) FROM pg_settings
        WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals);
";

/// Added for connections that only write batches: every statement is a nested loop from an array into an index.
const BATCHES: &str = "
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET plan_cache_mode = force_generic_plan;
";

/// See the head of the file. Dropped, the connection is closed and the server rolls back what was open.
pub(super) struct Session {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
    driver: JoinHandle<()>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("closed", &self.client.is_closed()).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects to the first host that takes writes. Notifications go to `told`.
    pub(super) async fn open(address: &Address, tls: &Tls, told: Option<UnboundedSender<String>>) -> Step<Self> {
        let connecting = address.config.connect(tls.clone());
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let (client, mut connection) = connected
            .map_err(|_| PostgresFault::ConnectionLost(format!("no host answers within {} s", CONNECT.as_secs())))??;
        let driver = tokio::spawn(async move {
            loop {
                match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                    Some(Ok(AsyncMessage::Notification(note))) => {
                        if let Some(told) = &told {
                            let _ = told.send(note.payload().to_owned());
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                }
            }
        });
        let session = Self { client, statements: Mutex::default(), driver };
        session.batch(SETTINGS).await?;
        Ok(session)
    }

    /// The same, for a connection that writes batches.
    pub(super) async fn open_for_batches(address: &Address, tls: &Tls) -> Step<Self> {
        let session = Self::open(address, tls, None).await?;
        session.batch(BATCHES).await?;
        Ok(session)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Statements without parameters, one after the other.
    pub(super) async fn batch(&self, text: &str) -> Step<()> {
        Ok(self.client.batch_execute(text).await?)
    }

    /// The rows of a statement, which is prepared once for each connection.
    pub(super) async fn query(&self, text: &'static str, values: Values<'_>) -> Step<Vec<Row>> {
        let statement = self.prepared(text).await?;
        Ok(self.client.query(&statement, values).await?)
    }

    /// The first row of a statement.
    pub(super) async fn query_first(&self, text: &'static str, values: Values<'_>) -> Step<Option<Row>> {
        Ok(self.query(text, values).await?.into_iter().next())
    }

    /// The rows of a statement that is put together for the occasion.
    pub(super) async fn query_once(&self, text: &str, values: Values<'_>) -> Step<Vec<Row>> {
        Ok(self.client.query(text, values).await?)
    }

    /// Executes a statement and says how many rows it has touched.
    pub(super) async fn execute(&self, text: &'static str, values: Values<'_>) -> Step<u64> {
        let statement = self.prepared(text).await?;
        Ok(self.client.execute(&statement, values).await?)
    }

    /// Prepares statements that will be sent without waiting for each other.
    pub(super) async fn prepare(&self, texts: &[&'static str]) -> Step<()> {
        for text in texts {
            self.prepared(text).await?;
        }
        Ok(())
    }

    async fn prepared(&self, text: &'static str) -> Step<Statement> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(text).await?;
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(text, statement.clone());
        Ok(statement)
    }
}
