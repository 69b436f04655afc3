-- Where deliveries has many rows, make these beforehand, as README.md says.

-- What waits, as the claim walks along from lane to lane. One that is leased is in `deliveries_leased` alone, and enters
-- neither with what becomes of it. With queued_at, so that metrics need not look at the rows.
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (lane_id, next_try_at) INCLUDE (queued_at)
    WHERE status = 'pending' AND lease_until IS NULL;
-- Whom an event was sent to that is not of a job; else it is found among its job's.
CREATE INDEX IF NOT EXISTS deliveries_without_job ON deliveries (event_number) WHERE job_id IS NULL;
