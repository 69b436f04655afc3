SET LOCAL lock_timeout = '5s';

-- A tenant's own secrets, those that were rotated too.
CREATE INDEX IF NOT EXISTS signing_secrets_tenant ON signing_secrets (tenant_id) WHERE endpoint_id IS NULL;
