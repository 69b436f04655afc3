SET LOCAL lock_timeout = '5s';

ALTER TABLE callbacks
    -- Where the result stands within the compressed body: a zstd frame of its own, which can be served as it is.
    -- NULL: the body is one frame, and the result has to be looked for.
    ADD COLUMN result_frame_start  integer,
    ADD COLUMN result_frame_length integer,
    ADD CONSTRAINT callbacks_result_frame CHECK
        ((result_frame_start IS NULL) = (result_frame_length IS NULL)) NOT VALID;
