//! The stored form of a complete snapshot: like the canonical form, but with the row numbers of the sections.
//!
//! ```text
//! snapshot := 0x01 platform:u8 count:varint entry*
//! entry    := source:u8 outcome:u8 watchlist:varint reason:(length:varint bytes) section:varint   0: none, else 1 + number
//! ```
//!
//! The canonical bytes, and so the digest, can be rebuilt from it.

use muster_proto::model::{Digest, Outcome, Platform, Snapshot, SnapshotEntry, SourceName};

use super::fault::{Step, StoreFault};

const FORM: u8 = 1;

/// The stored form. `numbers` are the row numbers of the snapshot's sections, in order.
pub(in crate::store) fn encode(snapshot: &Snapshot, numbers: &[i64]) -> Vec<u8> {
    let mut bytes = vec![FORM, snapshot.platform().code()];
    varint(&mut bytes, snapshot.entries().len() as u64);
    let mut numbers = numbers.iter();
    for entry in snapshot.entries() {
        bytes.extend_from_slice(&[entry.source.code(), entry.outcome.code()]);
        varint(&mut bytes, entry.watchlist);
        varint(&mut bytes, entry.reason.len() as u64);
        bytes.extend_from_slice(entry.reason.as_bytes());
        let number = entry.section.and_then(|_| numbers.next()).map_or(0, |number| number.cast_unsigned() + 1);
        varint(&mut bytes, number);
    }
    bytes
}

/// The platform of a stored form.
pub(in crate::store) fn platform(bytes: &[u8]) -> Step<Platform> {
    match bytes {
        [FORM, code, ..] => Platform::from_code(*code).ok_or_else(|| broken("it has an unknown platform")),
        _ => Err(broken("its form is not known")),
    }
}

/// The row numbers of the sections in a stored form.
pub(in crate::store) fn sections(bytes: &[u8]) -> Step<Vec<i64>> {
    let mut sections = Vec::new();
    // The digests are not used, so any will do.
    decode(bytes, |number| {
        sections.push(number);
        Ok(Digest::from_bytes([0; 32]))
    })?;
    Ok(sections)
}

/// Whether every source of the system was read completely in the scan of a stored form.
pub(in crate::store) fn is_complete_scan(bytes: &[u8]) -> Step<bool> {
    let snapshot = decode(bytes, |_| Ok(Digest::from_bytes([0; 32])))?;
    let is_read = |entry: &SnapshotEntry| entry.outcome.is_complete() || entry.outcome == Outcome::NotApplicable;
    Ok(snapshot.entries().iter().all(is_read))
}

/// How many snapshots of a host are searched for a complete scan, the current one not counted.
pub(in crate::store) const SEARCHED_SCANS: i64 = 100;

/// The snapshot of a stored form. `digest` returns the digest of a section's row number.
pub(in crate::store) fn decode(bytes: &[u8], mut digest: impl FnMut(i64) -> Step<Digest>) -> Step<Snapshot> {
    let mut reader = Reader { bytes };
    if reader.byte()? != FORM {
        return Err(broken("its form is not known"));
    }
    let platform = Platform::from_code(reader.byte()?).ok_or_else(|| broken("it has an unknown platform"))?;
    let count = reader.varint()?;
    // No capacity is reserved, because a damaged count could ask for all memory.
    let mut entries = Vec::new();
    for _ in 0..count {
        let source = SourceName::from_code(reader.byte()?).ok_or_else(|| broken("it has an unknown source"))?;
        let outcome = Outcome::from_code(reader.byte()?).ok_or_else(|| broken("it has an unknown outcome"))?;
        let watchlist = reader.varint()?;
        let reason = reader.text()?;
        let section = match reader.varint()? {
            0 => None,
            number => Some(digest((number - 1).cast_signed())?),
        };
        entries.push(SnapshotEntry { source, outcome, reason, watchlist, section });
    }
    if reader.bytes.is_empty() {
        Ok(Snapshot::new(platform, entries))
    } else {
        Err(broken("bytes follow the last entry"))
    }
}

fn broken(reason: &str) -> StoreFault {
    StoreFault::damaged("its stored form", reason)
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Step<u8> {
        let (first, rest) = self.bytes.split_first().ok_or_else(|| broken("it ends within an entry"))?;
        self.bytes = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Step<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken("a number has no end"))
    }

    fn text(&mut self) -> Step<String> {
        let length = usize::try_from(self.varint()?).map_err(|_| broken("a length is too large"))?;
        let (text, rest) = self.bytes.split_at_checked(length).ok_or_else(|| broken("it ends within a text"))?;
        self.bytes = rest;
        String::from_utf8(text.to_vec()).map_err(|_| broken("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = SnapshotEntry> {
        let (source, outcome) = (proptest::sample::select(SourceName::ALL), proptest::sample::select(Outcome::ALL));
        (source, outcome, any::<u64>(), "[ -~é]{0,30}", any::<Option<[u8; 32]>>()).prop_map(
            |(source, outcome, watchlist, reason, section)| SnapshotEntry {
                source,
                outcome,
                watchlist,
                reason,
                section: section.map(Digest::from_bytes),
            },
        )
    }

    proptest! {
        #[test]
        fn a_snapshot_is_rebuilt_to_the_byte(entries in proptest::collection::vec(entry(), 0..20)) {
            let snapshot = Snapshot::new(Platform::Windows, entries);
            let digests: Vec<Digest> = snapshot.entries().iter().filter_map(|entry| entry.section).collect();
            let numbers: Vec<i64> = (0..digests.len() as i64).collect();
            let known = |number: i64| Ok(digests[usize::try_from(number).expect("small")]);
            let rebuilt = decode(&encode(&snapshot, &numbers), known).expect("decodes");
            prop_assert_eq!(rebuilt, snapshot);
        }

        #[test]
        fn damaged_bytes_are_refused_or_read_and_never_more(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&[[FORM].as_slice(), &bytes].concat(), |_| Ok(Digest::of(b"any")));
        }
    }
}
