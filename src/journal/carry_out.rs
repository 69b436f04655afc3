//! Carrying a callback out: the same for one that arrives and for one that was kept and is tried again.

use std::{panic::catch_unwind, time::Duration};

use axum::body::Bytes;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::{
    db::{
        self,
        callbacks::{self, CallbackOutcome, ReceivedCallback},
    },
    domain::{
        completion::Completion,
        ids::{AttemptId, CallbackId},
    },
    gladia::callback::parse,
};

/// Results are text; the lowest level is where time is best spent.
const ZSTD_LEVEL: i32 = 1;

/// How often a callback that lost against another transaction is tried.
const TRIES: u32 = 3;

/// How long it steps aside for the other one, the first time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// A body, read once.
pub struct Understood {
    compressed_body: Vec<u8>,
    body_bytes: i64,
    body_sha256: [u8; 32],
    completion: Result<Completion, String>,
}

impl Understood {
    /// Does everything that takes time in proportion to the body's size.
    ///
    /// # Errors
    /// Where it cannot be compressed.
    pub fn read(body: &Bytes) -> std::io::Result<Self> {
        Ok(Self {
            compressed_body: zstd::encode_all(body.as_ref(), ZSTD_LEVEL)?,
            body_bytes: i64::try_from(body.len()).unwrap_or(i64::MAX),
            body_sha256: Sha256::digest(body).into(),
            // A mistake of ours must not cost the only copy of a result.
            completion: catch_unwind(|| parse(body))
                .unwrap_or_else(|_| Err("reading it failed".to_owned())),
        })
    }

    /// Its size.
    #[must_use]
    pub fn body_bytes(&self) -> i64 {
        self.body_bytes
    }
}

/// Carries a callback out; or, where that fails for a reason that will not go away, keeps it for somebody to look at.
///
/// # Errors
/// Where the database does not answer. Nothing is kept then.
pub async fn carry_out(
    conn: &mut PgConnection,
    id: CallbackId,
    attempt_id: AttemptId,
    method: &str,
    understood: &Understood,
) -> sqlx::Result<CallbackOutcome> {
    let callback = ReceivedCallback {
        id,
        attempt_id,
        method,
        compressed_body: &understood.compressed_body,
        body_bytes: understood.body_bytes,
        body_sha256: understood.body_sha256,
        completion: understood.completion.as_ref().map_err(String::as_str),
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
