//! Sections as they are read: rebuilt from their interned form.

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Digest, Platform, SourceName};
use tokio_postgres::Row;

use super::fault::{Fault, Step};
use super::intern::Intern;
use super::row;
use super::session::Session;
use crate::store::fault;

/// The section of this digest.
pub(super) async fn get(session: &Session, intern: &Intern, digest: &Digest) -> Step<Option<CanonicalSection>> {
    let find = "SELECT platform, source, body FROM section WHERE digest = $1";
    let Some(found) = session.query_first(find, &[&digest.as_bytes().as_slice()]).await? else { return Ok(None) };
    Ok(Some(rebuilt(session, intern, digest, &found, true).await?))
}

/// The section of a row that begins with `platform, source, body`. A check remembers nothing: it reads the tables alone.
pub(super) async fn rebuilt(
    session: &Session,
    intern: &Intern,
    digest: &Digest,
    found: &Row,
    remembering: bool,
) -> Step<CanonicalSection> {
    let platform = row::member("a section", Platform::from_code, found, 0)?;
    let source = row::member("a section", SourceName::from_code, found, 1)?;
    let section = intern.decode(session, platform, source, found.try_get(2)?, remembering).await;
    section.map_err(|fault| match fault {
        Fault::Plain(fault::Fault::Damaged { what: _, reason }) => {
            Fault::damaged(format!("section {}", digest.short()), reason)
        }
        other @ (Fault::Again(_) | Fault::Lost(_) | Fault::Plain(_)) => other,
    })
}
