//! Every limit of the contract, with its reason. The collector enforces them; the agent stays within them.
//!
//! A request beyond a limit is answered with `RESOURCE_EXHAUSTED` (too many) or `INVALID_ARGUMENT` (too long, out of
//! range). The message names the limit as it is named here.

/// Observations in one section. The largest known package databases have about 6,000 packages.
pub const OBSERVATIONS_PER_SECTION: usize = 20_000;
/// Canonical bytes of one section: 20,000 observations at 110 bytes each, doubled.
pub const SECTION_BYTES: usize = 4 * 1024 * 1024;
/// Canonical bytes of one snapshot: 64 entries with the longest reason each.
pub const SNAPSHOT_BYTES: usize = 32 * 1024;
/// Sources in one snapshot. The closed list is shorter, so that newer agents can have more.
pub const SOURCES_PER_SNAPSHOT: usize = 64;
/// Bytes of name, vendor, version, id or state of an observation. Windows display names have at most 256 characters.
pub const TEXT_BYTES: usize = 512;
/// Bytes of a path, as PATH_MAX of Linux.
pub const PATH_BYTES: usize = 4096;
/// Attributes of one observation.
pub const ATTRIBUTES_PER_OBSERVATION: usize = 16;
/// Bytes of the name of an attribute.
pub const ATTRIBUTE_NAME_BYTES: usize = 64;
/// Bytes of the reason of an outcome, which is one sentence.
pub const REASON_BYTES: usize = 256;
/// Bytes of a gRPC message: the largest section and its frame.
pub const MESSAGE_BYTES: usize = SECTION_BYTES + 64 * 1024;
/// Bytes of a check-in with facts and state.
pub const CHECK_IN_BYTES: usize = 256 * 1024;
/// Sections in one upload call.
pub const SECTIONS_PER_UPLOAD: usize = SOURCES_PER_SNAPSHOT;
/// Bytes of sections in one upload call: sixteen of the largest. An agent sends more in several calls.
pub const UPLOAD_BYTES: usize = 16 * SECTION_BYTES;
/// Bytes of an enrollment: a certificate request, a token and six texts of facts, twice over. The sender has not proven
/// anything yet.
pub const ENROLL_BYTES: usize = 32 * 1024;
/// Bytes of a renewal: a certificate request, a certificate and a signature, with space for larger keys.
pub const RENEW_BYTES: usize = 32 * 1024;
/// Bytes of a request of an account. The largest applies files of orders with 256 KiB.
pub const ACCOUNT_REQUEST_BYTES: usize = 320 * 1024;
/// Bytes of a certificate request in DER. An EC request has about 300.
pub const CSR_BYTES: usize = 8 * 1024;
/// Bytes of a token string. Id, secret and pin have 140 together.
pub const TOKEN_BYTES: usize = 512;
/// Bytes of a host name (RFC 1035 allows 253).
pub const HOSTNAME_BYTES: usize = 255;
/// Bytes of a number that identifies a machine. SMBIOS strings are longer only by mistake.
pub const IDENTIFIER_BYTES: usize = 128;
/// Network cards of a host: more than fit into a server.
pub const MACS_PER_HOST: usize = 32;
/// How often in a row a run of the agent must come back after another one took its place, until the host counts as held by
/// two machines. An agent that restarts may cause one return, by a message that was on its way; a machine that is rolled back
/// again and again causes one with every second rollback. Two machines reach it after three check-ins.
pub const RUN_RETURNS: u8 = 3;
/// Hosts that one action may name.
pub const HOSTS_PER_ACTION: usize = 500;
/// Bytes of the reason for an action on hosts: a few sentences, or the link to a ticket.
pub const ACTION_REASON_BYTES: usize = 1024;
/// Bytes of the reference of a duty that is done: the number of a report, or the link to it.
pub const DUTY_REFERENCE_BYTES: usize = 256;
/// Bytes of the name of a file of evidence: what file systems allow.
pub const EVIDENCE_NAME_BYTES: usize = 255;
/// Addresses in the state of a host.
pub const ADDRESSES_PER_HOST: usize = 64;
/// Units in the state of a host.
pub const UNITS_PER_HOST: usize = 512;
/// Signature databases in the state of a host.
pub const SIGNATURES_PER_HOST: usize = 64;
/// Pieces of real-time evidence in the state of a host: a dozen for each of three security agents, and more.
pub const REALTIME_PER_HOST: usize = 128;
/// Items in home directories in the state of a host: a terminal server with 200 users and one or two items each.
pub const USER_ITEMS_PER_HOST: usize = 512;
/// Entries in one list of a watchlist.
pub const WATCHLIST_ENTRIES: usize = 4096;
/// Rows in one page of an answer to an account.
pub const PAGE_ROWS: usize = 10_000;
/// How far back changes of lanes can be listed, in milliseconds.
pub const CHANGES_MS: i64 = 90 * 24 * 3600 * 1000;
/// How long it is kept when hosts did not report, in milliseconds: two years, as the lanes of the default settings. Without it nobody
/// can say which hosts were silent. At most one a day, it is 24 bytes for each time that a host was away.
pub const GAPS_MS: i64 = 730 * 24 * 3600 * 1000;
/// Days in one timeline: a year, and some.
pub const TIMELINE_DAYS: usize = 400;
/// Counts of groups in one timeline: those of 220 sites in 90 days.
pub const TIMELINE_GROUPS: usize = 20_000;
/// The difference of clocks, in milliseconds, beyond which the collector clamps an agent's times.
pub const CLOCK_SKEW_MS: i64 = 24 * 3600 * 1000;
/// Bytes of one settings file. The built-in ones have 20 KiB with all their comments.
pub const SETTINGS_FILE_BYTES: u64 = 256 * 1024;
/// Bytes of one rule file. The longest built-in one has 60 KiB.
pub const RULE_FILE_BYTES: u64 = 256 * 1024;
/// Files of orders and addenda that can be applied at one time: more than there are orders in the world, several times over.
pub const APPLIED_FILES: usize = 200;
/// Bytes of all applied files.
pub const APPLIED_BYTES: usize = 4 << 20;
/// Entries of all folders of a rule directory: a file for every security product known, several times over.
pub const RULE_FILES: usize = 4096;
/// How long reading a rule directory may take, in milliseconds. On a local disk it takes less than one second; a network
/// file system that does not answer must not keep the caller waiting.
pub const RULES_READ_MS: u64 = 30_000;

/// Bytes of one text of a list of machines. Names of machines and people are shorter; a longer text comes from a wrong column.
pub const ROSTER_TEXT_BYTES: usize = 200;

/// Rows of one list of machines.
pub const ROSTER_ROWS: usize = 1_000_000;

/// Rows of one message of an import.
pub const ROSTER_ROWS_PER_MESSAGE: usize = 250;

/// Bytes of a label of hosts.
pub const LABEL_BYTES: usize = 40;
/// Labels that a host has at once.
pub const LABELS_PER_HOST: usize = 64;
/// Bytes of the name of an owner.
pub const OWNER_BYTES: usize = 200;
/// Bytes of a note about a host.
pub const NOTE_BYTES: usize = 4_096;
/// Notes about a host.
pub const NOTES_PER_HOST: usize = 200;
/// Bytes of a list of hosts by name, serial number or id, that a bulk change names: some 100,000 of them.
pub const HOST_LINES_BYTES: usize = 3 << 20;
/// Hosts that one bulk change may select.
pub const BULK_HOSTS: usize = 2_000_000;

/// Bytes of the name of a list of machines.
pub const ROSTER_SOURCE_BYTES: usize = 40;

/// Hosts of one waiver.
pub const HOSTS_PER_WAIVER: usize = 100_000;

/// Hosts that one command may retire: each hundred of them are a disposition.
pub const HOSTS_PER_RETIREMENT: usize = 10_000;

/// Waivers that wait for an approval or are in force, under one order.
pub const WAIVERS_PER_ORDER: usize = 1_000;

/// Hosts of all waivers that wait or are in force; a host counts for each of them.
pub const WAIVED_HOSTS: usize = 2_000_000;

/// Bytes of the control of a waiver, and of the evidence of a disposition.
pub const CONTROL_BYTES: usize = 4 * 1024;
