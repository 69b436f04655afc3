SET LOCAL lock_timeout = '5s';

-- As with deliveries: what it belongs to has the tenant.
ALTER TABLE events DROP CONSTRAINT events_tenant_id_fkey;
