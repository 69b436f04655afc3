-- One row for each time that a job may have been sent to Gladia, committed before the request leaves.
CREATE TABLE attempts (
    id            uuid PRIMARY KEY,
    job_id        uuid NOT NULL REFERENCES jobs,
    -- 1, 2, 3 within the job.
    number        integer NOT NULL CHECK (number > 0),
    state         text NOT NULL CHECK (state IN
                      ('submitting', 'accepted', 'unknown', 'not_sent', 'refused', 'done', 'error', 'expired')),
    -- Which of CALLBACK_KEYS signs the attempt's callback URL: it must stay configured until the attempt ends.
    key_id        text NOT NULL,
    -- The process that submits it, for people who read the table.
    worker        text NOT NULL,
    -- Nothing is sent after this instant.
    send_until    timestamptz NOT NULL,
    -- After this instant whoever held the attempt is taken for dead, and the attempt is unknown.
    lease_until   timestamptz NOT NULL CHECK (lease_until > send_until),
    gladia_id     text CONSTRAINT attempts_gladia_id UNIQUE,
    http_status   integer,
    -- What is known of how it went: an error without secrets, for people.
    detail        text,
    created_at    timestamptz NOT NULL DEFAULT gateway_now(),
    answered_at   timestamptz,
    finished_at   timestamptz,
    CONSTRAINT attempts_number UNIQUE (job_id, number),
    CONSTRAINT attempts_finished CHECK
        ((finished_at IS NULL) = (state IN ('submitting', 'accepted', 'unknown')))
);

-- A job has at most one attempt that may be running.
CREATE UNIQUE INDEX attempts_one_open ON attempts (job_id) WHERE finished_at IS NULL;
-- The sweep for leases that ran out.
CREATE INDEX attempts_leases ON attempts (lease_until) WHERE state = 'submitting';

-- The account's limit as rows: a job in flight holds one whose number is at most dispatch.max_in_flight.
CREATE TABLE slots (
    number      integer PRIMARY KEY CHECK (number > 0),
    attempt_id  uuid UNIQUE REFERENCES attempts,
    tenant_id   uuid REFERENCES tenants,
    taken_at    timestamptz,
    -- Gladia works on a job for two hours at most; after that and a margin nothing can hold the slot.
    deadline_at timestamptz,
    CONSTRAINT slots_held CHECK (num_nonnulls(attempt_id, tenant_id, taken_at, deadline_at) IN (0, 4))
);

-- One row: the cap, and whether anything may be sent at all. A claim locks it, so claims run one after another, fairness
-- is exact, and a changed cap holds from the next claim on in every replica.
CREATE TABLE dispatch (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    max_in_flight integer NOT NULL CHECK (max_in_flight BETWEEN 1 AND 10000),
    paused_until  timestamptz,
    pause_reason  text,
    -- How often in a row nothing could be sent; sets the length of the next pause.
    failures      integer NOT NULL DEFAULT 0,
    CONSTRAINT dispatch_pause CHECK ((paused_until IS NULL) = (pause_reason IS NULL))
);
