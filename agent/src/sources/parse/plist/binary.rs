//! Checks the shape of a binary property list before its values are read: no object contains itself, the references of all open
//! collections stay within the limits, and no part is left over.
//!
//! The form is that of CoreFoundation's `CFBinaryPList.c`: objects, a table of their offsets, and a trailer of 32 bytes with
//! the sizes of an offset and of a reference, the number of objects, the root and the place of the table.

use super::{DEPTH, NODES, PlistFault};

const MAGIC: &[u8] = b"bplist00";
const TRAILER: usize = 32;

pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(b"bplist")
}

/// The parts of the file that references need.
struct Table<'b> {
    bytes: &'b [u8],
    offset_size: usize,
    reference_size: usize,
    count: usize,
    start: usize,
}

/// A collection whose members are visited.
struct Open {
    object: usize,
    /// Where its references are, and how many are left.
    place: usize,
    left: usize,
}

/// Whether the root leads to every object and the objects fill the file without a gap, as they do when the system has written it.
pub(super) fn is_whole(bytes: &[u8]) -> Result<bool, PlistFault> {
    let (table, root) = Table::read(bytes)?;
    let uses_every_object = uses_every_object(&table, root)?;
    let mut spans = (0..table.count).map(|object| table.span(object)).collect::<Result<Vec<_>, _>>()?;
    spans.sort_unstable();
    let end = spans.iter().try_fold(MAGIC.len(), |end, (start, next)| (*start == end).then_some(*next));
    Ok(uses_every_object && end == Some(table.start))
}

/// Visits every object that the root leads to. Whether these are all.
fn uses_every_object(table: &Table<'_>, root: usize) -> Result<bool, PlistFault> {
    let mut used = vec![false; table.count];
    let mut is_open = vec![false; table.count];
    let mut open: Vec<Open> = Vec::new();
    let mut nodes = 0;
    let mut next = Some(root);
    loop {
        if let Some(object) = next.take() {
            nodes += 1;
            if nodes > NODES || open.len() > DEPTH {
                return Err(PlistFault::TooLarge);
            }
            *used.get_mut(object).ok_or(PlistFault::Damaged)? = true;
            if let Some((place, members)) = table.members(object)? {
                if is_open[object] {
                    return Err(PlistFault::Circle);
                }
                if nodes + members > NODES {
                    return Err(PlistFault::TooLarge);
                }
                is_open[object] = true;
                open.push(Open { object, place, left: members });
            }
        }
        match open.last_mut() {
            None => break,
            Some(Open { object, left: 0, .. }) => {
                is_open[*object] = false;
                open.pop();
            }
            Some(collection) => {
                next = Some(table.number(collection.place, table.reference_size)?);
                collection.place += table.reference_size;
                collection.left -= 1;
            }
        }
    }
    Ok(used.into_iter().all(|used| used))
}

impl<'b> Table<'b> {
    fn read(bytes: &'b [u8]) -> Result<(Self, usize), PlistFault> {
        if !bytes.starts_with(MAGIC) {
            return Err(PlistFault::Damaged);
        }
        let trailer = bytes.len().checked_sub(TRAILER).filter(|at| *at >= MAGIC.len()).ok_or(PlistFault::Incomplete)?;
        let size = |at: usize| bytes.get(trailer + at).map(|size| usize::from(*size));
        let (offset_size, reference_size) = size(6).zip(size(7)).ok_or(PlistFault::Incomplete)?;
        if [offset_size, reference_size].iter().any(|size| !matches!(size, 1..=4 | 8)) {
            return Err(PlistFault::Damaged);
        }
        let whole = Self { bytes, offset_size, reference_size, count: 0, start: 0 };
        let [count, root, start] = [8, 16, 24].map(|at| whole.number(trailer + at, 8));
        let (count, root, start) = (count?, root?, start?);
        if count > NODES {
            return Err(PlistFault::TooLarge);
        }
        // The table is right before the trailer; anything else is a file to which something was added or from which it was cut.
        let end = count.checked_mul(offset_size).and_then(|length| length.checked_add(start));
        if end != Some(trailer) || root >= count {
            return Err(PlistFault::Damaged);
        }
        Ok((Self { count, start, ..whole }, root))
    }

    /// Where the references of a collection are, and how many; `None` for any other object.
    fn members(&self, object: usize) -> Result<Option<(usize, usize)>, PlistFault> {
        let place = self.number(self.start + object * self.offset_size, self.offset_size)?;
        let token = self.bytes.get(place).filter(|_| place < self.start).ok_or(PlistFault::Damaged)?;
        let per_member = match token >> 4 {
            0xa => 1,
            0xd => 2,
            _ => return Ok(None),
        };
        let (place, count) = self.count(place)?;
        let members = count.checked_mul(per_member).filter(|members| *members <= NODES).ok_or(PlistFault::TooLarge)?;
        if place + members * self.reference_size > self.start {
            return Err(PlistFault::Damaged);
        }
        Ok(Some((place, members)))
    }

    /// Where the contents of an object begin, and how many units they have.
    fn count(&self, place: usize) -> Result<(usize, usize), PlistFault> {
        let token = self.bytes.get(place).ok_or(PlistFault::Damaged)?;
        match usize::from(token & 0xf) {
            0xf => {
                // An integer follows: its token says how many bytes it has.
                let length = 1 << (self.bytes.get(place + 1).ok_or(PlistFault::Damaged)? & 3);
                Ok((place + 2 + length, self.number(place + 2, length)?))
            }
            count => Ok((place + 1, count)),
        }
    }

    /// Where an object begins and ends.
    fn span(&self, object: usize) -> Result<(usize, usize), PlistFault> {
        let place = self.number(self.start + object * self.offset_size, self.offset_size)?;
        let token = self.bytes.get(place).filter(|_| place < self.start).ok_or(PlistFault::Damaged)?;
        let small = usize::from(token & 0xf);
        let (contents, length) = match token >> 4 {
            0x0 => (place + 1, 0),
            0x1..=0x3 => (place + 1, 1 << small.min(4)),
            0x8 => (place + 1, small + 1),
            kind => {
                let unit = match kind {
                    0x4 | 0x5 | 0x7 => 1,
                    0x6 => 2,
                    0xd => 2 * self.reference_size,
                    _ => self.reference_size,
                };
                let (contents, count) = self.count(place)?;
                (contents, count.checked_mul(unit).ok_or(PlistFault::Damaged)?)
            }
        };
        Ok((place, contents.checked_add(length).ok_or(PlistFault::Damaged)?))
    }

    fn number(&self, place: usize, size: usize) -> Result<usize, PlistFault> {
        let end = place.checked_add(size).ok_or(PlistFault::Damaged)?;
        let bytes = self.bytes.get(place..end).ok_or(PlistFault::Damaged)?;
        let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|_| PlistFault::Damaged)
    }
}
