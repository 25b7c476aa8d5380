//! One connection to the database: its settings and its prepared statements.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, CancelToken, Client, CopyInSink, CopyOutStream, Row, RowStream, Statement};

use super::address::Address;
use super::fault::{PostgresFault, Step};
use super::tls::Tls;

/// Parameters of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How long a whole attempt to connect may take, all hosts included.
const CONNECT: Duration = Duration::from_secs(20);

/// The settings of each connection.
///
/// - Time limits, so that a stuck transaction of another client does not block this one for ever.
/// - Read committed, because operations rely on seeing what others committed before each statement.
/// - Commits wait for the disk, whatever the server's default is.
/// - No sequential scans: statements over arrays must use the index even if a new table has no statistics yet.
/// - Long values are compressed with lz4 if the server has it.
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

/// More settings for connections that write batches, whose statements all are nested loops from an array into an index.
const BATCHES: &str = "
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET plan_cache_mode = force_generic_plan;
";

/// See the head of the file. Dropping it closes the connection, and the server rolls back an open transaction.
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
    /// Connects to the first host that accepts writes. Notifications are sent to `notify`.
    pub(super) async fn open(address: &Address, tls: &Tls, notify: Option<UnboundedSender<String>>) -> Step<Self> {
        let connecting = address.config.connect(tls.clone());
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let (client, mut connection) = connected
            .map_err(|_| PostgresFault::ConnectionLost(format!("no host answered within {} s", CONNECT.as_secs())))??;
        let driver = tokio::spawn(async move {
            loop {
                match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                    Some(Ok(AsyncMessage::Notification(note))) => {
                        if let Some(notify) = &notify {
                            // Nobody listens once the heartbeat has ended.
                            let _ = notify.send(note.payload().to_owned());
                        }
                    }
                    Some(Ok(_)) => {}
                    // The client gets an error with its next statement.
                    Some(Err(_)) | None => return,
                }
            }
        });
        let session = Self { client, statements: Mutex::default(), driver };
        session.batch(SETTINGS).await?;
        Ok(session)
    }

    /// Connects with the settings for batches.
    pub(super) async fn open_for_batches(address: &Address, tls: &Tls) -> Step<Self> {
        let session = Self::open(address, tls, None).await?;
        session.batch(BATCHES).await?;
        Ok(session)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Executes statements without parameters, in order.
    pub(super) async fn batch(&self, text: &str) -> Step<()> {
        Ok(self.client.batch_execute(text).await?)
    }

    /// The rows of a statement. It is prepared once per connection.
    pub(super) async fn query(&self, text: &'static str, values: Values<'_>) -> Step<Vec<Row>> {
        let statement = self.prepared(text).await?;
        Ok(self.client.query(&statement, values).await?)
    }

    /// The first row of a statement.
    pub(super) async fn query_first(&self, text: &'static str, values: Values<'_>) -> Step<Option<Row>> {
        Ok(self.query(text, values).await?.into_iter().next())
    }

    /// The rows of a statement that is used once and therefore not prepared.
    pub(super) async fn query_once(&self, text: &str, values: Values<'_>) -> Step<Vec<Row>> {
        Ok(self.client.query(text, values).await?)
    }

    /// The rows of a statement as they come, which need not fit into memory. It is prepared once per connection.
    pub(super) async fn stream(&self, text: &'static str, values: Values<'_>) -> Step<Pin<Box<RowStream>>> {
        let statement = self.prepared(text).await?;
        Ok(Box::pin(self.client.query_raw(&statement, values.iter().map(|value| *value as &dyn ToSql)).await?))
    }

    /// As [`Self::stream`], for a statement that is used once and therefore not prepared.
    pub(super) async fn stream_once(&self, text: &str, values: Values<'_>) -> Step<Pin<Box<RowStream>>> {
        Ok(Box::pin(self.client.query_raw(text, values.iter().map(|value| *value as &dyn ToSql)).await?))
    }

    /// Cancels what this connection does.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// The bytes of a `COPY … TO STDOUT`.
    pub(super) async fn copy_out(&self, text: &str) -> Step<CopyOutStream> {
        Ok(self.client.copy_out(text).await?)
    }

    /// Takes the bytes of a `COPY … FROM STDIN`.
    pub(super) async fn copy_in(&self, text: &str) -> Step<CopyInSink<Bytes>> {
        Ok(self.client.copy_in(text).await?)
    }

    /// Executes a statement; returns the number of rows that it changed.
    pub(super) async fn execute(&self, text: &'static str, values: Values<'_>) -> Step<u64> {
        let statement = self.prepared(text).await?;
        Ok(self.client.execute(&statement, values).await?)
    }

    /// Prepares statements that will be pipelined, so that none of them waits for its preparation.
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
        // Not under the lock: two tasks may prepare the same text, and either statement will do.
        let statement = self.client.prepare(text).await?;
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(text, statement.clone());
        Ok(statement)
    }
}
