//! Logs until Windows 8: a bitmap of the changed pages, and the pages.

use super::replay::Replay;
use crate::sources::parse::hive::header::{FileKind, HEADER_BYTES, Header};
use crate::sources::parse::hive::pages::{Bytes, Overlay, PAGE_BYTES};
use crate::sources::parse::paged::{Storage, le32};

const SIGNATURE: &[u8; 4] = b"DIRT";
/// The offset of the time in the header of the first bin.
const BIN_TIME: u64 = 4096 + 20;

/// Replays the log that was written for this state of the hive: their times are equal. `sound` is the header of the hive if
/// it is not damaged.
///
/// # Errors
/// No log was.
pub(super) fn replay(
    main: &dyn Storage,
    sound: Option<&Header>,
    headers: &[(u8, Header)],
    logs: &[Bytes],
) -> Result<Replay, &'static str> {
    let time = sound.map(|header| header.time).or_else(|| bin_time(main));
    let fitting = headers.iter().filter(|(_, header)| {
        header.kind == FileKind::OldLog && header.begun == header.finished && Some(header.time) == time
    });
    let newest = fitting.max_by_key(|(_, header)| header.finished);
    let (at, header) = newest.ok_or("the hive was not closed, and none of its logs belongs to it")?;
    let overlay = pages(*at, &*logs[usize::from(*at)], header.size)?;
    Ok(Replay { header: sound.unwrap_or(header).clone(), size: header.size, overlay, fault: None })
}

/// The first bin keeps a copy of the time for the case that the header is damaged.
fn bin_time(main: &dyn Storage) -> Option<u64> {
    let mut time = [0; 8];
    main.read_at(BIN_TIME, &mut time).ok()?;
    Some(u64::from(le32(&time, 4)) << 32 | u64::from(le32(&time, 0)))
}

fn pages(at: u8, log: &dyn Storage, hive_size: u32) -> Result<Overlay, &'static str> {
    let mut overlay = Overlay::default();
    let mut signature = [0; SIGNATURE.len()];
    let mut place = (HEADER_BYTES + SIGNATURE.len()) as u64;
    log.read_at(HEADER_BYTES as u64, &mut signature).map_err(|_| "its log is too short")?;
    if &signature != SIGNATURE {
        return Err("its log is empty");
    }
    let wanted = hive_size / PAGE_BYTES as u32;
    // The bitmap ends on a boundary of pages, and the pages follow.
    let mut next = (place + u64::from(wanted.div_ceil(8))).next_multiple_of(PAGE_BYTES as u64);
    let mut bits = [0; PAGE_BYTES];
    for first in (0..wanted).step_by(PAGE_BYTES * 8) {
        let length = ((wanted - first).div_ceil(8) as usize).min(PAGE_BYTES);
        log.read_at(place, &mut bits[..length]).map_err(|_| "its log is too short")?;
        place += length as u64;
        for page in (first..wanted).take(PAGE_BYTES * 8) {
            let bit = page - first;
            if bits[(bit / 8) as usize] & 1 << (bit % 8) == 0 {
                continue;
            }
            if next + PAGE_BYTES as u64 > log.size() {
                return Err("its log is too short");
            }
            overlay.put(page, at, next)?;
            next += PAGE_BYTES as u64;
        }
    }
    Ok(overlay)
}
