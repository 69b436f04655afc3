-- During a rolling update, the version before this one erases jobs too, and knows neither of their warnings and metadata nor
-- of their callbacks, nor of what their callers' tracing systems and receivers have said. Once it runs nowhere any more, this can be dropped
-- along with its trigger.
CREATE OR REPLACE FUNCTION erase_what_older_versions_leave() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.warnings := NULL;
    NEW.callback := NULL;
    NEW.tracestate := NULL;
    PERFORM id FROM deliveries WHERE job_id = NEW.id ORDER BY id FOR NO KEY UPDATE;
    UPDATE delivery_attempts SET response_start = NULL
    WHERE delivery_id IN (SELECT id FROM deliveries WHERE job_id = NEW.id) AND response_start IS NOT NULL;
    DELETE FROM job_metadata WHERE job_id = NEW.id AND NOT kept_for_usage;
    RETURN NEW;
END
$$;
