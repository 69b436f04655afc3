SET LOCAL lock_timeout = '5s';

-- The last public number of the event log. Its lock makes numbers commit in their order.
CREATE TABLE event_sequence (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    last_number bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO event_sequence (last_number) VALUES (0);

-- How far a tenant's events are gone, where some are: a reader who has not come further has missed them.
CREATE TABLE event_horizons (
    tenant_id       uuid PRIMARY KEY REFERENCES tenants,
    expired_through bigint NOT NULL
);
