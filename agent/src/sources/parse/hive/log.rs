//! The transaction logs of a hive: pages that were written there and not yet into the hive.
//!
//! Windows XP to 8 write one set of pages with a bitmap that says which they are (`DIRT`). Since Windows 8.1 a log has many
//! entries (`HvLE`), each with a number and two hashes. The entries of both logs are applied in the order of their numbers,
//! from the last finished write of the hive on, up to the first that is damaged: Windows does the same when it loads the
//! hive. It may have written the pages of the first entries already, so these may be missing. The format is documented in
//! <https://github.com/msuhanov/regf/blob/master/Windows%20registry%20file%20format%20specification.md>.

mod entries;
mod old;
mod replay;

use super::header::{FileKind, HEADER_BYTES, Header};
use super::pages::Bytes;
use crate::sources::parse::paged::Storage;

pub(super) use replay::Replay;

/// Replays the logs of a dirty hive. `primary` is its header; `None` if it has none.
///
/// # Errors
/// Why no log can be used.
pub(super) fn replay(main: &dyn Storage, primary: Option<&Header>, logs: &[Bytes]) -> Result<Replay, &'static str> {
    let headers: Vec<(u8, Header)> = logs.iter().enumerate().filter_map(|(at, log)| header_of(at, &**log)).collect();
    if headers.is_empty() {
        return Err("the hive was not closed, and it has no usable log");
    }
    let sound = primary.filter(|header| header.is_sound);
    match entries::replay(sound, &headers, logs) {
        Some(replay) => replay,
        None => old::replay(main, sound, &headers, logs),
    }
}

fn header_of(at: usize, log: &dyn Storage) -> Option<(u8, Header)> {
    let mut head = [0; HEADER_BYTES];
    // Offsets in a log have 32 bits; no log comes near that.
    (log.size() <= u64::from(u32::MAX)).then_some(())?;
    log.read_at(0, &mut head).ok()?;
    let header = Header::parse(&head).filter(|header| header.is_sound && header.kind != FileKind::Primary)?;
    Some((u8::try_from(at).ok()?, header))
}
