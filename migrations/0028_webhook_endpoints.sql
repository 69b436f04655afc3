SET LOCAL lock_timeout = '5s';

-- Where a tenant wants its events sent.
CREATE TABLE webhook_endpoints (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL REFERENCES tenants,
    url             text NOT NULL,
    description     text NOT NULL,
    -- Public types. NULL: all of them, those of later versions too.
    event_types     text[],
    includes_result boolean NOT NULL,
    status          text NOT NULL CHECK (status IN ('enabled', 'disabled')),
    -- request: its tenant did; gone: it answered 410; failing: nothing got through for days.
    disabled_reason text CHECK (disabled_reason IN ('request', 'gone', 'failing')),
    disabled_at     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT gateway_now(),
    updated_at      timestamptz NOT NULL DEFAULT gateway_now(),
    CONSTRAINT webhook_endpoints_disabled CHECK
        ((status = 'disabled') = (num_nonnulls(disabled_reason, disabled_at) = 2))
);
CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant_id, created_at DESC, id DESC);

-- What deliveries are signed with: an endpoint's, or a tenant's for the callbacks of its jobs. Encrypted: nobody who reads the
-- tables can sign.
CREATE TABLE signing_secrets (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants,
    -- NULL: the tenant's.
    endpoint_id uuid REFERENCES webhook_endpoints ON DELETE CASCADE,
    -- Which of the operator's keys sealed it.
    key_id      text NOT NULL,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT gateway_now(),
    -- Set once another one has taken its place: until then both sign. NULL: the current one.
    expires_at  timestamptz
);
CREATE UNIQUE INDEX signing_secrets_of_endpoint ON signing_secrets (endpoint_id)
    WHERE endpoint_id IS NOT NULL AND expires_at IS NULL;
CREATE UNIQUE INDEX signing_secrets_of_tenant ON signing_secrets (tenant_id)
    WHERE endpoint_id IS NULL AND expires_at IS NULL;
CREATE INDEX signing_secrets_endpoint ON signing_secrets (endpoint_id) WHERE endpoint_id IS NOT NULL;
-- A tenant's own secrets, those that were rotated too.
CREATE INDEX signing_secrets_tenant ON signing_secrets (tenant_id) WHERE endpoint_id IS NULL;
