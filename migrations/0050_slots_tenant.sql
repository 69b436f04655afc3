SET LOCAL lock_timeout = '5s';

-- As with deliveries: the job of the attempt that holds a slot has its tenant.
ALTER TABLE slots DROP CONSTRAINT slots_tenant_id_fkey;
