//! A result that is asked for: read once as it comes, and carried out like a callback.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::Response;
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

/// Twice the largest result that is known of. Of one that arrives only the compressed bytes are in memory.
const MAX_BODY_BYTES: u64 = 2_000_000_000;

/// What Gladia says of a job that it was asked for.
pub enum Fetched {
    /// It does not have it.
    Gone,
    /// It is at work on it, or will be.
    Running(FetchedJob),
    /// It has ended.
    Ended(FetchedJob),
}

/// The job as Gladia answered it.
pub struct FetchedJob(KeptBody);

impl FetchedJob {
    /// The attempt that sent it, if a gateway's did.
    #[must_use]
    pub fn attempt_id(&self) -> Option<AttemptId> {
        self.0.attempt_id()
    }

    /// Completes the attempt's job with it.
    ///
    /// # Errors
    /// Where the database does not answer. Nothing is kept then.
    pub async fn complete(
        &self,
        conn: &mut PgConnection,
        id: CallbackId,
        attempt_id: AttemptId,
    ) -> sqlx::Result<CallbackOutcome> {
        carry_out(conn, id, attempt_id, "GET", &self.0, None).await
    }
}

/// Asks Gladia for a job once. `stop` breaks it off.
///
/// # Errors
/// Where Gladia does not answer, breaks off, or answers with something else than this job. Asking again later may help.
pub async fn fetch(
    gladia: &GladiaClient,
    gladia_id: &str,
    stop: &CancellationToken,
) -> Result<Fetched, GladiaError> {
    let stopped = || GladiaError::Unavailable("the gateway was stopped while it asked".into());
    let answer = stop
        .run_until_cancelled(gladia.job(gladia_id))
        .await
        .ok_or_else(stopped)??;
    let Some(response) = answer else {
        return Ok(Fetched::Gone);
    };
    let source = SyncIoBridge::new(StreamReader::new(Box::pin(chunks(response, stop.clone()))));
    let reading = move || KeptBody::read_within(source, Shape::Job, MAX_BODY_BYTES);
    let body = tokio::task::spawn_blocking(reading)
        .await
        .map_err(|_| GladiaError::Unexpected("reading a job failed".into()))?
        .map_err(|_| GladiaError::Unavailable("the answer broke off".into()))?
        .map_err(|_| GladiaError::Unexpected("a job of more than 2 GB".into()))?;
    let (is_running, answered) = match body.report() {
        Ok(Report::Running { gladia_id }) => (true, gladia_id),
        Ok(Report::Ended(completion)) => (false, &completion.gladia_id),
        Err(reason) => return Err(GladiaError::Unexpected(format!("no job: {reason}"))),
    };
    if answered != gladia_id {
        return Err(GladiaError::Unexpected(
            "another job than the one that was asked for".into(),
        ));
    }
    let job = FetchedJob(body);
    Ok(if is_running {
        Fetched::Running(job)
    } else {
        Fetched::Ended(job)
    })
}

/// What a job at Gladia is to an attempt that somebody says has made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeBy {
    /// It names this attempt.
    This,
    /// It names another one.
    Another,
    /// It names none: no gateway has made it.
    Nobody,
}

/// Asks Gladia which attempt has made a job. `None`: Gladia does not have the job.
///
/// # Errors
/// As [`fetch`].
pub async fn made_by(
    gladia: &GladiaClient,
    gladia_id: &str,
    attempt_id: AttemptId,
    stop: &CancellationToken,
) -> Result<Option<MadeBy>, GladiaError> {
    let job = match fetch(gladia, gladia_id, stop).await? {
        Fetched::Gone => return Ok(None),
        Fetched::Running(job) | Fetched::Ended(job) => job,
    };
    Ok(Some(match job.attempt_id() {
        Some(id) if id == attempt_id => MadeBy::This,
        Some(_) => MadeBy::Another,
        None => MadeBy::Nobody,
    }))
}

/// The body as it comes. Being stopped is an error to whoever reads: what came so far is never taken for the whole.
fn chunks(response: Response, stop: CancellationToken) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold((response, stop), |(mut response, stop)| async {
        let chunk = match stop.run_until_cancelled(response.chunk()).await {
            Some(chunk) => chunk.map_err(io::Error::other).transpose()?,
            None => Err(io::Error::other("stopped")),
        };
        Some((chunk, (response, stop)))
    })
}
