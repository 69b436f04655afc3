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
