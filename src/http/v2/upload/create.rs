//! `POST /v2/upload`: a file, as the part `audio` of a form, or from where Gladia fetches it.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    db::uploads::Upload,
    domain::{access::Caller, audio_url::AudioUrl, ids::UploadId},
    http::{
        problem::{Problem, ProblemType},
        request::{
            body,
            form::{Destination, Parts, receive},
        },
        request_scope::pause_during,
        state::AppState,
        transcriptions::audio::{self, TooLong},
        uploads::create::{UploadedAudio, keep, note, refuse_files},
        v2::{auth::KeyedWriter, error::V2Error, links::Base},
    },
};

/// A file that was taken.
#[derive(Serialize)]
pub struct Uploaded {
    audio_url: String,
    audio_metadata: UploadedMetadata,
}

#[derive(Serialize)]
struct UploadedMetadata {
    id: UploadId,
    filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    extension: String,
    size: i64,
    audio_duration: Option<f64>,
    number_of_channels: Option<i32>,
}

/// Takes a file.
pub async fn create_upload(
    State(state): State<AppState>,
    KeyedWriter(caller): KeyedWriter,
    base: Base,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Uploaded>, V2Error> {
    refuse_files(&state)?;
    let (upload, source) = if body::media_type(&headers) == "application/json" {
        by_url(&state, caller, body).await?
    } else {
        (by_form(&state, caller, &headers, body).await?, None)
    };
    let named = upload.filename.rsplit_once('.').map(|(_, end)| end);
    Ok(Json(Uploaded {
        audio_url: base.link(&format!("/file/{}", upload.id)),
        audio_metadata: UploadedMetadata {
            id: upload.id,
            extension: upload
                .extension
                .clone()
                .unwrap_or_else(|| named.unwrap_or_default().to_owned()),
            filename: upload.filename,
            source,
            size: upload.size_bytes,
            audio_duration: upload.audio_duration_seconds,
            number_of_channels: upload.number_of_channels,
        },
    }))
}

async fn by_form(
    state: &AppState,
    caller: Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<UploadedAudio, V2Error> {
    let boundary = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| multer::parse_boundary(value.to_str().ok()?).ok());
    if boundary.is_none_or(|boundary| boundary.is_empty()) {
        let message = "Content-Type is missing Multipart Boundary.";
        return Err(V2Error::new(StatusCode::BAD_REQUEST, message));
    }
    let destination = Destination::Gladia(&state.gladia);
    let form = receive::<()>(
        headers,
        body,
        &state.limits,
        destination,
        Parts::AudioAmongOthers,
    )
    .await?;
    Ok(keep(state, caller, form.file, true).await?)
}

/// Has Gladia fetch the file: nothing is fetched from here, so nothing here can be reached by it.
async fn by_url(
    state: &AppState,
    caller: Caller,
    body: Body,
) -> Result<(UploadedAudio, Option<String>), V2Error> {
    let (limit, timeout) = (state.limits.max_request_bytes, state.limits.request_timeout);
    let bytes = body::read(body, limit, timeout).await?;
    let body = body::parse_json_object(&bytes, "the body")?;
    let audio_url = body
        .get("audio_url")
        .and_then(Value::as_str)
        .and_then(AudioUrl::as_gladia_takes_it)
        .ok_or_else(|| V2Error::invalid(vec!["audio_url must be a URL address".to_owned()]))?;
    // Another tenant's file would be opened by the account's key.
    let known = audio::look_up(state, caller, &audio_url, TooLong::PassedOn).await?;
    let upload = state.gladia.upload_from_url(&known.audio_url);
    let uploaded = pause_during(upload).await.map_err(Problem::not_uploaded)?;
    let metadata = uploaded.audio_metadata.as_ref();
    let size = metadata.and_then(|metadata| metadata.size);
    let size_bytes = size.filter(|size| *size > 0).ok_or_else(|| {
        let detail =
            "Gladia does not say how large the file is. Nothing was kept; repeat the request.";
        Problem::new(ProblemType::UpstreamFailed, detail)
    })?;
    let upload = Upload {
        id: state.ids.next(),
        filename: metadata
            .and_then(|metadata| metadata.filename.clone())
            .unwrap_or_else(|| "audio".to_owned()),
        extension: uploaded.extension().map(str::to_owned),
        size_bytes,
        sha256: None,
        audio_duration_seconds: uploaded.duration_seconds(),
        number_of_channels: metadata.and_then(|metadata| metadata.number_of_channels),
        audio_url: uploaded.audio_url.clone(),
        is_standalone: true,
    };
    let upload = note(state, caller, upload).await?;
    Ok((upload, Some(audio_url.as_str().to_owned())))
}
