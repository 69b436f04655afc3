//! Carrying a callback out: the same for one that arrives and for one that was kept and is tried again.

use std::time::Duration;

use sqlx::PgConnection;

use super::body::KeptBody;

use crate::{
    db::{
        self,
        callbacks::{self, CallbackOutcome, ReceivedCallback},
    },
    domain::ids::{AttemptId, CallbackId},
    gladia::callback::Report,
};

/// How often a callback that lost against another transaction is tried.
const TRIES: u32 = 3;

/// How long it steps aside for the other one, the first time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// Carries out what a body says; or, where that fails for a reason that will not go away, keeps it for somebody to look at.
///
/// `method` is how it came: `GET` where it was fetched. Whoever fetches looks first whether the job has ended, since the body
/// of one that runs would be kept as one that cannot be understood.
///
/// # Errors
/// Where the database does not answer. Nothing is kept then.
pub async fn carry_out(
    conn: &mut PgConnection,
    id: CallbackId,
    attempt_id: AttemptId,
    method: &str,
    body: &KeptBody,
) -> sqlx::Result<CallbackOutcome> {
    let callback = ReceivedCallback {
        id,
        attempt_id,
        method,
        received_at: body.came_at(),
        compressed_body: body.compressed(),
        body_bytes: body.body_bytes(),
        body_sha256: body.body_sha256(),
        completion: match body.report() {
            Ok(Report::Ended(completion)) => Ok(completion),
            Ok(Report::Running { .. }) => Err("the job has not ended"),
            Err(reason) => Err(reason),
        },
    };
    let mut tries = 1;
    loop {
        match callbacks::record(conn, &callback).await {
            Err(error) if db::is_conflict(&error) && tries < TRIES => {
                tokio::time::sleep(CONFLICT_PAUSE * tries).await;
                tries += 1;
            }
            Err(error) if !db::is_unavailable(&error) => {
                tracing::error!(%error, attempt.id = %attempt_id, "Could not carry out a callback; quarantined it");
                return callbacks::quarantine(conn, &callback, "carrying it out failed").await;
            }
            result => return result,
        }
    }
}
