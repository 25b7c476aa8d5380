//! Counts the bytes of a request while they arrive, before a whole message is there. A slow section of 4 MiB shows its
//! progress here long before it is complete.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use muster_proto::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Extensions, Status, Streaming};

use super::admit::PIECE;
use super::refuse::Refused;
use crate::config::Uploads;

/// The bytes of a request so far. The handler finds it in the extensions of the request. The bytes of an upload count against
/// the memory of all uploads from their arrival until the last clone of this is dropped. Other requests end at their limit:
/// they are one message, which is in memory before anybody sees it, and strangers may send them.
#[derive(Debug, Clone, Default)]
pub(super) struct Received(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    /// The memory that an upload holds.
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Whether the memory of all uploads was too small for it.
    is_over: AtomicBool,
    /// The limit that it exceeds, with its name.
    limit: OnceLock<Limit>,
}

/// What bounds the bytes of a request.
enum Bound {
    /// The memory of all uploads.
    Memory(Arc<Semaphore>),
    /// The limit of its method.
    Limit(Limit),
}

/// A limit of bytes, and its name.
pub(super) type Limit = (usize, &'static str);

/// The bytes before a message in gRPC: a flag and its length.
const FRAME_BYTES: usize = 5;

impl Bound {
    /// The bound of a method. One that is not known is refused without being read.
    fn of(path: &str, memory: &Arc<Semaphore>) -> Self {
        match path.rsplit('/').next() {
            Some("Upload") => Self::Memory(Arc::clone(memory)),
            Some("CheckIn") => Self::Limit((limits::CHECK_IN_BYTES, "CHECK_IN_BYTES")),
            Some("Renew") => Self::Limit((limits::RENEW_BYTES, "RENEW_BYTES")),
            _ => Self::Limit((limits::ENROLL_BYTES, "ENROLL_BYTES")),
        }
    }
}

impl Received {
    /// The request with its body counted.
    pub(super) fn counting(mut request: http::Request<Body>, memory: &Arc<Semaphore>) -> http::Request<Body> {
        let received = Self::default();
        request.extensions_mut().insert(received.clone());
        let bound = Bound::of(request.uri().path(), memory);
        request.map(|body| Body::new(Counted { body, received, bound }))
    }

    fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// The limit of its method, if the request exceeds it.
    pub(super) fn exceeded(&self) -> Option<Limit> {
        self.0.limit.get().copied()
    }

    /// Counts arrived bytes; `false` if there are too many.
    fn take(&self, bytes: usize, bound: &Bound) -> bool {
        let all = self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let memory = match bound {
            Bound::Memory(memory) => memory,
            Bound::Limit((limit, _)) if all <= (*limit + FRAME_BYTES) as u64 => return true,
            Bound::Limit(limit) => {
                let _ = self.0.limit.set(*limit);
                return false;
            }
        };
        // An upload beyond its own limit is refused by that limit's name, whatever the memory is.
        let pieces = usize::try_from(all).unwrap_or(usize::MAX).min(limits::UPLOAD_BYTES).div_ceil(PIECE);
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let more = pieces.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more == 0 {
            return true;
        }
        let permit = u32::try_from(more).ok().and_then(|more| Arc::clone(memory).try_acquire_many_owned(more).ok());
        let Some(permit) = permit else {
            self.0.is_over.store(true, Ordering::Relaxed);
            return false;
        };
        match held.as_mut() {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
        true
    }
}

struct Counted {
    body: Body,
    received: Received,
    bound: Bound,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && !self.received.take(data.len(), &self.bound)
        {
            return Poll::Ready(Some(Err(Status::resource_exhausted("too many bytes"))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The messages of an upload. It ends an upload that takes too long or sends too slowly.
pub(super) struct Messages<T> {
    stream: Streaming<T>,
    received: Received,
    uploads: Uploads,
    began: Instant,
}

impl<T> Messages<T> {
    pub(super) fn new(stream: Streaming<T>, extensions: &Extensions, uploads: Uploads) -> Self {
        let received = extensions.get::<Received>().cloned().unwrap_or_default();
        Self { stream, received, uploads, began: Instant::now() }
    }

    /// The next message; `None` at the end of the upload.
    pub(super) async fn next(&mut self) -> Result<Option<T>, Refused> {
        let message = self.stream.message();
        tokio::pin!(message);
        loop {
            let allowed = self.uploads.allowed(self.received.bytes());
            if let Ok(next) = timeout_at(self.began + allowed, &mut message).await {
                return next.map_err(|status| {
                    if self.received.is_over() {
                        Refused::later("too many bytes in uploads at once; try again later")
                    } else {
                        Refused::stream(&status)
                    }
                });
            }
            // Bytes that have arrived meanwhile earn more time.
            if self.uploads.allowed(self.received.bytes()) > allowed {
                continue;
            }
            return Err(Refused::later(if allowed >= self.uploads.deadline {
                "the upload took longer than uploads.deadline; try again later"
            } else {
                "the upload is slower than uploads.slowest_rate; try again later"
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_while_they_arrive_and_until_the_upload_ends() {
        let memory = Arc::new(Semaphore::new(4));
        let bound = Bound::Memory(Arc::clone(&memory));
        let (first, second) = (Received::default(), Received::default());
        assert!(first.take(PIECE / 2, &bound) && first.take(PIECE / 2, &bound));
        assert_eq!(memory.available_permits(), 3, "two halves are one piece");
        assert!(second.take(3 * PIECE, &bound));
        assert!(!first.take(1, &bound) && first.is_over() && !second.is_over());
        let clone = second.clone();
        drop(second);
        assert_eq!(memory.available_permits(), 0, "somebody works with them still");
        drop((clone, first));
        assert_eq!(memory.available_permits(), 4);
    }

    #[test]
    fn an_upload_beyond_its_own_limit_takes_no_more_memory() {
        let bound = Bound::Memory(Arc::new(Semaphore::new(limits::UPLOAD_BYTES / PIECE)));
        let received = Received::default();
        assert!(received.take(limits::UPLOAD_BYTES, &bound) && received.take(PIECE, &bound));
        assert_eq!(received.bytes(), (limits::UPLOAD_BYTES + PIECE) as u64);
    }

    #[test]
    fn a_request_of_one_message_ends_at_the_limit_of_its_method() {
        let memory = Arc::new(Semaphore::new(1));
        for (method, limit, name) in [
            ("Enroll", limits::ENROLL_BYTES, "ENROLL_BYTES"),
            ("Renew", limits::RENEW_BYTES, "RENEW_BYTES"),
            ("CheckIn", limits::CHECK_IN_BYTES, "CHECK_IN_BYTES"),
        ] {
            let bound = Bound::of(&format!("/muster.v1.AgentService/{method}"), &memory);
            let received = Received::default();
            assert!(received.take(FRAME_BYTES, &bound) && received.take(limit, &bound), "{method}");
            assert_eq!(received.exceeded(), None);
            assert!(!received.take(1, &bound), "{method}");
            assert_eq!(received.exceeded(), Some((limit, name)));
        }
    }
}
