//! Output whose reader may stop reading, as in `muster findings | head -1`. That is no error, and it must not change the
//! exit code, so everything after the closed pipe is discarded.

use std::io::{self, ErrorKind, Write};

/// A writer that reports success after its pipe was closed. All other errors, such as a full disk, are returned.
#[derive(Debug)]
pub struct PipeSafe<W> {
    inner: W,
    is_closed: bool,
}

impl<W: Write> PipeSafe<W> {
    /// Wraps a writer.
    pub const fn new(inner: W) -> Self {
        Self { inner, is_closed: false }
    }

    /// Whether nobody reads any more. Work whose only result is more output can end.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn unless_closed<T>(&mut self, instead: T, act: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.is_closed {
            return Ok(instead);
        }
        match act(&mut self.inner) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(instead)
            }
            result => result,
        }
    }
}

impl PipeSafe<io::Stdout> {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(io::stdout())
    }
}

impl<W: Write> Write for PipeSafe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(bytes.len(), |inner| inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
        let mut closed = PipeSafe::new(Fails(ErrorKind::BrokenPipe));
        assert!(writeln!(closed, "text").is_ok() && closed.is_closed() && closed.flush().is_ok());
        let mut full = PipeSafe::new(Fails(ErrorKind::StorageFull));
        assert_eq!(writeln!(full, "text").map_err(|error| error.kind()), Err(ErrorKind::StorageFull));
        assert!(!full.is_closed());
    }
}
