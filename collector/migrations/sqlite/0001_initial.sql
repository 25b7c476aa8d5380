-- The first shape of the store. What grows with hosts has the host first in its key; `no` is the row's number inside
-- this database only, the outside knows ids and digests. Instants are Unix milliseconds. Codes are those of the
-- contract's closed lists. JSON carries its version in "v".

-- Small facts about the database itself.
CREATE TABLE counter (
    name TEXT NOT NULL PRIMARY KEY,
    n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rules (
    no         INTEGER PRIMARY KEY,
    version    TEXT NOT NULL UNIQUE,
    adopted_at INTEGER
) STRICT;

-- Texts that many rows repeat. This dictionary and those of editions are whole in the memory of the one process that
-- serves the file, so they need no index; `check` looks for texts that stand twice. An operation may make
-- phrases; they are written at the end of its transaction.
CREATE TABLE phrase (
    no   INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

CREATE TABLE site (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE ord (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE enrollment_token (
    id          TEXT NOT NULL PRIMARY KEY,
    secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
    site        INTEGER NOT NULL REFERENCES site (no),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    max_uses    INTEGER NOT NULL,
    uses        INTEGER NOT NULL DEFAULT 0,
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE account_token (
    id          TEXT NOT NULL PRIMARY KEY,
    secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
    person      TEXT NOT NULL,
    role        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;

-- The dictionary into which sections are interned: a title in one version, under one id; and the dictionaries into which
-- it is. Rows are never changed and never removed.
CREATE TABLE title (
    no       INTEGER PRIMARY KEY,
    platform INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    name     TEXT NOT NULL,
    vendor   TEXT NOT NULL
) STRICT;

CREATE TABLE version (
    no   INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

-- `id` is NULL when there is none, a product code in its sixteen bytes, or a text: what follows the name where `from_name`
-- is 1.
CREATE TABLE edition (
    no        INTEGER PRIMARY KEY,
    title     INTEGER NOT NULL REFERENCES title (no),
    version   INTEGER NOT NULL REFERENCES version (no),
    from_name INTEGER NOT NULL,
    id        ANY
) STRICT;

-- A section once, however many hosts have it. `body` is its interned form, from which the canonical bytes are rebuilt.
CREATE TABLE section (
    no           INTEGER PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    platform     INTEGER NOT NULL,
    source       INTEGER NOT NULL,
    observations INTEGER NOT NULL,
    body         BLOB NOT NULL
) STRICT;

-- A snapshot once. `complete` is set in the transaction in which its last section came; from then on `entries` names its
-- sections by their numbers, before that by their digests.
CREATE TABLE snapshot (
    no       INTEGER PRIMARY KEY,
    digest   BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    entries  BLOB NOT NULL,
    complete INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Which complete snapshots have a section.
CREATE TABLE snapshot_section (
    section INTEGER NOT NULL REFERENCES section (no),
    snapshot    INTEGER NOT NULL REFERENCES snapshot (no),
    PRIMARY KEY (section, snapshot)
) STRICT, WITHOUT ROWID;

-- The index of search: from an edition to sections. A segment covers the sections of one range of numbers; the newest
-- sections are in none yet. The key of a block is its segment's number times 2^32, plus its first edition.
CREATE TABLE index_segment (
    no            INTEGER PRIMARY KEY AUTOINCREMENT,
    level         INTEGER NOT NULL,
    first_section INTEGER NOT NULL,
    last_section  INTEGER NOT NULL
) STRICT;

CREATE TABLE index_block (
    key   INTEGER PRIMARY KEY,
    lists BLOB NOT NULL
) STRICT;

-- What the catalogue of these rules finds in a section; one in which it finds nothing has no row.
CREATE TABLE section_hit (
    section INTEGER PRIMARY KEY REFERENCES section (no),
    rules   INTEGER NOT NULL REFERENCES rules (no),
    hits    TEXT
) STRICT;

-- States under the key of what is judged of them, once: the first one seen, without what is a host's own.
CREATE TABLE judged_state (
    no        INTEGER PRIMARY KEY,
    state_key BLOB NOT NULL UNIQUE CHECK (length(state_key) = 32),
    state     BLOB NOT NULL
) STRICT;

CREATE TABLE host (
    no               INTEGER PRIMARY KEY,
    id               BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    site             INTEGER NOT NULL REFERENCES site (no),
    hostname         TEXT NOT NULL COLLATE NOCASE,
    platform         INTEGER NOT NULL,
    os_name          INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    kernel           INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    architecture     INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    agent_version    INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    offline_root     INTEGER NOT NULL,
    fingerprint      BLOB NOT NULL,
    enrolled_at      INTEGER NOT NULL,
    revoked_at       INTEGER,
    quarantined      INTEGER NOT NULL DEFAULT 0,
    -- The present state as it travels; what of it is judged, and since when that has been so.
    state            BLOB,
    judged_state     INTEGER REFERENCES judged_state (no),
    state_since      INTEGER,
    snapshot             INTEGER REFERENCES snapshot (no),
    snapshot_since       INTEGER,
    snapshot_observed_at INTEGER,
    judged_at        INTEGER,
    -- The judge queue: a host with a ticket waits for judgement, since then. A newer ticket outdates a judgement that was
    -- made for an older one.
    ticket           INTEGER,
    waits_since      INTEGER,
    CHECK ((snapshot IS NULL) = (snapshot_since IS NULL)),
    CHECK ((ticket IS NULL) = (waits_since IS NULL))
) STRICT;
CREATE INDEX host_by_snapshot ON host (snapshot);
CREATE INDEX host_by_name ON host (hostname COLLATE NOCASE);

-- Keys of hosts. status: 1 in use, 2 given but not used yet, 3 replaced by one that was used.
CREATE TABLE host_key (
    fingerprint BLOB NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
    host        INTEGER NOT NULL REFERENCES host (no),
    status     INTEGER NOT NULL CHECK (status IN (1, 2, 3)),
    since       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX host_key_by_host ON host_key (host);

-- Apart from the host's row, because it is what is written most. Flushed about once a second, so it may be a second
-- old after a crash. `run` is empty until the first check-in; until then `last_seen` is the enrollment.
CREATE TABLE host_seen (
    host         INTEGER PRIMARY KEY REFERENCES host (no),
    last_seen    INTEGER NOT NULL,
    run          BLOB,
    seq          INTEGER NOT NULL DEFAULT 0,
    previous_run BLOB,
    previous_seq INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX host_seen_last ON host_seen (last_seen);

-- The snapshots that a host had before its current one, by receipt time; each until the next, the last until `snapshot_since`.
CREATE TABLE host_snapshot (
    host        INTEGER NOT NULL REFERENCES host (no),
    since       INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    snapshot        INTEGER NOT NULL REFERENCES snapshot (no),
    PRIMARY KEY (host, since)
) STRICT, WITHOUT ROWID;

-- What hosts were in before, whenever a value that is judged had changed; each until the next, the last until
-- `state_since`.
CREATE TABLE host_state (
    host         INTEGER NOT NULL REFERENCES host (no),
    since        INTEGER NOT NULL,
    judged_state INTEGER NOT NULL REFERENCES judged_state (no),
    PRIMARY KEY (host, since)
) STRICT, WITHOUT ROWID;

-- What a host's past adds under an order. Outlives the verdict, so that an order that is switched off and on again
-- does not forget.
CREATE TABLE host_remediation (
    host INTEGER NOT NULL REFERENCES host (no),
    ord  INTEGER NOT NULL REFERENCES ord (no),
    body TEXT NOT NULL,
    PRIMARY KEY (host, ord)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdict (
    host       INTEGER NOT NULL REFERENCES host (no),
    ord        INTEGER NOT NULL REFERENCES ord (no),
    lane       INTEGER NOT NULL,
    in_scope   INTEGER NOT NULL,
    presence   INTEGER NOT NULL,
    protection INTEGER NOT NULL,
    due        INTEGER,
    since      INTEGER NOT NULL,
    reason     INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    advice     INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    rules      INTEGER NOT NULL REFERENCES rules (no),
    PRIMARY KEY (host, ord)
) STRICT, WITHOUT ROWID;

-- The lanes in which a host stood before its verdict.
CREATE TABLE verdict_history (
    host     INTEGER NOT NULL REFERENCES host (no),
    ord      INTEGER NOT NULL REFERENCES ord (no),
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    lane     INTEGER NOT NULL,
    in_scope INTEGER NOT NULL,
    PRIMARY KEY (host, ord, since)
) STRICT, WITHOUT ROWID;

-- Hosts by awake lane, maintained with every verdict. What only time changes (silence) is computed when read.
CREATE TABLE tally (
    ord      INTEGER NOT NULL REFERENCES ord (no),
    lane     INTEGER NOT NULL,
    in_scope INTEGER NOT NULL,
    n        INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (ord, lane, in_scope)
) STRICT, WITHOUT ROWID;

-- Append-only: what happened, in the transaction in which it happened. Sealed in batches later.
CREATE TABLE ledger (
    no    INTEGER PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL,
    entry TEXT NOT NULL
) STRICT;

INSERT INTO counter (name, n) VALUES ('hosts', 0);
