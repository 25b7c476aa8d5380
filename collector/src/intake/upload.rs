//! The look and the sections that the collector does not have. Every byte is checked before anything is stored.

use std::time::Duration;

use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::convert::{ConvertError, SectionUpload};
use muster_proto::model::{Digest, HostId, Look, RunId, Timestamp};
use muster_proto::wire::upload_request::Part;
use muster_proto::{limits, wire};
use tonic::{Extensions, Streaming};

use super::admit::Admitted;
use super::check_in::{corrected, wanted};
use super::refuse::Refused;
use super::{Inside, peer};
use crate::store::{Delivered, LookDelivery};

/// An upload that says nothing for so long gives its place to another.
const STALLED: Duration = Duration::from_secs(60);
/// Sections beyond this size are hashed and read on a thread that may block.
const LARGE: usize = 128 * 1024;

/// What has come so far.
struct Arrived {
    digest: Digest,
    look: Option<Look>,
    sections: Vec<CanonicalSection>,
    bytes: usize,
    admitted: Admitted,
}

pub(super) async fn upload(
    inside: &Inside,
    extensions: &Extensions,
    mut stream: Streaming<wire::UploadRequest>,
) -> Result<wire::UploadResponse, Refused> {
    let host = peer::in_force(inside, extensions, inside.now()).await?.host;
    let admitted = inside.admission.upload()?;
    inside.backlog.room().await?;
    let header = next(&mut stream).await?.unwrap_or_default().into_header()?;
    let run = RunId::try_from(header.run_id.as_ref()).map_err(Refused::id("UploadHeader.run_id"))?;
    let digest = Digest::try_from(header.look_digest.as_ref()).map_err(Refused::id("UploadHeader.look_digest"))?;
    let mut arrived = Arrived { digest, look: None, sections: Vec::new(), bytes: 0, admitted };
    let broken = loop {
        match next(&mut stream).await {
            Ok(Some(message)) => arrived.take(message).await?,
            Ok(None) => break None,
            // What came whole is kept: over a bad link the next try has less to send.
            Err(refused) if !arrived.sections.is_empty() => break Some(refused),
            Err(refused) => return Err(refused),
        }
    };
    arrived.belongs(inside).await?;
    let now = inside.now();
    let observed_at = corrected(header.observed_at_ms, header.sent_at_ms, now);
    let delivered = arrived.deliver(inside, host, (run, header.seq), observed_at, now).await?;
    if let Some(refused) = broken {
        return Err(refused);
    }
    let (accepted, missing) = match delivered {
        Delivered::Accepted => (true, Vec::new()),
        Delivered::SectionsWanted(missing) => (false, missing),
        Delivered::LookWanted => {
            return Err(Refused::malformed("UploadRequest.look is missing: the look is not known"));
        }
        Delivered::HostUnknown => return Err(Refused::unknown("the collector does not know this host")),
    };
    Ok(wire::UploadResponse {
        accepted,
        sections_wanted: wanted(&missing),
        pace: Some(inside.pace.into()),
        server_time_ms: now.millis(),
    })
}

async fn next(stream: &mut Streaming<wire::UploadRequest>) -> Result<Option<wire::UploadRequest>, Refused> {
    let next = tokio::time::timeout(STALLED, stream.message()).await;
    let next = next.map_err(|_| Refused::later("the upload has stalled: come back later"))?;
    next.map_err(|status| Refused::stream(&status))
}

impl Arrived {
    async fn take(&mut self, message: wire::UploadRequest) -> Result<(), Refused> {
        match message.part {
            Some(Part::Header(_)) => Err(Refused::malformed("UploadRequest.header came a second time")),
            Some(Part::Look(bytes)) => self.take_look(&bytes),
            Some(Part::Section(body)) => self.take_section(body).await,
            None => Err(ConvertError::Missing { field: "UploadRequest.part" }.into()),
        }
    }

    fn take_look(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.look.is_some() {
            return Err(Refused::malformed("UploadRequest.look came a second time"));
        }
        let look =
            canonical::read_look(bytes).map_err(|error| Refused::canonical("UploadRequest.look: the look", &error))?;
        if Digest::of(bytes) != self.digest {
            return Err(Refused::malformed("UploadHeader.look_digest is not the digest of UploadRequest.look"));
        }
        self.look = Some(look);
        Ok(())
    }

    async fn take_section(&mut self, body: wire::SectionBody) -> Result<(), Refused> {
        let limit = |value, limit_name, limit| ConvertError::Limit { field: "Upload", value, limit_name, limit };
        let count = self.sections.len() + 1;
        if count > limits::SECTIONS_PER_UPLOAD {
            return Err(limit(count, "SECTIONS_PER_UPLOAD", limits::SECTIONS_PER_UPLOAD).into());
        }
        self.bytes += body.canonical.len();
        if self.bytes > limits::UPLOAD_BYTES {
            return Err(limit(self.bytes, "UPLOAD_BYTES", limits::UPLOAD_BYTES).into());
        }
        self.admitted.bytes(body.canonical.len())?;
        let upload = SectionUpload::try_from(body)?;
        let section = if upload.canonical.len() > LARGE {
            let read = tokio::task::spawn_blocking(move || read(upload)).await;
            read.map_err(|_| Refused::later("the collector is stopping"))??
        } else {
            read(upload)?
        };
        self.sections.push(section);
        Ok(())
    }

    /// Whether the sections are those that the look names, from the source that it names.
    async fn belongs(&self, inside: &Inside) -> Result<(), Refused> {
        let known = match &self.look {
            Some(look) => Some(look.clone()),
            None if self.sections.is_empty() => None,
            None => inside.store.look_get(self.digest).await?,
        };
        let Some(look) = known else { return Ok(()) };
        for section in &self.sections {
            let digest = section.digest();
            let entry = look.entries().iter().find(|entry| entry.section == Some(digest));
            let Some(entry) = entry else {
                return Err(Refused::malformed(format!("SectionBody.digest {} is not in the look", digest.short())));
            };
            if entry.source != section.source() || look.platform() != section.platform() {
                return Err(Refused::malformed(format!(
                    "SectionBody.canonical of digest {} is a section of {} on {}, the look says {} on {}",
                    digest.short(),
                    section.source(),
                    section.platform(),
                    entry.source,
                    look.platform()
                )));
            }
        }
        Ok(())
    }

    async fn deliver(
        self,
        inside: &Inside,
        host: HostId,
        (run, seq): (RunId, u64),
        observed_at: Timestamp,
        now: Timestamp,
    ) -> Result<Delivered, Refused> {
        let Self { digest, look, sections, bytes: _, admitted } = self;
        let deed = LookDelivery { host, run, seq, observed_at, now, digest, look, sections };
        let delivered = inside.store.look_deliver(deed).await?;
        drop(admitted);
        Ok(delivered)
    }
}

/// Reads the bytes, and hashes them against their digest.
fn read(upload: SectionUpload) -> Result<CanonicalSection, Refused> {
    let SectionUpload { digest, canonical } = upload;
    let section = CanonicalSection::read(canonical)
        .map_err(|error| Refused::canonical("SectionBody.canonical: the section", &error))?;
    if section.digest() != digest {
        return Err(Refused::malformed("SectionBody.digest is not the digest of SectionBody.canonical"));
    }
    Ok(section)
}
