-- Dead letters that somebody looks at: their states, and how they are found.

ALTER TABLE dead_letters ADD COLUMN recipient TEXT;
ALTER TABLE dead_letters ADD COLUMN notification TEXT;
ALTER TABLE dead_letters ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN requeueable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN state TEXT NOT NULL DEFAULT 'dead';
ALTER TABLE dead_letters ADD COLUMN changed_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN changed_by TEXT;
ALTER TABLE dead_letters ADD COLUMN requeued_epoch INTEGER;
ALTER TABLE dead_letters ADD COLUMN requeued_partition INTEGER;
ALTER TABLE dead_letters ADD COLUMN requeued_offset INTEGER;

UPDATE dead_letters SET changed_ms = time_ms;
UPDATE dead_letters SET requeueable = 1, recipient = substr(key, instr(key, '/') + 1)
    WHERE code IN ('misplaced', 'refused', 'undecodable');

CREATE INDEX dead_letters_by_time ON dead_letters (time_ms, epoch, partition, record_offset);
CREATE INDEX dead_letters_by_tenant_and_time ON dead_letters (tenant, time_ms, epoch, partition, record_offset);
CREATE INDEX dead_letters_by_recipient ON dead_letters (tenant, recipient, time_ms, epoch, partition, record_offset);

CREATE INDEX dead_letters_requested ON dead_letters (tenant, epoch, partition, record_offset)
    WHERE state = 'requeue_requested';

CREATE INDEX dead_letters_by_change ON dead_letters (changed_ms) WHERE state <> 'requeue_requested';
