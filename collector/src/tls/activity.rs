//! What happens on one connection, and when it must be closed: no request, no call for too long, a request that does not
//! arrive, or an answer that the peer does not read.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::admission::Waits;
use crate::telemetry::CloseReason;

/// The largest frame of HTTP/2 unless a peer allows more.
const PIECE: usize = 16 * 1024;
/// A part up to this size is given in one piece; so little may wait for the peer unseen.
const SMALL_PART: usize = 4 * 1024;

/// How long a connection may do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBounds {
    /// Until the first request. For a peer that has not proven itself this bounds everything else, too.
    pub first_request: Duration,
    /// Between the calls of a peer that has.
    pub idle: Duration,
    /// Until a request has arrived completely.
    pub request: Duration,
    /// Until the peer reads the next part of an answer.
    pub unread: Duration,
}

impl TimeBounds {
    /// The bounds for a peer that has proven itself or not.
    #[must_use]
    pub fn of(self, is_proven: bool) -> Self {
        if is_proven {
            return self;
        }
        let most = self.first_request;
        Self { first_request: most, idle: most, request: self.request.min(most), unread: self.unread.min(most) }
    }
}

/// A part that the peer owes: it has the next move.
#[derive(Debug)]
struct Owed {
    call: u64,
    what: Part,
    /// The request began, or the last part of the answer was offered.
    began: Instant,
    /// The last time that something moved.
    moved: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The rest of a request.
    Request,
    /// Reading the next part of an answer.
    Answer,
}

#[derive(Debug)]
struct Calls {
    /// The handshake has a place of those that are worked on.
    in_handshake: bool,
    has_called: bool,
    open: usize,
    /// The end of the last call; before that, of the handshake; before that, the beginning of the connection.
    last: Instant,
    next: u64,
    /// No more than two for each call, and calls are few.
    owed: Vec<Owed>,
}

/// The calls of one connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<Calls>>);

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        let calls = Calls { in_handshake: false, has_called: false, open: 0, last: now, next: 0, owed: Vec::new() };
        Self(Arc::new(Mutex::new(calls)))
    }

    /// The handshake has a place, or has lost it.
    pub(super) fn in_handshake(&self, is_worked_on: bool, now: Instant) {
        let mut calls = self.calls();
        calls.in_handshake = is_worked_on;
        calls.last = now;
    }

    /// Whom the connection waits for.
    pub(super) fn waits(&self) -> Waits {
        let calls = self.calls();
        // A call may owe both parts: a refused upload is answered before it has arrived.
        let owing = calls.owed.iter().enumerate();
        let owing = owing.filter(|(at, owed)| !calls.owed[..*at].iter().any(|other| other.call == owed.call)).count();
        if calls.in_handshake || calls.open > owing {
            return Waits::ForCollector;
        }
        Waits::ForPeer { since: calls.owed.iter().map(|owed| owed.moved).max().unwrap_or(calls.last) }
    }

    /// Calls whose answer is not read completely.
    pub(super) fn open_calls(&self) -> usize {
        self.calls().open
    }

    /// When the connection must be closed and why, if nothing happens until then; `None` while a call is worked on.
    pub(super) fn due(&self, bounds: TimeBounds) -> Option<(Instant, CloseReason)> {
        let calls = self.calls();
        let owed = calls.owed.iter().map(|owed| match owed.what {
            Part::Request => (owed.began + bounds.request, CloseReason::slow_request),
            Part::Answer => (owed.began + bounds.unread, CloseReason::unread),
        });
        if let Some(first) = owed.min_by_key(|(at, _)| *at) {
            return Some(first);
        }
        if calls.open > 0 {
            return None;
        }
        Some(if calls.has_called {
            (calls.last + bounds.idle, CloseReason::idle)
        } else {
            (calls.last + bounds.first_request, CloseReason::no_request)
        })
    }

    /// A call has begun; it ends when this is dropped.
    pub(super) fn begin(&self) -> OpenCall {
        let mut calls = self.calls();
        calls.has_called = true;
        calls.open += 1;
        calls.next += 1;
        OpenCall { activity: self.clone(), call: calls.next }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer owes this part, and something has moved. An answer begins anew with each part.
    fn owe(&self, call: u64, what: Part) {
        let now = Instant::now();
        let mut calls = self.calls();
        match calls.owed.iter_mut().find(|owed| (owed.call, owed.what) == (call, what)) {
            Some(owed) => {
                owed.moved = now;
                if what == Part::Answer {
                    owed.began = now;
                }
            }
            None => calls.owed.push(Owed { call, what, began: now, moved: now }),
        }
    }

    fn settle(&self, call: u64, what: Part) {
        self.calls().owed.retain(|owed| (owed.call, owed.what) != (call, what));
    }
}

#[derive(Debug)]
pub(super) struct OpenCall {
    activity: Activity,
    call: u64,
}

impl OpenCall {
    /// The request, which is watched until it has arrived.
    pub(super) fn request(&self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        self.activity.owe(self.call, Part::Request);
        Body::new(WatchedRequest { body, activity: self.activity.clone(), call: self.call })
    }

    /// The answer, which is watched until the peer has taken it.
    pub(super) fn answer(self, body: Body) -> Body {
        self.activity.owe(self.call, Part::Answer);
        Body::new(WatchedAnswer { body, rest: Bytes::new(), call: self })
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut calls = self.activity.calls();
        calls.owed.retain(|owed| owed.call != self.call);
        calls.open = calls.open.saturating_sub(1);
        calls.last = Instant::now();
    }
}

/// A request. The peer owes its rest until the end or until nobody wants it.
struct WatchedRequest {
    body: Body,
    activity: Activity,
    call: u64,
}

impl Drop for WatchedRequest {
    fn drop(&mut self) {
        self.activity.settle(self.call, Part::Request);
    }
}

impl HttpBody for WatchedRequest {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            // After the last frame a handler may keep the body while it works.
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => self.activity.owe(self.call, Part::Request),
            Poll::Ready(_) => self.activity.settle(self.call, Part::Request),
            Poll::Pending => {}
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

/// An answer. HTTP/2 asks for its next part when the peer's window has space for a byte of this one, so the time between
/// two requests is the time that the peer takes to read.
struct WatchedAnswer {
    body: Body,
    /// What is left of a large part. HTTP/2 takes a part whole, however small the window is, and nobody would see any more
    /// whether the peer reads it. So large parts are given in pieces.
    rest: Bytes,
    call: OpenCall,
}

impl WatchedAnswer {
    fn piece(&mut self) -> Bytes {
        match self.rest.len() {
            0..=SMALL_PART => std::mem::take(&mut self.rest),
            // HTTP/2 takes the last byte only after the window had space for all others.
            length @ ..=PIECE => self.rest.split_to(length - 1),
            _ => self.rest.split_to(PIECE),
        }
    }
}

impl HttpBody for WatchedAnswer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut polled = match self.rest.is_empty() {
            true => Pin::new(&mut self.body).poll_frame(context),
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
        };
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(data) = frame.data_mut()
        {
            if self.rest.is_empty() {
                self.rest = std::mem::take(data);
            }
            *data = self.piece();
        }
        let OpenCall { activity, call } = &self.call;
        if polled.is_ready() {
            activity.owe(*call, Part::Answer);
        } else {
            // While the handler has nothing more to say, the peer is not to blame.
            activity.settle(*call, Part::Answer);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests;
