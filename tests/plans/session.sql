-- What every connection of these tests has besides what the service's have.

-- References are true by the way the rows are made, and kept so by the scripts.
SET session_replication_role = replica;

-- An id that one can count on.
CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;
