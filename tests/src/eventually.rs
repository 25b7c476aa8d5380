//! Waits until something becomes true, by polling until a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The time between two polls.
const STEP: Duration = Duration::from_millis(20);

/// Polls until the answer is `Ok(Some(_))`.
///
/// # Errors
/// The deadline has passed. The error says what was expected, with the last error if there was one.
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
