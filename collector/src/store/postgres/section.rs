//! Reading sections: they are rebuilt from their interned form.

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Digest, Platform, SourceName};
use tokio_postgres::Row;

use super::fault::{PostgresFault, Step};
use super::intern::Intern;
use super::row;
use super::session::Session;
use crate::store::fault::StoreFault;

/// The section with this digest.
pub(super) async fn get(session: &Session, intern: &Intern, digest: &Digest) -> Step<Option<CanonicalSection>> {
    let find = "SELECT platform, source, body FROM section WHERE digest = $1";
    for attempt in 1..=3 {
        let Some(found) = session.query_first(find, &[&digest.as_bytes().as_slice()]).await? else { return Ok(None) };
        let (platform, source, body) = parts(&found)?;
        match intern.decode(session, platform, source, body).await {
            Ok(section) if section.digest() == *digest => return Ok(Some(section)),
            Ok(_) => {}
            Err(PostgresFault::Store(StoreFault::Damaged { .. })) if attempt < 3 => {}
            Err(fault) => return Err(of_section(digest, fault)),
        }
        // The section and its editions may have been removed since it was read, so it is read once more. If it is there, the
        // cached dictionary may be from before a crash of the server.
        if attempt == 2 {
            intern.forget();
        }
    }
    Err(PostgresFault::damaged(format!("section {}", digest.short()), "it is rebuilt with another digest"))
}

/// Platform, source and interned form: the first columns of a row.
pub(super) fn parts(found: &Row) -> Step<(Platform, SourceName, &[u8])> {
    let platform = row::member("a section", Platform::from_code, found, 0)?;
    let source = row::member("a section", SourceName::from_code, found, 1)?;
    Ok((platform, source, found.try_get(2)?))
}

/// The fault, with the section's name if the section is damaged.
pub(super) fn of_section(digest: &Digest, fault: PostgresFault) -> PostgresFault {
    match fault {
        PostgresFault::Store(StoreFault::Damaged { what: _, reason }) => {
            PostgresFault::damaged(format!("section {}", digest.short()), reason)
        }
        other @ (PostgresFault::Conflict(_) | PostgresFault::ConnectionLost(_) | PostgresFault::Store(_)) => other,
    }
}
