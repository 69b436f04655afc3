-- What was there when the same installation was young: 10,000 jobs, 2,000 of which wait and 200 are in flight.

DELETE FROM jobs WHERE id <= pg_temp.id(240000);
DELETE FROM attempts WHERE id <= pg_temp.id(240000);
DELETE FROM callbacks WHERE id <= pg_temp.id(240000);
DELETE FROM events WHERE job_id <= pg_temp.id(240000);
DELETE FROM deliveries WHERE id <= pg_temp.id(240000);
DELETE FROM delivery_attempts WHERE delivery_id <= pg_temp.id(240000);
DELETE FROM uploads WHERE id <= pg_temp.id(240000);
DELETE FROM idempotency_keys WHERE job_id <= pg_temp.id(240000);
DELETE FROM job_metadata WHERE job_id <= pg_temp.id(240000);
DELETE FROM upstream_deletions WHERE job_id <= pg_temp.id(40000);
DELETE FROM webhook_messages WHERE id <= pg_temp.id(40000)::text;
DELETE FROM batches WHERE id <= pg_temp.id(19000);
