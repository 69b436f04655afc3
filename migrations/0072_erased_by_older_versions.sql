-- During a rolling update, older versions erase jobs too. None of them but the last ones notes which file an erased job has used, for
-- which its deletion at Gladia may have to wait; the oldest know neither of warnings and metadata nor of callbacks, nor of what callers'
-- tracing systems and receivers have said. Once they run nowhere any more, this can be dropped along with its trigger.
CREATE OR REPLACE FUNCTION erase_what_older_versions_leave() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.warnings := NULL;
    NEW.callback := NULL;
    NEW.tracestate := NULL;
    IF NEW.erased_upload_id IS NULL AND OLD.upload_id IS NOT NULL AND (
        -- One that does not say so may have Gladia's copies deleted.
        NEW.deletes_at_gladia IS NOT FALSE
            AND EXISTS (SELECT FROM attempts WHERE job_id = NEW.id AND (gladia_id IS NOT NULL OR finished_at IS NULL))
        OR EXISTS (SELECT FROM upstream_deletions WHERE job_id = NEW.id AND finished_at IS NULL)
    ) THEN
        NEW.erased_upload_id := OLD.upload_id;
    END IF;
    PERFORM id FROM deliveries WHERE job_id = NEW.id ORDER BY id FOR NO KEY UPDATE;
    UPDATE delivery_attempts SET response_start = NULL
    WHERE delivery_id IN (SELECT id FROM deliveries WHERE job_id = NEW.id) AND response_start IS NOT NULL;
    DELETE FROM job_metadata WHERE job_id = NEW.id AND NOT kept_for_usage;
    RETURN NEW;
END
$$;
