-- What is known of an attempt besides its state, and when it is looked at again.
ALTER TABLE attempts
    -- By when its callback should have come.
    ADD COLUMN expected_by    timestamptz,
    -- When Gladia is asked about it next: whether it has it, or how it went. NULL: by the rules for its state.
    ADD COLUMN next_look_at   timestamptz,
    -- How often Gladia was asked.
    ADD COLUMN looks          integer NOT NULL DEFAULT 0,
    -- How often Gladia then did not have it, and since when. For an unknown attempt only looks at a list that is proven
    -- complete count.
    ADD COLUMN absences       integer NOT NULL DEFAULT 0,
    ADD COLUMN absent_since   timestamptz,
    -- Why an unknown attempt is not settled yet.
    ADD COLUMN unknown_reason text CHECK (unknown_reason IN
                                  ('settling', 'no_witness', 'list_behind', 'list_unavailable', 'awaiting_decision')),
    -- What settled an attempt whose create was never answered.
    ADD COLUMN settled_by     text CHECK (settled_by IN ('callback', 'look_up', 'webhook', 'operator'));

-- Asked again although finished: an older attempt that turned out to have reached Gladia.
CREATE INDEX attempts_next_look ON attempts (next_look_at) WHERE next_look_at IS NOT NULL;
