SET LOCAL lock_timeout = '5s';

-- A tenant's line, from its first claim on. Apart from tenants, since every claim writes here, and every row of a tenant's
-- looks its tenant up: behind an old snapshot it would walk through all that the claims have left.
CREATE TABLE lines (
    tenant_id      uuid PRIMARY KEY REFERENCES tenants,
    -- When a job of this tenant last took a slot: among tenants that hold equally many, the longest unserved is next.
    last_served_at timestamptz,
    -- No job that waits was queued before, so a claim does not walk through what has left the line.
    queued_from    timestamptz NOT NULL,
    -- Whether more waited behind what the last claim took: the next one then need not look.
    waits          boolean NOT NULL DEFAULT false,
    -- How often a job came back to an earlier place: a claim that did not see it leaves queued_from as it is.
    returns        bigint NOT NULL DEFAULT 0
    -- Room for several versions of each row on its page: no index knows of them, and the next write clears them away.
) WITH (fillfactor = 50);

INSERT INTO lines (tenant_id, last_served_at, queued_from)
SELECT id, last_served_at, '-infinity' FROM tenants WHERE last_served_at IS NOT NULL;
