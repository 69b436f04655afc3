-- Every verified callback as it came. With zero data retention upstream this is the only copy of a paid transcript.
CREATE TABLE callbacks (
    id          uuid PRIMARY KEY,
    attempt_id  uuid NOT NULL REFERENCES attempts,
    received_at timestamptz NOT NULL DEFAULT gateway_now(),
    method      text NOT NULL CHECK (method IN ('POST', 'PUT')),
    -- What the callback did: completed or failed the job, came too late to change it (superseded), was for a canceled or
    -- deleted job (discarded), or could not be understood (quarantined).
    outcome     text NOT NULL CHECK (outcome IN ('completed', 'failed', 'superseded', 'discarded', 'quarantined')),
    -- Why it was quarantined.
    reason      text,
    gladia_id   text,
    -- zstd. NULL when the content must not be kept.
    body        bytea,
    body_bytes  bigint NOT NULL,
    body_sha256 bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    -- The same body for the same attempt is the same callback.
    CONSTRAINT callbacks_once UNIQUE (attempt_id, body_sha256),
    CONSTRAINT callbacks_discarded CHECK (outcome <> 'discarded' OR body IS NULL)
);
-- The bytes are compressed already; Postgres would only spend time on them.
ALTER TABLE callbacks ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX callbacks_quarantined ON callbacks (received_at) WHERE outcome = 'quarantined';

ALTER TABLE jobs ADD CONSTRAINT jobs_result_callback FOREIGN KEY (result_callback_id) REFERENCES callbacks;
