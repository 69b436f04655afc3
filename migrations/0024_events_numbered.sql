SET LOCAL lock_timeout = '5s';

ALTER TABLE events
    -- What others know an event by: given to committed rows in the order of their numbers, so whoever has seen one never
    -- misses a smaller one. NULL: not told yet, or never to be told. 0: from before there were numbers.
    ADD COLUMN number      bigint DEFAULT 0,
    -- The webhook endpoint that an event without a job is about.
    ADD COLUMN endpoint_id uuid,
    -- What is told beside type and time: {"status_reason", "error_type", "error_code", "batch_id", "disabled_reason"},
    -- without what is unknown. No content: it outlives the job's.
    ADD COLUMN data        json,
    ALTER COLUMN job_id DROP NOT NULL,
    ADD CONSTRAINT events_subject CHECK (num_nonnulls(job_id, endpoint_id) = 1) NOT VALID;
ALTER TABLE events ALTER COLUMN number DROP DEFAULT;
