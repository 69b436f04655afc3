-- The same at night: nothing is in line or in flight, and nobody is to be told of anything.

UPDATE slots SET attempt_id = NULL, tenant_id = NULL, taken_at = NULL, deadline_at = NULL;
DELETE FROM attempts WHERE finished_at IS NULL;
DELETE FROM jobs WHERE finished_at IS NULL;
DELETE FROM deliveries WHERE status = 'pending';
DELETE FROM events WHERE number IS NULL;
DELETE FROM upstream_deletions WHERE finished_at IS NULL;
DELETE FROM webhook_messages WHERE finished_at IS NULL;
