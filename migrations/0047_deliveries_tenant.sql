SET LOCAL lock_timeout = '300ms';

-- A tenant is never deleted, and its row is locked once for each reference to it that is checked, with a write to the page that
-- everybody reads. What refers to a job or to an endpoint of the tenant's has that to say whose it is: the reference of `jobs`
-- and `webhook_endpoints` stays, and this one says nothing more. So it is with the next four.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_tenant_id_fkey;
