//! ndb, the package database of SUSE: slots that refer to blobs, and blobs with a header and a trailer.
//!
//! Numbers are little-endian, and offsets are in blocks of 16 bytes. A slot without an offset is free.

use super::Packages;
use crate::sources::parse::paged::{Lazy, PagedFault, Storage, le32, read as read_bytes};

const MAGIC: &[u8; 4] = b"RpmP";
const SLOT_MAGIC: &[u8; 4] = b"Slot";
const HEAD_MAGIC: &[u8; 4] = b"BlbS";
const TAIL_MAGIC: &[u8; 4] = b"BlbE";
const HEADER_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: u64 = 16;
const HEAD_BYTES: usize = 16;
const TAIL_BYTES: usize = 12;

pub(super) fn read(storage: &dyn Storage, found: &mut Packages) -> Result<(), PagedFault> {
    let header = read_bytes(storage, 0, HEADER_BYTES, || "header".to_owned())?;
    if !header.starts_with(MAGIC) || le32(&header, 4) != 0 {
        return Err(PagedFault::at("header", "not an ndb database of a supported version"));
    }
    if !storage.size().is_multiple_of(BLOCK_BYTES) {
        return Err(PagedFault::at("end of the file", "not at a block boundary"));
    }
    let pages = le32(&header, 12);
    if pages == 0 || u64::from(pages) * PAGE_BYTES as u64 > storage.size() {
        return Err(PagedFault::at("header", "the file is shorter than the slot table"));
    }
    for page in 0..pages {
        let slots = read_bytes(storage, u64::from(page) * PAGE_BYTES as u64, PAGE_BYTES, || format!("page {page}"))?;
        // The header takes the place of the first two slots.
        let first = if page == 0 { HEADER_BYTES / SLOT_BYTES } else { 0 };
        for (at, slot) in slots.chunks_exact(SLOT_BYTES).enumerate().skip(first) {
            if !slot.starts_with(SLOT_MAGIC) {
                found.keep(PagedFault::at(format!("page {page}, slot {at}"), "not a slot"));
            } else if le32(slot, 8) != 0 {
                found.add(blob(storage, le32(slot, 4), le32(slot, 8), le32(slot, 12)));
            }
        }
    }
    Ok(())
}

fn blob(storage: &dyn Storage, package: u32, block: u32, blocks: u32) -> Result<Lazy<'_>, PagedFault> {
    let name = format!("package {package}");
    let fault = |what| PagedFault::at(format!("package {package}"), what);
    let place = u64::from(block) * BLOCK_BYTES;
    let head = read_bytes(storage, place, HEAD_BYTES, || name.clone())?;
    if !head.starts_with(HEAD_MAGIC) || le32(&head, 4) != package {
        return Err(fault("the slot refers to a different blob"));
    }
    let length = le32(&head, 12) as usize;
    let needed = (HEAD_BYTES + length + TAIL_BYTES) as u64;
    // The slot and the blob state the length independently, so a stale slot is noticed.
    if needed.div_ceil(BLOCK_BYTES) != u64::from(blocks) {
        return Err(fault("the length does not match the slot"));
    }
    let end = place + u64::from(blocks) * BLOCK_BYTES;
    let tail = read_bytes(storage, end - TAIL_BYTES as u64, TAIL_BYTES, || name.clone())?;
    if le32(&tail, 4) as usize != length || tail[8..12] != *TAIL_MAGIC {
        return Err(fault("the trailer does not match"));
    }
    let fetch = move |have: &mut Vec<u8>| {
        let portion = (length - have.len()).min(PAGE_BYTES);
        let at = place + (HEAD_BYTES + have.len()) as u64;
        have.extend(read_bytes(storage, at, portion, || format!("package {package}"))?);
        Ok(())
    };
    Ok(Lazy::new(name, length, Vec::new(), Box::new(fetch)))
}
