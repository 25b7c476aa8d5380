//! Tries an operation again while somebody else has the file open: a virus scanner opens every new file for a moment. Pure,
//! apart from the operation.

use std::io;
use std::time::Duration;

/// The first pause. Each one is twice as long as the one before, so all together take 1.3 seconds.
const FIRST: Duration = Duration::from_millis(10);
const TRIES: u32 = 8;

/// The result of the operation. It is tried again after an error that will pass, up to eight times.
pub(super) fn patiently<T>(
    mut operation: impl FnMut() -> io::Result<T>,
    passes: impl Fn(&io::Error) -> bool,
    mut pause: impl FnMut(Duration),
) -> io::Result<T> {
    let mut rest = FIRST;
    for _ in 1..TRIES {
        match operation() {
            Err(error) if passes(&error) => pause(rest),
            done => return done,
        }
        rest *= 2;
    }
    operation()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::ResourceBusy
    }

    /// Fails so often with an error; returns the result, the tries and the time that was waited.
    fn tried(failures: u32, kind: io::ErrorKind) -> (Result<u32, io::ErrorKind>, u32, Duration) {
        let (mut tries, mut waited) = (0, Duration::ZERO);
        let operation = || {
            tries += 1;
            if tries <= failures { Err(kind.into()) } else { Ok(tries) }
        };
        let result = patiently(operation, passes, |rest| waited += rest);
        (result.map_err(|error| error.kind()), tries, waited)
    }

    #[test]
    fn what_passes_is_tried_again_for_a_limited_time_and_nothing_else_is() {
        let busy = io::ErrorKind::ResourceBusy;
        assert_eq!(tried(0, busy), (Ok(1), 1, Duration::ZERO));
        assert_eq!(tried(2, busy), (Ok(3), 3, Duration::from_millis(30)));
        assert_eq!(tried(7, busy), (Ok(8), 8, Duration::from_millis(1270)));
        assert_eq!(tried(8, busy), (Err(busy), 8, Duration::from_millis(1270)));
        let full = io::ErrorKind::StorageFull;
        assert_eq!(tried(1, full), (Err(full), 1, Duration::ZERO));
    }
}
