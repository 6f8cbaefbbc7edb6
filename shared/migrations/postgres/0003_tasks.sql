-- Tasks and their histories.

CREATE TABLE tasks (
    tenant         text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    recipient      text NOT NULL,
    module         text NOT NULL,
    version        text,
    code           text COLLATE "C",
    origin         text NOT NULL,
    schedule       text,
    epoch          bigint,
    partition      bigint,
    record_offset  bigint,
    record_key     bytea NOT NULL,
    record_headers bytea NOT NULL,
    record_payload bytea NOT NULL,
    created_ms     bigint NOT NULL,
    state          text NOT NULL,
    attempt        bigint NOT NULL,
    fence          bigint NOT NULL,
    instance       text,
    lease_ms       bigint,
    due_ms         bigint,
    -- When somebody should run it, or publish what it answered; null: nothing is left to do.
    wake_ms        bigint,
    cancel_by      text,
    failure        text COLLATE "C",
    reason         text,
    changed_ms     bigint NOT NULL,
    steps          bigint NOT NULL,
    -- The fence of the last end that counted, and what that end said.
    ended_fence    bigint,
    ended_as       text,
    ran_version    text,
    ran_digest     bytea,
    -- What is to be published; null: nothing, or it was.
    outputs        bytea,
    result         text,
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
    tenant       text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    number       bigint NOT NULL,
    time_ms      bigint NOT NULL,
    state        text NOT NULL,
    attempt      bigint NOT NULL,
    done_by      text,
    failure      text,
    reason       text,
    ran_version  text,
    ran_digest   bytea,
    took_us      bigint NOT NULL,
    fuel         bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    log          text NOT NULL,
    PRIMARY KEY (tenant, id, number)
);
