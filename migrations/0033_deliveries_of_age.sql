-- Deliveries that the retention finds.
CREATE INDEX deliveries_done ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
-- Whether an event without a job is still to be delivered, or was. Those of a job are found by it.
CREATE INDEX deliveries_of_event ON deliveries (event_number) WHERE job_id IS NULL;
