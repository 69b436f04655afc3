//! The least that could show a finished job: its row and its result read by one statement, unpacked, put together and sent.
//!
//! It reads the gateway's own rows. Nobody is asked who they are. Where its caller has the answer already, only the job is
//! read. Whoever takes zstd gets the frame that is stored, alone or within its job, put together by the gateway's own function;
//! gzip is made by the library and at the level that the gateway uses.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use futures_util::stream;
use gladia_gateway::http::answer::zstd_frame;
use serde_json::{Value, json};
use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::net::TcpListener;
use tower_http::{CompressionLevel, compression::CompressionLayer};
use uuid::Uuid;

/// Serves until it is killed. Prints its address first.
pub async fn serve(database_url: &str) -> anyhow::Result<()> {
    let pool = super::connect(database_url).await?;
    let router = Router::new()
        .route("/{id}", get(job))
        .route("/{id}/result", get(result))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(pool);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("Listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

type Answer = Result<Response, StatusCode>;

fn failed<E>(_: E) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn job(State(pool): State<PgPool>, Path(id): Path<Uuid>, headers: HeaderMap) -> Answer {
    // A job that has ended does not change.
    let etag = format!("W/\"{id}\"");
    if headers.contains_key(header::IF_NONE_MATCH) {
        return known(&pool, id, &headers, etag).await;
    }
    let row = sqlx::query(
        "SELECT j.*, c.body_bytes,
                substring(c.body FROM c.result_frame_start + 1 FOR c.result_frame_length) AS result
         FROM jobs j JOIN callbacks c ON c.id = j.result_callback_id WHERE j.id = $1",
    )
    .bind(id)
    .fetch_one(&pool)
    .await
    .map_err(failed)?;
    let mut before = serde_json::to_vec(&shown(&row).map_err(failed)?).map_err(failed)?;
    before.pop();
    before.extend_from_slice(b",\"result\":");
    let after = b"}";
    if takes_zstd(&headers) {
        let pieces = zstd_frame::around(&before, frame(&row)?, after);
        let pieces = pieces.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        return Ok((ZSTD, in_pieces(pieces, etag)).into_response());
    }
    let pieces = [before.into(), unpacked(&row)?, Bytes::from_static(after)];
    Ok(in_pieces(pieces, etag))
}

fn in_pieces(pieces: [Bytes; 3], etag: String) -> Response {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::ETAG, etag),
    ];
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
    (headers, body).into_response()
}

async fn known(pool: &PgPool, id: Uuid, headers: &HeaderMap, etag: String) -> Answer {
    sqlx::query("SELECT * FROM jobs WHERE id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .map_err(failed)?;
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| *known == *etag)
    {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    Err(StatusCode::PRECONDITION_FAILED)
}

async fn result(State(pool): State<PgPool>, Path(id): Path<Uuid>, headers: HeaderMap) -> Answer {
    let row = sqlx::query(
        "SELECT c.body_bytes, substring(c.body FROM c.result_frame_start + 1 FOR c.result_frame_length) AS result
         FROM jobs j JOIN callbacks c ON c.id = j.result_callback_id WHERE j.id = $1",
    )
    .bind(id)
    .fetch_one(&pool)
    .await
    .map_err(failed)?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    if takes_zstd(&headers) {
        return Ok((json, ZSTD, frame(&row)?).into_response());
    }
    Ok((json, unpacked(&row)?).into_response())
}

/// Says of an answer that it is packed. It is not packed again.
const ZSTD: [(HeaderName, &str); 1] = [(header::CONTENT_ENCODING, "zstd")];

fn takes_zstd(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT_ENCODING)
        .is_some_and(|accepted| accepted == "zstd")
}

/// The result as it is stored.
fn frame(row: &PgRow) -> Result<Bytes, StatusCode> {
    let frame: Vec<u8> = row.try_get("result").map_err(failed)?;
    Ok(frame.into())
}

fn unpacked(row: &PgRow) -> Result<Bytes, StatusCode> {
    let frame: &[u8] = row.try_get("result").map_err(failed)?;
    // The body is a little longer than its result.
    let bytes: i64 = row.try_get("body_bytes").map_err(failed)?;
    let bytes = usize::try_from(bytes).map_err(failed)?;
    zstd::bulk::decompress(frame, bytes)
        .map(Bytes::from)
        .map_err(failed)
}

/// What the gateway shows of a job that is done.
fn shown(row: &PgRow) -> sqlx::Result<Value> {
    let request: Option<Value> = row.try_get("request")?;
    let part = |name: &str| request.as_ref().map(|request| request[name].clone());
    Ok(json!({
        "id": row.try_get::<Uuid, _>("id")?,
        "status": row.try_get::<String, _>("status")?,
        "status_reason": row.try_get::<Option<String>, _>("status_reason")?,
        "batch_id": row.try_get::<Option<Uuid>, _>("batch_id")?,
        "batch_index": row.try_get::<Option<i32>, _>("batch_index")?,
        "retries": row.try_get::<i32, _>("retries")?,
        "gladia_id": row.try_get::<Option<String>, _>("gladia_id")?,
        "audio_url": row.try_get::<Option<String>, _>("audio_url")?,
        "file": null,
        "options": part("options"),
        "extra_options": part("extra_options"),
        "warnings": row.try_get::<Option<Value>, _>("warnings")?,
        "audio_duration_seconds": row.try_get::<Option<f64>, _>("audio_duration_seconds")?,
        "billing_time_seconds": row.try_get::<Option<f64>, _>("billing_time_seconds")?,
        "addon_errors": row.try_get::<Option<Value>, _>("addon_errors")?,
        "error": null,
        "created_at": row.try_get::<DateTime<Utc>, _>("created_at")?,
        "started_at": row.try_get::<Option<DateTime<Utc>>, _>("started_at")?,
        "finished_at": row.try_get::<Option<DateTime<Utc>>, _>("finished_at")?,
    }))
}
