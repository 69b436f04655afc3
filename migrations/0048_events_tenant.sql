SET LOCAL lock_timeout = '300ms';

-- As with deliveries: what it belongs to has the tenant.
ALTER TABLE events DROP CONSTRAINT events_tenant_id_fkey;
