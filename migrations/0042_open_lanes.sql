-- The lanes whose circuit is open, which the metrics count.
CREATE INDEX delivery_lanes_open ON delivery_lanes (open_until) WHERE open_until IS NOT NULL;
