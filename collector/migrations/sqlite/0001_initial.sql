-- The first schema. Conventions:
--   * `no` is a row's number inside this database. Outside, rows are known by their ids and digests.
--   * A column named after a table holds that table's `no` (`order_no` for `orders`, because ORDER is an SQL word).
--   * Times are Unix milliseconds. Codes are those of the closed lists in muster-proto. JSON carries its version in "v".
--   * Tables that grow with hosts have the host first in their key.
--   * No number of a snapshot, section or edition is used twice, though rows are removed: see `number_mark`.

-- Restores from a backup. What agents and operators did between the two times is not in this database.
CREATE TABLE restoration (
    restored_at INTEGER NOT NULL PRIMARY KEY,
    backup_at   INTEGER NOT NULL
) STRICT;

-- The pin of the CA that signs the hosts' certificates. A collector with another CA must not use this file.
CREATE TABLE authority (
    only_one INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    pin      TEXT NOT NULL
) STRICT;

-- Versions of catalogue and orders. The one that was adopted last is in force.
CREATE TABLE rules (
    no         INTEGER PRIMARY KEY,
    version    TEXT NOT NULL UNIQUE,
    adopted_at INTEGER
) STRICT;

-- Texts that many rows repeat: names of systems, reasons, advice. The process that serves the file holds this table and
-- those of editions in memory, so they need no index on the text; `check` looks for duplicates. Operations may create
-- phrases, which are written at the end of their transaction; references to them are therefore checked at the commit.
CREATE TABLE phrase (
    no   INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

-- The number of hosts of each site, updated with every enrollment.
CREATE TABLE site_hosts (
    site  INTEGER PRIMARY KEY REFERENCES site (no),
    hosts INTEGER NOT NULL CHECK (hosts >= 0)
) STRICT;

CREATE TABLE orders (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
) STRICT;

-- The dictionary of software, to which the bodies of sections refer. An edition is a title in one version, with one id and
-- one state, as a source spells it: so a search knows without the sections what is installed and what was removed.
-- Rows are never changed. Editions that no section has are removed, and then titles and versions that no edition has.
CREATE TABLE title (
    no       INTEGER PRIMARY KEY,
    platform INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    name     TEXT NOT NULL,
    vendor   TEXT NOT NULL
) STRICT;

-- The writer finds the number of a version here, when it stores a new edition.
CREATE TABLE version (
    no   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- `id` is NULL (no id), 16 bytes (a Windows product code), or a text. Where `from_name` is 1, the text is only the part of
-- the id that follows the title's name. `title` and `version` are no foreign keys: each would need an index for the removal
-- of titles and versions. `check` looks for them.
CREATE TABLE edition (
    no        INTEGER PRIMARY KEY,
    title     INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    from_name INTEGER NOT NULL,
    id        ANY,
    state     TEXT NOT NULL
) STRICT;

-- Each section once, however many hosts have it. `body` is the interned form, from which the canonical bytes are rebuilt.
CREATE TABLE section (
    no           INTEGER PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    platform     INTEGER NOT NULL,
    source       INTEGER NOT NULL,
    observations INTEGER NOT NULL,
    body         BLOB NOT NULL
) STRICT;

-- Each snapshot once. `complete` is set in the transaction that stores its last section. From then on `entries` refers to
-- sections by number; before that, by digest.
CREATE TABLE snapshot (
    no       INTEGER PRIMARY KEY,
    digest   BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    entries  BLOB NOT NULL,
    complete INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Which complete snapshots contain a section. `snapshot` is no foreign key: it would need an index of its own. `check`
-- compares these rows with the snapshots.
CREATE TABLE snapshot_section (
    section  INTEGER NOT NULL REFERENCES section (no),
    snapshot INTEGER NOT NULL,
    PRIMARY KEY (section, snapshot)
) STRICT, WITHOUT ROWID;

-- The search index, from an edition to its sections. A segment covers one range of section numbers. The newest sections
-- are in no segment yet; a search reads them directly. `members` is the number of sections when it was built; `removed` is
-- how many of them were removed since, and are still named.
CREATE TABLE index_segment (
    no            INTEGER PRIMARY KEY AUTOINCREMENT,
    level         INTEGER NOT NULL,
    first_section INTEGER NOT NULL,
    last_section  INTEGER NOT NULL,
    members       INTEGER NOT NULL,
    removed       INTEGER NOT NULL
) STRICT;

-- `key` is the segment's number times 2^32, plus the first edition in the block.
CREATE TABLE index_block (
    key   INTEGER PRIMARY KEY,
    lists BLOB NOT NULL
) STRICT;

-- What the catalogue recognises in a section. `hits` is NULL if it recognises nothing.
CREATE TABLE section_hit (
    section INTEGER PRIMARY KEY REFERENCES section (no),
    rules   INTEGER NOT NULL REFERENCES rules (no),
    hits    TEXT
) STRICT;

-- Host states that a verdict was based on, each once. `state_key` is the digest of the values that are judged; `state` is
-- the first state that had this key, without the values that belong to one host only.
CREATE TABLE judged_state (
    no        INTEGER PRIMARY KEY,
    state_key BLOB NOT NULL UNIQUE CHECK (length(state_key) = 32),
    state     BLOB NOT NULL
) STRICT;

CREATE TABLE host (
    no                   INTEGER PRIMARY KEY,
    id                   BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    site                 INTEGER NOT NULL REFERENCES site (no),
    hostname             TEXT NOT NULL COLLATE NOCASE,
    platform             INTEGER NOT NULL,
    os_name              INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    kernel               INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    architecture         INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    agent_version        INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    offline_root         INTEGER NOT NULL,
    -- What identifies the machine beyond its host name: a format and a message. NULL if nothing is known.
    identity             BLOB,
    -- Of the machine that reported last, before that of the enrollment; empty if unknown.
    fingerprint          BLOB NOT NULL,
    enrolled_at          INTEGER NOT NULL,
    -- The number of the token; NULL if a restore has lost it. The token itself is deleted a year after it expired.
    enrolled_with        INTEGER,
    -- Whether it is a machine of the roster.
    listed               INTEGER NOT NULL DEFAULT 0,
    -- The current state as the agent sent it; the judged values of it, and since when they have not changed.
    state                BLOB,
    judged_state         INTEGER REFERENCES judged_state (no),
    state_since          INTEGER,
    -- The current snapshot, when it was received and when it was made.
    snapshot             INTEGER REFERENCES snapshot (no),
    snapshot_since       INTEGER,
    snapshot_observed_at INTEGER,
    -- When it was judged last, and by which rules.
    judged_at            INTEGER,
    judged_rules         INTEGER REFERENCES rules (no),
    -- The judge queue: a host with a ticket has waited for judgement since `queued_at`. A newer ticket makes a judgement
    -- under an older one void.
    ticket               INTEGER,
    queued_at            INTEGER,
    CHECK ((snapshot IS NULL) = (snapshot_since IS NULL)),
    CHECK ((ticket IS NULL) = (queued_at IS NULL))
) STRICT;
CREATE INDEX host_by_snapshot ON host (snapshot);
CREATE INDEX host_by_state ON host (judged_state);
CREATE INDEX host_by_token ON host (enrolled_with) WHERE enrolled_with IS NOT NULL;
CREATE INDEX host_by_name ON host (hostname COLLATE NOCASE);
CREATE INDEX host_by_site ON host (site, hostname COLLATE NOCASE);

-- Keys of hosts. status: 1 in use; 2 given, but not used yet; 3 replaced by a key that was used.
CREATE TABLE host_key (
    fingerprint BLOB NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
    host        INTEGER NOT NULL REFERENCES host (no),
    status      INTEGER NOT NULL CHECK (status IN (1, 2, 3)),
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX host_key_by_host ON host_key (host);

-- Each host's last check-in. It is not in `host` because it changes most often. It is written about once a second, so after a
-- crash it may be a second old. Until the first check-in, `run` is NULL and `last_seen` is the time of enrollment.
CREATE TABLE host_check_in (
    host         INTEGER PRIMARY KEY REFERENCES host (no),
    last_seen    INTEGER NOT NULL,
    run          BLOB,
    seq          INTEGER NOT NULL DEFAULT 0,
    previous_run BLOB,
    previous_seq INTEGER NOT NULL DEFAULT 0,
    -- How often in a row a run has come back: see RunReturns.
    returns      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX host_check_in_by_last_seen ON host_check_in (last_seen);

-- Times without a check-in that were longer than the shortest patience of the orders, written when they end. When a
-- host gets a new one, those that ended two years before are deleted.
CREATE TABLE host_gap (
    host  INTEGER NOT NULL REFERENCES host (no),
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (host, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_gap_by_end ON host_gap (until);

-- Snapshots that a host had before its current one, by receipt time. Each lasts until the next, the last one until
-- `host.snapshot_since`.
CREATE TABLE host_snapshot (
    host        INTEGER NOT NULL REFERENCES host (no),
    since       INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    snapshot    INTEGER NOT NULL REFERENCES snapshot (no),
    PRIMARY KEY (host, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_snapshot_by_snapshot ON host_snapshot (snapshot);

-- Judged states that a host had before its current one. Each lasts until the next, the last one until `host.state_since`.
CREATE TABLE host_state (
    host         INTEGER NOT NULL REFERENCES host (no),
    since        INTEGER NOT NULL,
    judged_state INTEGER NOT NULL REFERENCES judged_state (no),
    PRIMARY KEY (host, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_state_by_state ON host_state (judged_state);

-- The remediation record: what a host's past adds under an order. It outlives the verdict, so an order that is switched off and
-- on again forgets nothing.
-- `unprotected_since` is a copy from the record, for the counts of the board; NULL while the host is protected.
CREATE TABLE host_remediation (
    host              INTEGER NOT NULL REFERENCES host (no),
    order_no          INTEGER NOT NULL REFERENCES orders (no),
    unprotected_since INTEGER,
    record            TEXT NOT NULL,
    PRIMARY KEY (host, order_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_remediation_unprotected ON host_remediation (order_no) WHERE unprotected_since IS NOT NULL;

-- The current verdict of a host under an order. `lane` is the lane while the host is not silent; `cause` is why the host
-- came into it.
CREATE TABLE verdict (
    host       INTEGER NOT NULL REFERENCES host (no),
    order_no   INTEGER NOT NULL REFERENCES orders (no),
    lane       INTEGER NOT NULL,
    in_scope   INTEGER NOT NULL,
    presence   INTEGER NOT NULL,
    protection INTEGER NOT NULL,
    due        INTEGER,
    since      INTEGER NOT NULL,
    reason     INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    advice     INTEGER NOT NULL REFERENCES phrase (no) DEFERRABLE INITIALLY DEFERRED,
    cause      INTEGER NOT NULL,
    PRIMARY KEY (host, order_no)
) STRICT, WITHOUT ROWID;

-- Lists of hosts in which work is left read them here, so that a few of them are found among a million without it.
CREATE INDEX verdict_unfinished ON verdict (order_no, lane, since, host) WHERE in_scope = 1 AND lane NOT IN (1, 2, 6, 10, 11);

-- Lanes that a host was in before its current verdict.
CREATE TABLE verdict_history (
    host     INTEGER NOT NULL REFERENCES host (no),
    order_no INTEGER NOT NULL REFERENCES orders (no),
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    lane     INTEGER NOT NULL,
    in_scope INTEGER NOT NULL,
    cause    INTEGER NOT NULL,
    PRIMARY KEY (host, order_no, since)
) STRICT, WITHOUT ROWID;

-- Number of hosts by site, lane, and whether they are on the roster, updated with every verdict. Silence depends on the time alone and is computed on read.
CREATE TABLE tally (
    order_no INTEGER NOT NULL REFERENCES orders (no),
    site     INTEGER NOT NULL REFERENCES site (no),
    lane     INTEGER NOT NULL,
    in_scope INTEGER NOT NULL,
    listed   INTEGER NOT NULL,
    hosts    INTEGER NOT NULL CHECK (hosts >= 0),
    PRIMARY KEY (order_no, site, lane, in_scope, listed)
) STRICT, WITHOUT ROWID;

-- The ledger: append-only. An entry is written in the transaction of the change that it records. `account` is the one that
-- acted.
CREATE TABLE ledger (
    no      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    account TEXT,
    entry   TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_by_kind ON ledger (kind, no);
CREATE INDEX ledger_by_account ON ledger (account, no) WHERE account IS NOT NULL;

-- Hosts as administrative statements read them; the other backend has the same view.
CREATE VIEW host_row AS
    SELECT h.no, h.id, h.hostname, s.id AS site, h.enrolled_at, h.enrolled_with FROM host h JOIN site s ON s.no = h.site;

-- What identifies hosts as administrative statements read it; the other backend has the same view.
CREATE VIEW identity_row AS
    SELECT h.no, h.hostname, h.platform, h.identity, h.listed, h.enrolled_at, s.id AS site, e.last_seen
    FROM host h JOIN site s ON s.no = h.site JOIN host_check_in e ON e.host = h.no;

-- Hosts that wait to be judged, as administrative statements read them; the other backend has the same view.
CREATE VIEW unjudged_row AS SELECT no AS host FROM host WHERE ticket IS NOT NULL;

-- The version of the rules in force as administrative statements read it; the other backend has the same view.
CREATE VIEW rules_in_force AS SELECT version FROM rules WHERE adopted_at IS NOT NULL;

-- Remediation records of judged hosts as administrative statements read them; the other backend has the same view.
CREATE VIEW remediation_row AS
    SELECT r.host, r.order_no, h.id AS host_id, s.id AS site, o.id AS order_id, v.in_scope, r.unprotected_since, r.record
    FROM host_remediation r JOIN host h ON h.no = r.host JOIN site s ON s.no = h.site JOIN orders o ON o.no = r.order_no
        JOIN verdict v ON v.host = r.host AND v.order_no = r.order_no;

-- How many hosts of an order are in a lane, as administrative statements read it; the other backend has the same view.
CREATE VIEW lane_row AS
    SELECT o.id AS order_id, t.lane, t.in_scope, t.hosts FROM tally t JOIN orders o ON o.no = t.order_no;

-- Verdicts as administrative statements read them; the other backend has the same view.
CREATE VIEW verdict_row AS
    SELECT v.host, o.id AS order_id, v.lane, v.in_scope FROM verdict v JOIN orders o ON o.no = v.order_no;

-- Lanes of hosts as administrative statements read them, those before the present ones and the present ones; the other backend has
-- the same views.
CREATE VIEW lane_before AS SELECT host, order_no, since, until, lane, in_scope, cause FROM verdict_history;
CREATE VIEW lane_now AS SELECT host, order_no, since, lane, in_scope, cause FROM verdict;

-- Times without a check-in as administrative statements read them; the other backend has the same view.
CREATE VIEW gap_row AS SELECT host, since, until FROM host_gap;

-- Orders as administrative statements read them; the other backend has the same view.
CREATE VIEW order_row AS SELECT no, id AS id FROM orders;

-- Hosts with their place in the counts, and as lists show them; the other backend has the same views.
CREATE VIEW listed_row AS
    SELECT h.no, s.id AS site, h.listed, h.enrolled_at FROM host h JOIN site s ON s.no = h.site;
CREATE VIEW machine_row AS
    SELECT h.no, h.id, h.hostname, s.id AS site, h.platform, p.text AS os_name, h.enrolled_at, e.last_seen
    FROM host h JOIN site s ON s.no = h.site JOIN phrase p ON p.no = h.os_name JOIN host_check_in e ON e.host = h.no;

-- The counts of the hosts as administrative statements read them; the other backend has the same views.
CREATE VIEW site_count AS SELECT s.id AS site, c.hosts FROM site_hosts c JOIN site s ON s.no = c.site;
CREATE VIEW tally_row AS
    SELECT o.id AS order_id, s.id AS site, t.lane, t.in_scope, t.listed, t.hosts
    FROM tally t JOIN orders o ON o.no = t.order_no JOIN site s ON s.no = t.site;

-- Snapshots and judged states of hosts as administrative statements read them, the present ones and those before; the other backend
-- has the same views.
CREATE VIEW snapshot_now AS
    SELECT h.no AS host, h.snapshot_since AS since, h.snapshot_observed_at AS observed_at, s.digest
    FROM host h JOIN snapshot s ON s.no = h.snapshot;
CREATE VIEW snapshot_before AS
    SELECT p.host, p.since, p.observed_at, s.digest FROM host_snapshot p JOIN snapshot s ON s.no = p.snapshot;
CREATE VIEW state_now AS
    SELECT h.no AS host, h.state_since AS since, j.state FROM host h JOIN judged_state j ON j.no = h.judged_state;
CREATE VIEW state_before AS
    SELECT p.host, p.since, j.state FROM host_state p JOIN judged_state j ON j.no = p.judged_state;
