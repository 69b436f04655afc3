//! `POST /webhooks/gladia`: something happened to a job of the account.
//!
//! Nothing is done here but to make sure of the sender and to note the message; 2xx follows the commit. What it means is
//! found out afterwards, by asking Gladia. Anybody may ask, so nothing is read of what is not even said to be signed.

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
};

use crate::{
    db::{clock, pool::in_time, webhook_messages},
    domain::words::words,
    gladia::{
        webhook::{Envelope, Message, Said, read},
        webhook_secrets::WebhookSecrets,
    },
    http::{
        problem::{Problem, ProblemType},
        request::body,
        state::AppState,
    },
};

/// A message is an event and an id, and whatever else Gladia may add one day.
const MAX_BYTES: usize = 64 * 1024;

/// Receives a message.
pub async fn receive_webhook(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let received = match judge_headers(&state, &headers) {
        Ok((secrets, envelope)) => {
            let body = body::read(body, MAX_BYTES, state.limits.request_timeout).await?;
            in_time(receive(&state, secrets, envelope, &body)).await
        }
        Err(refusal) => Err(refusal),
    };
    let outcome = match &received {
        Ok(taken) => taken.as_str(),
        Err(refusal) => refusal.as_str(),
    };
    metrics::counter!("gateway_webhooks_total", "outcome" => outcome).increment(1);
    match received {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(Refusal::NotTaken) => Err(Problem::new(
            ProblemType::NotFound,
            "There is nothing here.",
        )),
        Err(Refusal::Unverified) => {
            tracing::warn!("Refused an account webhook that is not signed, or not of now");
            Err(Problem::new(
                ProblemType::InvalidParameter,
                "svix-signature: none of the gateway's secrets made it over this svix-id, svix-timestamp and body; or \
                 svix-timestamp is more than five minutes off.",
            ))
        }
        Err(Refusal::Database(error)) => Err(error.into()),
    }
}

/// What a message is that was taken.
pub enum Taken {
    /// It is noted.
    Received,
    /// It was here before.
    Duplicate,
    /// It is of something else than a transcription.
    OtherEvent,
    /// It cannot be read.
    Unreadable,
}

impl Taken {
    words! {
        /// The name in metrics.
        as_str(&self):
        Received = "received",
        Duplicate = "duplicate",
        OtherEvent = "other_event",
        Unreadable = "unreadable",
    }
}

/// Why a message is not taken.
pub enum Refusal {
    /// There are no secrets to know it by.
    NotTaken,
    /// It may come from anybody.
    Unverified,
    /// It cannot be noted.
    Database(sqlx::Error),
}

impl Refusal {
    words! {
        /// The name in metrics.
        as_str(&self):
        NotTaken = "not_taken",
        Unverified = "unverified",
        Database = "not_kept",
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Whether the headers are those of a signed message, and there is something to verify it with.
fn judge_headers<'a>(
    state: &'a AppState,
    headers: &'a HeaderMap,
) -> Result<(&'a WebhookSecrets, Envelope<'a>), Refusal> {
    let secrets = state.webhook_secrets.as_ref().ok_or(Refusal::NotTaken)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let envelope = Envelope {
        id: header("svix-id").ok_or(Refusal::Unverified)?,
        timestamp: header("svix-timestamp").ok_or(Refusal::Unverified)?,
        signatures: header("svix-signature").ok_or(Refusal::Unverified)?,
    };
    if !envelope.is_whole() {
        return Err(Refusal::Unverified);
    }
    Ok((secrets, envelope))
}

/// Verifies and notes a message. Answers what it was.
async fn receive(
    state: &AppState,
    secrets: &WebhookSecrets,
    envelope: Envelope<'_>,
    body: &Bytes,
) -> Result<Taken, Refusal> {
    if !envelope.is_signed(body, secrets) {
        return Err(Refusal::Unverified);
    }
    let mut conn = state.pool.acquire().await?;
    if !envelope.is_timely(clock::now(&mut conn).await?) {
        return Err(Refusal::Unverified);
    }
    match read(body) {
        Said::Message(Message { event, gladia_id }) => {
            let delay = event.head_start();
            let is_new =
                webhook_messages::insert(&mut conn, envelope.id, event, &gladia_id, delay).await?;
            Ok(if is_new {
                Taken::Received
            } else {
                Taken::Duplicate
            })
        }
        Said::OtherEvent => Ok(Taken::OtherEvent),
        // It holds no result, so nothing is lost; and it would not be readable when it came again.
        Said::Unreadable => {
            tracing::error!(
                body_bytes = body.len(),
                "Could not read an account webhook that Gladia signed; ignored it"
            );
            Ok(Taken::Unreadable)
        }
    }
}
