//! Finding a job, and its result within the callback that brought it.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::{
    db::{self, jobs::Job},
    domain::{
        ids::{CallbackId, JobId, TenantId},
        job::JobStatus,
    },
    gladia::callback::result_of,
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// The id in the path. What is no id of ours names nothing, like an id that nobody has.
pub struct JobPath(pub JobId);

impl FromRequestParts<AppState> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|Path(text)| JobId::from_str(&text).ok())
            .map(Self)
            .ok_or_else(Problem::no_such_transcription)
    }
}

/// Finds a tenant's job that was not deleted.
pub async fn find(conn: &mut PgConnection, tenant_id: TenantId, id: JobId) -> Result<Job, Problem> {
    let job = db::jobs::find(conn, tenant_id, id)
        .await?
        .ok_or_else(Problem::no_such_transcription)?;
    if job.deleted_at.is_some() {
        return Err(Problem::deleted());
    }
    Ok(job)
}

/// Reads a result: the slice of the stored body that holds it, byte for byte.
pub async fn read(
    conn: &mut PgConnection,
    callback_id: CallbackId,
) -> Result<Box<RawValue>, Problem> {
    let compressed = db::jobs::find_result_body(conn, callback_id)
        .await?
        .ok_or_else(Problem::deleted)?;
    // Large bodies take milliseconds to unpack; the other requests of this thread do not wait for it.
    let unpacked = tokio::task::spawn_blocking(move || {
        let body = zstd::decode_all(compressed.as_slice()).ok()?;
        result_of(&body).map(RawValue::to_owned)
    });
    unpacked.await.ok().flatten().ok_or_else(|| {
        tracing::error!(callback.id = %callback_id, "A stored result cannot be read");
        Problem::new(
            ProblemType::Internal,
            "The stored result cannot be read. The gateway's log has the cause.",
        )
    })
}

/// Why a job that is not done has no result.
pub fn no_result(job: &Job) -> Problem {
    let detail = match job.status {
        JobStatus::Error => {
            "The transcription failed; its field `error` says why. There is no result."
        }
        JobStatus::Canceled => "The transcription was canceled. There is no result.",
        _ => "The transcription has not ended. Ask again later.",
    };
    Problem::new(ProblemType::ResultNotReady, detail)
}
