-- Gladia's copies that are to be deleted: of erased jobs, and of jobs that Gladia has twice (surplus). Gladia refuses while
-- it is at work on one, so this may take hours. A row stays as the receipt.
CREATE TABLE upstream_deletions (
    gladia_id    text PRIMARY KEY,
    job_id       uuid NOT NULL REFERENCES jobs,
    reason       text NOT NULL CHECK (reason IN ('deleted', 'retention', 'surplus')),
    requested_at timestamptz NOT NULL DEFAULT gateway_now(),
    next_try_at  timestamptz NOT NULL DEFAULT gateway_now(),
    tries        integer NOT NULL DEFAULT 0,
    -- already_gone: Gladia did not have it any more. given_up: it refused for days.
    outcome      text CHECK (outcome IN ('deleted', 'already_gone', 'given_up')),
    finished_at  timestamptz,
    CONSTRAINT upstream_deletions_finished CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX upstream_deletions_due ON upstream_deletions (next_try_at) WHERE finished_at IS NULL;
CREATE INDEX upstream_deletions_job ON upstream_deletions (job_id);

ALTER TABLE jobs
    -- Who erased its content: its caller, or the retention.
    ADD COLUMN erased_by text CHECK (erased_by IN ('request', 'retention'));
-- What the retention walks along.
CREATE INDEX jobs_retention ON jobs (finished_at) WHERE finished_at IS NOT NULL AND deleted_at IS NULL;
