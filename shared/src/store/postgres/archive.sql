-- $1 to $17: the columns of the batch. $18: now. $19: the quota of a recipient.
-- What is stored already is found by a probe of the primary key for each row (LATERAL, LIMIT): as an anti join it may
-- become a scan of the table. The partition is not named, for it follows from recipient and epoch, and there is an index
-- that starts with it. What expired and does not stand above the gap that is there was told before: a recipient's records
-- are parked in order, so this one is parked for the second time. What a recipient holds is counted once for each recipient (MATERIALIZED), not for each row.
WITH incoming AS (
    SELECT * FROM UNNEST(
        $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::smallint[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
        $17::bytea[]
    ) AS i (
        tenant, recipient, epoch, partition, record_offset, expires_ms, time_ms, urgency,
        id, source, type, content_type, metadata, trace_parent, trace_state, baggage, content
    )
), fresh AS (
    SELECT i.* FROM incoming i LEFT JOIN LATERAL (
        SELECT true AS already FROM stored s WHERE s.tenant = i.tenant AND s.recipient = i.recipient
            AND s.epoch = i.epoch AND s.record_offset = i.record_offset
        LIMIT 1
    ) found ON true WHERE found.already IS NULL
), held AS MATERIALIZED (
    SELECT r.tenant, r.recipient, h.held
    FROM (SELECT DISTINCT tenant, recipient FROM fresh WHERE expires_ms > $18) r
    CROSS JOIN LATERAL (
        SELECT count(*) AS held FROM (
            SELECT FROM stored s WHERE s.tenant = r.tenant AND s.recipient = r.recipient LIMIT $19
        ) counted
    ) h
), ranked AS (
    SELECT f.*, held.held
        + row_number() OVER (PARTITION BY f.tenant, f.recipient ORDER BY f.epoch, f.record_offset) AS rank
    FROM fresh f JOIN held USING (tenant, recipient) WHERE f.expires_ms > $18
), kept AS (
    INSERT INTO stored (
        tenant, recipient, epoch, partition, record_offset, expires_ms, time_ms, urgency,
        id, source, type, content_type, metadata, trace_parent, trace_state, baggage, content
    ) SELECT
        tenant, recipient, epoch, partition, record_offset, expires_ms, time_ms, urgency,
        id, source, type, content_type, metadata, trace_parent, trace_state, baggage, content
    FROM ranked WHERE rank <= $19 ON CONFLICT DO NOTHING
), lost AS (
    SELECT tenant, recipient, epoch, partition, cause,
        count(*) AS count, min(record_offset) AS first_offset, max(record_offset) AS last_offset
    FROM (
        SELECT f.tenant, f.recipient, f.epoch, f.partition, f.record_offset, 'expired' AS cause
        FROM fresh f LEFT JOIN LATERAL (
            SELECT g.last_offset FROM gaps g WHERE g.tenant = f.tenant AND g.recipient = f.recipient
                AND g.epoch = f.epoch AND g.partition = f.partition AND g.cause = 'expired'
            LIMIT 1
        ) before ON true
        WHERE f.expires_ms <= $18 AND f.record_offset > COALESCE(before.last_offset, -1)
        UNION ALL
        SELECT tenant, recipient, epoch, partition, record_offset, 'over_quota' AS cause
        FROM ranked WHERE rank > $19
    ) each GROUP BY tenant, recipient, epoch, partition, cause
), told AS (
    INSERT INTO gaps (tenant, recipient, epoch, partition, cause, count, first_offset, last_offset)
    SELECT tenant, recipient, epoch, partition, cause, count, first_offset, last_offset
    FROM lost ORDER BY tenant, recipient, epoch, partition, cause
    ON CONFLICT (tenant, recipient, epoch, partition, cause) DO UPDATE SET
        count = gaps.count + EXCLUDED.count,
        first_offset = LEAST(gaps.first_offset, EXCLUDED.first_offset),
        last_offset = GREATEST(gaps.last_offset, EXCLUDED.last_offset)
)
SELECT cause, sum(count)::bigint AS count FROM lost GROUP BY cause ORDER BY cause
