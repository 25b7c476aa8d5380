//! Every limit of the contract, with its reason. Enforced at the collector's door; the agent keeps to them too.
//!
//! A breach is answered with `RESOURCE_EXHAUSTED` (too much) or `INVALID_ARGUMENT` (too long, out of range), and the
//! message names the limit by the name it has here.

/// Observations in one section. The largest real package databases hold some 6,000 rows.
pub const OBSERVATIONS_PER_SECTION: usize = 20_000;
/// Canonical bytes of one section: 20,000 observations at the 110 bytes that real ones take, doubled.
pub const SECTION_BYTES: usize = 4 * 1024 * 1024;
/// Canonical bytes of one snapshot: 64 entries, each with its longest reason.
pub const SNAPSHOT_BYTES: usize = 32 * 1024;
/// Sources in one snapshot; the closed list is shorter, newer agents may know more.
pub const SOURCES_PER_SNAPSHOT: usize = 64;
/// Bytes of name, vendor, version, id or state of an observation. Windows display names end at 256 characters.
pub const TEXT_BYTES: usize = 512;
/// Bytes of a path; Linux' PATH_MAX.
pub const PATH_BYTES: usize = 4096;
/// Attributes of one observation.
pub const ATTRIBUTES_PER_OBSERVATION: usize = 16;
/// Bytes of the name of an attribute.
pub const ATTRIBUTE_NAME_BYTES: usize = 64;
/// Bytes of the reason of an outcome: one sentence.
pub const REASON_BYTES: usize = 256;
/// Bytes of a gRPC message: the largest section, and its frame.
pub const MESSAGE_BYTES: usize = SECTION_BYTES + 64 * 1024;
/// Bytes of a check-in: facts and state.
pub const CHECK_IN_BYTES: usize = 256 * 1024;
/// Sections in one upload call.
pub const SECTIONS_PER_UPLOAD: usize = SOURCES_PER_SNAPSHOT;
/// Bytes of sections in one upload call: sixteen of the largest. More travels in several calls.
pub const UPLOAD_BYTES: usize = 16 * SECTION_BYTES;
/// Bytes of a certificate request in DER. An EC request has some 300.
pub const CSR_BYTES: usize = 8 * 1024;
/// Bytes of a token string: id, secret and pin are 140 together.
pub const TOKEN_BYTES: usize = 512;
/// Bytes of a host name (RFC 1035 allows 253).
pub const HOSTNAME_BYTES: usize = 255;
/// Addresses in the state of a host.
pub const ADDRESSES_PER_HOST: usize = 64;
/// Units in the state of a host.
pub const UNITS_PER_HOST: usize = 512;
/// Signature databases in the state of a host.
pub const SIGNATURES_PER_HOST: usize = 64;
/// Pieces of real-time evidence in the state of a host: a dozen for each of the three agents that some hosts have.
pub const REALTIME_PER_HOST: usize = 128;
/// Items in people's homes in the state of a host: a terminal server's two hundred people with one or two each.
pub const USER_ITEMS_PER_HOST: usize = 512;
/// Entries of one list of the watchlist that an agent accepts.
pub const WATCHLIST_ENTRIES: usize = 4096;
/// Rows in one page of an answer to an operator.
pub const PAGE_ROWS: usize = 10_000;
/// The difference of clocks, in milliseconds, beyond which an agent's own times are clamped.
pub const CLOCK_SKEW_MS: i64 = 24 * 3600 * 1000;
