SET LOCAL lock_timeout = '5s';

ALTER TABLE jobs
    -- What was accepted all the same, and why it may not do what its caller expects: [{"pointer", "code", "message"}].
    -- NULL: nothing, or erased.
    ADD COLUMN warnings    json,
    -- The batch that it came with, and its place there, from 0.
    ADD COLUMN batch_id    uuid,
    ADD COLUMN batch_index integer,
    -- How often its caller had it tried again after an error.
    ADD COLUMN retries     integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT jobs_batch FOREIGN KEY (batch_id) REFERENCES batches NOT VALID,
    ADD CONSTRAINT jobs_batch_index CHECK ((batch_id IS NULL) = (batch_index IS NULL)) NOT VALID;

ALTER TABLE idempotency_keys
    -- A key stands for a job or for a batch.
    ADD COLUMN batch_id uuid,
    ADD CONSTRAINT idempotency_keys_batch FOREIGN KEY (batch_id) REFERENCES batches NOT VALID,
    DROP CONSTRAINT idempotency_keys_complete,
    ADD CONSTRAINT idempotency_keys_complete CHECK
        (num_nonnulls(job_id, batch_id) = CASE WHEN fingerprint IS NULL THEN 0 ELSE 1 END) NOT VALID;

ALTER TABLE attempts
    -- As Gladia billed it. Kept with the attempt, because a result that came too late, twice, or for a canceled job is billed
    -- like any other.
    ADD COLUMN audio_duration_seconds double precision,
    ADD COLUMN billing_time_seconds   double precision;

ALTER TABLE callbacks
    -- Where the result stands within the compressed body: a zstd frame of its own, which can be served as it is.
    -- NULL: the body is one frame, and the result has to be looked for.
    ADD COLUMN result_frame_start  integer,
    ADD COLUMN result_frame_length integer,
    ADD CONSTRAINT callbacks_result_frame CHECK
        ((result_frame_start IS NULL) = (result_frame_length IS NULL)) NOT VALID;
