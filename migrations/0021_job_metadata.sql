SET LOCAL lock_timeout = '5s';

-- A job's custom_metadata as far as it can be searched and counted by: its keys at the top whose value is a string, a
-- number or a boolean, the value as text. Longer ones are left out, because an index has no room for them.
CREATE TABLE job_metadata (
    job_id         uuid NOT NULL REFERENCES jobs,
    key            text NOT NULL CHECK (octet_length(key) <= 256),
    value          text NOT NULL CHECK (octet_length(value) <= 512),
    tenant_id      uuid NOT NULL REFERENCES tenants,
    -- The job's.
    created_at     timestamptz NOT NULL,
    -- Whether it outlives its job's content, to count usage by: one of USAGE_METADATA_KEYS when the job was accepted.
    kept_for_usage boolean NOT NULL,
    PRIMARY KEY (job_id, key)
);
-- The list of a tenant's jobs with a value, newest first.
CREATE INDEX job_metadata_list ON job_metadata (tenant_id, key, value, created_at DESC, job_id DESC);
