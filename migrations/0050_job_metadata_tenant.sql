SET LOCAL lock_timeout = '300ms';

-- As with deliveries: what it belongs to has the tenant.
ALTER TABLE job_metadata DROP CONSTRAINT job_metadata_tenant_id_fkey;
