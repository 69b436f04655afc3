-- A body may also have been fetched (GET), and a callback may be larger than what is read: it is noted, without its body,
-- and its result is fetched. So is the result of one that is not believed without a second proof (unproven).
ALTER TABLE callbacks
    DROP CONSTRAINT callbacks_method_check,
    ADD CONSTRAINT callbacks_method CHECK (method IN ('POST', 'PUT', 'GET')),
    DROP CONSTRAINT callbacks_outcome_check,
    ADD CONSTRAINT callbacks_outcome CHECK (outcome IN
        ('completed', 'failed', 'superseded', 'discarded', 'quarantined', 'too_large', 'unproven')),
    ADD CONSTRAINT callbacks_too_large CHECK (outcome <> 'too_large' OR body IS NULL);
