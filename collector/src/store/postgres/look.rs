//! Looks as they are read. How they are kept is the business of `report`.

use muster_proto::model::{Digest, Look};

use super::fault::Step;
pub(super) use super::report::look as read;
use super::session::Session;

pub(super) async fn get(session: &Session, digest: &Digest) -> Step<Option<Look>> {
    let find = "SELECT entries FROM look WHERE digest = $1";
    let found = session.query_first(find, &[&digest.as_bytes().as_slice()]).await?;
    found.map(|found| read(found.try_get(0)?, digest)).transpose()
}
