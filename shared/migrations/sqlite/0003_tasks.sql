-- Tasks and their histories.

CREATE TABLE tasks (
    tenant         TEXT NOT NULL,
    id             TEXT NOT NULL,
    recipient      TEXT NOT NULL,
    module         TEXT NOT NULL,
    version        TEXT,
    code           TEXT,
    origin         TEXT NOT NULL,
    schedule       TEXT,
    epoch          INTEGER,
    partition      INTEGER,
    record_offset  INTEGER,
    record_key     BLOB NOT NULL,
    record_headers BLOB NOT NULL,
    record_payload BLOB NOT NULL,
    created_ms     INTEGER NOT NULL,
    state          TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    fence          INTEGER NOT NULL,
    instance       TEXT,
    lease_ms       INTEGER,
    due_ms         INTEGER,
    -- When somebody should run it, or publish what it answered; null: nothing is left to do.
    wake_ms        INTEGER,
    cancel_by      TEXT,
    failure        TEXT,
    reason         TEXT,
    changed_ms     INTEGER NOT NULL,
    steps          INTEGER NOT NULL,
    -- The fence of the last end that counted, and what that end said.
    ended_fence    INTEGER,
    ended_as       TEXT,
    ran_version    TEXT,
    ran_digest     BLOB,
    -- What is to be published; null: nothing, or it was.
    outputs        BLOB,
    result         TEXT,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX tasks_by_time ON tasks (created_ms, id, tenant);
CREATE INDEX tasks_by_tenant_and_time ON tasks (tenant, created_ms, id);
-- Most tasks are completed; those that are not are few, and looked for.
CREATE INDEX tasks_by_state ON tasks (state, tenant, created_ms, id) WHERE state <> 'completed';
CREATE INDEX tasks_by_module ON tasks (tenant, module, created_ms, id);
CREATE INDEX tasks_by_failure ON tasks (tenant, failure) WHERE failure IS NOT NULL;
CREATE INDEX tasks_by_code ON tasks (tenant, code) WHERE code IS NOT NULL;
CREATE INDEX tasks_by_schedule ON tasks (tenant, schedule, created_ms, id) WHERE schedule IS NOT NULL;

CREATE INDEX tasks_never_begun ON tasks (wake_ms) WHERE fence = 0 AND wake_ms IS NOT NULL;
CREATE INDEX tasks_to_wake ON tasks (wake_ms) WHERE fence > 0 AND wake_ms IS NOT NULL;
CREATE INDEX tasks_at_an_end ON tasks (changed_ms, tenant, id) WHERE wake_ms IS NULL;

CREATE TABLE task_steps (
    tenant       TEXT NOT NULL,
    id           TEXT NOT NULL,
    number       INTEGER NOT NULL,
    time_ms      INTEGER NOT NULL,
    state        TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    done_by      TEXT,
    failure      TEXT,
    reason       TEXT,
    ran_version  TEXT,
    ran_digest   BLOB,
    took_us      INTEGER NOT NULL,
    fuel         INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    log          TEXT NOT NULL,
    PRIMARY KEY (tenant, id, number)
);
