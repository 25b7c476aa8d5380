//! Upload: the snapshot and the sections that the collector does not have. Everything is checked before it is stored.

use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::convert::{ConvertError, SectionUpload};
use muster_proto::model::{Digest, HostId, RunId, Snapshot, Timestamp};
use muster_proto::wire::upload_request::Part;
use muster_proto::{limits, wire};
use tonic::{Extensions, Streaming};

use super::admit::Admitted;
use super::budget::Spent;
use super::check_in::{corrected, wanted};
use super::receive::Messages;
use super::refuse::Refused;
use super::{Inside, peer};
use crate::store::{Allowance, Delivered, Delivery, HeldBack};

/// Larger sections are hashed and read on a blocking thread.
const LARGE: usize = 128 * 1024;

/// What was received so far.
struct Arrived<'i> {
    inside: &'i Inside,
    host: HostId,
    digest: Digest,
    snapshot: Option<Snapshot>,
    sections: Vec<CanonicalSection>,
    bytes: usize,
    admitted: Admitted,
}

pub(super) async fn upload(
    inside: &Inside,
    extensions: &Extensions,
    stream: Streaming<wire::UploadRequest>,
) -> Result<wire::UploadResponse, Refused> {
    let host = peer::in_force(inside, extensions, None, inside.now()).await?.host;
    // The local bound comes before the backlog, which may have to ask the store.
    let admitted = inside.admission.upload(host)?;
    inside.budgets.upload(host, inside.now()).map_err(|spent| inside.over_budget(host, spent))?;
    let mut messages = Messages::new(stream, extensions, inside.uploads);
    inside.backlog.admit().await?;
    // An empty stream is treated as a message without a header, so that both get the same refusal.
    let header = messages.next().await?.unwrap_or_default().into_header()?;
    let run = RunId::try_from(header.run_id.as_ref()).map_err(Refused::id("UploadHeader.run_id"))?;
    let digest =
        Digest::try_from(header.snapshot_digest.as_ref()).map_err(Refused::id("UploadHeader.snapshot_digest"))?;
    let mut arrived = Arrived { inside, host, digest, snapshot: None, sections: Vec::new(), bytes: 0, admitted };
    let mut broken = loop {
        match messages.next().await {
            Ok(Some(message)) => match arrived.take(message).await? {
                Taken::Whole => {}
                Taken::Beyond(spent) => break Some(inside.over_budget(host, spent)),
            },
            Ok(None) => break None,
            Err(refused) => break Some(refused),
        }
    };
    // Keep complete sections, so that over a bad link, or in the next hour, the next attempt has less to send.
    if let Some(refused) = broken.take_if(|_| arrived.sections.is_empty()) {
        return Err(refused);
    }
    arrived.belongs().await?;
    let now = inside.now();
    let observed_at = corrected(header.observed_at_ms, header.sent_at_ms, now);
    let delivered = arrived.deliver((run, header.seq), observed_at, now).await?;
    // The agent gets the error only after its complete sections are stored.
    if let Some(refused) = broken {
        return Err(refused);
    }
    let state_wanted = delivered == Delivered::StateWanted;
    let (accepted, missing) = match delivered {
        Delivered::Accepted | Delivered::StateWanted => (true, Vec::new()),
        Delivered::SectionsWanted(missing) => (false, missing),
        Delivered::HeldBack(HeldBack::Store) => return Err(Refused::dictionary_full()),
        Delivered::HeldBack(HeldBack::Host) => {
            return Err(inside.over_budget(host, inside.budgets.editions_exceeded(host, now)));
        }
        Delivered::SnapshotWanted => {
            return Err(Refused::malformed("UploadRequest.snapshot is missing: the snapshot is not known"));
        }
        Delivered::NewRun => return Err(Refused::new_run(host)),
        Delivered::Contradicts(contradiction) => {
            return Err(Refused::malformed(format!("UploadHeader.snapshot_digest: {contradiction}")));
        }
        Delivered::HostUnknown => return Err(Refused::unknown("the collector does not know this host")),
    };
    Ok(wire::UploadResponse {
        accepted,
        sections_wanted: wanted(&missing),
        pace: Some(inside.pace.into()),
        server_time_ms: now.millis(),
        state_wanted,
    })
}

/// Whether a message was taken.
enum Taken {
    Whole,
    /// It is a section, and a budget is spent.
    Beyond(Spent),
}

impl Arrived<'_> {
    async fn take(&mut self, message: wire::UploadRequest) -> Result<Taken, Refused> {
        match message.part {
            Some(Part::Header(_)) => Err(Refused::malformed("UploadRequest.header came a second time")),
            Some(Part::Snapshot(bytes)) => self.take_snapshot(&bytes).map(|()| Taken::Whole),
            Some(Part::Section(body)) => self.take_section(body).await,
            None => Err(ConvertError::Missing { field: "UploadRequest.part" }.into()),
        }
    }

    fn take_snapshot(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.snapshot.is_some() {
            return Err(Refused::malformed("UploadRequest.snapshot came a second time"));
        }
        let snapshot = canonical::read_snapshot(bytes)
            .map_err(|error| Refused::canonical("UploadRequest.snapshot: the snapshot", &error))?;
        if Digest::of(bytes) != self.digest {
            return Err(Refused::malformed("UploadHeader.snapshot_digest is not the digest of UploadRequest.snapshot"));
        }
        self.snapshot = Some(snapshot);
        Ok(())
    }

    async fn take_section(&mut self, body: wire::SectionBody) -> Result<Taken, Refused> {
        let limit = |value, limit_name, limit| ConvertError::Limit { field: "Upload", value, limit_name, limit };
        let count = self.sections.len() + 1;
        if count > limits::SECTIONS_PER_UPLOAD {
            return Err(limit(count, "SECTIONS_PER_UPLOAD", limits::SECTIONS_PER_UPLOAD).into());
        }
        self.bytes += body.canonical.len();
        // This comes before the budgets: an upload over its limit must not be refused as `later`, or it would be repeated.
        if self.bytes > limits::UPLOAD_BYTES {
            return Err(limit(self.bytes, "UPLOAD_BYTES", limits::UPLOAD_BYTES).into());
        }
        if let Err(spent) = self.inside.budgets.section(self.host, body.canonical.len(), self.inside.now()) {
            return Ok(Taken::Beyond(spent));
        }
        let upload = SectionUpload::try_from(body)?;
        let section = if upload.canonical.len() > LARGE {
            let read = tokio::task::spawn_blocking(move || read(upload)).await;
            read.map_err(|_| Refused::later("the collector is stopping"))??
        } else {
            read(upload)?
        };
        self.sections.push(section);
        Ok(Taken::Whole)
    }

    /// Checks that the snapshot names every section with this source and platform.
    async fn belongs(&self) -> Result<(), Refused> {
        let known = match &self.snapshot {
            Some(snapshot) => Some(snapshot.clone()),
            None if self.sections.is_empty() => None,
            None => self.inside.store.snapshot_get(self.digest).await?,
        };
        // An unknown snapshot is no fault here; the store answers that it is wanted.
        let Some(snapshot) = known else { return Ok(()) };
        for section in &self.sections {
            let digest = section.digest();
            let entry = snapshot.entries().iter().find(|entry| entry.section == Some(digest));
            let Some(entry) = entry else {
                return Err(Refused::malformed(format!(
                    "SectionBody.digest {} is not in the snapshot",
                    digest.short()
                )));
            };
            if entry.source != section.source() || snapshot.platform() != section.platform() {
                return Err(Refused::malformed(format!(
                    "SectionBody.canonical of digest {} is a section of {} on {}, the snapshot says {} on {}",
                    digest.short(),
                    section.source(),
                    section.platform(),
                    entry.source,
                    snapshot.platform()
                )));
            }
        }
        Ok(())
    }

    async fn deliver(
        self,
        (run, seq): (RunId, u64),
        observed_at: Timestamp,
        now: Timestamp,
    ) -> Result<Delivered, Refused> {
        let Self { inside, host, digest, snapshot, sections, bytes: _, admitted } = self;
        let allowance = Allowance::new(inside.budgets.editions(host, now));
        let editions = allowance.clone();
        let operation = Delivery { host, run, seq, observed_at, now, digest, snapshot, sections, allowance };
        let delivered = inside.store.snapshot_deliver(operation).await?;
        inside.budgets.editions_taken(host, editions.taken(), now);
        // The slot is held until here, because the store works with these bytes.
        drop(admitted);
        Ok(delivered)
    }
}

/// Reads a section and compares it with its digest.
fn read(upload: SectionUpload) -> Result<CanonicalSection, Refused> {
    let SectionUpload { digest, canonical } = upload;
    let section = CanonicalSection::read(canonical)
        .map_err(|error| Refused::canonical("SectionBody.canonical: the section", &error))?;
    if section.digest() != digest {
        return Err(Refused::malformed("SectionBody.digest is not the digest of SectionBody.canonical"));
    }
    Ok(section)
}
