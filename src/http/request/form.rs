//! A file on its way to Gladia: the multipart form that brings it, forwarded while it arrives.
//!
//! Nothing is stored here and nothing is collected: a chunk is counted and handed on, and the next one is read once Gladia has
//! taken it ([`forward`](mod@forward)). It is hashed where an idempotency key will be compared by it, which takes as long as
//! everything else together. So memory does not grow with the file, and a slow side slows the other. A file that breaks off is broken off
//! upstream too, without the closing boundary, so half a file can never pass for a whole one.

mod bounded_body;
mod disposition;
mod forward;

use std::{future::Future, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::HeaderMap,
};
use futures_util::{StreamExt, stream};
use multer::{Field, Multipart};
use serde_json::{Map, Value};

use self::{
    bounded_body::{FormBody, FormBodyError, MAX_OVERHEAD_BYTES},
    forward::forward,
};
use super::body::{self, content_length, parse_json_object};
use crate::{
    domain::sha256::Sha256,
    gladia::{client::GladiaClient, upload::UploadedFile},
    http::{
        problem::{Problem, ProblemType},
        server::overload::make_room_for_part,
        state::HttpLimits,
    },
};

/// The part that holds the file.
const AUDIO: &str = "audio";

/// The part that holds the options.
const OPTIONS: &str = "options";

/// What boundaries, part headers and the like may add to a form: before each of two parts, and behind them.
const FORM_OVERHEAD_BYTES: u64 = 3 * MAX_OVERHEAD_BYTES as u64;

/// The longest boundary that MIME allows. The form's reader looks for it again and again.
const MAX_BOUNDARY_BYTES: usize = 70;

/// What is done with the file.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// It goes to Gladia.
    Gladia(&'a GladiaClient),
    /// The same, and it is hashed, so that a repetition can be told.
    GladiaAndHash(&'a GladiaClient),
    /// It is only hashed, to see whether it is the same as before.
    HashOnly,
}

/// The file of a form.
#[derive(Debug)]
pub struct ReceivedFile {
    /// Its name, without any path.
    pub filename: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its hash, where it was wanted.
    pub sha256: Option<[u8; 32]>,
    /// What Gladia made of it, if it went there.
    pub uploaded: Option<UploadedFile>,
}

/// Reads the options of a form.
pub type OptionsParser<'a, T> = &'a (dyn Fn(Map<String, Value>) -> Result<T, Problem> + Sync);

/// Which parts a form has.
pub enum Parts<'a, T> {
    /// The file alone.
    Audio,
    /// The file, and options.
    AudioAndOptions(OptionsParser<'a, T>),
    /// The file, and whatever else nobody asks for.
    AudioAmongOthers,
}

/// A form that arrived whole.
#[derive(Debug)]
pub struct ReceivedForm<T> {
    /// The file.
    pub file: ReceivedFile,
    /// The options, as the parser of [`Parts::AudioAndOptions`] read them.
    pub options: Option<T>,
}

/// Receives a form with the file part `audio` and, where there may be one, a JSON part `options`.
///
/// Options that come first are checked before a byte of the file goes anywhere.
///
/// # Errors
/// A problem that names the part and the rule.
pub async fn receive<T>(
    headers: &HeaderMap,
    body: Body,
    limits: &HttpLimits,
    destination: Destination<'_>,
    parts: Parts<'_, T>,
) -> Result<ReceivedForm<T>, Problem> {
    let boundary = boundary(headers)?;
    let most = limits.max_upload_bytes + limits.max_request_bytes as u64 + FORM_OVERHEAD_BYTES;
    if content_length(headers).is_some_and(|length| length > most) {
        return Err(too_large(limits));
    }
    let mut body = FormBody::new(body);
    let mut form = Multipart::new(body.clone(), boundary);
    let received = receive_parts(&mut form, &body, limits, destination, parts).await?;
    match tokio::time::timeout(limits.upload_idle_timeout, body.read_to_end()).await {
        Ok(Ok(())) => Ok(received),
        Ok(Err(error)) => Err(describe_body(&error)),
        Err(_) => Err(idle(limits.upload_idle_timeout)),
    }
}

async fn receive_parts<T>(
    form: &mut Multipart<'_>,
    body: &FormBody,
    limits: &HttpLimits,
    destination: Destination<'_>,
    parts: Parts<'_, T>,
) -> Result<ReceivedForm<T>, Problem> {
    let mut file = None;
    let mut options = None;
    while let Some(field) = next_part(form, body, limits).await? {
        body.begin_content();
        let name = disposition::part_name(&field);
        match (name.as_deref(), &parts) {
            (Some(AUDIO), _) if file.is_none() => {
                file = Some(receive_file(field, limits, destination).await?);
            }
            (_, Parts::AudioAmongOthers) => pass_over(field, limits).await?,
            (Some(AUDIO), _) => return Err(wrong_part(AUDIO, "must stand in the form once")),
            (Some(OPTIONS), Parts::AudioAndOptions(_)) if options.is_some() => {
                return Err(wrong_part(OPTIONS, "must stand in the form at most once"));
            }
            (Some(OPTIONS), Parts::AudioAndOptions(parse)) => {
                options = Some(parse(receive_options(field, limits).await?)?);
            }
            (name, parts) => {
                let name = name
                    .unwrap_or_default()
                    .chars()
                    .take(100)
                    .collect::<String>();
                let known = match parts {
                    Parts::AudioAndOptions(_) => "`audio` and `options`",
                    Parts::Audio | Parts::AudioAmongOthers => "`audio`",
                };
                return Err(wrong_part(
                    &name,
                    format!("is no part of this form: its parts are {known}"),
                ));
            }
        }
        body.end_content();
    }
    let file =
        file.ok_or_else(|| wrong_part(AUDIO, "is missing: send the file as the part `audio`"))?;
    Ok(ReceivedForm { file, options })
}

/// Waits for the next part, but not forever.
async fn next_part<'f>(
    form: &mut Multipart<'f>,
    body: &FormBody,
    limits: &HttpLimits,
) -> Result<Option<Field<'f>>, Problem> {
    let next = async {
        match form.next_field().await {
            Err(multer::Error::IncompleteStream) => Ok(Err(unreadable(body.why_unfinished()))),
            next => next.map(Ok),
        }
    };
    in_time(limits, next).await?
}

/// Reads a part that nobody asks for.
async fn pass_over(mut field: Field<'_>, limits: &HttpLimits) -> Result<(), Problem> {
    let mut size = 0;
    while let Some(chunk) = in_time(limits, field.chunk()).await? {
        size += chunk.len();
        if size > limits.max_request_bytes {
            let detail = "The form has more besides the part `audio` than it may have.";
            return Err(Problem::new(ProblemType::PayloadTooLarge, detail));
        }
    }
    Ok(())
}

/// Reads the `options` part.
async fn receive_options(
    mut field: Field<'_>,
    limits: &HttpLimits,
) -> Result<Map<String, Value>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(limits, field.chunk()).await? {
        if bytes.len() + chunk.len() > limits.max_request_bytes {
            let detail = format!(
                "The part `options` may have {} bytes at most.",
                limits.max_request_bytes
            );
            return Err(Problem::new(ProblemType::PayloadTooLarge, detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    make_room_for_part(&bytes)?;
    parse_json_object(&bytes, "the part `options`")
}

/// Counts, hashes and forwards the file.
async fn receive_file(
    mut field: Field<'_>,
    limits: &HttpLimits,
    destination: Destination<'_>,
) -> Result<ReceivedFile, Problem> {
    let filename = disposition::file_name(&field);
    let content_type = field.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        ToString::to_string,
    );
    let is_hashed = !matches!(destination, Destination::Gladia(_));
    let mut meter = Meter {
        hash: is_hashed.then(Sha256::new),
        size_bytes: 0,
        limits,
    };

    // The first bytes come before Gladia is called: an empty file never reaches it.
    let Some(first) = meter.next(&mut field).await? else {
        let rule = "must not be empty";
        return Err(
            Problem::new(ProblemType::EmptyFile, "The part `audio` holds no bytes.")
                .at("/audio", rule),
        );
    };
    let uploaded = match destination {
        Destination::HashOnly => {
            while meter.next(&mut field).await?.is_some() {}
            None
        }
        Destination::Gladia(gladia) | Destination::GladiaAndHash(gladia) => {
            let rest = stream::try_unfold((&mut meter, &mut field), |(meter, field)| async {
                let chunk = meter.next(field).await?;
                Ok(chunk.map(|chunk| (chunk, (meter, field))))
            });
            let file = stream::iter([Ok(first)]).chain(rest);
            let upload = |audio| gladia.upload(filename.clone(), &content_type, audio);
            Some(forward(file, upload).await?)
        }
    };
    Ok(ReceivedFile {
        filename,
        size_bytes: meter.size_bytes,
        sha256: meter.hash.map(Sha256::finish),
        uploaded,
    })
}

/// Counts and hashes what arrives.
struct Meter<'a> {
    hash: Option<Sha256>,
    size_bytes: u64,
    limits: &'a HttpLimits,
}

impl Meter<'_> {
    async fn next(&mut self, field: &mut Field<'_>) -> Result<Option<Bytes>, Problem> {
        while let Some(chunk) = in_time(self.limits, field.chunk()).await? {
            if chunk.is_empty() {
                continue;
            }
            self.size_bytes += chunk.len() as u64;
            if self.size_bytes > self.limits.max_upload_bytes {
                return Err(too_large(self.limits));
            }
            if let Some(hash) = &mut self.hash {
                hash.update(&chunk);
            }
            return Ok(Some(chunk));
        }
        Ok(None)
    }
}

/// Waits for the next piece of the form, but not forever.
async fn in_time<T>(
    limits: &HttpLimits,
    piece: impl Future<Output = multer::Result<T>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(limits.upload_idle_timeout, piece).await {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(error)) => Err(describe(&error)),
        Err(_) => Err(idle(limits.upload_idle_timeout)),
    }
}

fn idle(after: Duration) -> Problem {
    Problem::new(
        ProblemType::RequestTimeout,
        format!(
            "Nothing arrived for {} seconds. No transcription was created; repeat the request.",
            after.as_secs()
        ),
    )
}

/// A form that lacks something at the end of its body lacks it however often it is sent: that a transfer broke off is the
/// body's own error.
fn describe(error: &multer::Error) -> Problem {
    match error {
        multer::Error::StreamReadFailed(cause) => cause
            .downcast_ref::<FormBodyError>()
            .map_or_else(interrupted, describe_body),
        multer::Error::IncompleteFieldData { field_name } => {
            let name = field_name.as_deref().unwrap_or_default();
            unreadable(&format!("the body ended within the part `{name:.100}`"))
        }
        other => unreadable(&other.to_string()),
    }
}

fn describe_body(error: &FormBodyError) -> Problem {
    match error {
        FormBodyError::TooMuchOverhead => unreadable(&error.to_string()),
        FormBodyError::Broken(_) => interrupted(),
    }
}

fn interrupted() -> Problem {
    Problem::new(
        ProblemType::UploadInterrupted,
        "The form broke off before its end. No transcription was created; repeat the request.",
    )
}

fn unreadable(why: &str) -> Problem {
    Problem::new(
        ProblemType::InvalidForm,
        format!(
            "The form cannot be read: {why}. Before each part stands a line of `--` and the boundary that the header Content-Type \
             names, and behind the last the same with another `--`; lines end with CR LF."
        ),
    )
}

fn boundary(headers: &HeaderMap) -> Result<String, Problem> {
    let media_type = body::media_type(headers);
    if media_type != "multipart/form-data" {
        let found = if media_type.is_empty() {
            "none".to_owned()
        } else {
            format!("{media_type:.100}")
        };
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            format!(
                "Send a form with the header Content-Type: multipart/form-data; it was {found}."
            ),
        ));
    }
    headers
        .get(axum::http::header::CONTENT_TYPE)
        .and_then(|value| multer::parse_boundary(value.to_str().ok()?).ok())
        .filter(|boundary| (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()))
        .ok_or_else(|| {
            Problem::new(
                ProblemType::InvalidForm,
                format!("The header Content-Type of a form must name its boundary, of {MAX_BOUNDARY_BYTES} characters at most."),
            )
        })
}

fn wrong_part(name: &str, rule: impl Into<String>) -> Problem {
    let rule = rule.into();
    Problem::new(
        ProblemType::InvalidForm,
        format!("The part `{name}` {rule}."),
    )
    .at(&format!("/{name}"), rule)
}

fn too_large(limits: &HttpLimits) -> Problem {
    let rule = format!("may have {} bytes at most", limits.max_upload_bytes);
    Problem::new(
        ProblemType::PayloadTooLarge,
        format!("The part `audio` {rule}."),
    )
    .at("/audio", rule)
}
