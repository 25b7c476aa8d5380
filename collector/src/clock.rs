//! The clock as an argument, for code that needs the current time repeatedly.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use muster_proto::model::Timestamp;

/// Returns the current time. `app` passes the system's clock; tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock. Only `app`, `main` and the programs of `bin` call this.
#[must_use]
pub fn system() -> Clock {
    Arc::new(system_now)
}

/// The system's time. Times before 1970 are negative.
#[must_use]
pub fn system_now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(span) => i64::try_from(span.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    };
    Timestamp::from_millis(millis)
}

/// A clock that always returns the same time; for tests, and for reports about one instant.
#[must_use]
pub fn fixed(at: Timestamp) -> Clock {
    Arc::new(move || at)
}
