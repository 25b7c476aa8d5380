//! Counts the bytes of a request while they arrive, before a whole message is there. A slow section of 4 MiB shows its
//! progress here long before it is complete.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Extensions, Status, Streaming};

use super::refuse::Refused;
use crate::config::Uploads;

/// The bytes of a request so far. The handler finds it in the extensions of the request.
#[derive(Debug, Clone, Default)]
pub(super) struct Received(Arc<AtomicU64>);

impl Received {
    /// The request with its body counted.
    pub(super) fn counting(mut request: http::Request<Body>) -> http::Request<Body> {
        let received = Self::default();
        request.extensions_mut().insert(received.clone());
        request.map(|body| Body::new(Counted { body, received }))
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted {
    body: Body,
    received: Received,
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
        {
            self.received.0.fetch_add(data.len() as u64, Ordering::Relaxed);
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
                return next.map_err(|status| Refused::stream(&status));
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
