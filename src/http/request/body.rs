//! Bodies that fit into memory: bounded in size and time, and problems where they are not what they should be.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    pin::pin,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use bytes::BytesMut;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Map, Value, value::RawValue};
use tokio::time::Instant;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::extent::{self, Beyond, Extent, OF_BATCH, OF_REQUEST};
use crate::{
    domain::plain_json,
    http::{
        problem::{Problem, ProblemType},
        server::overload::no_room_in,
        state::HttpLimits,
    },
};

/// Reads a whole body.
///
/// # Errors
/// 413, 408, or 400 where it breaks off.
pub async fn read(body: Body, limit: usize, timeout: Duration) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut read = BytesMut::new();
    let deadline = Instant::now() + timeout;
    loop {
        match tokio::time::timeout_at(deadline, stream.next()).await {
            Ok(Some(Ok(chunk))) if read.len() + chunk.len() <= limit => {
                read.extend_from_slice(&chunk);
            }
            Ok(Some(Ok(_))) => {
                return Err(Problem::new(
                    ProblemType::PayloadTooLarge,
                    format!("A body of this kind may have {limit} bytes at most."),
                ));
            }
            Ok(Some(Err(error))) => {
                return Err(no_room_in(&error).unwrap_or_else(broke_off));
            }
            Ok(None) => return Ok(read.freeze()),
            Err(_) => return Err(took_too_long(timeout)),
        }
    }
}

/// How fast a body must arrive.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long the whole of it may take.
    pub whole: Duration,
    /// For so many bytes that have come it may take a second more.
    pub bytes_per_second: u64,
    /// How long nothing of it may come.
    pub pause: Duration,
}

/// A body that a thread of its own reads as it arrives. Must be called within the runtime; reading waits.
#[must_use]
pub fn blocking_reader(body: Body, pace: Pace) -> impl Read + Send {
    SyncIoBridge::new(StreamReader::new(Box::pin(timed(body, pace))))
}

/// A body whose declared size is small, once the whole of it is here. HTTP ends it where that size ends.
///
/// # Errors
/// Where it breaks off, or does not come in time.
pub async fn read_small(body: Body, declared_bytes: usize, pace: Pace) -> io::Result<Vec<u8>> {
    let mut chunks = pin!(timed(body, pace));
    let mut read = Vec::with_capacity(declared_bytes);
    while let Some(chunk) = chunks.next().await {
        read.extend_from_slice(&chunk?);
    }
    Ok(read)
}

/// The problem where [`blocking_reader`] or [`read_small`] failed.
#[must_use]
pub fn reading_failed(error: &io::Error, pace: Pace) -> Problem {
    if error.kind() == io::ErrorKind::TimedOut {
        Problem::new(
            ProblemType::RequestTimeout,
            format!(
                "A body of this kind must arrive within {} seconds, and without a pause of {}. Repeat the request.",
                pace.whole.as_secs(),
                pace.pause.as_secs()
            ),
        )
    } else {
        broke_off()
    }
}

/// The chunks of a body, each of which must come in time.
fn timed(body: Body, pace: Pace) -> impl Stream<Item = io::Result<Bytes>> {
    let began = Instant::now();
    let chunks = (body.into_data_stream(), 0);
    stream::unfold(chunks, move |(mut chunks, mut arrived)| async move {
        let more = Duration::from_secs(arrived / pace.bytes_per_second);
        let deadline = began + pace.whole + more;
        let next = deadline.min(Instant::now() + pace.pause);
        let chunk = match tokio::time::timeout_at(next, chunks.next()).await {
            Ok(chunk) => chunk?.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        arrived += chunk.as_ref().map_or(0, |chunk: &Bytes| chunk.len() as u64);
        Some((chunk, (chunks, arrived)))
    })
}

fn broke_off() -> Problem {
    Problem::new(
        ProblemType::UploadInterrupted,
        "The body broke off. Repeat the request.",
    )
}

fn took_too_long(timeout: Duration) -> Problem {
    Problem::new(
        ProblemType::RequestTimeout,
        format!(
            "A body of this kind must arrive within {} seconds.",
            timeout.as_secs()
        ),
    )
}

/// Reads a body that must be a JSON object.
///
/// # Errors
/// A problem that says what it is instead.
pub async fn read_json_object(
    headers: &HeaderMap,
    body: Body,
    limits: &HttpLimits,
) -> Result<Map<String, Value>, Problem> {
    let bytes = read_json(
        headers,
        body,
        limits.max_request_bytes,
        limits.request_timeout,
    )
    .await?;
    parse_json_object(&bytes, "the body")
}

/// Reads a body that must be declared as JSON.
///
/// # Errors
/// 415 where it is not, and as [`read`].
pub async fn read_json(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    check_is_json(headers)?;
    read(body, limit, timeout).await
}

/// Reads a body that must be a JSON object where there is one. No body, or `null`, is an empty object.
///
/// # Errors
/// A problem that says what it is instead.
pub async fn read_optional_json_object(
    headers: &HeaderMap,
    body: Body,
    limits: &HttpLimits,
) -> Result<Map<String, Value>, Problem> {
    let bytes = read(body, limits.max_request_bytes, limits.request_timeout).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    check_is_json(headers)?;
    if bytes.trim_ascii() == b"null" {
        return Ok(Map::new());
    }
    parse_json_object(&bytes, "the body")
}

fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = media_type(headers);
    if media_type == "application/json"
        || media_type.starts_with("application/") && media_type.ends_with("+json")
    {
        return Ok(());
    }
    let found = if media_type.is_empty() {
        "none".to_owned()
    } else {
        format!("{media_type:.100}")
    };
    Err(Problem::new(
        ProblemType::UnsupportedMediaType,
        format!("Send JSON with the header Content-Type: application/json; it was {found}."),
    ))
}

/// Parses what must be a JSON object.
///
/// # Errors
/// A problem that says where it is none.
pub fn parse_json_object(bytes: &[u8], what: &str) -> Result<Map<String, Value>, Problem> {
    expect_object(parse_json(bytes, what)?, what)
}

/// Parses what must be JSON.
///
/// # Errors
/// A problem that says where it is none.
pub fn parse_json(bytes: &[u8], what: &str) -> Result<Value, Problem> {
    check_extent(bytes, what, OF_REQUEST)?;
    parse_value(bytes, what)
}

fn parse_value(bytes: &[u8], what: &str) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Err(Problem::new(
            ProblemType::MalformedJson,
            format!("Of {what} a JSON object is expected; it is empty."),
        ));
    }
    plain_json::from_slice(bytes).map_err(|error| malformed(what, &error))
}

fn check_extent(bytes: &[u8], what: &str, most: Extent) -> Result<(), Problem> {
    extent::check(bytes, most).map_err(|beyond| {
        let (kind, found) = match beyond {
            Beyond::TooMuch(found) => (ProblemType::PayloadTooLarge, found),
            Beyond::Levels(found) => (ProblemType::MalformedJson, found),
        };
        Problem::new(
            kind,
            format!("In {what} there are {found}: no more are taken."),
        )
    })
}

/// Parses the names of what must be a JSON object, and leaves the values as text, so that each can be measured before it is
/// parsed, and what is wrong with one is not wrong with all.
///
/// # Errors
/// A problem that says where it is none.
pub fn parse_json_fields<'a>(
    bytes: &'a [u8],
    what: &str,
) -> Result<BTreeMap<String, &'a RawValue>, Problem> {
    check_extent(bytes, what, OF_BATCH)?;
    serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes).map_err(|error| {
        // In the words that every other body is refused with.
        let told = parse_value(bytes, what).and_then(|value| expect_object(value, what));
        let told = told.err();
        told.unwrap_or_else(|| malformed(what, &error))
    })
}

/// Takes a value that must be a JSON object.
///
/// # Errors
/// A problem that says what it is instead.
pub fn expect_object(value: Value, what: &str) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(Problem::new(
            ProblemType::MalformedJson,
            format!(
                "Of {what} a JSON object is expected; it is {}.",
                kind(&other)
            ),
        )),
    }
}

/// The media type of what has these headers, without its parameters.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// The declared size of a body.
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn malformed(what: &str, error: &serde_json::Error) -> Problem {
    Problem::new(
        ProblemType::MalformedJson,
        format!(
            "In {what}, line {} column {}: {}.",
            error.line(),
            error.column(),
            syntax(error)
        ),
    )
}

/// serde's message without the position, which is told apart.
fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ")
        .next()
        .unwrap_or("it is no JSON")
        .to_owned()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
