SET LOCAL lock_timeout = '5s';

-- 0 holds everything back: what a restored backup has in line may have been sent since.
ALTER TABLE dispatch
    DROP CONSTRAINT dispatch_max_in_flight_check,
    ADD CONSTRAINT dispatch_max_in_flight_check CHECK (max_in_flight BETWEEN 0 AND 10000) NOT VALID;
ALTER TABLE dispatch VALIDATE CONSTRAINT dispatch_max_in_flight_check;
