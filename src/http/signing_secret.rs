//! A new signing secret: the body that asks for one in the place of another, and the one answer that shows it.

use std::time::Duration;

use axum::{body::Body, http::HeaderMap};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    problem::{Problem, ProblemType},
    request::{
        body::read_optional_json_object,
        fields::{Fields, broken},
    },
    state::{AppState, HttpLimits},
};
use crate::{
    domain::{
        ids::{EndpointId, TenantId},
        options::as_whole,
        signing_secret::{DEFAULT_OVERLAP, LONGEST_OVERLAP, StoredSecret},
    },
    notify::message::SigningSecret,
};

/// How a secret is rotated.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body in the OpenAPI document; bodies are read by hand, for better messages"
)]
pub struct RotateSecret {
    /// How long what has signed until now signs along, in seconds: 604800 (a week) at most. 0: from now on the new one signs
    /// alone.
    #[schema(default = 86400, minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<u32>,
}

/// A secret that took the place of another.
#[derive(Serialize, ToSchema)]
pub struct RotatedSecret {
    /// The new secret: `whsec_` and base64, as Standard Webhooks libraries take it. It is shown this once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    pub secret: String,
}

/// Reads how long both are to sign.
///
/// # Errors
/// Where the body cannot be read, or breaks a rule.
pub async fn read_overlap(
    headers: &HeaderMap,
    body: Body,
    limits: &HttpLimits,
) -> Result<Duration, Problem> {
    parse_overlap(read_optional_json_object(headers, body, limits).await?)
}

fn parse_overlap(body: Map<String, Value>) -> Result<Duration, Problem> {
    let mut fields = Fields::without_nulls(body);
    let overlap = fields.take("overlap_seconds", |value| {
        let seconds = value.as_number().and_then(as_whole);
        seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
            .filter(|overlap| *overlap <= LONGEST_OVERLAP)
            .ok_or_else(|| {
                broken(format!(
                    "must be a whole number from 0 to {}",
                    LONGEST_OVERLAP.as_secs()
                ))
            })
    });
    fields.finish("overlap_seconds")?;
    Ok(overlap.unwrap_or(DEFAULT_OVERLAP))
}

/// Makes a secret: as it is shown, and as it is stored. Without an endpoint it is the tenant's.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn make(
    state: &AppState,
    tenant_id: TenantId,
    endpoint_id: Option<EndpointId>,
) -> Result<(SigningSecret, StoredSecret), Problem> {
    let secret = SigningSecret::from_random(rand::random());
    let sealed = state
        .sealer
        .seal(state.ids.next(), tenant_id, endpoint_id, &secret);
    let stored = sealed.map_err(|error| {
        tracing::error!(%error, "A signing secret cannot be encrypted");
        Problem::new(
            ProblemType::Internal,
            "No secret can be made. The gateway's log has the cause under this request id.",
        )
    })?;
    Ok((secret, stored))
}
