-- $1 to $5: tenants, recipients, cursor epochs, cursor offsets, limits. One more row than asked for tells of more.
SELECT q.number, s.*
FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
    WITH ORDINALITY AS q (tenant, recipient, epoch, next, most, number)
CROSS JOIN LATERAL (
    SELECT * FROM stored
    WHERE stored.tenant = q.tenant AND stored.recipient = q.recipient
        AND (stored.epoch, stored.record_offset) >= (q.epoch, q.next)
    ORDER BY stored.epoch, stored.record_offset
    LIMIT q.most + 1
) s
ORDER BY q.number, s.epoch, s.record_offset
