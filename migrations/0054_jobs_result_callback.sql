SET LOCAL lock_timeout = '300ms';

-- As with events: a result is a callback that the same transaction has kept.
ALTER TABLE jobs DROP CONSTRAINT jobs_result_callback;
