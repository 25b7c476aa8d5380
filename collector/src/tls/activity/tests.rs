//! Calls of one connection, and when the connection is due to be closed.

use super::*;

const BOUNDS: TimeBounds = TimeBounds {
    first_request: Duration::from_secs(1),
    idle: Duration::from_secs(100),
    request: Duration::from_secs(50),
    unread: Duration::from_secs(10),
};

/// A body that never ends and has nothing to say.
struct Silent;

impl HttpBody for Silent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Pending
    }
}

#[test]
fn a_connection_without_a_request_is_due_and_one_with_an_open_call_is_not() {
    let began = Instant::now();
    let activity = Activity::new(began);
    assert_eq!(activity.due(BOUNDS), Some((began + BOUNDS.first_request, CloseReason::no_request)));
    assert_eq!(activity.waits(), Waits::ForPeer { since: began });
    let call = activity.begin();
    assert_eq!(activity.due(BOUNDS.of(false)), None);
    assert_eq!(activity.waits(), Waits::ForCollector);
    drop(call);
    let last = activity.calls().last;
    assert_eq!(activity.due(BOUNDS.of(false)), Some((last + BOUNDS.first_request, CloseReason::idle)));
    assert_eq!(activity.due(BOUNDS.of(true)), Some((last + BOUNDS.idle, CloseReason::idle)));
}

#[test]
fn a_handshake_that_has_a_place_is_not_closed_for_another_connection() {
    let activity = Activity::new(Instant::now());
    activity.in_handshake(true, Instant::now());
    assert_eq!(activity.waits(), Waits::ForCollector);
    activity.in_handshake(false, Instant::now());
    assert!(matches!(activity.waits(), Waits::ForPeer { .. }));
}

#[test]
fn a_request_that_does_not_arrive_is_due_and_one_that_has_arrived_is_not() {
    let activity = Activity::new(Instant::now());
    let call = activity.begin();
    let request = call.request(Body::new(Silent));
    let since = activity.calls().owed[0].began;
    assert_eq!(activity.due(BOUNDS.of(true)), Some((since + BOUNDS.request, CloseReason::slow_request)));
    assert_eq!(activity.due(BOUNDS.of(false)), Some((since + BOUNDS.first_request, CloseReason::slow_request)));
    assert_eq!(activity.waits(), Waits::ForPeer { since });
    drop(request);
    assert_eq!((activity.due(BOUNDS), activity.waits()), (None, Waits::ForCollector), "the handler works");
    let second = activity.begin();
    let _whole = second.request(Body::empty());
    assert_eq!(activity.due(BOUNDS), None);
}

#[test]
fn an_answer_that_nobody_reads_is_due_even_beside_one_that_is_read() {
    let activity = Activity::new(Instant::now());
    let unread = activity.begin().answer(Body::new(Silent));
    let since = activity.calls().owed[0].began;
    let read = activity.begin().answer(Body::new(Silent));
    assert_eq!(activity.due(BOUNDS.of(true)), Some((since + BOUNDS.unread, CloseReason::unread)));
    assert!(matches!(activity.waits(), Waits::ForPeer { .. }));
    let worked_on = activity.begin();
    assert_eq!(activity.waits(), Waits::ForCollector, "one of three calls is worked on");
    drop((unread, read, worked_on));
    assert!(matches!(activity.due(BOUNDS), Some((_, CloseReason::idle))));
    assert!(activity.calls().owed.is_empty());
}

#[test]
fn a_handler_that_has_nothing_to_say_yet_is_not_the_peers_fault() {
    let activity = Activity::new(Instant::now());
    let mut answer = activity.begin().answer(Body::new(Silent));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut answer).poll_frame(&mut context).is_pending());
    assert_eq!((activity.due(BOUNDS), activity.waits()), (None, Waits::ForCollector));
}

/// The sizes of the pieces of an answer that consists of one part of this size.
fn pieces(size: usize) -> Vec<usize> {
    let part = tonic::body::Body::new(http_body_util::Full::new(Bytes::from(vec![7; size])));
    let activity = Activity::new(Instant::now());
    let mut answer = WatchedAnswer { body: part, rest: Bytes::new(), call: activity.begin() };
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut sizes = Vec::new();
    while let Poll::Ready(Some(frame)) = Pin::new(&mut answer).poll_frame(&mut context) {
        sizes.push(frame.expect("a piece").into_data().expect("data").len());
        assert_eq!(answer.is_end_stream(), sizes.iter().sum::<usize>() == size);
        assert_eq!(answer.size_hint().exact(), Some((size - sizes.iter().sum::<usize>()) as u64));
    }
    sizes
}

#[test]
fn a_large_part_is_given_in_pieces_and_its_last_byte_by_itself() {
    assert_eq!(pieces(100), [100]);
    assert_eq!(pieces(SMALL_PART), [SMALL_PART]);
    assert_eq!(pieces(SMALL_PART + 1), [SMALL_PART, 1]);
    assert_eq!(pieces(2 * PIECE), [PIECE, PIECE - 1, 1]);
    assert_eq!(pieces(PIECE + 5), [PIECE, 5]);
}
