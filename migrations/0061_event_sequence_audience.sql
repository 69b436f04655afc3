SET LOCAL lock_timeout = '5s';

-- Grows with each change of who wants to be told of events. Who numbers events in a statement that looks at endpoints before it has
-- the lock learns by it that it has not seen them all.
ALTER TABLE event_sequence ADD COLUMN audience_version bigint NOT NULL DEFAULT 0;
