//! A job's result within the callback that brought it.

use axum::body::Bytes;

use crate::{
    db::{self, jobs::Job},
    domain::{ids::CallbackId, job::JobStatus},
    gladia::callback::result_of,
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// Reads a result: the slice of the stored body that holds it, byte for byte.
///
/// Results are large, so a few are unpacked at a time, whoever asks for how many; and none holds a connection of the
/// database's meanwhile.
pub async fn read(state: &AppState, callback_id: CallbackId) -> Result<Bytes, Problem> {
    let unreadable = |cause: &str| {
        tracing::error!(callback.id = %callback_id, cause, "A stored result cannot be read");
        Problem::new(
            ProblemType::Internal,
            "The stored result cannot be read. The gateway's log has the cause.",
        )
    };
    let permits = state.result_permits.clone();
    let permit = permits
        .acquire_owned()
        .await
        .map_err(|_| unreadable("no permit"))?;
    let compressed = {
        let mut conn = state.pool.acquire().await?;
        let kept = db::jobs::find_result_body(&mut conn, callback_id).await?;
        let Some(compressed) = kept else {
            // Erased since the job was read.
            let receipt = db::receipts::find_by_callback(&mut conn, callback_id).await?;
            return Err(receipt.map_or_else(Problem::deleted, Problem::erased));
        };
        compressed
    };
    // Large bodies take milliseconds to unpack; the other requests of this thread do not wait for it. The permit goes
    // along, since unpacking does not end when the caller goes away.
    let unpacked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let body = Bytes::from(zstd::decode_all(compressed.as_slice()).map_err(|_| "not zstd")?);
        let result = result_of(&body).ok_or("not a callback with a result")?;
        Ok::<_, &str>(body.slice_ref(result.get().as_bytes()))
    });
    unpacked
        .await
        .map_err(|_| unreadable("unpacking panicked"))?
        .map_err(unreadable)
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
