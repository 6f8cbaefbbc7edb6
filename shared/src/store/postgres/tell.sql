INSERT INTO gaps (tenant, recipient, epoch, partition, cause, count, first_offset, last_offset)
SELECT tenant, recipient, epoch, partition, cause, count, first_offset, last_offset
FROM lost ORDER BY tenant, recipient, epoch, partition, cause
ON CONFLICT (tenant, recipient, epoch, partition, cause) DO UPDATE SET
    count = gaps.count + EXCLUDED.count,
    first_offset = LEAST(gaps.first_offset, EXCLUDED.first_offset),
    last_offset = GREATEST(gaps.last_offset, EXCLUDED.last_offset)
