-- What was there on the first day: 400 jobs, 100 of which wait and 200 are in flight.

DELETE FROM jobs WHERE id NOT BETWEEN pg_temp.id(247701) AND pg_temp.id(248100);
DELETE FROM attempts WHERE job_id NOT IN (SELECT id FROM jobs);
DELETE FROM callbacks WHERE attempt_id NOT IN (SELECT id FROM attempts);
DELETE FROM events WHERE job_id NOT IN (SELECT id FROM jobs);
UPDATE deliveries SET status = 'delivered', finished_at = now() WHERE id BETWEEN pg_temp.id(247701) AND pg_temp.id(247780);
INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms)
SELECT id, 1, created_at, 1 FROM deliveries WHERE id BETWEEN pg_temp.id(247701) AND pg_temp.id(247780);
DELETE FROM deliveries WHERE job_id NOT IN (SELECT id FROM jobs);
DELETE FROM delivery_attempts WHERE delivery_id NOT IN (SELECT id FROM deliveries);
DELETE FROM uploads WHERE id NOT IN (SELECT upload_id FROM jobs WHERE upload_id IS NOT NULL);
DELETE FROM idempotency_keys WHERE job_id NOT IN (SELECT id FROM jobs);
DELETE FROM job_metadata WHERE job_id NOT IN (SELECT id FROM jobs);
