//! `POST /v1/transcriptions`: audio that Gladia fetches.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};

use super::{
    accept::{Accepted, accept, replay},
    request::{self, CreateTranscription},
    view::Transcription,
};
use crate::{
    db::{self, uploads::Ownership},
    domain::{
        access::Caller,
        audio_url::AudioUrl,
        idempotency::{Fingerprint, Operation},
        ids::UploadId,
    },
    http::{
        auth::Writer,
        body::read_json_object,
        idempotency::{Claimed, HeldKey, give_back, key_of},
        problem::{Problem, ProblemBody, ProblemType},
        state::AppState,
    },
};

/// Gladia's own domain, whatever host its API is reached through.
const GLADIA_DOMAIN: &str = "gladia.io";

/// Transcribe audio at a URL.
///
/// The transcription is durable once this is answered. It waits for one of the account's slots, is sent to Gladia, and is
/// done when Gladia calls back; ask for it under the address in `Location`.
#[utoipa::path(
    post,
    path = "/v1/transcriptions",
    tag = "transcriptions",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe: the same key with the same request gives the same transcription. 1 to 255 visible ASCII characters."),
    ),
    request_body(content = CreateTranscription, description = "The audio and Gladia's options."),
    responses(
        (status = 202, description = "Accepted and durable.", body = Transcription, headers(
            ("Location" = String, description = "Where the transcription is."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with this key made it."),
        )),
        (status = 400, description = "The body is no JSON object, or a header breaks a rule.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid API key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The API key's scope does not include this.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`audio_url` names a file that this tenant has not uploaded.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A request with this idempotency key is under way.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "The transcription of this idempotency key was erased; `erased` is the receipt. Use a new key for a new one.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Fields break rules, all named; or the idempotency key belongs to another request.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The database is not available.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create_transcription(
    State(state): State<AppState>,
    Writer(caller): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let body = read_json_object(&headers, body, &state.limits).await?;
    let (audio_url, options) = request::parse(body)?;

    let mut held = None;
    if let Some(key) = key {
        let fingerprint = Fingerprint::new(
            Operation::CreateTranscription,
            &options.canonical(),
            audio_url.as_str().as_bytes(),
        );
        match HeldKey::claim(&state.pool, caller.tenant_id, key, state.ids.next()).await? {
            Claimed::Held(key) => held = Some((key, fingerprint)),
            Claimed::Earlier(earlier) => {
                return replay(&state, caller, earlier.same_as(fingerprint)?).await;
            }
        }
    }
    let upload_id = match find_upload(&state, caller, &audio_url).await {
        Ok(upload_id) => upload_id,
        Err(problem) => return Err(give_back(held.map(|(key, _)| key), problem).await),
    };
    let accepted = Accepted {
        caller,
        options: &options,
        audio_url: audio_url.as_str(),
        upload_id,
        key: held,
    };
    accept(&state, accepted).await
}

/// Finds the upload behind a file URL of Gladia's. Such a URL opens the file for the whole account, so a tenant may use
/// its own ones only.
async fn find_upload(
    state: &AppState,
    caller: Caller,
    audio_url: &AudioUrl,
) -> Result<Option<UploadId>, Problem> {
    let mut conn = state.pool.acquire().await?;
    let is_gladias =
        audio_url.is_on_origin_of(state.gladia.base()) || is_gladias_host(&audio_url.host());
    match db::uploads::find_owner(&mut conn, caller.tenant_id, audio_url.as_str()).await? {
        Ownership::Own(id) => Ok(Some(id)),
        Ownership::NotOurs if !is_gladias => Ok(None),
        Ownership::NotOurs | Ownership::Another => Err(Problem::new(
            ProblemType::AudioNotFound,
            "There is no uploaded file with this URL. Upload it with POST /v1/uploads.",
        )
        .at(
            "/audio_url",
            "must be a file that was uploaded through this gateway, or audio on another host",
        )),
    }
}

/// Whether a host is Gladia's domain or any name below it. A full name may end with a dot.
fn is_gladias_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_suffix(GLADIA_DOMAIN)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::is_gladias_host;

    #[test]
    fn every_host_of_gladias_is_known_by_its_domain() {
        for host in [
            "gladia.io",
            "api.gladia.io",
            "API.Gladia.IO.",
            "eu-west.api.gladia.io..",
        ] {
            assert!(is_gladias_host(host), "{host}");
        }
        for host in ["notgladia.io", "gladia.io.example", "gladia.example", ""] {
            assert!(!is_gladias_host(host), "{host}");
        }
    }
}
