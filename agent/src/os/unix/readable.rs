//! Waits for a descriptor of another library in the async runtime.

use std::io;
use std::os::fd::BorrowedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits until the descriptor can be read.
///
/// # Errors
/// The system cannot wait for it.
#[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays open while it is waited for")]
pub(super) async fn until_readable(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for the whole of this call, and neither closed nor replaced meanwhile; see the "Safety"
    // section of `AsyncFd::register_with_interest`.
    let line = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
    line.readable().await.map(drop)
}
