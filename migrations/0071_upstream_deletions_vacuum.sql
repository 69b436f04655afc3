SET LOCAL lock_timeout = '5s';

-- Receipts are kept for good, and each was written twice at least: what is due would be walked for behind the dead entries of
-- years, were it vacuumed by shares. By the number of changes, as the other tables that change often.
ALTER TABLE upstream_deletions SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);
