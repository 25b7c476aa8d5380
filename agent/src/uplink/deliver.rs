//! Delivers one snapshot: a check-in with its digest, then an upload of what the collector asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use muster_proto::limits;
use muster_proto::model::{Digest, Losses, Pace, RefusalClass, RunId, Timestamp, Watchlist};
use muster_proto::wire;
use prost::Message;

use super::connect::{Client, Target, Traffic, client};
use super::delivery::{self, Delivery};
use super::error::UplinkError;
use super::trust::{Tls, is_usable, trust_of};
use crate::identity::Trust;

/// Limit of upload calls for one snapshot. A collector that needs more is asking in a loop.
const ROUNDS: usize = 256;

/// How often one delivery draws a new run. Once is enough after a rollback; more are needed only while another machine uses
/// the same key.
const NEW_RUNS: usize = 3;

/// Section bytes in one call, whatever the collector's budget: well below its message limit.
const CALL_BYTES: u64 = 4 * limits::SECTION_BYTES as u64;

/// The result of a delivery.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// When the collector expects the next check-in.
    pub pace: Pace,
    /// The collector's time.
    pub server_time: Timestamp,
    /// Whether the snapshot had to be uploaded.
    pub snapshot_sent: bool,
    /// How many sections were uploaded.
    pub sections_sent: usize,
    /// The bytes of these sections.
    pub section_bytes: u64,
    /// Bytes of all request messages, before TLS.
    pub message_bytes: u64,
    /// Bytes sent on the wire, including TLS and its handshake.
    pub wire_sent: u64,
    /// Bytes received on the wire, including TLS and its handshake.
    pub wire_received: u64,
    /// A newer watchlist, if the collector sent one. The agent's own limits are not applied yet.
    pub watchlist: Option<Watchlist>,
    /// A newer trust bundle, if the collector sent one.
    pub trust: Option<Trust>,
}

/// The versions that the agent has of what the collector may update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Of the watchlist.
    pub watchlist: u64,
    /// Of the trust bundle.
    pub trust: u64,
}

/// One run of the agent process, as the collector sees it: a random id, and a number that grows with every check-in. If the
/// machine is rolled back together with this, the collector asks for a new run.
#[derive(Debug)]
pub struct Run {
    id: RunId,
    seq: u64,
    /// Facts and state that the collector has acknowledged in this run; they are sent again only when they change, after a
    /// failure, or after a restore of the collector.
    acknowledged: Option<Acknowledged>,
}

#[derive(Debug)]
struct Acknowledged {
    facts: wire::HostFacts,
    fingerprint: Bytes,
    state: wire::HostState,
    /// When the collector's store was last restored, as it said then.
    restored_at_ms: i64,
}

impl Default for Run {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    /// A new run.
    #[must_use]
    pub fn new() -> Self {
        Self { id: RunId::random(), seq: 0, acknowledged: None }
    }

    /// Delivers a snapshot over a new connection, with the count of snapshots lost so far.
    ///
    /// # Errors
    /// The collector has not acknowledged it; the caller must keep it.
    pub async fn deliver(
        &mut self,
        target: &Target,
        tls: &Tls,
        delivery: &Delivery,
        losses: Losses,
        versions: Versions,
        now: Timestamp,
    ) -> Result<Delivered, UplinkError> {
        // The losses are those up to now, even if the snapshot is older.
        let state =
            wire::HostState { losses: (losses != Losses::default()).then(|| losses.into()), ..delivery.state.clone() };
        let traffic = Arc::new(Traffic::default());
        let mut client = client(target, tls, &traffic).await?;
        let mut runs = 0;
        let mut delivered = loop {
            match self.deliver_in_run(&mut client, delivery, &state, versions, now).await {
                Err(error) if error.class() == Some(RefusalClass::NewRun) => {
                    // The next delivery begins with the new run, even if this one gives up.
                    *self = Self::new();
                    runs += 1;
                    if runs > NEW_RUNS {
                        return Err(error);
                    }
                    tracing::warn!("the collector has newer reports of this run; reporting again as a new one");
                }
                delivered => break delivered?,
            }
        };
        delivered.wire_sent = traffic.sent();
        delivered.wire_received = traffic.received();
        Ok(delivered)
    }

    async fn deliver_in_run(
        &mut self,
        client: &mut Client,
        delivery: &Delivery,
        state: &wire::HostState,
        versions: Versions,
        now: Timestamp,
    ) -> Result<Delivered, UplinkError> {
        // Taken, so that facts and state are sent again after any failure.
        let acknowledged = self.acknowledged.take();
        let before = acknowledged.as_ref();
        let (mut answer, mut delivered) = self.check_in(client, delivery, state, before, versions, now).await?;
        if answer.state_wanted || acknowledged.is_some_and(|before| before.restored_at_ms != answer.restored_at_ms) {
            // The restored store may have older facts and an older state than those that were acknowledged; or this machine
            // was rolled back, and the store may have newer ones.
            let first = delivered.message_bytes;
            (answer, delivered) = self.check_in(client, delivery, state, None, versions, now).await?;
            delivered.message_bytes += first;
        }
        let restored_at_ms = answer.restored_at_ms;
        if answer.snapshot_wanted || !answer.sections_wanted.is_empty() {
            let state_wanted = self.upload(client, delivery, answer, now, &mut delivered).await?;
            if state_wanted {
                let (answer, last) = self.check_in(client, delivery, state, None, versions, now).await?;
                delivered.message_bytes += last.message_bytes;
                if answer.snapshot_wanted {
                    return Err(invalid_upload("it wants a snapshot that it has just accepted"));
                }
            }
        }
        // Not before the upload has succeeded.
        let (facts, fingerprint, state) = (delivery.facts.clone(), delivery.fingerprint.clone(), state.clone());
        self.acknowledged = Some(Acknowledged { facts, fingerprint, state, restored_at_ms });
        Ok(delivered)
    }

    async fn check_in(
        &mut self,
        client: &mut Client,
        delivery: &Delivery,
        state: &wire::HostState,
        acknowledged: Option<&Acknowledged>,
        versions: Versions,
        now: Timestamp,
    ) -> Result<(wire::CheckInResponse, Delivered), UplinkError> {
        // Before the call: if the answer is lost, the collector may have seen this number already.
        self.seq += 1;
        // An unknown fingerprint is not another one.
        let is_other = |had: &Bytes| !delivery.fingerprint.is_empty() && *had != delivery.fingerprint;
        let facts_differ = |had: &Acknowledged| had.facts != delivery.facts || is_other(&had.fingerprint);
        let request = wire::CheckInRequest {
            run_id: Bytes::copy_from_slice(self.id.as_bytes()),
            seq: self.seq,
            observed_at_ms: delivery.observed_at.millis(),
            sent_at_ms: now.millis(),
            snapshot_digest: Bytes::copy_from_slice(delivery.digest().as_bytes()),
            facts: acknowledged.is_none_or(facts_differ).then(|| delivery.facts.clone()),
            fingerprint: if acknowledged.is_none_or(facts_differ) {
                delivery.fingerprint.clone()
            } else {
                Bytes::new()
            },
            state: acknowledged.is_none_or(|had| had.state != *state).then(|| state.clone()),
            watchlist_version: versions.watchlist,
            trust_version: versions.trust,
            platform: delivery.facts.platform.clone(),
        };
        let mut delivered = empty();
        delivered.message_bytes = request.encoded_len() as u64;
        let answer = client.check_in(request).await.map_err(|status| UplinkError::of_status("CheckIn", &status))?;
        let mut answer = answer.into_inner();
        delivered.pace = answer.pace.map(Pace::from).unwrap_or_default();
        delivered.server_time = Timestamp::from_millis(answer.server_time_ms);
        let watchlist = answer.watchlist.take().map(Watchlist::try_from).transpose();
        delivered.watchlist = watchlist.map_err(UplinkError::answer("CheckIn"))?;
        delivered.trust = answer.trust.take().map(trust_of).filter(is_usable);
        Ok((answer, delivered))
    }

    /// Uploads what is wanted. Returns whether facts and state are wanted too.
    async fn upload(
        &self,
        client: &mut Client,
        delivery: &Delivery,
        answer: wire::CheckInResponse,
        now: Timestamp,
        delivered: &mut Delivered,
    ) -> Result<bool, UplinkError> {
        let mut wanted = digests("CheckIn", &answer.sections_wanted)?;
        let mut sent = BTreeSet::new();
        for _ in 0..ROUNDS {
            let (batch, bytes) = batch(delivery, &wanted, delivered.pace.byte_budget)?;
            // An empty batch is valid: the collector may want the snapshot but none of its sections.
            if !batch.is_empty() && batch.iter().all(|digest| sent.contains(digest)) {
                return Err(invalid_upload("it asks again for sections that were just sent"));
            }
            delivered.snapshot_sent = true;
            delivered.sections_sent += batch.len();
            delivered.section_bytes += bytes;
            let messages = self.messages(delivery, &batch, now);
            delivered.message_bytes += messages.iter().map(|message| message.encoded_len() as u64).sum::<u64>();
            sent.extend(batch);
            let response = client.upload(tokio_stream::iter(messages)).await;
            let response = response.map_err(|status| UplinkError::of_status("Upload", &status))?.into_inner();
            delivered.pace = response.pace.map_or(delivered.pace, Pace::from);
            delivered.server_time = Timestamp::from_millis(response.server_time_ms);
            if response.accepted {
                return Ok(response.state_wanted);
            }
            // A snapshot with more sections than fit one call takes several; each answer says what is still missing.
            wanted = digests("Upload", &response.sections_wanted)?;
            if wanted.is_empty() {
                return Err(invalid_upload("it neither accepts the snapshot nor asks for a section"));
            }
        }
        Err(invalid_upload("it still asks for sections after all rounds"))
    }

    fn messages(&self, delivery: &Delivery, batch: &[Digest], now: Timestamp) -> Vec<wire::UploadRequest> {
        let header = wire::UploadHeader {
            run_id: Bytes::copy_from_slice(self.id.as_bytes()),
            seq: self.seq,
            observed_at_ms: delivery.observed_at.millis(),
            sent_at_ms: now.millis(),
            snapshot_digest: Bytes::copy_from_slice(delivery.digest().as_bytes()),
        };
        let mut messages = vec![
            delivery::part(wire::upload_request::Part::Header(header)),
            delivery::part(wire::upload_request::Part::Snapshot(delivery.snapshot.clone())),
        ];
        let body = |digest: &Digest| delivery.section(*digest).map(|canonical| delivery::section(*digest, canonical));
        messages.extend(batch.iter().filter_map(body));
        messages
    }
}

/// What the collector answers to an empty check-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The class of its refusal. `malformed` is the expected one for a host that it knows.
    pub class: Option<RefusalClass>,
    /// The collector's time.
    pub server_time: Timestamp,
}

/// Sends an empty check-in, which every collector must refuse. It changes nothing there; the refusal carries the
/// collector's time and what it thinks of this host.
///
/// # Errors
/// The collector cannot be reached, or answers without such a refusal.
pub async fn probe(target: &Target, tls: &Tls) -> Result<Probe, UplinkError> {
    let mut client = client(target, tls, &Arc::new(Traffic::default())).await?;
    match client.check_in(wire::CheckInRequest::default()).await {
        Ok(answer) => {
            Ok(Probe { class: None, server_time: Timestamp::from_millis(answer.into_inner().server_time_ms) })
        }
        Err(status) => {
            let error = UplinkError::of_status("CheckIn", &status);
            if let UplinkError::Refused { class, server_time, .. } = error {
                return Ok(Probe { class: Some(class), server_time });
            }
            Err(error)
        }
    }
}

fn digests(method: &'static str, wanted: &[Bytes]) -> Result<Vec<Digest>, UplinkError> {
    let digest = |bytes: &Bytes| Digest::try_from(bytes.as_ref());
    let digests: Result<Vec<Digest>, _> = wanted.iter().map(digest).collect();
    digests.map_err(|error| UplinkError::Answer { method, what: format!("sections_wanted: {error}") })
}

/// As many of the wanted sections as fit the budget, and at least one.
fn batch(delivery: &Delivery, wanted: &[Digest], budget: u64) -> Result<(Vec<Digest>, u64), UplinkError> {
    // A budget of 0 means that the collector sets none.
    let budget = if budget == 0 { CALL_BYTES } else { budget.min(CALL_BYTES) };
    let mut batch = Vec::new();
    let mut bytes = 0;
    for digest in wanted.iter().take(limits::SECTIONS_PER_UPLOAD) {
        let section = delivery
            .section(*digest)
            .ok_or_else(|| invalid_upload("it asks for a section that is not in the snapshot"))?;
        let with = bytes + section.len() as u64;
        // A single section over the budget must still be sent, or the delivery would never end.
        if with > budget && !batch.is_empty() {
            break;
        }
        batch.push(*digest);
        bytes = with;
    }
    Ok((batch, bytes))
}

fn invalid_upload(what: &str) -> UplinkError {
    UplinkError::Answer { method: "Upload", what: what.to_owned() }
}

fn empty() -> Delivered {
    Delivered {
        pace: Pace::default(),
        server_time: Timestamp::default(),
        snapshot_sent: false,
        sections_sent: 0,
        section_bytes: 0,
        message_bytes: 0,
        wire_sent: 0,
        wire_received: 0,
        watchlist: None,
        trust: None,
    }
}
