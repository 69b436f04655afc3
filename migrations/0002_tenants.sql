CREATE TABLE tenants (
    id             uuid PRIMARY KEY,
    name           text NOT NULL CONSTRAINT tenants_name UNIQUE,
    -- When a job of this tenant last took a slot: among tenants that hold equally many, the longest unserved is next.
    last_served_at timestamptz,
    created_at     timestamptz NOT NULL DEFAULT gateway_now()
);

CREATE TABLE api_keys (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES tenants,
    name       text NOT NULL,
    scope      text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    -- SHA-256 of the key. Keys carry 256 random bits, so a slow hash would protect nothing.
    hash       bytea NOT NULL CONSTRAINT api_keys_hash UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT gateway_now(),
    revoked_at timestamptz
);
