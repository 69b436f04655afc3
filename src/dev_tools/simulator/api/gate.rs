//! What every request passes: the [ledger entry](Entry), the faults, the checks of key and account, the error envelope.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, Limited};

use super::{entry::Entry, envelope::ApiError, flaws::Flaws};
use crate::dev_tools::{
    connection::SeverableConnection,
    simulator::{
        faults::{Answer, Effect, Operation},
        state,
    },
};

/// A create is options and URLs; anything larger is no create.
const CREATE_LIMIT: usize = 2 * 1024 * 1024;

/// Set on an answer to say that the request was never received whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interrupted;

/// Lets a request through to its handler, and its answer out.
pub(super) async fn gate(
    State(state): State<Arc<state::State>>,
    ConnectInfo(connection): ConnectInfo<SeverableConnection>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let operation = operation(&parts.method, parts.uri.path());
    let entry = Entry::open(&state, &parts, operation);
    let method = parts.method.to_string();
    let path = parts.uri.path().to_owned();

    let answered = tokio::select! {
        biased;
        () = state.stop.cancelled() => None,
        answered = pass(&state, parts, body, next, operation, &entry) => answered,
    };
    let Some(response) = answered else {
        entry.sever();
        connection.sever();
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let interrupted = response.extensions().get::<Interrupted>().is_some();
    let mut response = match response.extensions().get::<ApiError>() {
        Some(error) => {
            let mut rendered = error.render(&method, &path);
            let mut more = response.headers().clone();
            // The length on the way here was that of no body at all.
            more.remove(header::CONTENT_LENGTH);
            rendered.headers_mut().extend(more);
            rendered
        }
        None => response,
    };
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    entry.close(response.status(), interrupted);
    response
}

/// The answer, or none where the connection breaks instead.
async fn pass(
    state: &state::State,
    parts: Parts,
    body: Body,
    next: Next,
    operation: Option<Operation>,
    entry: &Entry<'_>,
) -> Option<Response> {
    if parts.method == Method::OPTIONS {
        return Some(StatusCode::NO_CONTENT.into_response());
    }
    let (body, text) = if operation == Some(Operation::Create) {
        match Limited::new(body, CREATE_LIMIT).collect().await {
            Ok(whole) => {
                let bytes = whole.to_bytes();
                entry.received(bytes.len() as u64);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (Body::from(bytes), text)
            }
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Some(ApiError::too_large().into_response());
            }
            Err(_) => return Some(interrupted()),
        }
    } else {
        (entry.counted(body), String::new())
    };

    let uri = parts.uri.to_string();
    let mut after = None;
    let mut flaws = Flaws::default();
    for effect in take_faults(state, operation, &[&uri, &text]) {
        match effect {
            Effect::Delay { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            Effect::Status(answer) => return Some(answer_with(&answer)),
            Effect::DropBefore => return None,
            Effect::Lag { .. }
            | Effect::Omit { .. }
            | Effect::ShortPage { .. }
            | Effect::IgnoreMetadata { .. } => {
                flaws.0.push(effect);
            }
            later => after = Some(later),
        }
    }
    // What is no operation needs no key: the probes, and routes that do not exist.
    let allowed = operation.map_or(Ok(()), |operation| {
        check_key(state, &parts)?;
        check_retention(state, operation)
    });
    let response = match allowed {
        Ok(()) => {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(flaws);
            let response = next.run(request).await;
            entry.whole();
            response
        }
        Err(error) => error.into_response(),
    };
    match after {
        Some(Effect::DropAfter) => None,
        Some(Effect::StatusAfter(answer)) => Some(answer_with(&answer)),
        _ => Some(response),
    }
}

fn interrupted() -> Response {
    let mut response = ApiError::new(StatusCode::BAD_REQUEST, "request aborted").into_response();
    response.extensions_mut().insert(Interrupted);
    response
}

fn take_faults(state: &state::State, operation: Option<Operation>, texts: &[&str]) -> Vec<Effect> {
    let mut store = state.store();
    let effects = store
        .faults
        .take(operation.unwrap_or(Operation::Any), texts);
    store.ledger.counts.faults_applied += effects.len() as u64;
    effects
}

fn answer_with(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if let Some(body) = &answer.body {
        let mut response = (status, body.clone()).into_response();
        // A body of one's own plays the part of whatever stands in front of Gladia.
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        response
    } else {
        let reason = status.canonical_reason().unwrap_or("Error");
        ApiError::new(status, reason).into_response()
    };
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn check_key(state: &state::State, parts: &Parts) -> Result<(), ApiError> {
    let unauthorized = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, message);
    let key = parts
        .headers
        .get("x-gladia-key")
        .ok_or_else(|| unauthorized("no gladia key provided"))?;
    let known = state
        .settings
        .api_keys
        .iter()
        .any(|known| known.as_bytes() == key.as_bytes());
    if known {
        Ok(())
    } else {
        Err(unauthorized("gladia user not found"))
    }
}

/// An account without data retention has nothing that could be looked at, and creates alone.
fn check_retention(state: &state::State, operation: Operation) -> Result<(), ApiError> {
    if !state.settings.zero_data_retention || operation == Operation::Create {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "Not available with zero data retention",
    ))
}

fn operation(method: &Method, path: &str) -> Option<Operation> {
    if matches!(path, "/v2/upload" | "/v2/upload/") {
        return (method == Method::POST).then_some(Operation::Upload);
    }
    let rest = path
        .strip_prefix("/v2/pre-recorded")
        .or_else(|| path.strip_prefix("/v2/transcription"))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (method, parts.as_slice()) {
        (&Method::POST, [] | [""]) => Some(Operation::Create),
        (&Method::GET, [] | [""]) => Some(Operation::List),
        (&Method::GET, [_]) => Some(Operation::Get),
        (&Method::DELETE, [_]) => Some(Operation::Delete),
        (&Method::GET, [_, "file"]) => Some(Operation::File),
        _ => None,
    }
}
