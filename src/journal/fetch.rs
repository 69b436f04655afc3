//! A result that is asked for: opened, read once as it comes, and carried out like a callback.

use std::io;

use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::PgConnection;
use tokio_util::{
    io::{StreamReader, SyncIoBridge},
    sync::CancellationToken,
};

use super::{body::KeptBody, carry_out::carry_out};
use crate::{
    db::callbacks::CallbackOutcome,
    domain::ids::{AttemptId, CallbackId},
    gladia::{
        callback::{Report, Shape},
        client::GladiaClient,
        error::GladiaError,
    },
};

/// No result of Gladia's is larger. Only its compressed bytes are in memory.
const MAX_BODY_BYTES: u64 = 2_000_000_000;

/// What Gladia says of a job that it was asked for.
pub enum Fetched {
    /// It does not have it.
    Gone,
    /// It is at work on it.
    Running {
        /// The attempt that sent it, if it is one of a gateway's.
        attempt_id: Option<AttemptId>,
    },
    /// It has ended.
    Ended {
        /// The same.
        attempt_id: Option<AttemptId>,
        /// The job as Gladia answered it.
        body: KeptBody,
    },
}

/// Asks Gladia for a job. `give_up` breaks the reading off.
///
/// # Errors
/// Where Gladia does not answer, breaks off, or answers with something else than this job.
pub async fn fetch(
    gladia: &GladiaClient,
    gladia_id: &str,
    give_up: &CancellationToken,
) -> Result<Fetched, GladiaError> {
    let Some(response) = gladia.job(gladia_id).await? else {
        return Ok(Fetched::Gone);
    };
    // An end that is told to the reader is an error there: what was read so far is never taken for the whole.
    let given_up = stream::once(async { Err(io::Error::from(io::ErrorKind::Interrupted)) });
    let chunks = response
        .bytes_stream()
        .map_err(io::Error::other)
        .boxed();
    let _ = (given_up, chunks, give_up, StreamReader::<stream::Empty<io::Result<bytes::Bytes>>, bytes::Bytes>::new, SyncIoBridge::<io::Empty>::new);
    todo!()
}
