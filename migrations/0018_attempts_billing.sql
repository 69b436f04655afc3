SET LOCAL lock_timeout = '5s';

ALTER TABLE attempts
    -- As Gladia billed it. Kept with the attempt, because a result that came too late, twice, or for a canceled job is billed
    -- like any other.
    ADD COLUMN audio_duration_seconds double precision,
    ADD COLUMN billing_time_seconds   double precision;
