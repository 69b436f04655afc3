SET LOCAL lock_timeout = '5s';

-- Whoever writes a try down holds its delivery, so that nothing is gained by looking for that, and locking it, once more for
-- each. Tries go with their deliveries all the same, all of a statement's at once.
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
ALTER TABLE delivery_attempts DROP CONSTRAINT delivery_attempts_delivery_id_fkey;
