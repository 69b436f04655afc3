//! `POST /v1/transcriptions/upload`: audio that comes along as a file.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use utoipa::ToSchema;

use super::{
    accept::{Accepted, accept, replay},
    audio,
    ending::{self, Committed},
    request::{CreateTranscriptionOptions, Judge, RequestedOptions},
    view::Transcription,
};
use crate::{
    domain::{
        access::Caller,
        idempotency::{Fingerprint, Operation},
    },
    http::{
        auth::Writer,
        idempotency::{Claimed, HeldKey, give_back, key_of},
        problem::Problem,
        request::form::{Destination, Parts, receive},
        state::AppState,
        uploads,
        wait::Wait,
    },
};

/// A file and what to do with it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the form in the OpenAPI document; forms are streamed"
)]
pub struct TranscriptionForm {
    /// The file, 1,000,000,000 bytes at most.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    audio: Vec<u8>,
    /// The options, as JSON. Send them before the file, and they are checked before it is sent on.
    #[schema(nullable = false)]
    options: Option<CreateTranscriptionOptions>,
}

/// Transcribe a file.
///
/// The file is passed on to Gladia while it arrives. The transcription is durable once this is answered. With `wait`, that is
/// when it has ended.
#[utoipa::path(
    post,
    path = "/v1/transcriptions/upload",
    tag = "transcriptions",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe: the same key with the same options and the same file gives the same transcription, and the file is not sent on again. 1 to 255 printable ASCII characters, no space at either end."),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 60, description = "How many seconds to wait for its end, and its result. The answer is 200 once it has ended, else 202 in the end."),
        ("Prefer" = Option<String>, Header, description = "`wait=20` (RFC 7240): as the parameter `wait`, which wins over it. More than 60 means 60.", example = "wait=20"),
    ),
    request_body(content = TranscriptionForm, content_type = "multipart/form-data", description = "The file in the part `audio`, options in the part `options`."),
    responses(
        (status = 200, description = "It was waited for, and has ended: the transcription, with its result where it is `done`. As durable as with 202.", body = Transcription, headers(
            ("Location" = String, description = "Where the transcription is."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with this key made it."),
            ("Preference-Applied" = Option<String>, description = "`wait=` and the seconds, where `Prefer` asked for them."),
        )),
        (status = 202, description = "Accepted and durable.", body = Transcription, headers(
            ("Location" = String, description = "Where the transcription is."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with this key made it."),
            ("Retry-After" = Option<u32>, description = "Where it was waited for: after how many seconds to look again."),
            ("Preference-Applied" = Option<String>, description = "`wait=` and the seconds, where `Prefer` asked for them."),
        )),
        (status = 400, description = "The part `options` is no JSON object (`malformed-json`)."),
        (status = 404, description = "The file was erased in this very moment, by the end of another transcription of it (`audio-not-found`)."),
        (status = 410, description = "The transcription of this idempotency key was erased; `erased` is the receipt (`transcription-deleted`). Use a new key for a new one."),
        (status = 422, description = "Options break rules, all named, or the file is longer than the account's plan allows (`invalid-request`); Gladia refuses the file (`file-refused`); or the idempotency key belongs to another request (`idempotency-key-reused`)."),
    ),
)]
pub async fn create_transcription_from_file(
    State(state): State<AppState>,
    Writer(caller): Writer,
    wait: Wait,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    // What that takes is gone before anybody waits.
    let committed = Box::pin(make(&state, caller, headers, body)).await?;
    ending::answer(&state, committed, wait).await
}

async fn make(
    state: &AppState,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Committed, Problem> {
    uploads::create::refuse_files(state)?;
    let mut held = None;
    let mut earlier = None;
    if let Some(key) = key_of(&headers)? {
        match HeldKey::claim(state, caller.tenant_id, key).await? {
            Claimed::Held(mut key) => {
                key.keep_alive(state.limits.key_renewal_interval);
                held = Some(key);
            }
            Claimed::Earlier(job) => earlier = Some(job),
        }
    }
    // A repetition is compared, not sent on.
    let destination = match (&held, &earlier) {
        (_, Some(_)) => Destination::HashOnly,
        (Some(_), None) => Destination::GladiaAndHash(&state.gladia),
        (None, None) => Destination::Gladia(&state.gladia),
    };
    let judge = Judge::of(state);
    let received = receive(
        &headers,
        body,
        &state.limits,
        destination,
        Parts::AudioAndOptions(&|body| RequestedOptions::parse(body, &judge)),
    )
    .await;
    let form = match received {
        Ok(form) => form,
        Err(problem) => return Err(give_back(held, problem).await),
    };
    let options = form.options.unwrap_or_default();
    let fingerprint = form.file.sha256.map(|hash| {
        Fingerprint::new(
            Operation::CreateTranscriptionFromFile,
            &options.canonical(),
            &hash,
        )
    });
    if let (Some(earlier), Some(fingerprint)) = (earlier, fingerprint) {
        return replay(state, caller, earlier.same_job(fingerprint)?).await;
    }

    // How long it is was not known earlier. Nothing is kept of a file that no job will use.
    let kept = async {
        let warnings = audio::judge_file(state, &form.file)?;
        let upload = uploads::create::keep(state, caller, form.file, false).await?;
        Ok((warnings, upload))
    };
    let (audio_warnings, upload) = match kept.await {
        Ok(kept) => kept,
        Err(problem) => return Err(give_back(held, problem).await),
    };
    let accepted = Accepted {
        caller,
        options: &options,
        audio_url: &upload.audio_url,
        upload_id: Some(upload.id),
        audio_warnings,
        key: held.zip(fingerprint),
    };
    accept(state, accepted).await
}
