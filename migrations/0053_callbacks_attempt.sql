SET LOCAL lock_timeout = '300ms';

-- As with events: whoever keeps a callback has read its attempt.
ALTER TABLE callbacks DROP CONSTRAINT callbacks_attempt_id_fkey;
