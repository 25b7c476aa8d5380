//! The bytes of a hive: those of the file, where no log replaces them. A few blocks are kept in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::bounds;
use crate::sources::parse::paged::Storage;

/// Bytes that are read at offsets, by any thread.
pub type Bytes = Box<dyn Storage + Send + Sync>;

/// The unit in which logs replace bytes.
pub(super) const PAGE_BYTES: usize = 512;
const BLOCK_BYTES: usize = 4096;
/// The cells of a hive begin after its first block.
const FIRST_BLOCK: u64 = 4096;

/// The pages that the logs replace, by number: which log, and where in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Overlay(HashMap<u32, (u8, u32)>);

impl Overlay {
    /// Puts one page of a log over that of the hive.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn put(&mut self, page: u32, log: u8, place: u64) -> Result<(), &'static str> {
        let place = u32::try_from(place).map_err(|_| "its log is too long")?;
        self.0.insert(page, (log, place));
        if self.0.len() > bounds::REPLACED_PAGES { Err("its logs replace too many pages") } else { Ok(()) }
    }
}

/// The bytes of a hive after its first block.
pub(super) struct Pages {
    main: Bytes,
    logs: Vec<Bytes>,
    overlay: Overlay,
    size: u32,
    /// Each block has one slot that it can be in.
    recent: Mutex<Vec<Option<Block>>>,
}

struct Block {
    number: u32,
    /// A bit for each page that exists.
    pages: u8,
    bytes: Box<[u8; BLOCK_BYTES]>,
}

impl Pages {
    pub(super) fn new(main: Bytes, logs: Vec<Bytes>, overlay: Overlay, size: u32) -> Self {
        let recent = (0..bounds::BLOCKS).map(|_| None).collect();
        Self { main, logs, overlay, size, recent: Mutex::new(recent) }
    }

    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// Whether every page is in the file or in a log.
    pub(super) fn are_complete(&self) -> bool {
        let have = self.main.size().saturating_sub(FIRST_BLOCK) / PAGE_BYTES as u64;
        let wanted = self.size / PAGE_BYTES as u32;
        let mut missing = u32::try_from(have).unwrap_or(u32::MAX)..wanted;
        missing.len() <= self.overlay.0.len() && missing.all(|page| self.overlay.0.contains_key(&page))
    }

    /// Fills the buffer with the bytes at an offset.
    pub(super) fn read(&self, place: u32, buffer: &mut [u8]) -> Result<(), &'static str> {
        let end = u64::from(place) + buffer.len() as u64;
        if end > u64::from(self.size) {
            return Err("beyond the end of the hive");
        }
        // A panic while the lock is held can leave no half-written block.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < buffer.len() {
            let at = place as usize + done;
            let (number, from) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let length = (BLOCK_BYTES - from).min(buffer.len() - done);
            let slot = &mut recent[number % bounds::BLOCKS];
            let number = u32::try_from(number).map_err(|_| "beyond the end of the hive")?;
            let block = match slot.take() {
                Some(block) if block.number == number => slot.insert(block),
                _ => slot.insert(self.block(number)?),
            };
            if (from / PAGE_BYTES..=(from + length - 1) / PAGE_BYTES).any(|page| block.pages & 1 << page == 0) {
                return Err("beyond the end of the file");
            }
            buffer[done..done + length].copy_from_slice(&block.bytes[from..from + length]);
            done += length;
        }
        Ok(())
    }

    fn block(&self, number: u32) -> Result<Block, &'static str> {
        let mut bytes = Box::new([0; BLOCK_BYTES]);
        let mut pages = 0;
        let place = FIRST_BLOCK + u64::from(number) * BLOCK_BYTES as u64;
        // A truncated file can end within the block. Half a page is no page.
        let rest = self.main.size().saturating_sub(place).min(BLOCK_BYTES as u64);
        let have = usize::try_from(rest).unwrap_or(0) / PAGE_BYTES;
        if have > 0 {
            self.main.read_at(place, &mut bytes[..have * PAGE_BYTES]).map_err(|_| "cannot be read")?;
            pages = u8::MAX >> (8 - have);
        }
        for at in 0..BLOCK_BYTES / PAGE_BYTES {
            let Some((log, from)) = self.overlay.0.get(&(number * 8 + at as u32)) else { continue };
            let page = &mut bytes[at * PAGE_BYTES..(at + 1) * PAGE_BYTES];
            let log = self.logs.get(usize::from(*log)).ok_or("its log is gone")?;
            log.read_at(u64::from(*from), page).map_err(|_| "cannot be read from the log")?;
            pages |= 1 << at;
        }
        Ok(Block { number, pages, bytes })
    }
}
