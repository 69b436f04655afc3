-- Where upstream_deletions has many rows, make it beforehand, as README.md says.

-- What is deleted at Gladia before what the retention has erased, of which there may be millions.
CREATE INDEX IF NOT EXISTS upstream_deletions_asked ON upstream_deletions (next_try_at)
    WHERE finished_at IS NULL AND reason <> 'retention';
