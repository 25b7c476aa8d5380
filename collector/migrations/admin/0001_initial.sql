-- The administrative tables of both backends. Types are `text`, `bigint` and `bytes`; flags are 0 or 1; times are Unix
-- milliseconds. These tables come first: tables of the backends refer to `site`.

CREATE TABLE site (
    no bigint NOT NULL PRIMARY KEY,
    id text NOT NULL UNIQUE
);

-- `max_uses` 0 means any number of uses. Hosts refer to the token by `no`, which is never used again.
CREATE TABLE enrollment_token (
    no          bigint NOT NULL UNIQUE,
    id          text NOT NULL PRIMARY KEY,
    secret_hash bytes NOT NULL CHECK (octet_length(secret_hash) = 32),
    site        bigint NOT NULL REFERENCES site (no),
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL,
    max_uses    bigint NOT NULL,
    uses        bigint NOT NULL DEFAULT 0,
    revoked_at  bigint
);

-- People and machines that may act. `holder` is `person`, `machine` or `provider-person`. A name is free again after a revocation.
CREATE TABLE account (
    id         text NOT NULL PRIMARY KEY,
    name       text NOT NULL,
    role       text NOT NULL,
    holder     text NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);
CREATE UNIQUE INDEX account_by_name ON account (name) WHERE revoked_at IS NULL;

-- The sites to which an account is bound. An account without a row sees all sites.
CREATE TABLE account_site (
    account text NOT NULL REFERENCES account (id),
    site    bigint NOT NULL REFERENCES site (no),
    PRIMARY KEY (account, site)
);

-- Tokens of accounts. `expires_at` is NULL for a token that does not expire.
CREATE TABLE account_token (
    id          text NOT NULL PRIMARY KEY,
    account     text NOT NULL REFERENCES account (id),
    secret_hash bytes NOT NULL CHECK (octet_length(secret_hash) = 32),
    created_at  bigint NOT NULL,
    expires_at  bigint,
    revoked_at  bigint
);
CREATE INDEX account_token_by_account ON account_token (account);

-- Passwords of accounts: Argon2id (RFC 9106, one lane) with `salt`, over `memory_kib` and in `passes`. `id` stands in sessions and in
-- the ledger where a token would; another password has another id.
CREATE TABLE account_password (
    account    text NOT NULL PRIMARY KEY REFERENCES account (id),
    id         text NOT NULL,
    salt       bytes NOT NULL CHECK (octet_length(salt) = 16),
    hash       bytes NOT NULL CHECK (octet_length(hash) = 32),
    memory_kib bigint NOT NULL,
    passes     bigint NOT NULL,
    set_at     bigint NOT NULL
);
CREATE UNIQUE INDEX account_password_by_id ON account_password (id);

-- Whom the identity provider vouches for, by what it calls them for ever. An account of this table has one token, whose secret nobody
-- has: sessions belong to it.
CREATE TABLE account_identity (
    issuer  text NOT NULL,
    subject text NOT NULL,
    account text NOT NULL UNIQUE REFERENCES account (id),
    PRIMARY KEY (issuer, subject)
);

-- Logins that were begun with the identity provider. A browser has the secret in a cookie. `next` is the page to go to, and `again` 1
-- if the person must show the provider again who they are. They end after ten minutes, and there are at most 10,000.
CREATE TABLE pending_login (
    id          text NOT NULL PRIMARY KEY,
    secret_hash bytes NOT NULL CHECK (octet_length(secret_hash) = 32),
    next        text NOT NULL,
    again       bigint NOT NULL,
    begun_at    bigint NOT NULL
);
CREATE INDEX pending_login_by_begin ON pending_login (begun_at, id);

-- Who is logged in to the pages. A session ends with its account, with the token or the password that opened it, at `expires_at`, and some time
-- after `seen_at`. There are at most 20 of an account and 10,000 in all. `by_link` is 1 if it was opened with a login link.
-- `proved_at` is when its person showed who they are, 0 if that is not known.
CREATE TABLE session (
    id          text NOT NULL PRIMARY KEY,
    secret_hash bytes NOT NULL CHECK (octet_length(secret_hash) = 32),
    account     text NOT NULL REFERENCES account (id),
    token       text NOT NULL,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL,
    seen_at     bigint NOT NULL,
    by_link     bigint NOT NULL,
    proved_at   bigint NOT NULL
);
CREATE INDEX session_by_account ON session (account, created_at);
CREATE INDEX session_by_seen ON session (seen_at, id);

-- Links that log an account in to the pages once. A link ends at `expires_at`, when it is used, and with its account and the token
-- that made it. An account has at most 5.
CREATE TABLE login_link (
    id          text NOT NULL PRIMARY KEY,
    secret_hash bytes NOT NULL CHECK (octet_length(secret_hash) = 32),
    account     text NOT NULL REFERENCES account (id),
    token       text NOT NULL,
    expires_at  bigint NOT NULL,
    used_at     bigint
);
CREATE INDEX login_link_by_account ON login_link (account, expires_at, id);

-- What sets a host apart from the others: see HostMark in the model. Most hosts have no row. `note` is why, if a person said
-- so; `host` is the number of a host's row.
CREATE TABLE host_mark (
    mark  bigint NOT NULL,
    host  bigint NOT NULL,
    since bigint NOT NULL,
    note  bytes,
    PRIMARY KEY (mark, host)
);
CREATE INDEX host_mark_by_host ON host_mark (host);

-- Texts that people wrote. The ledger names them by their BLAKE3 hash, so a text can be forgotten.
CREATE TABLE note (
    hash  bytes NOT NULL PRIMARY KEY CHECK (octet_length(hash) = 32),
    words text NOT NULL
);

-- Users of the operating systems on which `muster-collector` was used. The ledger names them by number.
CREATE TABLE system_user (
    no   bigint NOT NULL PRIMARY KEY,
    name text NOT NULL UNIQUE
);

-- The public half of the key that signs attestations, as a verifier key. Collectors with another key must not use this store.
CREATE TABLE seal (
    only_one     bigint NOT NULL PRIMARY KEY CHECK (only_one = 1),
    verifier_key text NOT NULL,
    since        bigint NOT NULL
);

-- Signed statements that a removal is proven, as they were issued: see `store::attestations`. `host` is the number of a host's row. A
-- host keeps its newest eight under an order.
CREATE TABLE attestation (
    host      bigint NOT NULL,
    order_id  text NOT NULL,
    issued_at bigint NOT NULL,
    sha256    bytes NOT NULL CHECK (octet_length(sha256) = 32),
    envelope  bytes NOT NULL,
    PRIMARY KEY (host, order_id, issued_at)
);

-- The greatest numbers that rows had at some instants. A row with a number up to these is older: what a host sends a moment
-- before something refers to it is not removed.
CREATE TABLE number_mark (
    at       bigint NOT NULL PRIMARY KEY,
    snapshot bigint NOT NULL,
    section  bigint NOT NULL,
    edition  bigint NOT NULL
);

-- Files of orders and addenda that people applied, compressed with zstd; `size` and `sha256` are those of the file.
CREATE TABLE applied_file (
    id         text NOT NULL PRIMARY KEY,
    sha256     bytes NOT NULL CHECK (octet_length(sha256) = 32),
    size       bigint NOT NULL,
    packed     bytes NOT NULL,
    applied_at bigint NOT NULL
);

-- Orders that people made active (1) or inactive (0) whatever their files say, and addenda that are in force or not.
CREATE TABLE order_switch (
    id         text NOT NULL PRIMARY KEY,
    active     bigint NOT NULL,
    changed_at bigint NOT NULL
);

-- How often the two tables above were changed: one row, none before the first change.
CREATE TABLE order_revision (
    only_row bigint NOT NULL PRIMARY KEY CHECK (only_row = 1),
    revision bigint NOT NULL
);

-- The files of one layer of rules, compressed with zstd. Rule sets share them.
CREATE TABLE rule_pack (
    sha256 bytes NOT NULL PRIMARY KEY CHECK (octet_length(sha256) = 32),
    size   bigint NOT NULL,
    packed bytes NOT NULL
);

-- Rule sets that were in force. `shortest` is the shortest patience of all orders, active or not, in milliseconds: while they were
-- in force, longer times without a check-in were stored.
CREATE TABLE rule_set (
    version  text NOT NULL PRIMARY KEY,
    revision bigint NOT NULL,
    shipped  bytes NOT NULL REFERENCES rule_pack (sha256),
    overlay  bytes NOT NULL REFERENCES rule_pack (sha256),
    applied  bytes NOT NULL REFERENCES rule_pack (sha256),
    shortest bigint,
    kept_at  bigint NOT NULL
);

-- The active orders of a rule set, with what readers of the past need of them: how long a host may be silent, in milliseconds,
-- and the platforms and sites to which the order applies, with blanks between them; none means all.
CREATE TABLE rule_order (
    version   text NOT NULL,
    order_id  text NOT NULL,
    patience  bigint NOT NULL,
    platforms text NOT NULL,
    sites     text NOT NULL,
    PRIMARY KEY (version, order_id)
);

-- Since when a rule set was in force, until the next row.
CREATE TABLE rule_period (
    from_at bigint NOT NULL,
    version text NOT NULL,
    PRIMARY KEY (from_at, version)
);

-- Up to when the past of hosts was removed: rows of this history that had ended by `until`. Before that it has gaps.
CREATE TABLE history_removed (
    history text NOT NULL PRIMARY KEY,
    until   bigint NOT NULL
);

-- What orders demand by an instant: see DutyReport in the model. `subject` is its text, and `host` the id of the host that it
-- names. `reference` is what a person said when it was done.
CREATE TABLE duty (
    no              bigint NOT NULL PRIMARY KEY,
    order_id        text NOT NULL,
    clock           text NOT NULL,
    subject         text NOT NULL,
    host            bytes,
    opened_at       bigint NOT NULL,
    due_at          bigint NOT NULL,
    state           bigint NOT NULL,
    settled_at      bigint,
    reference       bytes,
    evidence_name   text,
    evidence_sha256 text,
    UNIQUE (order_id, clock, subject, opened_at)
);
CREATE INDEX duty_by_due ON duty (state, due_at, no);
CREATE INDEX duty_by_time ON duty (due_at, no);
CREATE INDEX duty_by_subject ON duty (subject, order_id, state);
CREATE INDEX duty_by_order ON duty (order_id, state, no);
CREATE INDEX duty_by_order_and_due ON duty (order_id, state, due_at);

-- Hosts on which a product of an order was found, and whose duties are not opened yet.
CREATE TABLE duty_pending (
    host     bigint NOT NULL,
    order_no bigint NOT NULL,
    PRIMARY KEY (host, order_no)
);

-- The active orders. Their milestones and recurring duties are opened up to `opened_until`.
CREATE TABLE order_activity (
    order_id     text NOT NULL PRIMARY KEY,
    active_since bigint NOT NULL,
    opened_until bigint
);

-- What hosts are recognised by: see Identifier in the model. A job writes them from the facts of the hosts in `identity_pending`.
CREATE TABLE host_identifier (
    value text NOT NULL,
    kind  bigint NOT NULL,
    host  bigint NOT NULL,
    PRIMARY KEY (value, kind, host)
);
CREATE INDEX host_identifier_by_host ON host_identifier (host);

-- Hosts that enrolled, or whose facts changed, since their identifiers were written.
CREATE TABLE identity_pending (
    host bigint NOT NULL PRIMARY KEY
);

-- Words by which people group hosts. `host` is the number of a host's row here and below. A row with `until` is the past.
CREATE TABLE host_label (
    host  bigint NOT NULL,
    label text NOT NULL,
    since bigint NOT NULL,
    until bigint,
    PRIMARY KEY (host, label, since)
);
CREATE INDEX host_label_current ON host_label (label, host) WHERE until IS NULL;
CREATE INDEX host_label_by_end ON host_label (until) WHERE until IS NOT NULL;

-- Who answers for a host. `folded` is `owner` with ASCII letters in lower case.
CREATE TABLE host_owner (
    host   bigint NOT NULL,
    owner  text NOT NULL,
    folded text NOT NULL,
    since  bigint NOT NULL,
    until  bigint,
    PRIMARY KEY (host, since)
);
CREATE INDEX host_owner_current ON host_owner (folded, host) WHERE until IS NULL;
CREATE INDEX host_owner_by_end ON host_owner (until) WHERE until IS NOT NULL;

-- What people noted about hosts. The text is in `note`.
CREATE TABLE host_note (
    host    bigint NOT NULL,
    since   bigint NOT NULL,
    account text NOT NULL,
    note    bytes NOT NULL,
    PRIMARY KEY (host, since, note)
);

-- Changes of many hosts: see BulkReport in the model. `kind` is one of BulkKind, `value` what the hosts get. `stage` is 1 while
-- hosts are left, then 2. `sites` are those of the account, with blanks between them; empty means all.
CREATE TABLE bulk (
    no       bigint NOT NULL PRIMARY KEY,
    kind     bigint NOT NULL,
    value    text NOT NULL,
    account  text NOT NULL,
    sites    text NOT NULL,
    asked_at bigint NOT NULL,
    ended_at bigint,
    stage    bigint NOT NULL,
    hosts    bigint NOT NULL,
    done     bigint NOT NULL,
    changed  bigint NOT NULL,
    refused  bigint NOT NULL
);
CREATE INDEX bulk_by_stage ON bulk (stage, no);

-- Hosts that a bulk change has still to change: row numbers, each as eight bytes, the highest first.
CREATE TABLE bulk_portion (
    bulk  bigint NOT NULL,
    no    bigint NOT NULL,
    hosts bytes NOT NULL,
    PRIMARY KEY (bulk, no)
);

-- Lists of machines, by the name that an import gives.
CREATE TABLE roster_source (
    no          bigint NOT NULL PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    imported_at bigint NOT NULL
);

-- Machines that should answer. `state` is one of EntryState in the model, since `since`. `host` is the number of the host that is
-- the machine, `basis` how they were matched. `site` is empty and `platform` 0 where no list says it; `counted_site` is the site
-- of the host where there is one.
CREATE TABLE roster_entry (
    no           bigint NOT NULL PRIMARY KEY,
    name         text NOT NULL,
    site         text NOT NULL,
    counted_site text NOT NULL,
    platform     bigint NOT NULL,
    state        bigint NOT NULL,
    since        bigint NOT NULL,
    host         bigint,
    basis        bigint NOT NULL,
    note         bytes,
    listed_at    bigint NOT NULL
);
CREATE UNIQUE INDEX roster_entry_by_host ON roster_entry (host) WHERE host IS NOT NULL;
CREATE INDEX roster_entry_by_state ON roster_entry (state, name, no);
CREATE INDEX roster_entry_by_name ON roster_entry (name, no);

-- What entries were before.
CREATE TABLE roster_entry_history (
    entry bigint NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    state bigint NOT NULL,
    host  bigint,
    basis bigint NOT NULL,
    PRIMARY KEY (entry, since)
);
CREATE INDEX roster_entry_history_by_end ON roster_entry_history (until);
CREATE INDEX roster_entry_history_by_host ON roster_entry_history (host, since) WHERE host IS NOT NULL;

-- What a source says of an entry: the row of its list as JSON. `key` says which row of the list it is, `digest` is that of the
-- row. `closed_at` is when an import no longer had it.
CREATE TABLE roster_record (
    no        bigint NOT NULL PRIMARY KEY,
    source    bigint NOT NULL REFERENCES roster_source (no),
    entry     bigint NOT NULL REFERENCES roster_entry (no),
    key       bytes NOT NULL CHECK (octet_length(key) = 16),
    digest    bytes NOT NULL CHECK (octet_length(digest) = 16),
    fields    text NOT NULL,
    closed_at bigint,
    UNIQUE (source, key)
);
CREATE INDEX roster_record_by_entry ON roster_record (entry);

-- What entries are recognised by: the identifiers of the open records, as `host_identifier` has those of hosts.
CREATE TABLE roster_identifier (
    value  text NOT NULL,
    kind   bigint NOT NULL,
    record bigint NOT NULL,
    entry  bigint NOT NULL,
    PRIMARY KEY (value, kind, record)
);
CREATE INDEX roster_identifier_by_entry ON roster_identifier (entry);

-- Entries that changed, or whose possible hosts changed, since they were matched.
CREATE TABLE roster_pending (
    entry bigint NOT NULL PRIMARY KEY
);

-- Hosts that may be the machine of an entry: a person decides. `agreeing` are the kinds of identifiers that agree.
CREATE TABLE roster_candidate (
    entry    bigint NOT NULL,
    host     bigint NOT NULL,
    agreeing text NOT NULL,
    why      bigint NOT NULL,
    PRIMARY KEY (entry, host)
);
CREATE INDEX roster_candidate_by_host ON roster_candidate (host);

-- Pairs that a person took apart; they are not matched again by themselves.
CREATE TABLE roster_apart (
    entry bigint NOT NULL,
    host  bigint NOT NULL,
    PRIMARY KEY (entry, host)
);

-- How many entries are in a state, by site and platform. The site of a matched entry is that of its host.
CREATE TABLE roster_count (
    state    bigint NOT NULL,
    site     text NOT NULL,
    platform bigint NOT NULL,
    entries  bigint NOT NULL,
    PRIMARY KEY (state, site, platform)
);

-- Imports. `stage` is 1 while rows arrive, 2 while they are applied, 3 when that is done. `account` is the one
-- that imports; rows came last at `touched_at`. `total` rows
-- came, of which `added` are new, `changed` differ, and `absent` are those that did not come.
CREATE TABLE roster_import (
    no         bigint NOT NULL PRIMARY KEY,
    source     text NOT NULL,
    stage      bigint NOT NULL,
    file       text NOT NULL,
    started_at bigint NOT NULL,
    touched_at bigint NOT NULL,
    account    text NOT NULL,
    total      bigint NOT NULL,
    added      bigint NOT NULL,
    changed    bigint NOT NULL,
    absent     bigint NOT NULL
);

-- Rows of an import that are not applied yet, compressed.
CREATE TABLE roster_portion (
    import bigint NOT NULL,
    no     bigint NOT NULL,
    packed bytes NOT NULL,
    PRIMARY KEY (import, no)
);

-- The hashes of sealed ledger entries as they were when they were sealed (RFC 6962), by the number of the entry.
CREATE TABLE ledger_leaf (
    no   bigint NOT NULL PRIMARY KEY,
    hash bytes NOT NULL CHECK (octet_length(hash) = 32)
);

-- The tree of the sealed entries: see TreeState in `ledger::tree`; and its newest checkpoint, a signed note.
CREATE TABLE ledger_tree (
    only_one   bigint NOT NULL PRIMARY KEY CHECK (only_one = 1),
    state      bytes NOT NULL,
    checkpoint text NOT NULL,
    sealed_at  bigint NOT NULL
);

-- Waivers: exceptions from an order for a frozen list of hosts. `state`: 1 while its hosts are written, 2 requested, 3 approved,
-- 4 refused. It is in force from `decided_at` until `until` or `ended_at`. `control` is a text of `note`; the accounts are ids.
CREATE TABLE waiver (
    no               bigint NOT NULL PRIMARY KEY,
    order_id         text NOT NULL,
    state            bigint NOT NULL,
    reason           bigint NOT NULL,
    control          bytes NOT NULL CHECK (octet_length(control) = 32),
    until            bigint NOT NULL,
    beyond_milestone bigint NOT NULL,
    requested_by     text NOT NULL,
    requested_at     bigint NOT NULL,
    decided_by       text,
    decided_at       bigint,
    ended_by         text,
    ended_at         bigint,
    hosts            bigint NOT NULL
);
CREATE INDEX waiver_by_order ON waiver (order_id, state, until);
CREATE INDEX waiver_by_end ON waiver (until, no);

-- The hosts of waivers, by the numbers of their rows.
CREATE TABLE waiver_host (
    waiver bigint NOT NULL,
    host   bigint NOT NULL,
    PRIMARY KEY (waiver, host)
);
CREATE INDEX waiver_host_by_host ON waiver_host (host, waiver);

-- Dispositions: why hosts left the fleet. `state`: 2 requested, 3 approved, 4 refused. `evidence` is a text of `note`. Its hosts are
-- retired from `decided_at` on, except those that were seen after `requested_at`. `needs_second` is 1 where a host was not finished.
CREATE TABLE disposition (
    no              bigint NOT NULL PRIMARY KEY,
    state           bigint NOT NULL,
    kind            bigint NOT NULL,
    evidence        bytes NOT NULL CHECK (octet_length(evidence) = 32),
    evidence_name   text,
    evidence_sha256 text,
    needs_second    bigint NOT NULL,
    requested_by    text NOT NULL,
    requested_at    bigint NOT NULL,
    decided_by      text,
    decided_at      bigint,
    hosts           bigint NOT NULL
);
CREATE INDEX disposition_by_state ON disposition (state, no);

-- The hosts of dispositions. `ended_at` is when a person took one back, `returned_at` when it was noticed that it reported again.
CREATE TABLE disposition_host (
    disposition bigint NOT NULL,
    host        bigint NOT NULL,
    ended_by    text,
    ended_at    bigint,
    ended_note  bytes,
    returned_at bigint,
    PRIMARY KEY (disposition, host)
);
CREATE INDEX disposition_host_by_host ON disposition_host (host, disposition);
CREATE INDEX disposition_host_open ON disposition_host (disposition, host) WHERE ended_at IS NULL AND returned_at IS NULL;
