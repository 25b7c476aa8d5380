//! Uploads that take slots and time from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_proto::model::RefusalClass;
use muster_proto::wire;
use muster_proto::wire::upload_request::Part;
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::{Lab, assert_refused, packages, section_part, snapshot, snapshot_part};
use crate::config::Uploads;

const LATER: (Code, RefusalClass) = (Code::ResourceExhausted, RefusalClass::Later);

#[tokio::test]
async fn open_uploads_of_one_host_leave_slots_for_the_others() {
    let mut lab = Lab::start_with(Uploads { at_once: 3, per_host: 2, ..Uploads::default() }).await;
    let (greedy, other) = (lab.enrolled().await, lab.enrolled().await);
    let section = packages(&["adduser"]);
    let seen = snapshot(&section);
    let client = lab.client.clone();
    let open_one = || {
        let header = wire::UploadRequest { part: Some(greedy.header(1, &seen)) };
        let call = greedy.calls(tokio_stream::iter([header]).chain(tokio_stream::pending()));
        let mut client = client.clone();
        async move { client.upload(call).await.map(drop) }
    };
    let mut open = tokio::task::JoinSet::new();
    open.spawn(open_one());
    open.spawn(open_one());
    let parts = || vec![greedy.header(1, &seen), snapshot_part(&seen), section_part(&section)];
    for attempt in 0.. {
        match lab.upload(&greedy, parts()).await {
            Ok(_) => assert!(attempt < 500, "a third upload of one host is admitted"),
            Err(status) => {
                assert_refused(Err::<(), _>(status), LATER.0, LATER.1, &["uploads of this host"]);
                break;
            }
        }
        // The upload above may have had the slot that one of them was to take.
        while open.try_join_next().is_some() {
            open.spawn(open_one());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let parts = vec![other.header(1, &seen), snapshot_part(&seen), section_part(&section)];
    assert!(lab.upload(&other, parts).await.expect("another host has a slot").accepted);
    open.shutdown().await;
}

#[tokio::test]
async fn an_upload_that_trickles_is_ended_and_its_complete_sections_are_kept() {
    let uploads = Uploads { grace: Duration::from_millis(500), slowest_rate: 1 << 20, ..Uploads::default() };
    let mut lab = Lab::start_with(uploads).await;
    let machine = lab.enrolled().await;
    let section = packages(&["adduser"]);
    let seen = snapshot(&section);
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let parts: Vec<Part> = [machine.header(1, &seen), snapshot_part(&seen)]
        .into_iter()
        .chain(std::iter::repeat_n(section_part(&section), 60))
        .collect();
    let all = parts.len();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        for part in parts {
            if send.send(wire::UploadRequest { part: Some(part) }).await.is_err() {
                return;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        send.closed().await;
    });
    let refused = lab.client.clone().upload(machine.calls(stream)).await;
    assert_refused(refused, LATER.0, LATER.1, &["uploads.slowest_rate"]);
    assert!(sent.load(Ordering::SeqCst) < all, "every message was waited for");
    sending.abort();
    assert_eq!(lab.store.check().await.expect("checks").sections, 1);
}
