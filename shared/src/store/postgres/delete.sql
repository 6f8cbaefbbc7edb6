-- $1 to $4: tenants, recipients, cursor epochs, cursor offsets.
WITH q AS (
    SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS q (tenant, recipient, epoch, next)
), gone AS (
    DELETE FROM stored USING q
    WHERE stored.tenant = q.tenant AND stored.recipient = q.recipient
        AND (stored.epoch, stored.record_offset) < (q.epoch, q.next)
)
DELETE FROM gaps USING q
WHERE gaps.tenant = q.tenant AND gaps.recipient = q.recipient AND (gaps.epoch, gaps.last_offset) < (q.epoch, q.next)
