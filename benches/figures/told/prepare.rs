//! Puts deliveries into the tables: the gateway's as it would have made them, and the same messages for the floor.

use sqlx::PgPool;

/// Whether anything waits.
pub(super) const GATEWAY_PENDING: &str =
    "SELECT EXISTS (SELECT FROM deliveries WHERE status = 'pending')";

/// The same of the floor.
pub(super) const FLOOR_PENDING: &str =
    "SELECT EXISTS (SELECT FROM outbox WHERE status = 'pending')";

/// Copies of a job that is done, with its event, on their way to its endpoint.
pub(super) async fn gateway(pool: &PgPool, deliveries: i32) -> sqlx::Result<()> {
    sqlx::query(
        "
        WITH told AS (
            SELECT d.tenant_id, d.lane_id, d.endpoint_id, d.job_id, e.type, e.data, s.last_number
            FROM deliveries d JOIN events e ON e.number = d.event_number AND e.number > 0, event_sequence s
            WHERE d.status = 'delivered'
            ORDER BY d.created_at LIMIT 1
        ), made AS (
            SELECT n, ('01900000-0000-7000-8000-' || lpad(to_hex(last_number + n), 12, '0'))::uuid AS id
            FROM told, generate_series(1, $1) n
        ), new_jobs AS (
            INSERT INTO jobs
            SELECT job.* FROM jobs j
            CROSS JOIN made
            CROSS JOIN LATERAL json_populate_record(j, json_build_object('id', made.id)) job
            WHERE j.id = (SELECT job_id FROM told)
        ), new_events AS (
            INSERT INTO events (tenant_id, job_id, type, occurred_at, data, number)
            SELECT told.tenant_id, made.id, told.type, gateway_now(), told.data, told.last_number + made.n FROM told, made
        ), noted AS (
            UPDATE event_sequence SET last_number = last_number + $1
        )
        INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status)
        SELECT made.id, told.tenant_id, told.lane_id, told.endpoint_id, told.last_number + made.n, told.type, made.id,
               'pending'
        FROM told, made
        ",
    )
    .bind(deliveries)
    .execute(pool)
    .await?;
    Ok(())
}

/// Messages of the size that the gateway's have.
pub(super) async fn floor(pool: &PgPool, deliveries: i32) -> sqlx::Result<()> {
    sqlx::query(
        r#"
        INSERT INTO outbox (id, body)
        SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(coalesce(had, 0) + n), 12, '0'))::uuid,
               '{"id":"evt_' || n || '","type":"transcription.done","timestamp":"2026-11-27T01:02:03.456Z","data":{'
               || '"transcription_id":"01900000-0000-7000-8000-000000000000","status":"done","status_reason":null,'
               || '"attempt":1,"audio_duration_seconds":129.6,"billing_time_seconds":129.6,"custom_metadata":'
               || '{"team":"editorial","source":"interview"},"links":{"transcription":'
               || '"http://127.0.0.1:8080/v1/transcriptions/01900000-0000-7000-8000-000000000000","result":'
               || '"http://127.0.0.1:8080/v1/transcriptions/01900000-0000-7000-8000-000000000000/result"}}}'
        FROM (SELECT count(*) AS had FROM outbox) all_so_far, generate_series(1, $1) n
        "#,
    )
    .bind(deliveries)
    .execute(pool)
    .await?;
    Ok(())
}
