-- Whether a file is still used by a job: asked whenever a job is erased.
CREATE INDEX jobs_upload ON jobs (upload_id) WHERE upload_id IS NOT NULL;
-- What the metrics count at each scrape.
CREATE INDEX upstream_deletions_surplus ON upstream_deletions (gladia_id) WHERE reason = 'surplus';
-- The list of callbacks that wait for somebody, page by page.
CREATE INDEX callbacks_kept ON callbacks (received_at, id) WHERE outcome IN ('quarantined', 'too_large', 'unproven');
-- Files that the retention finds.
CREATE INDEX uploads_created ON uploads (created_at);
