-- $1: partition. $2, $3: tenant and recipient to start after. $4: how many. One probe of the index per recipient,
-- however many rows each has.
WITH RECURSIVE walk AS (
    (
        SELECT tenant, recipient, 1::bigint AS number FROM stored
        WHERE partition = $1 AND (tenant, recipient) > ($2, $3)
        ORDER BY tenant, recipient LIMIT 1
    )
    UNION ALL
    SELECT next.tenant, next.recipient, walk.number + 1
    FROM walk CROSS JOIN LATERAL (
        SELECT s.tenant, s.recipient FROM stored s
        WHERE s.partition = $1 AND (s.tenant, s.recipient) > (walk.tenant, walk.recipient)
        ORDER BY s.tenant, s.recipient LIMIT 1
    ) next
    WHERE walk.number < $4
)
SELECT tenant, recipient FROM walk ORDER BY number
