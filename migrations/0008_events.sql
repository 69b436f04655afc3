-- The event log: a row in the transaction that makes each change. `position` is private to the database, because
-- transactions commit in another order than they take numbers; whoever tells others numbers committed rows afterwards.
CREATE TABLE events (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants,
    job_id      uuid NOT NULL REFERENCES jobs,
    type        text NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT gateway_now()
);
CREATE INDEX events_job ON events (job_id, position);
