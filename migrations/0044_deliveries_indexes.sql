SET LOCAL lock_timeout = '5s';

-- Each version of a row has an entry in every index that holds it, and a delivery has three versions within a second. Now
-- `deliveries_waiting` and `deliveries_without_job` serve what these did, with a third fewer entries. What an older version of
-- the program asks finds its rows all the same, though not as fast where very much waits.
DROP INDEX deliveries_due;
DROP INDEX deliveries_queued;
DROP INDEX deliveries_of_event;
