-- Where deliveries has many rows, make it beforehand, as README.md says.

-- Whom an event was sent to that is not of a job. What is sent of a job's events is found among the job's deliveries.
CREATE INDEX IF NOT EXISTS deliveries_without_job ON deliveries (event_number) WHERE job_id IS NULL;
