-- One row: which process is looking at Gladia's list, and until when. Two at once would do no harm but cost Gladia twice.
CREATE TABLE look_ups (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    worker     text,
    held_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO look_ups DEFAULT VALUES;

-- Which attempts were claimed after an instant: the witnesses of a look.
CREATE INDEX attempts_created ON attempts (created_at);

ALTER TABLE attempts
    -- Settled as not sent although no witness proved it. If its job's next attempt is unknown as well, an operator decides.
    ADD COLUMN settled_without_witness boolean NOT NULL DEFAULT false;
