-- The first shape of the store, with the nouns of the SQLite backend and the shape that suits this one: rows that are
-- rewritten often are narrow and leave room on their pages (HOT), and the open end of a history is the current row
-- itself, so that a history holds only what has ended. Instants are Unix milliseconds. Codes are those of the contract's
-- closed lists. JSON carries its version in "v". Columns stand in order of their width, so that none is padded.
--
-- There are no foreign keys where rows are written in bulk: each would cost a look-up for every row. No row that others
-- point to is ever deleted, and `check` finds a pointer to nothing.

-- Small facts about the database itself.
CREATE TABLE counter (
    n    bigint NOT NULL,
    name text COLLATE "C" NOT NULL PRIMARY KEY
) WITH (fillfactor = 50);

-- Whose hosts these are: the pin of the CA that all collectors on this database must have.
CREATE TABLE authority (
    only_one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_one),
    pin      text COLLATE "C" NOT NULL
);

-- Numbers of collectors, one for each start: a claim on the judge queue names its holder by it.
CREATE SEQUENCE collector_no AS integer;

-- Rules: `adopted_at` of those in force, `replaced_at` of those that were before and may not come back by themselves.
CREATE TABLE rules (
    adopted_at  bigint,
    replaced_at bigint,
    no          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text        text COLLATE "C" NOT NULL UNIQUE
);

-- Texts that many rows repeat. `key` is the beginning of the BLAKE3 digest of the text, since a text
-- may be longer than an entry of a b-tree, and the index stays small.
CREATE TABLE phrase (
    no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key  bytea NOT NULL UNIQUE CHECK (octet_length(key) = 16),
    text text COLLATE "C" NOT NULL
);

CREATE TABLE site (
    no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE ord (
    no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE enrollment_token (
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL,
    max_uses    bigint NOT NULL,
    uses        bigint NOT NULL DEFAULT 0,
    revoked_at  bigint,
    site        integer NOT NULL REFERENCES site (no),
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32)
) WITH (fillfactor = 50);

CREATE TABLE account_token (
    created_at  bigint NOT NULL,
    revoked_at  bigint,
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    person      text NOT NULL,
    role        text NOT NULL
);

-- The dictionary into which sections are interned: titles in one version. A row has those with the numbers from `first`
-- on, sorted, each by what tells it from the one before. Rows are never changed and never removed.
CREATE TABLE dictionary (
    first    integer NOT NULL PRIMARY KEY,
    editions bytea NOT NULL
);

-- A section once, however many hosts have it. `body` is its interned form, from which the canonical bytes are rebuilt.
CREATE TABLE section (
    no           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    observations integer NOT NULL,
    platform     smallint NOT NULL,
    source       smallint NOT NULL,
    digest       bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    body         bytea NOT NULL
) WITH (toast_tuple_target = 4080);

-- A snapshot once. `complete` is set in the transaction in which its last section came; from then on `entries` names its
-- sections by their numbers, before that by their digests.
CREATE TABLE snapshot (
    no       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    complete boolean NOT NULL,
    digest   bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    entries  bytea NOT NULL
) WITH (toast_tuple_target = 4080);

-- The index of search. Book 1: from an edition to sections; book 2: from a section to looks. A segment covers the rows of
-- one range of numbers, all of which were committed when it was made; the newest rows are in none yet.
CREATE TABLE index_segment (
    first bigint NOT NULL,
    last  bigint NOT NULL,
    no    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book  smallint NOT NULL CHECK (book IN (1, 2)),
    level smallint NOT NULL
);

CREATE TABLE index_block (
    first   bigint NOT NULL,
    segment integer NOT NULL,
    lists   bytea NOT NULL,
    PRIMARY KEY (segment, first)
) WITH (toast_tuple_target = 4080);

-- Looks that became complete after they had got their number: a segment may have passed them.
CREATE TABLE snapshot_late (
    snapshot bigint NOT NULL PRIMARY KEY
);

-- What the catalogue of these rules finds in a section; one in which it finds nothing has no row.
CREATE TABLE section_hit (
    section bigint NOT NULL PRIMARY KEY,
    rules   integer NOT NULL,
    hits    text COLLATE "C"
);

-- States under the key of what is judged of them, once: the first one seen, without what is a host's own.
CREATE TABLE judged_state (
    no        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state_key bytea NOT NULL UNIQUE CHECK (octet_length(state_key) = 32),
    state     bytea NOT NULL
);

CREATE TABLE host (
    enrolled_at   bigint NOT NULL,
    revoked_at    bigint,
    no            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site          integer NOT NULL,
    os_name       integer NOT NULL,
    kernel        integer NOT NULL,
    architecture  integer NOT NULL,
    agent_version integer NOT NULL,
    platform      smallint NOT NULL,
    offline_root  boolean NOT NULL,
    quarantined   boolean NOT NULL DEFAULT false,
    id            bytea NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    hostname      text COLLATE "C" NOT NULL,
    fingerprint   bytea NOT NULL,
    -- The present state as it travels.
    state         bytea
) WITH (fillfactor = 80, toast_tuple_target = 256);
CREATE INDEX host_by_name ON host (lower(hostname));

-- What changes with a report, apart from the host's row so that a report rewrites a hundred bytes and not all of it.
-- `last_seen`, `run` and `seq` are flushed about once a second, so they may be a second old after a crash; `run` is empty
-- until the first check-in, and until then `last_seen` is the enrollment. `revision` counts the changes of facts, state and
-- look: a collector sees by it whether what it remembers is still so. `judged_state` is what of the state was judged, and
-- since when that has been so. Only `day` is indexed, so that a flush within a day touches no index.
CREATE TABLE host_now (
    last_seen        bigint NOT NULL,
    seq              bigint NOT NULL DEFAULT 0,
    previous_seq     bigint NOT NULL DEFAULT 0,
    snapshot             bigint,
    snapshot_since       bigint,
    snapshot_observed_at bigint,
    judged_at        bigint,
    state_since      bigint,
    host             integer NOT NULL PRIMARY KEY,
    judged_state     integer,
    day              integer NOT NULL GENERATED ALWAYS AS (last_seen / 86400000) STORED,
    revision         integer NOT NULL DEFAULT 0,
    run              bytea,
    previous_run     bytea,
    CHECK ((snapshot IS NULL) = (snapshot_since IS NULL) AND (snapshot IS NULL) = (snapshot_observed_at IS NULL)),
    CHECK ((judged_state IS NULL) = (state_since IS NULL))
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX host_now_by_day ON host_now (day);
CREATE INDEX host_now_by_snapshot ON host_now (snapshot);

-- Keys of hosts. status: 1 in use, 2 given but not used yet, 3 replaced by one that was used.
CREATE TABLE host_key (
    since       bigint NOT NULL,
    host        integer NOT NULL,
    status     smallint NOT NULL CHECK (status IN (1, 2, 3)),
    fingerprint bytea NOT NULL PRIMARY KEY CHECK (octet_length(fingerprint) = 32)
);
CREATE INDEX host_key_by_host ON host_key (host);

-- Which look a host had from when to when, by receipt time; the current one is in `host_now`.
CREATE TABLE host_snapshot (
    since       bigint NOT NULL,
    until       bigint NOT NULL,
    observed_at bigint NOT NULL,
    snapshot        bigint NOT NULL,
    host        integer NOT NULL,
    PRIMARY KEY (host, since)
);

-- What hosts were in before, whenever a value that is judged had changed; each until the next, the last until
-- `state_since`.
CREATE TABLE host_state (
    since        bigint NOT NULL,
    host         integer NOT NULL,
    judged_state integer NOT NULL,
    PRIMARY KEY (host, since)
);

-- What a host's past adds under an order. Outlives the verdict, so that an order that is switched off and on again
-- does not forget.
CREATE TABLE host_remediation (
    host integer NOT NULL,
    ord  integer NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (host, ord)
);

CREATE TABLE verdict (
    due        bigint,
    since      bigint NOT NULL,
    host       integer NOT NULL,
    ord        integer NOT NULL,
    reason     integer NOT NULL,
    advice     integer NOT NULL,
    rules      integer NOT NULL,
    lane       smallint NOT NULL,
    presence   smallint NOT NULL,
    protection smallint NOT NULL,
    in_scope   boolean NOT NULL,
    PRIMARY KEY (host, ord)
) WITH (fillfactor = 90);

-- Lanes in which a host has stood; the present one is in `verdict`.
CREATE TABLE verdict_history (
    since    bigint NOT NULL,
    until    bigint NOT NULL,
    host     integer NOT NULL,
    ord      integer NOT NULL,
    lane     smallint NOT NULL,
    in_scope boolean NOT NULL,
    PRIMARY KEY (host, ord, since)
);

-- Hosts by awake lane, maintained with every verdict. What only time changes (silence) is computed when read.
CREATE TABLE tally (
    n        bigint NOT NULL,
    ord      integer NOT NULL,
    lane     smallint NOT NULL,
    in_scope boolean NOT NULL,
    PRIMARY KEY (ord, lane, in_scope)
) WITH (fillfactor = 50);

-- Hosts that wait for judgement. A newer ticket outdates a judgement that was made for an older one. A claim is good for
-- its ticket, while its holder lives, for a minute.
CREATE TABLE judge_queue (
    ticket       bigint NOT NULL,
    since        bigint NOT NULL,
    claim_ticket bigint,
    claimed_at   bigint,
    host         integer NOT NULL PRIMARY KEY,
    claimed_by   integer
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX judge_queue_by_age ON judge_queue (since);
CREATE SEQUENCE judge_queue_ticket CACHE 64;

-- Append-only: what happened, in the transaction in which it happened. Sealed in batches later.
CREATE TABLE ledger (
    no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at    bigint NOT NULL,
    entry text COLLATE "C" NOT NULL
);

ALTER TABLE section ALTER COLUMN body SET STORAGE MAIN;
ALTER TABLE snapshot ALTER COLUMN entries SET STORAGE MAIN;
ALTER TABLE index_block ALTER COLUMN lists SET STORAGE MAIN;
ALTER TABLE host ALTER COLUMN state SET STORAGE MAIN;

INSERT INTO counter (name, n) VALUES ('hosts', 0);
