-- What could not be delivered yet, what never can, and who may produce.

-- By expiry week, so that what expired whole is dropped whole. Weeks are made by whoever stores into one first.
CREATE TABLE stored (
    tenant        text COLLATE "C" NOT NULL,
    recipient     text COLLATE "C" NOT NULL,
    epoch         bigint   NOT NULL,
    partition     bigint   NOT NULL,
    record_offset bigint   NOT NULL,
    expires_ms    bigint   NOT NULL,
    time_ms       bigint   NOT NULL,
    urgency       smallint NOT NULL,
    id            text     NOT NULL,
    source        text     NOT NULL,
    type          text     NOT NULL,
    content_type  text     NOT NULL,
    metadata      text,
    trace_parent  text,
    trace_state   text,
    baggage       text,
    content       bytea    NOT NULL,
    PRIMARY KEY (tenant, recipient, epoch, record_offset, partition, expires_ms)
) PARTITION BY RANGE (expires_ms);

CREATE INDEX stored_by_partition ON stored (partition, tenant, recipient);
CREATE INDEX stored_by_expiry ON stored (expires_ms);

CREATE TABLE gaps (
    tenant       text COLLATE "C" NOT NULL,
    recipient    text COLLATE "C" NOT NULL,
    epoch        bigint NOT NULL,
    partition    bigint NOT NULL,
    cause        text   NOT NULL,
    count        bigint NOT NULL,
    first_offset bigint NOT NULL,
    last_offset  bigint NOT NULL,
    PRIMARY KEY (tenant, recipient, epoch, partition, cause)
);

-- How far a topic has been archived; no row stands for zero.
CREATE TABLE progress (
    topic     text   NOT NULL,
    partition bigint NOT NULL,
    upto      bigint NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE dead_letters (
    epoch         bigint NOT NULL,
    partition     bigint NOT NULL,
    record_offset bigint NOT NULL,
    tenant        text COLLATE "C",
    key           text   NOT NULL,
    code          text   NOT NULL,
    detail        text   NOT NULL,
    headers       bytea  NOT NULL,
    payload       bytea  NOT NULL,
    time_ms       bigint NOT NULL,
    PRIMARY KEY (epoch, partition, record_offset)
);

CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, epoch, partition, record_offset);

CREATE TABLE api_keys (
    id         text   NOT NULL PRIMARY KEY,
    hash       bytea  NOT NULL UNIQUE,
    tenant     text COLLATE "C" NOT NULL,
    label      text   NOT NULL,
    created_ms bigint NOT NULL,
    expires_ms bigint,
    revoked_ms bigint
);

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_ms, id);
