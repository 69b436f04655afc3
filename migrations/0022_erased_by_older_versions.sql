SET LOCAL lock_timeout = '5s';

-- During a rolling update, the version before this one erases jobs too, and knows neither of their warnings nor of their
-- metadata. Once it runs nowhere any more, this can be dropped.
CREATE FUNCTION erase_what_older_versions_leave() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.warnings := NULL;
    DELETE FROM job_metadata WHERE job_id = NEW.id AND NOT kept_for_usage;
    RETURN NEW;
END
$$;
CREATE TRIGGER jobs_erased BEFORE UPDATE OF deleted_at ON jobs
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION erase_what_older_versions_leave();
