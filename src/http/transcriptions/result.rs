//! A job's result within the callback that brought it.

use axum::{
    body::Bytes,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use crate::{
    db::{
        self,
        jobs::{Job, StoredAs, StoredResult},
    },
    domain::{ids::CallbackId, job::JobStatus},
    http::{
        compression::Preferred,
        problem::{Problem, ProblemType},
        state::{AppState, UNPACKED_MIB},
        transcriptions::view::{with_packed_result, with_result},
    },
    journal::result::unpacked,
};

/// A result as it can be had without more work than necessary.
pub enum Packed {
    /// One zstd frame, as it is stored.
    Zstd(Bytes),
    /// Unpacked: because it has no frame of its own, or because its reader does not want it packed.
    Plain(Bytes),
}

impl IntoResponse for Packed {
    fn into_response(self) -> Response {
        match self {
            Self::Zstd(frame) => {
                let zstd = HeaderValue::from_static("zstd");
                ([(header::CONTENT_ENCODING, zstd)], frame).into_response()
            }
            Self::Plain(result) => result.into_response(),
        }
    }
}

/// Reads a result, byte for byte as it came.
///
/// Results are large, so a few are read at a time, and as many unpacked as there is room for, whoever asks for how many;
/// and none holds a connection of the database's meanwhile.
pub async fn read(state: &AppState, callback_id: CallbackId) -> Result<Bytes, Problem> {
    read_into(state, callback_id, |result| result).await
}

/// Reads a result and makes something of it, such as a file, where it keeps no other request waiting. What is made counts
/// as reading: no result waits in memory for its turn to be made something of.
pub async fn read_into<T: Send + 'static>(
    state: &AppState,
    callback_id: CallbackId,
    make: impl FnOnce(Bytes) -> T + Send + 'static,
) -> Result<T, Problem> {
    let (stored, permit) = find(state, callback_id).await?;
    unpack(state, callback_id, stored, permit, make).await
}

/// Reads a result, unless it is here already. One that was read along with its job is small enough to be unpacked at once.
pub async fn read_rest(
    state: &AppState,
    callback_id: CallbackId,
    small: Option<StoredResult>,
) -> Result<Bytes, Problem> {
    match small {
        Some(stored) => unpacked(&stored).map_err(|cause| unreadable(callback_id, cause)),
        None => read(state, callback_id).await,
    }
}

/// Reads a result for a caller: packed, if it is stored like that and the caller would rather have it so.
pub async fn read_packed(
    state: &AppState,
    callback_id: CallbackId,
    small: Option<StoredResult>,
    preferred: Preferred,
) -> Result<Packed, Problem> {
    let (stored, permit) = match small {
        Some(StoredResult {
            zstd: StoredAs::Frame(frame),
            ..
        }) if preferred == Preferred::Zstd => {
            return Ok(Packed::Zstd(frame.into()));
        }
        Some(stored) => {
            return read_rest(state, callback_id, Some(stored))
                .await
                .map(Packed::Plain);
        }
        None => find(state, callback_id).await?,
    };
    match stored.zstd {
        StoredAs::Frame(frame) if preferred == Preferred::Zstd => Ok(Packed::Zstd(frame.into())),
        zstd => {
            let stored = StoredResult { zstd, ..stored };
            unpack(state, callback_id, stored, permit, Packed::Plain).await
        }
    }
}

/// A job that is written, with its result: as it is stored, if its caller would rather have it packed.
pub async fn shown_with(
    state: &AppState,
    written: Vec<u8>,
    callback_id: CallbackId,
    small: Option<StoredResult>,
    preferred: Preferred,
) -> Result<Response, Problem> {
    let result = match read_packed(state, callback_id, small, preferred).await? {
        Packed::Plain(result) => result,
        Packed::Zstd(frame) => match with_packed_result(&written, frame) {
            Some(answer) => return Ok(answer),
            // Not as they are packed here.
            None => read(state, callback_id).await?,
        },
    };
    Ok(with_result(written, Some(result)))
}

async fn find(
    state: &AppState,
    callback_id: CallbackId,
) -> Result<(StoredResult, OwnedSemaphorePermit), Problem> {
    let permits = state.result_permits.clone();
    let permit = permits
        .acquire_owned()
        .await
        .map_err(|_| unreadable(callback_id, "no permit"))?;
    let mut conn = state.pool.acquire().await?;
    if let Some(stored) = db::jobs::find_result(&mut conn, callback_id).await? {
        conn.put_back();
        return Ok((stored, permit));
    }
    // Erased since the job was read.
    let receipt = db::receipts::find_by_callback(&mut conn, callback_id).await?;
    Err(receipt.map_or_else(Problem::deleted, Problem::erased))
}

/// Large results take milliseconds to unpack; the other requests of this thread do not wait for it. The permit goes along,
/// since unpacking does not end when the caller goes away.
async fn unpack<T: Send + 'static>(
    state: &AppState,
    callback_id: CallbackId,
    stored: StoredResult,
    permit: OwnedSemaphorePermit,
    make: impl FnOnce(Bytes) -> T + Send + 'static,
) -> Result<T, Problem> {
    let room = state
        .unpacking_mib
        .clone()
        .acquire_many_owned(mib(stored.body_bytes));
    let room = room
        .await
        .map_err(|_: AcquireError| unreadable(callback_id, "no room"))?;
    let reading = tokio::task::spawn_blocking(move || {
        let _held = (permit, room);
        Ok(make(unpacked(&stored)?))
    });
    reading
        .await
        .unwrap_or(Err("reading it panicked"))
        .map_err(|cause| unreadable(callback_id, cause))
}

/// How much room a body takes, begun MiB counted as whole ones. The largest gets all that there is.
fn mib(body_bytes: i64) -> u32 {
    let mib = u64::try_from(body_bytes)
        .unwrap_or_default()
        .div_ceil(1 << 20);
    u32::try_from(mib)
        .unwrap_or(u32::MAX)
        .clamp(1, UNPACKED_MIB)
}

fn unreadable(callback_id: CallbackId, cause: &str) -> Problem {
    tracing::error!(callback.id = %callback_id, cause, "A stored result cannot be read");
    Problem::new(
        ProblemType::Internal,
        "The stored result cannot be read. The gateway's log has the cause.",
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_takes_room_and_none_waits_for_more_than_there_is() {
        let sizes = [-1, 0, 1, 1 << 20, (1 << 20) + 1, 64_000_000, i64::MAX];
        assert_eq!(sizes.map(mib), [1, 1, 1, 1, 2, 62, UNPACKED_MIB]);
    }
}
