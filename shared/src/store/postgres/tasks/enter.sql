-- $1 to $15: the columns of the steps. $16 to $38: the columns of the tasks. One that is there already is left alone, and
-- so is its history. In the order of keys, so that two who enter the same tasks wait for each other instead of for ever.
WITH entered AS (
    INSERT INTO tasks (
        tenant, id, recipient, module, version, code, origin, schedule, epoch, partition, record_offset,
        record_key, record_headers, record_payload, created_ms,
        state, attempt, fence, instance, lease_ms, wake_ms, changed_ms, steps
    ) SELECT * FROM UNNEST(
        $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[],
        $24::bigint[], $25::bigint[], $26::bigint[], $27::bytea[], $28::bytea[], $29::bytea[], $30::bigint[],
        $31::text[], $32::bigint[], $33::bigint[], $34::text[], $35::bigint[], $36::bigint[], $37::bigint[], $38::bigint[]
    ) AS i (
        tenant, id, recipient, module, version, code, origin, schedule, epoch, partition, record_offset,
        record_key, record_headers, record_payload, created_ms,
        state, attempt, fence, instance, lease_ms, wake_ms, changed_ms, steps
    ) ORDER BY i.tenant COLLATE "C", i.id COLLATE "C"
    ON CONFLICT DO NOTHING RETURNING tenant, id
), told AS (
    INSERT INTO task_steps (
        tenant, id, number, time_ms, state, attempt, done_by, failure, reason,
        ran_version, ran_digest, took_us, fuel, memory_bytes, log
    ) SELECT s.* FROM UNNEST(
        $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::bytea[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[]
    ) AS s (
        tenant, id, number, time_ms, state, attempt, done_by, failure, reason,
        ran_version, ran_digest, took_us, fuel, memory_bytes, log
    ) JOIN entered e ON e.tenant = s.tenant AND e.id = s.id
)
SELECT tenant, id FROM entered
