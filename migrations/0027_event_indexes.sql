-- Where events has many rows, make these beforehand, as README.md says.

-- What is still to be numbered: few rows at any time.
CREATE INDEX IF NOT EXISTS events_unnumbered ON events (position)
    WHERE number IS NULL
      AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown');
-- The log as processes follow it.
CREATE UNIQUE INDEX IF NOT EXISTS events_number ON events (number) WHERE number > 0;
-- The log as a tenant follows it.
CREATE INDEX IF NOT EXISTS events_tenant ON events (tenant_id, number) WHERE number > 0;
