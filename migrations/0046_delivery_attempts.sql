SET LOCAL lock_timeout = '300ms';

-- Whoever writes a try down holds its delivery, so that nothing is gained by looking for that, and locking it, once more for
-- each.
ALTER TABLE delivery_attempts DROP CONSTRAINT delivery_attempts_delivery_id_fkey;
