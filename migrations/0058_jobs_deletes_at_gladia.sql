SET LOCAL lock_timeout = '5s';

-- Whether the erasure of a job is to take Gladia's copies along, also those that become known later. NULL: not erased, or by a
-- version that did not note it. Each replica goes by this, whatever its own settings are.
ALTER TABLE jobs ADD COLUMN deletes_at_gladia boolean;
