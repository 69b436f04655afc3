-- More than a million rows as some weeks of work leave them: most jobs ended long ago, 200 are in flight, 2,000 wait. One
-- statement a table, and only the columns that plans depend on.

INSERT INTO tenants (id, name) SELECT pg_temp.id(n), 'team ' || n FROM generate_series(1, 1000) n;
INSERT INTO api_keys (id, tenant_id, name, scope, hash) SELECT id, id, 'key', 'write', sha256(id::text::bytea) FROM tenants;
INSERT INTO lines (tenant_id, last_served_at, queued_from) SELECT id, now(), now() - interval '1 hour' FROM tenants;

INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, created_at, queued_at, started_at, finished_at,
                  error_type, upload_id, batch_id, batch_index)
SELECT pg_temp.id(n), team, team, status, '{}', 'https://audio.example.com/', at, at, at,
       CASE WHEN status IN ('done', 'error', 'canceled') THEN at END,
       CASE status WHEN 'error' THEN 'gladia_refused' END,
       CASE WHEN n % 10 = 0 THEN pg_temp.id(n) END,
       CASE WHEN n % 20 = 0 THEN pg_temp.id(n / 100) END, CASE WHEN n % 20 = 0 THEN n % 100 END
FROM generate_series(1, 250000) n,
     LATERAL (SELECT pg_temp.id(1 + n % 1000) AS team, now() - (250000 - n) * interval '10 s' AS at,
                     CASE WHEN n > 248000 THEN 'queued'
                          WHEN n > 247800 THEN (ARRAY['submitting', 'processing', 'unknown'])[1 + n % 3]
                          WHEN n % 50 = 0 THEN 'error'
                          WHEN n % 50 = 1 THEN 'canceled'
                          ELSE 'done' END AS status) job;

INSERT INTO attempts (id, job_id, number, state, key_id, worker, send_until, lease_until, gladia_id, created_at,
                      answered_at, finished_at, expected_by)
SELECT id, id, 1,
       CASE status WHEN 'canceled' THEN 'not_sent' WHEN 'processing' THEN 'accepted' ELSE status END,
       'key', 'worker', created_at, created_at + interval '1 minute',
       CASE WHEN status IN ('done', 'error', 'processing') THEN id::text END, created_at,
       CASE WHEN status <> 'submitting' THEN created_at END, finished_at, created_at
FROM jobs WHERE status <> 'queued';

INSERT INTO dispatch (max_in_flight) VALUES (250);
INSERT INTO slots (number, attempt_id, tenant_id, taken_at, deadline_at)
SELECT row_number() OVER (), a.id, j.tenant_id, a.created_at, a.created_at + interval '2 hours'
FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.finished_at IS NULL;
INSERT INTO slots (number) SELECT generate_series(201, 250);

INSERT INTO callbacks (id, attempt_id, received_at, method, outcome, gladia_id, body, body_bytes, body_sha256)
SELECT id, id, finished_at, 'POST',
       CASE WHEN job_id <= pg_temp.id(100060) THEN 'quarantined' WHEN state = 'done' THEN 'completed' ELSE 'failed' END,
       gladia_id, '', 1, sha256(id::text::bytea)
FROM attempts WHERE state IN ('done', 'error') AND job_id > pg_temp.id(100000);

INSERT INTO events (tenant_id, job_id, type, occurred_at, number)
SELECT tenant_id, id, 'transcription.done', created_at, row_number() OVER (ORDER BY id) FROM jobs WHERE status <> 'queued';
INSERT INTO events (tenant_id, job_id, type, occurred_at, number)
SELECT tenant_id, id, 'transcription.queued', created_at,
       -- A few that nobody has been told of yet.
       CASE WHEN id <= pg_temp.id(249990) THEN 250000 + row_number() OVER (ORDER BY id) END
FROM jobs WHERE id > pg_temp.id(150000);
UPDATE event_sequence SET last_number = 500000;

INSERT INTO webhook_endpoints (id, tenant_id, url, description, includes_result, status)
SELECT id, id, 'https://receiver.example.com/', '', false, 'enabled' FROM tenants;
INSERT INTO signing_secrets (id, tenant_id, endpoint_id, key_id, sealed) SELECT id, id, id, 'key', '' FROM tenants;
INSERT INTO delivery_lanes (id, tenant_id, origin)
SELECT id, id, CASE WHEN name LIKE '%0' THEN 'https://receiver.example.com' END FROM tenants;
INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status, created_at,
                        queued_at, finished_at)
SELECT id, tenant_id, tenant_id, tenant_id, row_number() OVER (ORDER BY id), 'transcription.done', id,
       CASE WHEN id > pg_temp.id(247000) THEN 'pending' ELSE 'delivered' END, created_at, created_at,
       CASE WHEN id > pg_temp.id(247000) THEN NULL ELSE created_at END
FROM jobs WHERE status = 'done' AND id > pg_temp.id(130000);
INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms)
SELECT id, 1, created_at, 1 FROM deliveries WHERE status = 'delivered';

INSERT INTO uploads (id, tenant_id, audio_url, is_standalone, filename, size_bytes, created_at)
SELECT upload_id, tenant_id, id::text, false, 'talk.mp3', 1, created_at FROM jobs WHERE upload_id IS NOT NULL;
INSERT INTO batches (id, tenant_id, requests, refused)
SELECT pg_temp.id(n), pg_temp.id(1 + n % 1000), 5, '[]' FROM generate_series(0, 20000) n;
INSERT INTO idempotency_keys (tenant_id, key, fingerprint, job_id, reserved_by, reserved_until)
SELECT tenant_id, id::text, sha256(id::text::bytea), id, id, created_at FROM jobs WHERE id > pg_temp.id(200000);
INSERT INTO job_metadata (job_id, key, value, tenant_id, created_at, kept_for_usage)
SELECT id, 'cost_center', 'north', tenant_id, created_at, true FROM jobs WHERE id > pg_temp.id(200000);
INSERT INTO upstream_deletions (gladia_id, job_id, reason, outcome, finished_at)
SELECT id::text, id, 'retention', CASE WHEN is_over THEN 'deleted' END, CASE WHEN is_over THEN now() END
FROM (SELECT id, id < pg_temp.id(49900) AS is_over FROM jobs WHERE id < pg_temp.id(50000)) job;
INSERT INTO webhook_messages (id, event, gladia_id, received_at, outcome, finished_at)
SELECT id::text, 'transcription.success', id::text, created_at, CASE WHEN is_over THEN 'known' END,
       CASE WHEN is_over THEN now() END
FROM (SELECT id, created_at, id < pg_temp.id(49900) AS is_over FROM jobs WHERE id < pg_temp.id(50000)) job;
