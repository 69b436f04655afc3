SET LOCAL lock_timeout = '5s';

-- Many requests in one call. A batch and all its jobs are made in one commit.
CREATE TABLE batches (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants,
    -- How many requests it came with.
    requests    integer NOT NULL CHECK (requests BETWEEN 1 AND 1000),
    -- The requests that were refused: [{"index", "problem": {…}}]. They are answered again when the batch is repeated.
    refused     json NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT gateway_now()
);
