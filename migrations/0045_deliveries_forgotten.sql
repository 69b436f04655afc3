SET LOCAL lock_timeout = '5s';

-- Tries go with their deliveries, all of a statement's at once. The reference that has seen to that so far goes next.
CREATE FUNCTION forget_delivery_attempts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        DELETE FROM delivery_attempts WHERE delivery_id = ANY (ARRAY(SELECT id FROM gone));
        RETURN NULL;
    END
    $$;
CREATE TRIGGER deliveries_forgotten AFTER DELETE ON deliveries
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION forget_delivery_attempts();
