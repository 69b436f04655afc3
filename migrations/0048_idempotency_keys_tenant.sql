SET LOCAL lock_timeout = '5s';

-- As with deliveries: what it belongs to has the tenant.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_tenant_id_fkey;
