-- $1 to $15: the columns of the steps. $16, $17: the keys of the tasks. $18 to $21: what they were read as; all that
-- happens to one changes one of these. $22 to $42: what becomes of them. All of them are kept, or, when one is not what it
-- was read as, none.
WITH incoming AS (
    SELECT * FROM UNNEST(
        $16::text[], $17::text[], $18::bigint[], $19::bigint[], $20::bigint[], $21::boolean[],
        $22::text[], $23::bigint[], $24::bigint[], $25::text[], $26::bigint[], $27::bigint[], $28::bigint[], $29::text[],
        $30::text[], $31::text[], $32::bigint[], $33::bigint[], $34::bigint[], $35::text[], $36::boolean[], $37::bytea[],
        $38::text[], $39::text[], $40::bytea[], $41::bigint[], $42::bigint[], $43::bigint[]
    ) AS i (
        tenant, id, seen_steps, seen_fence, seen_lease_ms, seen_cancel,
        state, attempt, fence, instance, lease_ms, due_ms, wake_ms, cancel_by,
        failure, reason, changed_ms, steps, ended_fence, ended_as, unpublished, outputs,
        result, ran_version, ran_digest, epoch, partition, record_offset
    )
), locked AS (
    SELECT t.tenant, t.id FROM incoming i JOIN tasks t ON t.tenant = i.tenant AND t.id = i.id
    WHERE t.steps = i.seen_steps AND t.fence = i.seen_fence AND t.lease_ms IS NOT DISTINCT FROM i.seen_lease_ms
        AND (t.cancel_by IS NOT NULL) = i.seen_cancel
    ORDER BY t.tenant, t.id FOR UPDATE OF t
), gate AS (
    SELECT (SELECT count(*) FROM locked) = (SELECT count(*) FROM incoming) AS is_open
), kept AS (
    UPDATE tasks t SET
        state = i.state, attempt = i.attempt, fence = i.fence, instance = i.instance, lease_ms = i.lease_ms,
        due_ms = i.due_ms, wake_ms = i.wake_ms, cancel_by = i.cancel_by, failure = i.failure, reason = i.reason,
        changed_ms = i.changed_ms, steps = i.steps, ended_fence = i.ended_fence, ended_as = i.ended_as,
        outputs = CASE WHEN i.unpublished THEN COALESCE(i.outputs, t.outputs) END,
        result = COALESCE(i.result, t.result), ran_version = COALESCE(i.ran_version, t.ran_version),
        ran_digest = COALESCE(i.ran_digest, t.ran_digest),
        epoch = CASE WHEN t.record_offset IS NULL THEN i.epoch ELSE t.epoch END,
        partition = CASE WHEN t.record_offset IS NULL THEN i.partition ELSE t.partition END,
        record_offset = COALESCE(t.record_offset, i.record_offset)
    FROM incoming i WHERE t.tenant = i.tenant AND t.id = i.id AND (SELECT is_open FROM gate)
), told AS (
    INSERT INTO task_steps (
        tenant, id, number, time_ms, state, attempt, done_by, failure, reason,
        ran_version, ran_digest, took_us, fuel, memory_bytes, log
    ) SELECT * FROM UNNEST(
        $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::bytea[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[]
    ) AS s WHERE (SELECT is_open FROM gate)
)
SELECT is_open FROM gate
