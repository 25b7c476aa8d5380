//! Every limit of the hive reader, with its reason. What is beyond a limit is a fault, so the listing is incomplete.

/// Levels of keys. Windows allows 512.
pub(super) const DEPTH: usize = 512;
/// Keys below one key. The largest known, `Installer\UserData\S-1-5-18\Components`, has 40,000.
pub(in crate::sources) const KEYS: usize = 65_536;
/// Bytes of the names of the keys below one key: 64 for each of the most.
pub(super) const NAME_BYTES: usize = 4 * 1024 * 1024;
/// Characters of the name of a key. Windows refuses more.
pub(super) const KEY_NAME_CHARS: usize = 256;
/// Characters of the name of a value. Windows refuses more.
pub(super) const VALUE_NAME_CHARS: usize = 16_383;
/// Entries of lists that are read from one open hive: the keys and values of every list, each time it is read. All sources
/// together read a hive of 200,000 keys with four values each less than eight times. A hive in which lists share their cells, or
/// whose lists are too long to stay indexed, would have its reader busy for hours.
pub(super) const LISTED: u64 = 8 * 1024 * 1024;
/// Values of one key. The largest known, `SharedDLLs`, has 5,000.
pub(in crate::sources) const VALUES: usize = 16_384;
/// Bytes of one value. Windows advises against more than 2 KiB; the largest that an inventory needs, the files to be renamed
/// at the next start, has 100 KiB.
pub(in crate::sources) const VALUE_BYTES: usize = 1024 * 1024;
/// Bytes of all values of one key: several of the largest.
pub(in crate::sources) const VALUES_BYTES: usize = 4 * 1024 * 1024;
/// Faults that a listing keeps. One is enough to make it incomplete; a damaged hive has one in every cell.
pub(super) const FAULTS: usize = 8;
/// Blocks of a hive that are kept in memory: 256 KiB, a path and the keys next to it.
pub(super) const BLOCKS: usize = 64;
/// Keys whose children are kept for lookups: the levels of a path.
pub(super) const INDEXED_KEYS: usize = 8;
/// Children that are kept for lookups, of all these keys together: those of the largest key, so that no lookup lists it again.
/// They take 512 KiB.
pub(super) const INDEXED_CHILDREN: usize = KEYS;
/// Pages that the logs of a hive replace: 64 MiB, which is what Windows lets a log grow to, and 2 MiB in memory.
pub(super) const REPLACED_PAGES: usize = 131_072;
/// Entries of one log. An entry has at least one page, and Windows writes one every few seconds at most.
pub(super) const LOG_ENTRIES: usize = 65_536;
