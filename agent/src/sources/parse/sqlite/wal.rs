//! The write-ahead log: pages that were committed but not yet copied into the database.
//!
//! A frame is valid when its salts equal those of the log header and the running checksum over all frames before it matches.
//! Valid frames count up to the last one that ends a transaction. Later ones belong to an unfinished transaction, or are
//! left over from before the log was reset. Replaying frames that were copied already changes nothing.

use std::collections::HashMap;

use crate::sources::parse::paged::{Storage, be32, le32};

const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
const VERSION: u32 = 3_007_000;

/// The content of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// Page number to the offset of its newest committed content.
    pub(super) frames: HashMap<u32, u64>,
    pub(super) page_bytes: usize,
    /// The page count of the database after the last commit.
    pub(super) pages: u32,
}

pub(super) fn replay(wal: &dyn Storage) -> Log {
    let mut head = [0; HEAD];
    if wal.read_at(0, &mut head).is_err() {
        return Log::default();
    }
    let Some(mut sum) = Sum::of_magic(be32(&head, 0)) else { return Log::default() };
    let page_bytes = be32(&head, 8) as usize;
    sum.add(&head[..24]);
    let fits = be32(&head, 4) == VERSION && page_bytes.is_power_of_two() && (512..=65_536).contains(&page_bytes);
    if !fits || !sum.is(&head[24..32]) {
        return Log::default();
    }
    let mut log = Log { page_bytes, ..Log::default() };
    let mut open: Vec<(u32, u64)> = Vec::new();
    let mut place = HEAD as u64;
    let mut frame = vec![0; FRAME_HEAD + page_bytes];
    while wal.read_at(place, &mut frame).is_ok() {
        let (page, pages) = (be32(&frame, 0), be32(&frame, 4));
        // Other salts mean a frame from before the log was reset. This ends the log and is no fault.
        if page == 0 || frame[8..16] != head[16..24] {
            break;
        }
        // The salts and the checksum in between are not part of the sum.
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEAD..]);
        if !sum.is(&frame[16..24]) {
            break;
        }
        open.push((page, place + FRAME_HEAD as u64));
        // Only the last frame of a transaction has a page count. Until then its pages are not committed.
        if pages > 0 {
            log.frames.extend(open.drain(..));
            log.pages = pages;
        }
        place += frame.len() as u64;
    }
    log
}

/// The running checksum of a log, in the byte order that its magic number selects.
struct Sum {
    big: bool,
    value: (u32, u32),
}

impl Sum {
    fn of_magic(magic: u32) -> Option<Self> {
        (magic & !1 == 0x377f_0682).then_some(Self { big: magic & 1 == 1, value: (0, 0) })
    }

    fn add(&mut self, bytes: &[u8]) {
        let number = if self.big { be32 } else { le32 };
        for place in (0..bytes.len()).step_by(8) {
            let (one, two) = self.value;
            let one = one.wrapping_add(number(bytes, place)).wrapping_add(two);
            self.value = (one, two.wrapping_add(number(bytes, place + 4)).wrapping_add(one));
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        self.value == (be32(stored, 0), be32(stored, 4))
    }
}
