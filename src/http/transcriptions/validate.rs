//! `POST /v1/transcriptions/validate`: what a create would make of a request, without one.

use axum::{Extension, Json, body::Body, extract::State, http::HeaderMap};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    audio::{self, TooLong},
    request::{self, Judge, ValidateTranscription},
};
use crate::{
    domain::options::{TranscriptionOptions, Warning},
    gladia::create::requested_body,
    http::{
        auth::Reader, problem::Problem, request::body::read_json_object,
        server::overload::ChangedNothing, state::AppState,
    },
};

/// What a request would become.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidatedTranscription {
    /// Gladia's options, as the transcription would show them.
    #[schema(value_type = TranscriptionOptions)]
    pub options: Value,
    /// Options that would be passed on unchecked.
    #[schema(value_type = Object)]
    pub extra_options: Value,
    /// What would be accepted all the same, and may not do what its caller expects.
    pub warnings: Vec<Warning>,
    /// The body that Gladia would get, without the caller's callback, which the gateway calls itself. Two things of the
    /// gateway's own come on top: its callback (`callback`, `callback_config`) and the key `gladia_gateway_attempt` in `custom_metadata`. Without `audio_url` in the request there
    /// is none here.
    #[schema(value_type = Object)]
    pub upstream_body: Map<String, Value>,
}

/// Check a transcription without creating it.
///
/// Makes the checks of `POST /v1/transcriptions`, creates nothing and sends nothing. What passes here is accepted there, as
/// long as its uploaded file is not erased meanwhile. `audio_url` may be left out, to check the options of a file before
/// the file is sent.
#[utoipa::path(
    post,
    path = "/v1/transcriptions/validate",
    tag = "transcriptions",
    request_body(content = ValidateTranscription, description = "The body of a create, with or without its audio."),
    responses(
        (status = 200, description = "It would be accepted.", body = ValidatedTranscription),
        (status = 404, description = "`audio_url` names a file that this tenant has not uploaded (`audio-not-found`)."),
        (status = 422, description = "Fields break rules, all named, or the upload is longer than the account's plan allows (`invalid-request`)."),
    ),
)]
pub async fn validate_transcription(
    State(state): State<AppState>,
    Reader(caller): Reader,
    headers: HeaderMap,
    body: Body,
) -> Result<(Extension<ChangedNothing>, Json<ValidatedTranscription>), Problem> {
    let body = read_json_object(&headers, body, &state.limits).await?;
    let asked_url = request::audio_url_of(&body).ok().flatten();
    let (audio_url, options) = match request::parse_draft(body, &Judge::of(&state)) {
        Ok(request) => request,
        Err(violations) => {
            return Err(audio::refuse(&state, caller, asked_url.as_ref(), violations).await);
        }
    };
    let known = match &audio_url {
        Some(audio_url) => Some(audio::look_up(&state, caller, audio_url, TooLong::Refused).await?),
        None => None,
    };
    let (audio_url, warnings) = known.map(|known| (known.audio_url, known.warnings)).unzip();
    let mut warnings = warnings.unwrap_or_default();
    warnings.extend_from_slice(options.warnings());
    let mut request = options.to_stored();
    let validated = ValidatedTranscription {
        upstream_body: requested_body(&request, audio_url.as_deref()),
        options: request["options"].take(),
        extra_options: request["extra_options"].take(),
        warnings,
    };
    Ok((Extension(ChangedNothing), Json(validated)))
}
