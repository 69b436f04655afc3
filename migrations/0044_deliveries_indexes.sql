SET LOCAL lock_timeout = '5s';

-- Each version of a row has an entry in every index that holds it, and a delivery has three versions within a second.
-- `deliveries_due` finds what has waited for too long, which is asked of a lane that has failed for days, and
-- `deliveries_without_job` and `deliveries_of_job` whom an event was sent to.
DROP INDEX deliveries_queued;
DROP INDEX deliveries_of_event;
