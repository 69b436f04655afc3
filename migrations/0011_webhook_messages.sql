-- Account webhooks as they came: each message once, however often it is delivered, and what came of it.
CREATE TABLE webhook_messages (
    -- Svix's id of the message, the same in every delivery.
    id          text PRIMARY KEY,
    event       text NOT NULL,
    gladia_id   text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT gateway_now(),
    next_try_at timestamptz NOT NULL DEFAULT gateway_now(),
    tries       integer NOT NULL DEFAULT 0,
    -- foreign: a job of the account that this gateway did not send. known: nothing was left to learn.
    outcome     text CHECK (outcome IN ('adopted', 'completed', 'known', 'foreign', 'gone', 'given_up')),
    finished_at timestamptz,
    CONSTRAINT webhook_messages_finished CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX webhook_messages_due ON webhook_messages (next_try_at) WHERE finished_at IS NULL;
-- What the clean-up walks along.
CREATE INDEX webhook_messages_received ON webhook_messages (received_at);
