-- $1, $2: tenants and recipients. $3: how many rows are worth counting. One probe of the primary key for each.
SELECT q.number, h.held
FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS q (tenant, recipient, number)
CROSS JOIN LATERAL (
    SELECT count(*) AS held FROM (
        SELECT FROM stored s WHERE s.tenant = q.tenant AND s.recipient = q.recipient LIMIT $3
    ) counted
) h
