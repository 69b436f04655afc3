//! `POST /v2/pre-recorded`: accepts a job.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use url::Url;

use super::{envelope::ApiError, options};
use crate::{
    dev_tools::simulator::{
        engine,
        state::{self, CallbackTarget},
    },
    domain::plain_json,
};

pub(super) async fn handler(
    State(state): State<Arc<state::State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    // Of another content type Gladia reads nothing (contract, section 1).
    let body = if is_json(&headers) {
        body
    } else {
        Bytes::from_static(b"{}")
    };
    let body = plain_json::from_slice(&body).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("Invalid JSON: {error}"))
    })?;
    let Value::Object(body) = body else {
        return Err(ApiError::invalid(vec![
            "the body must be an object".to_owned(),
        ]));
    };
    let errors = options::check(&body, state.settings.strict_options);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let accepted = engine::Accepted {
        audio_url: body["audio_url"].as_str().unwrap_or_default().to_owned(),
        request_params: options::echo(&body),
        custom_metadata: body
            .get("custom_metadata")
            .filter(|metadata| !metadata.is_null())
            .cloned(),
        callback: callback(&body),
        request: body,
    };
    let id = engine::accept(&state, accepted).map_err(|engine::QueueFull { limit }| {
        ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "Rate limit exceeded. As a paying user, you can have {limit} transcriptions queued or running at the same time."
            ),
        )
    })?;
    let answer = json!({
        "id": id,
        "result_url": state.link(&format!("/v2/pre-recorded/{id}")),
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Where the outcome goes: by `callback` and its configuration, or by the deprecated URL.
fn callback(body: &Map<String, Value>) -> Option<CallbackTarget> {
    let empty = Value::Null;
    let config = body.get("callback_config").unwrap_or(&empty);
    let switched_on = body.get("callback").and_then(Value::as_bool) == Some(true);
    let configured = config["url"].as_str().filter(|_| switched_on);
    let (url, put) = match configured {
        Some(url) => (url, config["method"] == "PUT"),
        None => (body.get("callback_url")?.as_str()?, false),
    };
    let url: Url = url.parse().ok()?;
    Some(CallbackTarget { url, put })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
