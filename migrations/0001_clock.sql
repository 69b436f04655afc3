-- The one clock of the gateway. Every instant that decides something (leases, deadlines, order in a queue) comes from
-- here, so that replicas with different clocks agree, and tests can replace the function to move time.
CREATE FUNCTION gateway_now() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT clock_timestamp()';
