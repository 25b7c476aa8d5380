//! Search: which hosts have a software now.

use muster_proto::model::{HostId, SoftwareReport};

use super::{ReportContext, ReportError};
use crate::store::SoftwareQuery;

/// Characters that a search has at least: one alone is in half of all names.
const SHORTEST: usize = 2;

/// Which software to look for.
#[derive(Debug, Clone, Default)]
pub struct SoftwareAsked {
    /// A part of its name or of its vendor.
    pub text: String,
    /// How its version begins.
    pub version: String,
    /// At most this many editions.
    pub editions: usize,
    /// At most this many hosts.
    pub hosts: usize,
    /// From the page before.
    pub page: Option<String>,
}

impl ReportContext {
    /// Which hosts have a software, and what asks for more of them.
    ///
    /// # Errors
    /// The question makes no sense, or the store failed.
    pub async fn software(&self, asked: SoftwareAsked) -> Result<(SoftwareReport, Option<String>), ReportError> {
        let text = asked.text.trim().to_owned();
        if text.chars().count() < SHORTEST {
            return Err(ReportError::TooShort { text, shortest: SHORTEST });
        }
        let after = asked.page.as_deref().map(str::parse::<HostId>).transpose().map_err(|_| ReportError::PageToken)?;
        let SoftwareAsked { version, editions, hosts, .. } = asked;
        let found = self.store.software_find(SoftwareQuery { text, version, editions, hosts, after }).await?;
        // A page may end early; the last one is that on which nobody stands.
        let next = found.hosts.last().map(|one| one.id.to_string());
        Ok((found, next))
    }
}
