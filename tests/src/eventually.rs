//! Waits for something to become true, by asking again until a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often it is asked.
const STEP: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok(Some(_))`.
///
/// # Errors
/// The deadline has passed; the error says what was waited for and the last error, if there was one.
pub fn eventually<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        let answer = ask();
        if let Ok(Some(found)) = answer {
            return Ok(found);
        }
        if Instant::now() >= end {
            match answer {
                Err(error) => return Err(error.context(format!("{what}: not within {deadline:?}"))),
                Ok(_) => bail!("{what}: not within {deadline:?}"),
            }
        }
        std::thread::sleep(STEP);
    }
}
