SET LOCAL lock_timeout = '300ms';

-- As with deliveries: the job of the attempt that holds a slot has its tenant.
ALTER TABLE slots DROP CONSTRAINT slots_tenant_id_fkey;
