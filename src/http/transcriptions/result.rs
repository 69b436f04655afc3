//! A job's result within the callback that brought it.

use std::io;

use axum::{
    Extension,
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, stream};
use tokio::{sync::AcquireError, task::yield_now};

use crate::{
    db::{
        self,
        jobs::{StoredAs, StoredResult},
    },
    domain::{ids::CallbackId, job::JobStatus},
    http::{
        answer::compression::Preferred,
        problem::{Problem, ProblemType},
        request_scope,
        server::overload::Takes,
        state::{AppState, UNPACKED_MIB},
        transcriptions::view::{with_large_result, with_packed_result, with_result},
    },
    journal::result::{Pieces, unpacked, unpacked_bytes},
    turns::{By, Turn},
};

/// From which length on a result is unpacked as it is sent. A smaller one takes less memory than what unpacks it like that.
const LARGE_BYTES: usize = 256 * 1024;

/// What it takes to unpack a large one: a window, and what is under way.
const UNPACKING_BYTES: usize = 1_000_000;

/// A result as it can be had without more work than necessary.
pub enum Packed {
    /// One zstd frame, as it is stored.
    Zstd(Bytes),
    /// Unpacked: because it has no frame of its own, or because its reader does not want it packed.
    Plain(Plain),
}

/// A result in plain text.
pub enum Plain {
    /// All of it.
    Whole(Bytes),
    /// A large one, unpacked as it is sent.
    Large(Large),
}

/// A large result, as far as it is unpacked.
pub struct Large {
    callback_id: CallbackId,
    first: Bytes,
    rest: Box<Pieces>,
    takes: Takes,
}

impl Large {
    /// What cannot be read at all is found before an answer begins.
    fn begin(callback_id: CallbackId, frame: Vec<u8>, bytes: usize) -> Result<Self, Problem> {
        let takes = Takes(frame.len() + UNPACKING_BYTES);
        let begin = || {
            let mut rest = Box::new(Pieces::of(frame, bytes)?);
            let first = rest.next().unwrap_or(Ok(Bytes::new()))?;
            Ok(Self {
                callback_id,
                first,
                rest,
                takes,
            })
        };
        begin().map_err(|cause| unreadable(callback_id, cause))
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.first.len() + self.rest.left()
    }

    /// How much memory it takes while it is sent.
    pub fn takes(&self) -> Takes {
        self.takes
    }

    /// All of them. An error cuts the answer short of its length, which tells its reader that it is not whole.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let Self {
            callback_id,
            first,
            rest,
            ..
        } = self;
        let rest = stream::unfold(rest, move |mut rest| async move {
            // Other requests of this thread have their turn in between.
            yield_now().await;
            let piece = rest.next()?.map_err(|cause| {
                log_unreadable(callback_id, cause);
                io::Error::other(cause)
            });
            Some((piece, rest))
        });
        // What encodes an answer asks once more when it has ended.
        stream::iter([Ok(first)]).chain(rest.fuse())
    }
}

impl IntoResponse for Large {
    fn into_response(self) -> Response {
        let length = [(header::CONTENT_LENGTH, HeaderValue::from(self.bytes()))];
        let takes = Extension(self.takes);
        (length, takes, Body::from_stream(self.into_stream())).into_response()
    }
}

impl Plain {
    /// How much memory it takes while it is sent.
    pub fn takes(&self) -> Takes {
        match self {
            Self::Whole(result) => Takes(result.len()),
            Self::Large(result) => result.takes(),
        }
    }

    /// All of it, piece by piece.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        match self {
            Self::Whole(result) => stream::iter([Ok(result)]).left_stream(),
            Self::Large(result) => result.into_stream().right_stream(),
        }
    }
}

impl IntoResponse for Packed {
    fn into_response(self) -> Response {
        match self {
            Self::Zstd(frame) => {
                let zstd = HeaderValue::from_static("zstd");
                ([(header::CONTENT_ENCODING, zstd)], frame).into_response()
            }
            Self::Plain(Plain::Whole(result)) => result.into_response(),
            Self::Plain(Plain::Large(result)) => result.into_response(),
        }
    }
}

/// Reads a result and makes something of it, such as a file, where it keeps no other request waiting. What is made counts
/// as reading: no result waits in memory for its turn to be made something of.
pub async fn read_into<T: Send + 'static>(
    state: &AppState,
    callback_id: CallbackId,
    make: impl FnOnce(Bytes) -> T + Send + 'static,
) -> Result<T, Problem> {
    let (stored, turn) = find(state, request_scope::tenant(), callback_id).await?;
    unpack(state, callback_id, stored, turn, make).await
}

/// Reads a result, byte for byte as it came, for whoever it is `by`: its request may have been handled. `small`: what was read
/// along with its job.
///
/// Results are large, so a few are read at a time, and as many unpacked as there is room for, whoever asks for how many;
/// and none holds a connection of the database's meanwhile.
pub async fn read_plain(
    state: &AppState,
    by: By,
    callback_id: CallbackId,
    small: Option<StoredResult>,
) -> Result<Plain, Problem> {
    let (stored, turn) = stored(state, by, callback_id, small).await?;
    plain(state, callback_id, stored, turn).await
}

/// Reads a result for a caller: packed, if it is stored like that and the caller would rather have it so.
pub async fn read_packed(
    state: &AppState,
    callback_id: CallbackId,
    small: Option<StoredResult>,
    preferred: Preferred,
) -> Result<Packed, Problem> {
    let (stored, turn) = stored(state, request_scope::tenant(), callback_id, small).await?;
    match stored.zstd {
        StoredAs::Frame(frame) if preferred == Preferred::Zstd => Ok(Packed::Zstd(frame.into())),
        zstd => {
            let stored = StoredResult { zstd, ..stored };
            let plain = plain(state, callback_id, stored, turn).await;
            plain.map(Packed::Plain)
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
            None => read_plain(state, request_scope::tenant(), callback_id, None).await?,
        },
    };
    Ok(match result {
        Plain::Whole(result) => with_result(written, Some(result)),
        Plain::Large(result) => with_large_result(written, result),
    })
}

/// What is stored; where that was not read along with its job, with leave to unpack it.
async fn stored(
    state: &AppState,
    by: By,
    callback_id: CallbackId,
    small: Option<StoredResult>,
) -> Result<(StoredResult, Option<Turn>), Problem> {
    if let Some(small) = small {
        return Ok((small, None));
    }
    let (stored, turn) = find(state, by, callback_id).await?;
    Ok((stored, Some(turn)))
}

/// In plain text. What was read along with its job is small enough to be unpacked at once.
async fn plain(
    state: &AppState,
    callback_id: CallbackId,
    stored: StoredResult,
    turn: Option<Turn>,
) -> Result<Plain, Problem> {
    let Some(turn) = turn else {
        let result = unpacked(&stored).map_err(|cause| unreadable(callback_id, cause))?;
        return Ok(Plain::Whole(result));
    };
    match in_pieces(callback_id, stored) {
        Ok(large) => large.map(Plain::Large),
        Err(stored) => unpack(state, callback_id, stored, turn, Plain::Whole).await,
    }
}

async fn find(
    state: &AppState,
    by: By,
    callback_id: CallbackId,
) -> Result<(StoredResult, Turn), Problem> {
    let turn = state.result_turns.enter_patiently(by);
    let turn = turn
        .await
        .ok_or_else(|| unreadable(callback_id, "no turn"))?;
    let mut conn = state.callers.acquire(by).await?;
    let looking = db::jobs::find_result(&mut conn, callback_id);
    if let Some(stored) = db::pool::in_time(looking).await? {
        conn.put_back();
        return Ok((stored, turn));
    }
    // Erased since the job was read.
    let receipt = db::jobs::receipts::find_by_callback(&mut conn, callback_id).await?;
    Err(receipt.map_or_else(Problem::deleted, Problem::erased))
}

/// A large result to be unpacked as it is sent; or what is stored, where it is none or its length is not known.
fn in_pieces(
    callback_id: CallbackId,
    stored: StoredResult,
) -> Result<Result<Large, Problem>, StoredResult> {
    let large = unpacked_bytes(&stored).filter(|bytes| *bytes >= LARGE_BYTES);
    match (stored.zstd, large) {
        (StoredAs::Frame(frame), Some(bytes)) => Ok(Large::begin(callback_id, frame, bytes)),
        (zstd, _) => Err(StoredResult { zstd, ..stored }),
    }
}

/// Large results take milliseconds to unpack; the other requests of this thread do not wait for it. The turn goes along,
/// since unpacking does not end when the caller goes away.
async fn unpack<T: Send + 'static>(
    state: &AppState,
    callback_id: CallbackId,
    stored: StoredResult,
    turn: Turn,
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
        let _held = (turn, room);
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

fn log_unreadable(callback_id: CallbackId, cause: &str) {
    tracing::error!(callback.id = %callback_id, cause, "A stored result cannot be read");
}

fn unreadable(callback_id: CallbackId, cause: &str) -> Problem {
    log_unreadable(callback_id, cause);
    Problem::new(
        ProblemType::Internal,
        "The stored result cannot be read. The gateway's log has the cause.",
    )
}

/// Why a job that is not done has no result.
pub fn no_result(status: JobStatus) -> Problem {
    let detail = match status {
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
