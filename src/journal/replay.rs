//! A quarantined callback, tried again: the same path as one that arrives.

use sqlx::PgConnection;

use super::{body::KeptBody, carry_out::carry_out};
use crate::{
    db::callbacks::{CallbackOutcome, quarantine},
    domain::ids::CallbackId,
    gladia::callback::Shape,
};

/// Why a callback was not tried.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// What is kept cannot be unpacked, or packed again.
    #[error("the kept body cannot be unpacked: {0}")]
    Unreadable(#[from] std::io::Error),
}

/// Tries a callback again. Its row gets the id `new_id`, so that nobody takes it for the one that was quarantined. `None`
/// where no callback of this id is quarantined.
///
/// # Errors
/// Where the database does not answer, or what is kept cannot be read.
pub async fn replay(
    conn: &mut PgConnection,
    id: CallbackId,
    new_id: CallbackId,
) -> Result<Option<CallbackOutcome>, ReplayError> {
    let Some(kept) = quarantine::find(conn, id).await? else {
        return Ok(None);
    };
    // Large bodies take a while, and other work of this thread does not wait for it.
    let read = move || {
        let shape = Shape::of_method(&kept.method);
        let body = KeptBody::read(zstd::Decoder::new(kept.compressed_body.as_slice())?, shape)?;
        Ok::<_, std::io::Error>((kept.attempt_id, kept.method, body))
    };
    let (attempt_id, method, body) = tokio::task::spawn_blocking(read)
        .await
        .map_err(std::io::Error::other)??;
    let outcome = carry_out(conn, new_id, attempt_id, &method, &body, None).await?;
    metrics::counter!("gateway_callbacks_replayed_total", "outcome" => outcome.as_str())
        .increment(1);
    Ok(Some(outcome))
}
