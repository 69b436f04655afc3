//! `POST /v2/upload`: audio as a multipart part, or fetched from a URL.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, Limited};
use multer::Multipart;
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use super::{envelope::ApiError, gate::Interrupted};
use crate::{
    dev_tools::simulator::{
        engine::fetch,
        media::{self, MediaError},
        state::{self, StoredFile},
        storage::{Content, Spool},
    },
    domain::plain_json,
};

/// Room for the boundaries and headers around the largest file.
const MULTIPART_OVERHEAD: u64 = 64 * 1024;

#[derive(Serialize)]
struct Uploaded {
    audio_url: String,
    audio_metadata: AudioMetadata,
}

#[derive(Serialize)]
struct AudioMetadata {
    id: Uuid,
    filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    extension: String,
    size: u64,
    audio_duration: f64,
    number_of_channels: usize,
}

pub(super) async fn handler(
    State(state): State<Arc<state::State>>,
    request: Request,
) -> Result<Response, Response> {
    let content_type = header(request.headers(), &header::CONTENT_TYPE)
        .unwrap_or_default()
        .to_owned();
    let length = header(request.headers(), &header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > state.settings.max_upload_bytes + MULTIPART_OVERHEAD) {
        return Err(ApiError::too_large().into_response());
    }
    let body = request.into_body();
    let file = if content_type.starts_with("application/json") {
        by_url(&state, body)
            .await
            .map_err(ApiError::into_response)?
    } else {
        let (content, filename) = multipart(&state, &content_type, body).await?;
        receive_file(content, filename, None)
            .await
            .map_err(|error| unprocessable(&error).into_response())?
    };
    let answer = describe(&state, &file);
    let mut store = state.store();
    store.ledger.counts.uploads_accepted += 1;
    store.keep(file);
    Ok(Json(answer).into_response())
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Measures a file that has come in whole.
pub(in crate::dev_tools::simulator) async fn receive_file(
    content: Content,
    filename: String,
    source: Option<String>,
) -> Result<StoredFile, MediaError> {
    let (measured, name) = (content.clone(), filename.clone());
    let media = tokio::task::spawn_blocking(move || media::inspect(&measured, &name))
        .await
        .unwrap_or(Err(MediaError::NotMedia))?;
    Ok(StoredFile {
        id: Uuid::new_v4(),
        filename,
        source,
        media: Arc::new(media),
        content: Some(content),
        token: Uuid::new_v4(),
    })
}

fn unprocessable(error: &MediaError) -> ApiError {
    ApiError::unusable_file(format!("Unprocessable media: \"{error}\""))
}

async fn by_url(state: &state::State, body: Body) -> Result<StoredFile, ApiError> {
    let bytes = Limited::new(body, 64 * 1024)
        .collect()
        .await
        .map_err(|_| ApiError::too_large())?
        .to_bytes();
    let invalid = || ApiError::invalid(vec!["audio_url must be a URL address".to_owned()]);
    let body = plain_json::from_slice(&bytes).map_err(|_| invalid())?;
    let url: Url = body["audio_url"]
        .as_str()
        .and_then(|url| url.parse().ok())
        .filter(|url: &Url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(invalid)?;
    fetch::audio(state, &url)
        .await
        .map_err(|error| match error {
            fetch::FetchError::Media(error) => unprocessable(&error),
            fetch::FetchError::Download(_) => ApiError::unusable_file(error),
        })
}

/// Receives the part `audio` to its end, and the body to its closing boundary.
async fn multipart(
    state: &state::State,
    content_type: &str,
    body: Body,
) -> Result<(Content, String), Response> {
    let bad = |message: &str| ApiError::new(StatusCode::BAD_REQUEST, message).into_response();
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| bad("Content-Type is missing Multipart Boundary."))?;
    let mut multipart = Multipart::new(body.into_data_stream(), boundary);
    let mut received = None;
    loop {
        let part = multipart.next_field().await;
        let Some(mut part) = part.map_err(|error| broken(&error))? else {
            break;
        };
        if part.name() != Some("audio") || received.is_some() {
            continue;
        }
        let filename = part.file_name().unwrap_or("audio").to_owned();
        let mut spool = Spool::default();
        while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error))? {
            spool.push(&chunk).map_err(|error| {
                tracing::error!(%error, "An upload cannot be written to the temporary directory");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                ApiError::new(status, "Internal server error").into_response()
            })?;
            if spool.len() > state.settings.max_upload_bytes {
                return Err(ApiError::too_large().into_response());
            }
        }
        received = Some((spool, filename));
    }
    let (spool, filename) = received.ok_or_else(|| bad("audio file or audio_url is required"))?;
    Ok((spool.finish(), filename))
}

/// A body that ends before its closing boundary is an interrupted upload, whoever ended it.
fn broken(error: &multer::Error) -> Response {
    let message = format!("Multipart: {error}");
    let mut response = ApiError::new(StatusCode::BAD_REQUEST, message).into_response();
    let cut_off = matches!(
        error,
        multer::Error::IncompleteStream
            | multer::Error::IncompleteFieldData { .. }
            | multer::Error::IncompleteHeaders
            | multer::Error::StreamReadFailed(_)
    );
    if cut_off {
        response.extensions_mut().insert(Interrupted);
    }
    response
}

fn describe(state: &state::State, file: &StoredFile) -> Uploaded {
    let extension = file.filename.rsplit_once('.').map_or("", |(_, end)| end);
    Uploaded {
        audio_url: state.link(&format!("/file/{}", file.id)),
        audio_metadata: AudioMetadata {
            id: file.id,
            filename: file.filename.clone(),
            source: file.source.clone(),
            extension: extension.to_owned(),
            size: file.content.as_ref().map_or(0, Content::len),
            audio_duration: file.media.duration,
            number_of_channels: file.media.channels,
        },
    }
}
