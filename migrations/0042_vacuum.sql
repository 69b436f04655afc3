SET LOCAL lock_timeout = '5s';

-- A fifth of a table that keeps years of jobs may be dead before autovacuum comes by itself, and until then sweeps and lists
-- walk through dead index entries. What changes often is vacuumed by the number of changes instead: most of such a pass is
-- skipped by the visibility map. No room is left on the pages of these tables: each write of a job, an event or a delivery
-- moves it from one partial index to another, so none but one in three of an attempt's could ever stay on its page, and that
-- one does.
ALTER TABLE jobs SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
ALTER TABLE attempts SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
ALTER TABLE events SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
ALTER TABLE deliveries SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
-- As many rows as the cap, two writes for every job, both of a unique column: nothing but a vacuum, here of a few pages, ever
-- cleans up, and each claim reads it all.
ALTER TABLE slots SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
-- A row for each receiver, written with every delivery of it and mostly in columns without an index: where a second version has
-- room beside it, the next write clears the first one away.
ALTER TABLE delivery_lanes SET (fillfactor = 50);
