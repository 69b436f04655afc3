SET LOCAL lock_timeout = '300ms';

-- As with events: the transaction that accepts the job is the one that says so here.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_job_id_fkey;
