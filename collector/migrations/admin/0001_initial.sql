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

-- People and machines that may act. `holder` is `person` or `machine`. A name is free again after a revocation.
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

-- The greatest numbers that rows had at some instants. A row with a number up to these is older: what a host sends a moment
-- before something refers to it is not removed.
CREATE TABLE number_mark (
    at       bigint NOT NULL PRIMARY KEY,
    snapshot bigint NOT NULL,
    section  bigint NOT NULL,
    edition  bigint NOT NULL
);
