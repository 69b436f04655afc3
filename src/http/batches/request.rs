//! What a caller asks for: requests as the create by URL takes them, in a list.

use serde::Serialize;
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use crate::{
    domain::{
        audio_url::AudioUrl, canonical::canonical, idempotency::Fingerprint, options::Violation,
    },
    http::{
        problem::{Problem, ProblemType},
        request::{
            body::{expect_object, parse_json, parse_json_fields},
            fields::{Fields, broken},
        },
        transcriptions::request::{self, CreateTranscription, Judge, RequestedOptions},
    },
};

/// How many requests a batch may have. The table of batches has the same bound.
const MOST_REQUESTS: usize = 1000;

const REQUESTS: &str = "requests";
const ALL_OR_NOTHING: &str = "all_or_nothing";

/// The fields that there are.
const KNOWN: &str = "requests and all_or_nothing; options belong into each request";

/// What messages call one of them.
const THE_REQUEST: &str = "the request";

/// Many transcriptions of audio that Gladia fetches.
#[derive(Serialize, ToSchema)]
pub struct CreateBatch {
    /// Each as `POST /v1/transcriptions` takes it. They are sent to Gladia in this order.
    #[schema(min_items = 1, max_items = 1000)]
    requests: Vec<CreateTranscription>,
    /// Whether one request that is refused refuses them all. Otherwise the others are accepted without it.
    #[schema(default = false)]
    all_or_nothing: Option<bool>,
}

/// A batch whose requests are judged, each by itself, by everything but their audio.
#[derive(Debug)]
pub struct RequestedBatch {
    /// Its requests, in their order.
    pub requests: Vec<RequestedTranscription>,
    /// Whether one that is refused refuses them all.
    pub all_or_nothing: bool,
    /// What makes another batch the same.
    pub fingerprint: Fingerprint,
}

/// A request that is judged by everything but its audio.
#[derive(Debug)]
pub struct RequestedTranscription {
    /// The audio, where it is named as it should be, whatever the rest is like.
    pub audio_url: Option<AudioUrl>,
    /// The audio and what to do with it.
    pub parsed: Result<(AudioUrl, RequestedOptions), Problem>,
}

impl RequestedBatch {
    /// Parses a body. What is wrong within a request is that request's problem; also that it is larger than it might be alone.
    ///
    /// # Errors
    /// Where it is no batch, with everything that is wrong around the requests.
    pub fn parse(bytes: &[u8], max_request_bytes: usize, judge: &Judge) -> Result<Self, Problem> {
        let mut fields = Fields::of(parse_json_fields(bytes, "the body")?);
        let all_or_nothing = fields.take(ALL_OR_NOTHING, |text| {
            serde_json::from_str::<Option<bool>>(text.get())
                .map_err(|_| broken("must be true or false"))
        });
        let is_required = format!("is required: a list of 1 to {MOST_REQUESTS} requests");
        let requests = fields.take(REQUESTS, |list| {
            let requests = serde_json::from_str::<Vec<&RawValue>>(list.get());
            within_bounds(requests.map_err(|_| broken(is_required.as_str()))?)
        });
        let Some(requests) = requests else {
            return Err(fields.lacks(REQUESTS, &is_required, KNOWN));
        };
        fields.finish(KNOWN)?;
        let all_or_nothing = all_or_nothing.flatten().unwrap_or(false);
        let (spellings, requests): (Vec<String>, Vec<_>) = requests
            .into_iter()
            .map(|text| {
                let request = read(text, max_request_bytes);
                let spelling = request.as_ref().map_or(text.get().to_owned(), canonical);
                (spelling, RequestedTranscription::parse(request, judge))
            })
            .unzip();
        Ok(Self {
            requests,
            all_or_nothing,
            fingerprint: Fingerprint::of_batch(&spellings, all_or_nothing),
        })
    }
}

impl RequestedTranscription {
    fn parse(request: Result<Value, Problem>, judge: &Judge) -> Self {
        let body = match request.and_then(|request| expect_object(request, THE_REQUEST)) {
            Ok(body) => body,
            Err(problem) => {
                return Self {
                    audio_url: None,
                    parsed: Err(problem),
                };
            }
        };
        Self {
            audio_url: request::audio_url_of(&body).ok().flatten(),
            parsed: request::parse(body, judge)
                .map_err(|violations| Problem::violations("", violations)),
        }
    }
}

/// Reads one request, unless it is too large.
fn read(text: &RawValue, max_request_bytes: usize) -> Result<Value, Problem> {
    let bytes = text.get().as_bytes();
    if bytes.len() > max_request_bytes {
        let detail = format!(
            "A request may have {max_request_bytes} bytes at most; this one has {}.",
            bytes.len()
        );
        return Err(Problem::new(ProblemType::PayloadTooLarge, detail));
    }
    parse_json(bytes, THE_REQUEST)
}

/// As many requests as a batch may have.
fn within_bounds(requests: Vec<&RawValue>) -> Result<Vec<&RawValue>, Vec<Violation>> {
    let more = match requests.len() {
        1..=MOST_REQUESTS => return Ok(requests),
        0 => "",
        _ => " Send more in several batches.",
    };
    let found = requests.len();
    Err(broken(format!(
        "must hold 1 to {MOST_REQUESTS} requests; found {found}.{more}"
    )))
}
