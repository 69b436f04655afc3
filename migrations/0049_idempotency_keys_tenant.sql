SET LOCAL lock_timeout = '300ms';

-- As with deliveries: what it belongs to has the tenant.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_tenant_id_fkey;
