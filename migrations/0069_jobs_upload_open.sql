-- Where jobs has many rows, make it beforehand, as README.md says.

-- Whether a job that has not ended needs a file: asked for each deletion at Gladia. Of a file that very many have used,
-- `jobs_upload` would be read to its end each time.
CREATE INDEX IF NOT EXISTS jobs_upload_open ON jobs (upload_id) WHERE upload_id IS NOT NULL AND finished_at IS NULL;
