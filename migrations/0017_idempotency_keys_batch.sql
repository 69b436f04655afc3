SET LOCAL lock_timeout = '5s';

ALTER TABLE idempotency_keys
    -- A key stands for a job or for a batch.
    ADD COLUMN batch_id uuid,
    ADD CONSTRAINT idempotency_keys_batch FOREIGN KEY (batch_id) REFERENCES batches NOT VALID,
    DROP CONSTRAINT idempotency_keys_complete,
    ADD CONSTRAINT idempotency_keys_complete CHECK
        (num_nonnulls(job_id, batch_id) = CASE WHEN fingerprint IS NULL THEN 0 ELSE 1 END) NOT VALID;
