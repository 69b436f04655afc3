//! `POST /v1/transcriptions`: audio that Gladia fetches.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};

use super::{
    accept::{Accepted, accept, replay},
    audio::{self, TooLong},
    ending::{self, Committed},
    one_statement,
    request::{self, CreateTranscription, Judge, RequestedOptions},
    view::Transcription,
};
use crate::{
    domain::{
        audio_url::AudioUrl,
        idempotency::{Fingerprint, IdempotencyKey, Operation},
        options::Violation,
    },
    http::{
        auth::presumed::{Presumed, PresumedWriter},
        idempotency::{Claimed, HeldKey, give_back, key_of},
        problem::Problem,
        request::body::read_json_object,
        state::AppState,
        wait::Wait,
    },
};

/// Transcribe audio at a URL.
///
/// The transcription is durable once this is answered. It waits for one of the account's slots, is sent to Gladia, and is
/// done when Gladia calls back; ask for it under the address in `Location`, or wait for it here with `wait`.
#[utoipa::path(
    post,
    path = "/v1/transcriptions",
    tag = "transcriptions",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe: the same key with the same request gives the same transcription. 1 to 255 printable ASCII characters, no space at either end."),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 60, description = "How many seconds to wait for its end, and its result. The answer is 200 once it has ended, else 202 in the end."),
        ("Prefer" = Option<String>, Header, description = "`wait=20` (RFC 7240): as the parameter `wait`, which wins over it. More than 60 means 60.", example = "wait=20"),
    ),
    request_body(content = CreateTranscription, description = "The audio and Gladia's options."),
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
        (status = 404, description = "`audio_url` names a file that this tenant has not uploaded (`audio-not-found`)."),
        (status = 410, description = "The transcription of this idempotency key was erased; `erased` is the receipt (`transcription-deleted`). Use a new key for a new one."),
        (status = 422, description = "Fields break rules, all named, or the upload is longer than the account's plan allows (`invalid-request`); or the idempotency key belongs to another request (`idempotency-key-reused`)."),
    ),
)]
pub async fn create_transcription(
    State(state): State<AppState>,
    PresumedWriter(presumed): PresumedWriter,
    wait: Wait,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    // What that takes is gone before anybody waits.
    let committed = Box::pin(make(&state, presumed, headers, body)).await?;
    ending::answer(&state, committed, wait).await
}

async fn make(
    state: &AppState,
    presumed: Presumed,
    headers: HeaderMap,
    body: Body,
) -> Result<Committed, Problem> {
    let asked = read(state, &headers, body).await;
    if let Ok(Asked {
        key,
        audio_url,
        options,
    }) = &asked
        && let Some(job) =
            one_statement::accept(state, &presumed, key.as_ref(), audio_url, options).await?
    {
        return Ok(Committed {
            caller: presumed.caller(),
            job: Box::new(job),
            is_replayed: false,
        });
    }
    // Before anybody is refused anything, or told of what there is.
    let caller = presumed.prove(state).await?;
    let Asked {
        key,
        audio_url,
        options,
    } = match asked {
        Ok(asked) => asked,
        Err(Refused::Whole(problem)) => return Err(problem),
        Err(Refused::Fields(asked_url, violations)) => {
            return Err(audio::refuse(state, caller, asked_url.as_ref(), violations).await);
        }
    };

    let mut held = None;
    if let Some(key) = key {
        let fingerprint = Fingerprint::new(
            Operation::CreateTranscription,
            &options.canonical(),
            audio_url.as_str().as_bytes(),
        );
        match HeldKey::claim(state, caller.tenant_id, key).await? {
            Claimed::Held(key) => held = Some((key, fingerprint)),
            Claimed::Earlier(earlier) => {
                return replay(state, caller, earlier.same_job(fingerprint)?).await;
            }
        }
    }
    let known = match audio::look_up(state, caller, &audio_url, TooLong::Refused).await {
        Ok(known) => known,
        Err(problem) => return Err(give_back(held.map(|(key, _)| key), problem).await),
    };
    let accepted = Accepted {
        caller,
        options: &options,
        audio_url: &known.audio_url,
        upload_id: known.upload_id,
        audio_warnings: known.warnings,
        key: held,
    };
    accept(state, accepted).await
}

/// What is asked for.
struct Asked {
    key: Option<IdempotencyKey>,
    audio_url: AudioUrl,
    options: RequestedOptions,
}

/// Why it cannot be had.
enum Refused {
    /// The request cannot be read.
    Whole(Problem),
    /// Fields break rules. The audio, where it has an address, is still to be judged.
    Fields(Option<AudioUrl>, Vec<Violation>),
}

async fn read(state: &AppState, headers: &HeaderMap, body: Body) -> Result<Asked, Refused> {
    let key = key_of(headers).map_err(Refused::Whole)?;
    let body = read_json_object(headers, body, &state.limits);
    let body = body.await.map_err(Refused::Whole)?;
    let asked_url = request::audio_url_of(&body).ok().flatten();
    match request::parse(body, &Judge::of(state)) {
        Ok((audio_url, options)) => Ok(Asked {
            key,
            audio_url,
            options,
        }),
        Err(violations) => Err(Refused::Fields(asked_url, violations)),
    }
}
