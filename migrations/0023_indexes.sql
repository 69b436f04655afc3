-- Where jobs has many rows, make these beforehand, as README.md says.

-- What usage is counted along.
CREATE INDEX IF NOT EXISTS jobs_usage ON jobs (tenant_id, finished_at) WHERE finished_at IS NOT NULL;
-- The jobs of a batch, in the order of its requests.
CREATE INDEX IF NOT EXISTS jobs_batch_list ON jobs (batch_id, batch_index) WHERE batch_id IS NOT NULL;
-- The list of a tenant's failed jobs by what failed, newest first.
CREATE INDEX IF NOT EXISTS jobs_list_by_error ON jobs (tenant_id, error_type, created_at DESC, id DESC)
    WHERE error_type IS NOT NULL AND deleted_at IS NULL;
