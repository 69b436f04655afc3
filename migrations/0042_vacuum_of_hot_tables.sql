SET LOCAL lock_timeout = '5s';

-- A fifth of a table that keeps years of jobs may be dead before autovacuum comes by itself, and until then claims, sweeps and
-- lists walk through dead index entries. What changes often is vacuumed by the number of changes instead; most of such a
-- pass is skipped by the visibility map, and each index is walked through once.

-- Each job is written about four times, mostly to leave one partial index and enter another.
ALTER TABLE jobs SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
-- One update of four changes no index: it stays on its page if there is room.
ALTER TABLE attempts SET (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
-- Each event is written a second time, when it gets its number, and leaves events_unnumbered with that.
ALTER TABLE events SET (
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
-- Leased, sent and ended: three writes, each in an index.
ALTER TABLE deliveries SET (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
-- As many rows as the cap, two writes for every job, both of attempt_id, which is unique: nothing but a vacuum ever cleans up.
ALTER TABLE slots SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
-- A row for each receiver, written at every success of it: several versions fit beside it, and the next write clears them away.
ALTER TABLE delivery_lanes SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
