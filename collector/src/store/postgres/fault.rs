//! Why a step failed on PostgreSQL. Faults that another attempt may cure are kept apart from those that it cannot.

use tokio_postgres::error::SqlState;

use crate::store::fault::StoreFault;
use crate::store::{SearchStop, StoreError};

/// The result of one step of an operation. A step that fails ends the attempt, and its transaction is rolled back.
pub(super) type Step<T> = Result<T, PostgresFault>;

/// Why a step failed.
#[derive(Debug, Clone)]
pub(super) enum PostgresFault {
    /// Another transaction was in the way and nothing was kept; the whole operation may be tried again.
    Conflict(String),
    /// The connection is lost, or the server no longer accepts writes. If this happens during a commit, nobody knows
    /// whether it took place.
    ConnectionLost(String),
    /// A fault that every backend can have.
    Store(StoreFault),
}

impl PostgresFault {
    pub(super) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Store(StoreFault::damaged(what, reason))
    }

    pub(super) fn other(reason: impl Into<String>) -> Self {
        Self::Store(StoreFault::Other(reason.into()))
    }

    pub(super) const fn closed() -> Self {
        Self::Store(StoreFault::Closed)
    }

    /// The error that the caller of `operation` gets. `place` is the address of the database, without secrets.
    pub(super) fn into_error(self, operation: &'static str, place: &str) -> StoreError {
        match self {
            Self::Conflict(reason) => StoreError::Operation { operation, reason },
            Self::ConnectionLost(reason) => StoreError::Unreachable { operation, place: place.to_owned(), reason },
            Self::Store(fault) => fault.into_error(operation, place),
        }
    }
}

impl From<StoreFault> for PostgresFault {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

impl From<SearchStop> for PostgresFault {
    fn from(stop: SearchStop) -> Self {
        Self::Store(stop.into())
    }
}

impl From<serde_json::Error> for PostgresFault {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<tokio_postgres::Error> for PostgresFault {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            // Only the message: its details may hold values of the row.
            return from_server(answer.code(), answer.message().to_owned());
        }
        let text = muster_proto::error_chain(&error);
        if is_of_the_connection(&error) { Self::ConnectionLost(text) } else { Self::damaged("a row", text) }
    }
}

/// The fault behind an error that the server reports. Lists of codes: PostgreSQL manual, appendix A.
fn from_server(code: &SqlState, message: String) -> PostgresFault {
    const CONFLICT: [SqlState; 3] =
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE];
    const FULL: [SqlState; 2] = [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY];
    const CORRUPTED: [SqlState; 2] = [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED];
    if CONFLICT.contains(code) {
        PostgresFault::Conflict(message)
    } else if is_of_the_server(code) {
        PostgresFault::ConnectionLost(message)
    } else if FULL.contains(code) {
        PostgresFault::Store(StoreFault::Full)
    } else if CORRUPTED.contains(code) {
        PostgresFault::damaged("the database", message)
    } else {
        PostgresFault::other(message)
    }
}

/// Whether the cause is the server (it stops, starts, or no longer accepts writes) and not the statement.
fn is_of_the_server(code: &SqlState) -> bool {
    const SERVER: [SqlState; 6] = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    // Class 08 is "connection exception".
    SERVER.contains(code) || code.code().starts_with("08")
}

/// Whether an error without an answer of the server comes from the connection. Such an error has no cause (closed,
/// timed out) or one of IO or TLS. Any other cause is a value that does not have the form that the schema promises, and
/// trying again would not change it.
fn is_of_the_connection(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error);
    error.is_closed() || cause.is_none_or(|cause| cause.is::<std::io::Error>() || cause.is::<rustls::Error>())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio_postgres::NoTls;

    use super::*;

    /// The fault of connecting to a server that sends `answer` and closes the connection.
    async fn fault_of(answer: &'static [u8]) -> PostgresFault {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("bound").port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            stream.write_all(answer).await.expect("writes");
        });
        let connected = tokio_postgres::connect(&format!("host=127.0.0.1 port={port} user=muster"), NoTls).await;
        server.await.expect("ends");
        connected.map(drop).expect_err("no server").into()
    }

    #[tokio::test]
    async fn an_error_of_the_connection_has_no_code_and_is_tried_again() {
        for answer in [b"".as_slice(), b"R", b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
            let fault = fault_of(answer).await;
            assert!(matches!(fault, PostgresFault::ConnectionLost(_)), "{answer:?}: {fault:?}");
        }
        // Nobody listens on port 1.
        let refused = tokio_postgres::connect("host=127.0.0.1 port=1 user=muster", NoTls).await;
        let fault = PostgresFault::from(refused.map(drop).expect_err("refused"));
        assert!(matches!(&fault, PostgresFault::ConnectionLost(why) if why.contains("refused")), "{fault:?}");
    }

    #[test]
    fn a_code_of_the_server_decides_whether_the_operation_is_tried_again() {
        let fault = |code: &str| from_server(&SqlState::from_code(code), String::new());
        for code in ["40001", "40P01", "55P03"] {
            assert!(matches!(fault(code), PostgresFault::Conflict(_)), "{code}");
        }
        for code in ["57P01", "57P02", "57P03", "25006", "53300", "25P03", "08006"] {
            assert!(matches!(fault(code), PostgresFault::ConnectionLost(_)), "{code}");
        }
        for code in ["53100", "53200"] {
            assert!(matches!(fault(code), PostgresFault::Store(StoreFault::Full)), "{code}");
        }
        for code in ["XX001", "XX002"] {
            assert!(matches!(fault(code), PostgresFault::Store(StoreFault::Damaged { .. })), "{code}");
        }
        for code in ["23505", "42601", "57014"] {
            assert!(matches!(fault(code), PostgresFault::Store(StoreFault::Other(_))), "{code}");
        }
    }
}
