SET LOCAL lock_timeout = '5s';

-- Before the first release that fills the table. A list is filtered by status, and what is listed most is not what there is
-- most of: each status is walked by itself, newest first.
DROP INDEX IF EXISTS deliveries_list;
CREATE INDEX deliveries_list ON deliveries (tenant_id, status, created_at DESC, id DESC);
DROP INDEX IF EXISTS deliveries_of_endpoint;
CREATE INDEX deliveries_of_endpoint ON deliveries (endpoint_id, status, created_at DESC, id DESC)
    WHERE endpoint_id IS NOT NULL;
-- Whom an event was sent to.
CREATE INDEX deliveries_of_event ON deliveries (event_number);
