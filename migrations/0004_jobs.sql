CREATE TABLE jobs (
    id                     uuid PRIMARY KEY,
    tenant_id              uuid NOT NULL REFERENCES tenants,
    api_key_id             uuid NOT NULL REFERENCES api_keys,
    status                 text NOT NULL CHECK (status IN
                               ('queued', 'submitting', 'unknown', 'processing', 'done', 'error', 'canceled')),
    -- Why the job is where it is, when the status alone does not say it. A stable code.
    status_reason          text,
    -- Canceled or deleted while an attempt may run: the attempt is still settled, its content is not kept.
    discard                boolean NOT NULL DEFAULT false,
    -- What the caller asked for, as validated: {"options": {…}, "extra_options": {…}}. NULL once deleted.
    request                json,
    audio_url              text,
    upload_id              uuid REFERENCES uploads,
    -- Gladia's id of the job that completed this one, or that is at work on it.
    gladia_id              text,
    -- The callback whose body holds the result.
    result_callback_id     uuid,
    -- Failed add-ons of a job that is done: [{"addon", "status_code", "exception", "message"}].
    addon_errors           json,
    audio_duration_seconds double precision,
    billing_time_seconds   double precision,
    error_type             text,
    error_code             integer,
    error_message          text,
    created_at             timestamptz NOT NULL DEFAULT gateway_now(),
    -- The place in the tenant's line. A job that comes back from an attempt keeps it, so it is ahead of later ones.
    queued_at              timestamptz NOT NULL DEFAULT gateway_now(),
    started_at             timestamptz,
    finished_at            timestamptz,
    deleted_at             timestamptz,
    CONSTRAINT jobs_finished CHECK ((finished_at IS NOT NULL) = (status IN ('done', 'error', 'canceled'))),
    CONSTRAINT jobs_error CHECK ((error_type IS NOT NULL) = (status = 'error')),
    CONSTRAINT jobs_result CHECK (result_callback_id IS NULL OR status = 'done'),
    -- A deleted job keeps no content.
    CONSTRAINT jobs_tombstone CHECK (deleted_at IS NULL OR
        (num_nonnulls(request, audio_url, upload_id, result_callback_id, addon_errors, error_message) = 0)),
    CONSTRAINT jobs_request CHECK (deleted_at IS NOT NULL OR (request IS NOT NULL AND audio_url IS NOT NULL))
);

-- The claim walks from tenant to tenant and takes the head of a line: its cost does not grow with the backlog.
CREATE INDEX jobs_line ON jobs (tenant_id, queued_at, id) WHERE status = 'queued';
-- The list of a tenant, newest first.
CREATE INDEX jobs_list ON jobs (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
-- The same, filtered by status.
CREATE INDEX jobs_list_by_status ON jobs (tenant_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
