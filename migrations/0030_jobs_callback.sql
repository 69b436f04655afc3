SET LOCAL lock_timeout = '5s';

ALTER TABLE jobs
    -- Where its caller wants to be called: {"url", "method"}. NULL: nowhere, or erased.
    ADD COLUMN callback    json,
    -- W3C Trace Context of the request that made it: what goes on later belongs to the same trace.
    ADD COLUMN traceparent text,
    ADD COLUMN tracestate  text,
    ADD CONSTRAINT jobs_callback CHECK (deleted_at IS NULL OR callback IS NULL) NOT VALID;
