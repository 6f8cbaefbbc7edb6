-- What could not be delivered yet, what never can, and who may produce.

CREATE TABLE stored (
    tenant        TEXT    NOT NULL,
    recipient     TEXT    NOT NULL,
    epoch         INTEGER NOT NULL,
    partition     INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    time_ms       INTEGER NOT NULL,
    urgency       INTEGER NOT NULL,
    id            TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    type          TEXT    NOT NULL,
    content_type  TEXT    NOT NULL,
    metadata      TEXT,
    trace_parent  TEXT,
    trace_state   TEXT,
    baggage       TEXT,
    content       BLOB    NOT NULL,
    PRIMARY KEY (tenant, recipient, epoch, record_offset, partition)
);

CREATE INDEX stored_by_partition ON stored (partition, tenant, recipient);
CREATE INDEX stored_by_expiry ON stored (expires_ms);

CREATE TABLE gaps (
    tenant       TEXT    NOT NULL,
    recipient    TEXT    NOT NULL,
    epoch        INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    cause        TEXT    NOT NULL,
    count        INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    last_offset  INTEGER NOT NULL,
    PRIMARY KEY (tenant, recipient, epoch, partition, cause)
) WITHOUT ROWID;

-- How far a topic has been archived; no row stands for zero.
CREATE TABLE progress (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    upto      INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    epoch         INTEGER NOT NULL,
    partition     INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    tenant        TEXT,
    key           TEXT    NOT NULL,
    code          TEXT    NOT NULL,
    detail        TEXT    NOT NULL,
    headers       BLOB    NOT NULL,
    payload       BLOB    NOT NULL,
    time_ms       INTEGER NOT NULL,
    PRIMARY KEY (epoch, partition, record_offset)
);

CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, epoch, partition, record_offset);

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE,
    tenant     TEXT    NOT NULL,
    label      TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER
);

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_ms, id);
