//! The least that could accept a job: the body parsed, one row of the gateway's shape inserted by one statement, and told.
//!
//! The row has the gateway's columns that a new job fills, and the indexes of `jobs` that it enters; an idempotency key is one
//! more column with a unique index. Nobody is asked who they are, nothing is checked or looked up, nobody is told but the
//! caller, and no other table is referred to.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use uuid::Uuid;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS jobs (
        id              uuid PRIMARY KEY,
        tenant_id       uuid NOT NULL,
        api_key_id      uuid NOT NULL,
        status          text NOT NULL,
        request         json,
        audio_url       text,
        created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
        queued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        deleted_at      timestamptz,
        idempotency_key text
    );
    CREATE INDEX IF NOT EXISTS jobs_line ON jobs (tenant_id, queued_at, id) WHERE status = 'queued';
    CREATE INDEX IF NOT EXISTS jobs_list ON jobs (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
    CREATE INDEX IF NOT EXISTS jobs_list_by_status ON jobs (tenant_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
    CREATE UNIQUE INDEX IF NOT EXISTS jobs_key ON jobs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
";

#[derive(Clone)]
struct Floor {
    pool: PgPool,
    tenant_id: Uuid,
}

/// Serves until it is killed. Prints its address first.
pub async fn serve(database_url: &str) -> anyhow::Result<()> {
    let pool = super::connect(database_url).await?;
    sqlx::raw_sql(TABLE).execute(&pool).await?;
    let tenant_id = Uuid::now_v7();
    let router = Router::new()
        .route("/", post(accept))
        .with_state(Floor { pool, tenant_id });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("Listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn accept(
    State(floor): State<Floor>,
    headers: HeaderMap,
    Json(mut request): Json<Value>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let id = Uuid::now_v7();
    let audio_url = request
        .as_object_mut()
        .and_then(|body| body.remove("audio_url"));
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let done = sqlx::query(
        "INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, idempotency_key)
         VALUES ($1, $2, $2, 'queued', $3::text::json, $4, $5)
         ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING",
    )
    .bind(id)
    .bind(floor.tenant_id)
    .bind(request.to_string())
    .bind(audio_url.as_ref().and_then(Value::as_str))
    .bind(key)
    .execute(&floor.pool)
    .await
    .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    if done.rows_affected() == 0 {
        return Err(StatusCode::CONFLICT);
    }
    let accepted =
        json!({ "id": id, "status": "queued", "audio_url": audio_url, "options": request });
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}
