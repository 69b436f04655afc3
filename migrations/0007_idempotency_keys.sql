CREATE TABLE idempotency_keys (
    tenant_id      uuid NOT NULL REFERENCES tenants,
    key            text NOT NULL,
    -- SHA-256 over operation, canonical options and audio. NULL while the first request is still under way.
    fingerprint    bytea CHECK (octet_length(fingerprint) = 32),
    job_id         uuid REFERENCES jobs,
    -- Which request holds the reservation, so that one that lost it cannot complete or release it.
    reserved_by    uuid NOT NULL,
    reserved_until timestamptz NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT gateway_now(),
    PRIMARY KEY (tenant_id, key),
    CONSTRAINT idempotency_keys_complete CHECK ((fingerprint IS NULL) = (job_id IS NULL))
);
