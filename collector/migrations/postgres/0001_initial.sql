-- The first schema: the tables of the SQLite backend, shaped for PostgreSQL. Conventions:
--   * `no` is a row's number inside this database. Outside, rows are known by their ids and digests.
--   * A column named after a table holds that table's `no` (`order_no` for `orders`, because ORDER is an SQL word).
--   * Times are Unix milliseconds. Codes are those of the closed lists in muster-proto. JSON carries its version in "v".
--   * Rows that are often rewritten are narrow and leave free space on their pages, so that updates stay on the page (HOT).
--   * The open end of a history is the current row itself; history tables hold only what has ended.
--   * Columns are in order of width, so that no padding is needed.
--   * Tables that are written in bulk have no foreign keys: each would cost a look-up per row. `check` finds references to
--     missing rows. Rows that nothing refers to are removed under a lock, see `removal`.

-- The pin of the CA that signed the hosts' certificates. All collectors on this database must use this CA.
CREATE TABLE authority (
    only_one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_one),
    pin      text COLLATE "C" NOT NULL
);

-- Each start of a collector takes a number. A claim in the judge queue names its holder by this number.
CREATE SEQUENCE collector_no AS integer;

-- Restores from a backup. What agents and operators did between the two times is not in this database.
CREATE TABLE restoration (
    restored_at bigint NOT NULL PRIMARY KEY,
    backup_at   bigint NOT NULL
);

-- Versions of catalogue and orders. The one in force has `adopted_at`. One that was in force has `replaced_at`: collectors
-- that still use it must not adopt it again by themselves.
CREATE TABLE rules (
    adopted_at  bigint,
    replaced_at bigint,
    no          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text        text COLLATE "C" NOT NULL UNIQUE
);

-- Texts that many rows repeat: names of systems, reasons, advice. `key` is the first half of the text's BLAKE3 digest: a
-- text may be too long for a b-tree entry, and short keys keep the index small.
CREATE TABLE phrase (
    no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key  bytea NOT NULL UNIQUE CHECK (octet_length(key) = 16),
    text text COLLATE "C" NOT NULL
);

-- The number of hosts of each site, updated with every enrollment.
CREATE TABLE site_hosts (
    hosts bigint NOT NULL,
    site  integer NOT NULL PRIMARY KEY
) WITH (fillfactor = 50);

CREATE TABLE orders (
    no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text COLLATE "C" NOT NULL UNIQUE
);

-- The dictionary of software, to which the bodies of sections refer. An edition is a title in one version, with one id and
-- one state, as a source spells it: so a search knows without the sections what is installed and what was removed. A row
-- is a block: the editions numbered from `first` on, sorted, each stored as its difference from the one before. A block of
-- which editions are removed is written again with gaps; `changed` says when, in generations of `removal`. The row of the
-- greatest number stays, because it says which number is the next.
CREATE TABLE dictionary (
    first    integer NOT NULL PRIMARY KEY,
    changed  integer NOT NULL DEFAULT 0,
    editions bytea NOT NULL
);
CREATE INDEX dictionary_changed ON dictionary (changed) WHERE changed > 0;

-- How often rows were removed whose numbers collectors remember. Who removes some holds a lock exclusively, which every
-- transaction that refers to such rows shares. There is no row before the first removal. `generation` counts removals of
-- snapshots and sections, `editions` those of editions. `editions_from`: blocks that were changed by a later removal of
-- editions are all there; of earlier ones, those without an edition are not.
CREATE TABLE removal (
    only_one      boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_one),
    generation    bigint NOT NULL DEFAULT 0,
    editions      integer NOT NULL DEFAULT 0,
    editions_from integer NOT NULL DEFAULT 0
);

-- Each section once, however many hosts have it. `body` is the interned form, from which the canonical bytes are rebuilt.
CREATE TABLE section (
    no           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    observations integer NOT NULL,
    platform     smallint NOT NULL,
    source       smallint NOT NULL,
    digest       bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    body         bytea NOT NULL
) WITH (toast_tuple_target = 4080);

-- Each snapshot once. `complete` is set in the transaction that stores its last section. From then on `entries` refers to
-- sections by number; before that, by digest.
CREATE TABLE snapshot (
    no       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    complete boolean NOT NULL,
    digest   bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    entries  bytea NOT NULL
) WITH (toast_tuple_target = 4080);

-- The search index. kind: 1 from an edition to its sections; 2 from a section to its snapshots. A segment covers one range of
-- row numbers, all of which were committed when it was built. The newest rows are in no segment yet; a search reads them
-- directly. `members` is the number of rows when it was built; `removed` is about how many of them were removed since, and
-- are still named.
CREATE TABLE index_segment (
    first   bigint NOT NULL,
    last    bigint NOT NULL,
    members bigint NOT NULL,
    removed bigint NOT NULL,
    no      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    smallint NOT NULL CHECK (kind IN (1, 2)),
    level   smallint NOT NULL
);

CREATE TABLE index_block (
    first   bigint NOT NULL,
    segment integer NOT NULL,
    lists   bytea NOT NULL,
    PRIMARY KEY (segment, first)
) WITH (toast_tuple_target = 4080);

-- Snapshots that became complete some time after they got their number: a segment may have left them out.
CREATE TABLE snapshot_late (
    snapshot bigint NOT NULL PRIMARY KEY
);

-- What the catalogue recognises in a section. `hits` is NULL if it recognises nothing.
CREATE TABLE section_hit (
    section bigint NOT NULL PRIMARY KEY,
    rules   integer NOT NULL,
    hits    text COLLATE "C"
);

-- Host states that a verdict was based on, each once. `state_key` is the digest of the values that are judged; `state` is
-- the first state that had this key, without the values that belong to one host only.
CREATE TABLE judged_state (
    no        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state_key bytea NOT NULL UNIQUE CHECK (octet_length(state_key) = 32),
    state     bytea NOT NULL
);

CREATE TABLE host (
    enrolled_at   bigint NOT NULL,
    no            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site          integer NOT NULL,
    -- The number of the token; NULL if a restore has lost it. The token itself is deleted a year after it expired.
    enrolled_with integer,
    os_name       integer NOT NULL,
    kernel        integer NOT NULL,
    architecture  integer NOT NULL,
    agent_version integer NOT NULL,
    platform      smallint NOT NULL,
    offline_root  boolean NOT NULL,
    -- What identifies the machine beyond its host name: a format and a message. NULL if nothing is known.
    identity      bytea,
    id            bytea NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    hostname      text COLLATE "C" NOT NULL,
    -- Of the machine that reported last, before that of the enrollment; empty if unknown.
    fingerprint   bytea NOT NULL,
    -- The current state as the agent sent it.
    state         bytea
) WITH (fillfactor = 80, toast_tuple_target = 256);
CREATE INDEX host_by_name ON host (lower(hostname), no);
CREATE INDEX host_by_site ON host (site, lower(hostname), no);
CREATE INDEX host_by_token ON host (enrolled_with) WHERE enrolled_with IS NOT NULL;

-- What changes with a delivery. It is not in `host`, so that a delivery rewrites a hundred bytes and not the whole row.
--   * `last_seen`, `run` and `seq` are written about once a second, so after a crash they may be a second old. Until the
--     first check-in, `run` is NULL and `last_seen` is the time of enrollment.
--   * `revision` counts changes of facts, state and snapshot. It tells a collector whether what it has cached is current.
--   * `judged_state` is the judged part of the state, and `state_since` is when it last changed.
--   * Of what a check-in changes, only `day` is indexed, so writing `last_seen` within one day touches no index.
CREATE TABLE host_current (
    last_seen            bigint NOT NULL,
    seq                  bigint NOT NULL DEFAULT 0,
    previous_seq         bigint NOT NULL DEFAULT 0,
    snapshot             bigint,
    snapshot_since       bigint,
    snapshot_observed_at bigint,
    judged_at            bigint,
    state_since          bigint,
    host                 integer NOT NULL PRIMARY KEY,
    judged_state         integer,
    -- The rules that judged it last.
    judged_rules         integer,
    day                  integer NOT NULL GENERATED ALWAYS AS (last_seen / 86400000) STORED,
    revision             integer NOT NULL DEFAULT 0,
    -- How often in a row a run has come back: see RunReturns.
    returns              smallint NOT NULL DEFAULT 0,
    -- Whether it is a machine of the roster.
    listed               boolean NOT NULL DEFAULT false,
    run                  bytea,
    previous_run         bytea,
    CHECK ((snapshot IS NULL) = (snapshot_since IS NULL) AND (snapshot IS NULL) = (snapshot_observed_at IS NULL)),
    CHECK ((judged_state IS NULL) = (state_since IS NULL))
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX host_current_by_day ON host_current (day);
CREATE INDEX host_current_by_snapshot ON host_current (snapshot);
CREATE INDEX host_current_by_state ON host_current (judged_state);

-- Keys of hosts. status: 1 in use; 2 given, but not used yet; 3 replaced by a key that was used.
CREATE TABLE host_key (
    created_at  bigint NOT NULL,
    host        integer NOT NULL,
    status      smallint NOT NULL CHECK (status IN (1, 2, 3)),
    fingerprint bytea NOT NULL PRIMARY KEY CHECK (octet_length(fingerprint) = 32)
);
CREATE INDEX host_key_by_host ON host_key (host);

-- Times without a check-in that were longer than the shortest patience of the orders, written when they end. When a
-- host gets a new one, those that ended two years before are deleted.
CREATE TABLE host_gap (
    since bigint NOT NULL,
    until bigint NOT NULL,
    host  integer NOT NULL,
    PRIMARY KEY (host, since)
);
CREATE INDEX host_gap_by_end ON host_gap (until);

-- Snapshots that a host had, by receipt time. The current one is in `host_current`.
CREATE TABLE host_snapshot (
    since       bigint NOT NULL,
    until       bigint NOT NULL,
    observed_at bigint NOT NULL,
    snapshot    bigint NOT NULL,
    host        integer NOT NULL,
    PRIMARY KEY (host, since)
);
CREATE INDEX host_snapshot_by_snapshot ON host_snapshot (snapshot);

-- Judged states that a host had before its current one. Each lasts until the next, the last one until
-- `host_current.state_since`.
CREATE TABLE host_state (
    since        bigint NOT NULL,
    host         integer NOT NULL,
    judged_state integer NOT NULL,
    PRIMARY KEY (host, since)
);
CREATE INDEX host_state_by_state ON host_state (judged_state);

-- The remediation record: what a host's past adds under an order. It outlives the verdict, so an order that is switched off and
-- on again forgets nothing.
-- `unprotected_since` is a copy from the record, for the counts of the board; NULL while the host is protected.
CREATE TABLE host_remediation (
    host              integer NOT NULL,
    order_no          integer NOT NULL,
    unprotected_since bigint,
    record            text COLLATE "C" NOT NULL,
    PRIMARY KEY (host, order_no)
);
CREATE INDEX host_remediation_unprotected ON host_remediation (order_no) WHERE unprotected_since IS NOT NULL;

-- The current verdict of a host under an order. `lane` is the lane while the host is not silent; `cause` is why the host
-- came into it.
CREATE TABLE verdict (
    due        bigint,
    since      bigint NOT NULL,
    host       integer NOT NULL,
    order_no   integer NOT NULL,
    reason     integer NOT NULL,
    advice     integer NOT NULL,
    lane       smallint NOT NULL,
    presence   smallint NOT NULL,
    protection smallint NOT NULL,
    cause      smallint NOT NULL,
    in_scope   boolean NOT NULL,
    PRIMARY KEY (host, order_no)
) WITH (fillfactor = 90);

-- Lists of hosts in which work is left read them here, so that a few of them are found among a million without it. A new
-- reason changes no column of this index, so such an update stays on its page.
CREATE INDEX verdict_unfinished ON verdict (order_no, lane, since, host) WHERE in_scope AND lane IN (3, 4, 5, 7, 8, 9);

-- Lanes that a host was in before its current verdict.
CREATE TABLE verdict_history (
    since    bigint NOT NULL,
    until    bigint NOT NULL,
    host     integer NOT NULL,
    order_no integer NOT NULL,
    lane     smallint NOT NULL,
    cause    smallint NOT NULL,
    in_scope boolean NOT NULL,
    PRIMARY KEY (host, order_no, since)
);

-- Number of hosts by site, lane, and whether they are on the roster, updated with every verdict. Silence depends on the time alone and is computed on read.
CREATE TABLE tally (
    hosts    bigint NOT NULL,
    order_no integer NOT NULL,
    site     integer NOT NULL,
    lane     smallint NOT NULL,
    in_scope boolean NOT NULL,
    listed   boolean NOT NULL,
    PRIMARY KEY (order_no, site, lane, in_scope, listed)
) WITH (fillfactor = 50);

-- Hosts that wait for judgement. A newer ticket makes a judgement under an older one void. A claim holds for its ticket
-- for one minute, as long as its holder is alive.
CREATE TABLE judge_queue (
    ticket       bigint NOT NULL,
    queued_at    bigint NOT NULL,
    claim_ticket bigint,
    claimed_at   bigint,
    host         integer NOT NULL PRIMARY KEY,
    claimed_by   integer
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX judge_queue_by_age ON judge_queue (queued_at);
CREATE SEQUENCE judge_queue_ticket CACHE 64;

-- The ledger: append-only. An entry is written in the transaction of the change that it records. `account` is the one that
-- acted.
CREATE TABLE ledger (
    no      bigint PRIMARY KEY,
    at      bigint NOT NULL,
    kind    smallint NOT NULL,
    account text COLLATE "C",
    entry   text COLLATE "C" NOT NULL
);
CREATE INDEX ledger_by_kind ON ledger (kind, no);
CREATE INDEX ledger_by_account ON ledger (account, no) WHERE account IS NOT NULL;

-- Hosts as administrative statements read them; the other backend has the same view.
CREATE VIEW host_row AS
    SELECT h.no, h.id, h.hostname, s.id AS site, h.enrolled_at, h.enrolled_with FROM host h JOIN site s ON s.no = h.site;

ALTER TABLE section ALTER COLUMN body SET STORAGE MAIN;
ALTER TABLE snapshot ALTER COLUMN entries SET STORAGE MAIN;
ALTER TABLE index_block ALTER COLUMN lists SET STORAGE MAIN;
ALTER TABLE host ALTER COLUMN state SET STORAGE MAIN;

-- What identifies hosts as administrative statements read it; the other backend has the same view.
CREATE VIEW identity_row AS
    SELECT h.no, h.hostname, h.platform, h.identity, n.listed, h.enrolled_at, s.id AS site, n.last_seen
    FROM host h JOIN site s ON s.no = h.site JOIN host_current n ON n.host = h.no;

-- Hosts that wait to be judged, as administrative statements read them; the other backend has the same view.
CREATE VIEW unjudged_row AS SELECT host FROM judge_queue;

-- The version of the rules in force as administrative statements read it; the other backend has the same view.
CREATE VIEW rules_in_force AS SELECT text AS version FROM rules WHERE adopted_at IS NOT NULL;

-- Remediation records of judged hosts as administrative statements read them; the other backend has the same view.
CREATE VIEW remediation_row AS
    SELECT r.host, r.order_no, h.id AS host_id, s.id AS site, o.text AS order_id, v.in_scope, r.unprotected_since, r.record
    FROM host_remediation r JOIN host h ON h.no = r.host JOIN site s ON s.no = h.site JOIN orders o ON o.no = r.order_no
        JOIN verdict v ON v.host = r.host AND v.order_no = r.order_no;

-- How many hosts of an order are in a lane, as administrative statements read it; the other backend has the same view.
CREATE VIEW lane_row AS
    SELECT o.text AS order_id, t.lane, t.in_scope, t.hosts FROM tally t JOIN orders o ON o.no = t.order_no;

-- Verdicts as administrative statements read them; the other backend has the same view.
CREATE VIEW verdict_row AS
    SELECT v.host, o.text AS order_id, v.lane, v.in_scope FROM verdict v JOIN orders o ON o.no = v.order_no;

-- Lanes of hosts as administrative statements read them, those before the present ones and the present ones; the other backend has
-- the same views.
CREATE VIEW lane_before AS SELECT host, order_no, since, until, lane, in_scope, cause FROM verdict_history;
CREATE VIEW lane_now AS SELECT host, order_no, since, lane, in_scope, cause FROM verdict;

-- Times without a check-in as administrative statements read them; the other backend has the same view.
CREATE VIEW gap_row AS SELECT host, since, until FROM host_gap;

-- Orders as administrative statements read them; the other backend has the same view.
CREATE VIEW order_row AS SELECT no, text AS id FROM orders;

-- Hosts with their place in the counts, and as lists show them; the other backend has the same views.
CREATE VIEW listed_row AS
    SELECT h.no, s.id AS site, n.listed, h.enrolled_at
    FROM host h JOIN site s ON s.no = h.site JOIN host_current n ON n.host = h.no;
CREATE VIEW machine_row AS
    SELECT h.no, h.id, h.hostname, s.id AS site, h.platform, p.text AS os_name, h.enrolled_at, n.last_seen
    FROM host h JOIN site s ON s.no = h.site JOIN phrase p ON p.no = h.os_name JOIN host_current n ON n.host = h.no;

-- The counts of the hosts as administrative statements read them; the other backend has the same views.
CREATE VIEW site_count AS SELECT s.id AS site, c.hosts FROM site_hosts c JOIN site s ON s.no = c.site;
CREATE VIEW tally_row AS
    SELECT o.text AS order_id, s.id AS site, t.lane, t.in_scope, t.listed, t.hosts
    FROM tally t JOIN orders o ON o.no = t.order_no JOIN site s ON s.no = t.site;

-- Snapshots and judged states of hosts as administrative statements read them, the present ones and those before; the other backend
-- has the same views.
CREATE VIEW snapshot_now AS
    SELECT n.host, n.snapshot_since AS since, n.snapshot_observed_at AS observed_at, s.digest
    FROM host_current n JOIN snapshot s ON s.no = n.snapshot;
CREATE VIEW snapshot_before AS
    SELECT p.host, p.since, p.observed_at, s.digest FROM host_snapshot p JOIN snapshot s ON s.no = p.snapshot;
CREATE VIEW state_now AS
    SELECT n.host, n.state_since AS since, j.state FROM host_current n JOIN judged_state j ON j.no = n.judged_state;
CREATE VIEW state_before AS
    SELECT p.host, p.since, j.state FROM host_state p JOIN judged_state j ON j.no = p.judged_state;
