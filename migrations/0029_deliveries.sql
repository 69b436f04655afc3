SET LOCAL lock_timeout = '5s';

-- Who shares one fate: the deliveries of an endpoint (of the same id), or a tenant's callbacks to one origin. Where it fails,
-- it fails alone.
CREATE TABLE delivery_lanes (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL REFERENCES tenants,
    -- Scheme, host and port of callbacks. NULL: an endpoint's lane.
    origin          text,
    -- Failures since the last success.
    failures        integer NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    -- The circuit is open: nothing is sent before. After that one delivery at a time, until one gets through.
    open_until      timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    CONSTRAINT delivery_lanes_origin UNIQUE (tenant_id, origin)
);
-- The lanes whose circuit is open, which the metrics count.
CREATE INDEX delivery_lanes_open ON delivery_lanes (open_until) WHERE open_until IS NOT NULL;

-- The outbox: an event that one receiver is to be sent.
CREATE TABLE deliveries (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES tenants,
    lane_id      uuid NOT NULL,
    -- The endpoint, which may be gone since. NULL: the callback of the event's job.
    endpoint_id  uuid,
    event_number bigint NOT NULL,
    event_type   text NOT NULL,
    job_id       uuid,
    status       text NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
    -- Why it is dead.
    dead_reason  text CHECK (dead_reason IN ('exhausted', 'expired', 'endpoint_gone', 'endpoint_disabled',
                                             'endpoint_deleted', 'transcription_deleted')),
    -- Tries since it was made, or replayed.
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz NOT NULL DEFAULT gateway_now(),
    -- Somebody is sending it, and is taken for dead after this.
    lease_until  timestamptz,
    worker       text,
    -- When it began to wait: at its making, or its last replay.
    queued_at    timestamptz NOT NULL DEFAULT gateway_now(),
    created_at   timestamptz NOT NULL DEFAULT gateway_now(),
    finished_at  timestamptz,
    CONSTRAINT deliveries_finished CHECK ((finished_at IS NULL) = (status = 'pending')),
    CONSTRAINT deliveries_dead CHECK ((dead_reason IS NULL) = (status <> 'dead'))
);
-- What the claim walks from lane to lane along.
CREATE INDEX deliveries_due ON deliveries (lane_id, next_try_at) WHERE status = 'pending';
CREATE INDEX deliveries_leased ON deliveries (lane_id) WHERE status = 'pending' AND lease_until IS NOT NULL;
-- What has waited for longer than it may, found without looking at what else waits in its lane.
CREATE INDEX deliveries_queued ON deliveries (lane_id, queued_at) WHERE status = 'pending';
-- A list is filtered by status, and what is listed most is not what there is most of: each status is walked by itself, newest
-- first.
CREATE INDEX deliveries_list ON deliveries (tenant_id, status, created_at DESC, id DESC);
CREATE INDEX deliveries_of_endpoint ON deliveries (endpoint_id, status, created_at DESC, id DESC)
    WHERE endpoint_id IS NOT NULL;
CREATE INDEX deliveries_of_job ON deliveries (job_id) WHERE job_id IS NOT NULL;
-- Whom an event was sent to.
CREATE INDEX deliveries_of_event ON deliveries (event_number);
-- What the retention finds.
CREATE INDEX deliveries_done ON deliveries (finished_at) WHERE finished_at IS NOT NULL;

-- Every try, as it went.
CREATE TABLE delivery_attempts (
    delivery_id    uuid NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    number         integer NOT NULL,
    started_at     timestamptz NOT NULL,
    duration_ms    integer NOT NULL,
    -- The answer's, where there was one.
    http_status    integer,
    -- A stable code. NULL: it got through.
    error          text,
    -- For people. No addresses of ours, no content.
    error_detail   text,
    -- The first bytes of the answer. NULL once the job is erased.
    response_start text,
    PRIMARY KEY (delivery_id, number)
);
