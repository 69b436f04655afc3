-- What has waited for longer than it may, found without looking at what else waits in its lane.
CREATE INDEX deliveries_queued ON deliveries (lane_id, queued_at) WHERE status = 'pending';
