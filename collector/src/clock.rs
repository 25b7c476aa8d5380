//! The clock as an argument: whoever needs "now" again and again is handed one of these.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use muster_proto::model::Timestamp;

/// Tells the time. `app` hands the system's clock to doors and loops; tests hand in their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock. Only `app`, `main` and the programs of `bin` call this.
#[must_use]
pub fn system() -> Clock {
    Arc::new(system_now)
}

/// The system's time. A clock that stands before 1970 counts backwards.
#[must_use]
pub fn system_now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(span) => i64::try_from(span.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    };
    Timestamp::from_millis(millis)
}

/// A clock that stands still; for tests, and for reports that must hold for one instant.
#[must_use]
pub fn fixed(at: Timestamp) -> Clock {
    Arc::new(move || at)
}
