SET LOCAL lock_timeout = '300ms';

-- The last reference to a tenant that was checked for each job: its API key has the tenant, and a new job takes both from there.
ALTER TABLE jobs DROP CONSTRAINT jobs_tenant_id_fkey;
