-- Dead letters that somebody looks at: their states, and how they are found.

ALTER TABLE dead_letters
    ADD COLUMN recipient          text COLLATE "C",
    ADD COLUMN notification       text,
    ADD COLUMN cut                boolean NOT NULL DEFAULT false,
    ADD COLUMN requeueable        boolean NOT NULL DEFAULT false,
    ADD COLUMN state              text    NOT NULL DEFAULT 'dead',
    ADD COLUMN changed_ms         bigint  NOT NULL DEFAULT 0,
    ADD COLUMN changed_by         text,
    ADD COLUMN requeued_epoch     bigint,
    ADD COLUMN requeued_partition bigint,
    ADD COLUMN requeued_offset    bigint;

UPDATE dead_letters SET changed_ms = time_ms;
UPDATE dead_letters SET requeueable = true, recipient = split_part(key, '/', 2)
    WHERE code IN ('misplaced', 'refused', 'undecodable');

CREATE INDEX dead_letters_by_time ON dead_letters (time_ms, epoch, partition, record_offset);
CREATE INDEX dead_letters_by_tenant_and_time ON dead_letters (tenant, time_ms, epoch, partition, record_offset);
CREATE INDEX dead_letters_by_recipient ON dead_letters (tenant, recipient, time_ms, epoch, partition, record_offset);

CREATE INDEX dead_letters_requested ON dead_letters (tenant, epoch, partition, record_offset)
    WHERE state = 'requeue_requested';

CREATE INDEX dead_letters_by_change ON dead_letters (changed_ms) WHERE state <> 'requeue_requested';
