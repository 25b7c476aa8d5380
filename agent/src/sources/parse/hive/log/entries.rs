//! Logs since Windows 8.1: entries with numbers and hashes.

use super::replay::Replay;
use crate::sources::parse::hive::bounds;
use crate::sources::parse::hive::header::{FileKind, HEADER_BYTES, Header};
use crate::sources::parse::hive::marvin::{self, Marvin};
use crate::sources::parse::hive::pages::{Bytes, Overlay, PAGE_BYTES};
use crate::sources::parse::paged::{Storage, le32};

/// The header of an entry, before the list of its pages.
const ENTRY_HEAD: usize = 40;
/// A page in that list: offset and size.
const REFERENCE: usize = 8;
const CHUNK: usize = 64 * 1024;
const DAMAGED: &str = "an entry of its log is damaged";
const GAP: &str = "its logs have a gap";

/// One entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    log: u8,
    place: u64,
    sequence: u32,
    bytes: u32,
    pages: u32,
    hive_size: u32,
}

/// The entries of one log, each the successor of the one before it.
#[derive(Debug, Default)]
struct Run {
    entries: Vec<Entry>,
    /// The number of an entry that cannot be applied, because it or one before it is damaged.
    lost: Option<u32>,
}

/// Replays the entries of all logs; `None` if there are none. `sound` is the header of the hive if it is not damaged.
pub(super) fn replay(
    sound: Option<&Header>,
    headers: &[(u8, Header)],
    logs: &[Bytes],
) -> Option<Result<Replay, &'static str>> {
    let new = headers.iter().filter(|(_, header)| header.kind == FileKind::NewLog);
    let mut runs: Vec<Run> = new.map(|(at, _)| run_of(*at, &*logs[usize::from(*at)])).collect();
    let (entries, fault) = match sound.map(|header| header.finished) {
        Some(first) => entries_from(first, &mut runs),
        None => last_entries(runs),
    };
    let last = *entries.last()?;
    let of_log = headers.iter().find(|(at, _)| *at == last.log).map(|(_, header)| header);
    let header = sound.or(of_log)?.clone();
    let mut overlay = Overlay::default();
    for entry in &entries {
        if let Err(fault) = apply(entry, &*logs[usize::from(entry.log)], &mut overlay) {
            return Some(Err(fault));
        }
    }
    Some(Ok(Replay { header, size: last.hive_size, overlay, fault }))
}

/// The entries from a number on, in the order of their numbers.
fn entries_from(first: u32, runs: &mut [Run]) -> (Vec<Entry>, Option<&'static str>) {
    runs.iter_mut().for_each(|run| run.entries.retain(|entry| entry.sequence >= first));
    runs.sort_by_key(|run| run.entries.first().map(|entry| entry.sequence));
    let mut fault = runs.iter().any(|run| run.lost >= Some(first)).then_some(DAMAGED);
    let mut all: Vec<Entry> = Vec::new();
    let usable = runs.iter().filter(|run| !run.entries.is_empty()).count();
    for run in runs.iter().filter(|run| !run.entries.is_empty()) {
        let begins = run.entries.first().map(|entry| entry.sequence);
        // Windows reuses a full log only after it has written the pages of its entries into the hive. The first entries
        // may therefore be missing while both logs have later ones.
        let wanted = all.last().map_or(Some(first), |last| last.sequence.checked_add(1));
        if begins != wanted && (!all.is_empty() || usable < 2) {
            fault = Some(GAP);
        }
        if begins != wanted && !all.is_empty() {
            break;
        }
        all.extend(&run.entries);
    }
    (all, fault)
}

/// The entries that lead to the last without a gap, if the first is not known. Applying an entry that the hive has already
/// changes nothing once the later ones follow.
fn last_entries(mut runs: Vec<Run>) -> (Vec<Entry>, Option<&'static str>) {
    runs.sort_by_key(|run| run.entries.first().map(|entry| entry.sequence));
    let mut fault = runs.iter().any(|run| run.lost.is_some()).then_some(DAMAGED);
    let mut all: Vec<Entry> = Vec::new();
    for run in runs {
        let begins = run.entries.first().map(|entry| entry.sequence);
        if begins.is_some() && begins != all.last().and_then(|last| last.sequence.checked_add(1)) {
            // Those before the gap may be in the hive already, or not.
            fault = fault.or((!all.is_empty()).then_some(GAP));
            all.clear();
        }
        all.extend(run.entries);
    }
    (all, fault)
}

fn run_of(log: u8, storage: &dyn Storage) -> Run {
    let mut run = Run::default();
    let mut place = HEADER_BYTES as u64;
    while let Some(entry) = entry_at(log, storage, place) {
        let follows = run.entries.last().is_none_or(|last| last.sequence.checked_add(1) == Some(entry.sequence));
        if !follows || !has_right_hash(&entry, storage) {
            break;
        }
        if run.entries.len() == bounds::LOG_ENTRIES {
            run.lost = Some(entry.sequence);
            return run;
        }
        place += u64::from(entry.bytes);
        run.entries.push(entry);
    }
    // Older entries may follow, from before the log was begun again. A newer one means that some before it is lost.
    let last = run.entries.last().map(|entry| entry.sequence);
    run.lost = std::iter::successors(Some(place), |place| Some(place + PAGE_BYTES as u64))
        .take_while(|place| *place < storage.size())
        .filter_map(|place| head_at(storage, place))
        .map(|head| sequence_of(&head))
        .filter(|sequence| last.is_none_or(|last| *sequence > last))
        .max();
    run
}

fn sequence_of(head: &[u8; ENTRY_HEAD]) -> u32 {
    le32(head, 12)
}

/// The header of an entry, if there is one with the right hash.
fn head_at(storage: &dyn Storage, place: u64) -> Option<[u8; ENTRY_HEAD]> {
    let mut head = [0; ENTRY_HEAD];
    storage.read_at(place, &mut head).ok()?;
    (head.starts_with(b"HvLE") && marvin::of(&head[..32]) == le64(&head, 32)).then_some(head)
}

fn entry_at(log: u8, storage: &dyn Storage, place: u64) -> Option<Entry> {
    let head = head_at(storage, place)?;
    let (bytes, pages, hive_size) = (le32(&head, 4), le32(&head, 20), le32(&head, 16));
    let list = (pages as usize).checked_mul(REFERENCE)?.checked_add(ENTRY_HEAD)?;
    let fits = (bytes as usize).is_multiple_of(PAGE_BYTES) && bytes as usize >= list && hive_size.is_multiple_of(4096);
    let is_whole = place.checked_add(u64::from(bytes)).is_some_and(|end| end <= storage.size());
    (fits && is_whole && bytes > 0).then(|| Entry { log, place, sequence: sequence_of(&head), bytes, pages, hive_size })
}

fn has_right_hash(entry: &Entry, storage: &dyn Storage) -> bool {
    let mut stored = [0; 8];
    let mut hash = Marvin::new();
    let mut place = entry.place + ENTRY_HEAD as u64;
    let end = entry.place + u64::from(entry.bytes);
    let mut chunk = vec![0; CHUNK];
    while place < end {
        let length = usize::try_from(end - place).unwrap_or(CHUNK).min(CHUNK);
        if storage.read_at(place, &mut chunk[..length]).is_err() {
            return false;
        }
        hash.add(&chunk[..length]);
        place += length as u64;
    }
    storage.read_at(entry.place + 24, &mut stored).is_ok() && hash.finish() == u64::from_le_bytes(stored)
}

/// Puts the pages of an entry over those of the hive.
fn apply(entry: &Entry, storage: &dyn Storage, overlay: &mut Overlay) -> Result<(), &'static str> {
    let list = entry.place + ENTRY_HEAD as u64;
    let mut place = list + u64::from(entry.pages) * REFERENCE as u64;
    let end = entry.place + u64::from(entry.bytes);
    let mut reference = [0; REFERENCE];
    for at in 0..u64::from(entry.pages) {
        storage.read_at(list + at * REFERENCE as u64, &mut reference).map_err(|_| "its log cannot be read")?;
        let (offset, bytes) = (le32(&reference, 0), le32(&reference, 4));
        let is_aligned = (offset as usize | bytes as usize).is_multiple_of(PAGE_BYTES);
        let is_inside = u64::from(offset) + u64::from(bytes) <= u64::from(entry.hive_size);
        if !is_aligned || !is_inside || place + u64::from(bytes) > end {
            return Err(DAMAGED);
        }
        for page in 0..bytes / PAGE_BYTES as u32 {
            overlay.put(offset / PAGE_BYTES as u32 + page, entry.log, place)?;
            place += PAGE_BYTES as u64;
        }
    }
    Ok(())
}

fn le64(bytes: &[u8], place: usize) -> u64 {
    u64::from(le32(bytes, place + 4)) << 32 | u64::from(le32(bytes, place))
}
