SET LOCAL lock_timeout = '5s';

ALTER TABLE idempotency_keys
    -- Of a create without a key of its caller's: when its answer had left, as far as is known. The same create that comes
    -- later is one of its own then. Until reserved_until it may be the second of this one.
    ADD COLUMN answered_at timestamptz;
