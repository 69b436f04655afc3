//! The least that could change the rows that the gateway changes, in the one commit that it changes them in, on its own
//! tables: what of the distance to the other floors is what Postgres takes for them.
//!
//! A function of Postgres's own makes the changes one by one, each by an id and with a plan of its own, since that takes
//! least: a statement for all of them is set up anew each time. A body is compressed as in the other floor. Nobody is asked
//! who they are, a body is not looked into, and nobody is told but by the event's row.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::post,
};
use gladia_gateway::db::SESSION_SETTINGS;
use serde_json::Value;
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;
use uuid::Uuid;

const FUNCTIONS: &str = r#"
    CREATE OR REPLACE FUNCTION accept_job(new_id uuid, caller_id uuid, options json, address text) RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url)
        VALUES (new_id, caller_id, caller_id, 'queued', options, address);
        INSERT INTO events (tenant_id, job_id, type, data)
        VALUES (caller_id, new_id, 'transcription.queued', '{"status":"queued"}');
    END $$;

    CREATE OR REPLACE FUNCTION end_job(its_attempt uuid, its_id uuid, hash bytea, kept_body bytea, received_bytes bigint)
    RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        now timestamptz := gateway_now();
        its_job uuid;
        caller uuid;
        accepted_as text;
        next_number bigint;
    BEGIN
        SELECT job_id, gladia_id INTO its_job, accepted_as FROM attempts WHERE id = its_attempt;
        UPDATE jobs SET status = 'done', finished_at = now, gladia_id = accepted_as, result_callback_id = its_id,
                        audio_duration_seconds = 60, billing_time_seconds = 60
        WHERE id = its_job AND status = 'processing' RETURNING tenant_id INTO caller;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        UPDATE attempts SET state = 'done', finished_at = now, next_look_at = NULL,
                            audio_duration_seconds = 60, billing_time_seconds = 60
        WHERE id = its_attempt;
        INSERT INTO callbacks (id, attempt_id, method, outcome, gladia_id, body, body_bytes, body_sha256, received_at,
                               result_frame_start, result_frame_length)
        VALUES (its_id, its_attempt, 'POST', 'completed', accepted_as, kept_body, received_bytes, hash, now, 0, 1);
        UPDATE slots SET attempt_id = NULL, tenant_id = NULL, taken_at = NULL, deadline_at = NULL
        WHERE attempt_id = its_attempt;
        UPDATE event_sequence SET last_number = last_number + 1 RETURNING last_number INTO next_number;
        INSERT INTO events (tenant_id, job_id, type, data, number)
        VALUES (caller, its_job, 'transcription.done', json_build_object('status', 'done', 'received_at', now), next_number);
        RETURN true;
    END $$;
"#;

/// Jobs that Gladia has, by the ids of their attempts.
const SENT: &str = r#"
    WITH sent AS (
        SELECT id, clock_timestamp() AS now, row_number() OVER () AS nth FROM unnest($1::uuid[]) AS id
    ), made AS (
        INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, started_at)
        SELECT id, $2, $2, 'processing', '{}', 'https://audio.example.com/' || id, now FROM sent
    ), told AS (
        INSERT INTO events (tenant_id, job_id, type, data, number)
        SELECT $2, id, 'transcription.queued', '{"status":"queued"}', (SELECT last_number FROM event_sequence) + nth FROM sent
    ), tried AS (
        INSERT INTO attempts (id, job_id, number, state, key_id, worker, send_until, lease_until, gladia_id, answered_at,
                              expected_by, next_look_at)
        SELECT id, id, 1, 'accepted', 'floor', 'floor', now, now + interval '1 minute', id::text, now,
               now + interval '1 hour', now + interval '1 hour'
        FROM sent
    ), held AS (
        INSERT INTO slots (number, attempt_id, tenant_id, taken_at, deadline_at)
        SELECT nth, id, $2, now, now + interval '2 hours' FROM sent
    )
    UPDATE event_sequence SET last_number = last_number + cardinality($1)
"#;

#[derive(Clone)]
struct Rows {
    pool: PgPool,
    tenant_id: Uuid,
}

/// Serves until it is killed. Prints its address first.
pub async fn serve(database_url: &str) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(20)
        .test_before_acquire(false)
        .after_connect(|conn, _| Box::pin(async { conn.execute(SESSION_SETTINGS).await.map(drop) }))
        .connect(database_url)
        .await?;
    sqlx::migrate!().run(&pool).await?;
    sqlx::raw_sql(FUNCTIONS).execute(&pool).await?;
    let tenant_id = Uuid::now_v7();
    let router = Router::new()
        .route("/jobs", post(accept))
        .route("/sent/{count}", post(send))
        .route("/callbacks/{attempt_id}", post(take))
        .layer(DefaultBodyLimit::disable())
        .with_state(Rows { pool, tenant_id });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("Listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

fn failed<E>(_: E) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

/// A job and its event.
async fn accept(State(rows): State<Rows>, body: Bytes) -> Result<StatusCode, StatusCode> {
    let mut request: Value = serde_json::from_slice(&body).map_err(failed)?;
    let audio_url = request
        .as_object_mut()
        .and_then(|body| body.remove("audio_url"));
    sqlx::query("SELECT accept_job($1, $2, $3::text::json, $4)")
        .bind(Uuid::now_v7())
        .bind(rows.tenant_id)
        .bind(request.to_string())
        .bind(audio_url.as_ref().and_then(Value::as_str))
        .execute(&rows.pool)
        .await
        .map_err(failed)?;
    Ok(StatusCode::ACCEPTED)
}

/// So many jobs that Gladia has, each in a slot: the ids of their attempts, a line each.
async fn send(State(rows): State<Rows>, Path(count): Path<usize>) -> Result<String, StatusCode> {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::raw_sql("DELETE FROM slots")
        .execute(&rows.pool)
        .await
        .map_err(failed)?;
    sqlx::query(SENT)
        .bind(&ids)
        .bind(rows.tenant_id)
        .execute(&rows.pool)
        .await
        .map_err(failed)?;
    let lines: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    Ok(lines.join("\n"))
}

/// A callback, and everything that it ends.
async fn take(
    State(rows): State<Rows>,
    Path(attempt_id): Path<Uuid>,
    body: Bytes,
) -> Result<StatusCode, StatusCode> {
    let compressed = zstd::bulk::compress(&body, 1).map_err(failed)?;
    let bytes = i64::try_from(body.len()).map_err(failed)?;
    let has_ended = sqlx::query_scalar::<_, bool>("SELECT end_job($1, $2, $3, $4, $5)")
        .bind(attempt_id)
        .bind(Uuid::now_v7())
        .bind([7_u8; 32].as_slice())
        .bind(compressed)
        .bind(bytes)
        .fetch_one(&rows.pool)
        .await
        .map_err(failed)?;
    if has_ended {
        Ok(StatusCode::OK)
    } else {
        Err(StatusCode::NOT_FOUND)
    }
}
