//! What a caller asks for: requests as the create by URL takes them, in a list.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    domain::{
        audio_url::AudioUrl,
        idempotency::Fingerprint,
        options::{OptionsPolicy, Violation},
    },
    http::{
        body::{expect_object, parse_json_object},
        problem::Problem,
        transcriptions::request::{self, CreateTranscription, RequestedOptions},
    },
};

/// How many requests a batch may have. The table of batches has the same bound.
const MOST_REQUESTS: usize = 1000;

/// More wrong names than this help nobody, and a hostile body could have millions.
const MOST_WRONG_NAMES: usize = 50;

const REQUESTS: &str = "requests";
const ALL_OR_NOTHING: &str = "all_or_nothing";

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
    /// Parses a body. What is wrong within a request is that request's problem.
    ///
    /// # Errors
    /// Where it is no batch, with everything that is wrong around the requests.
    pub fn parse(bytes: &[u8], policy: OptionsPolicy) -> Result<Self, Problem> {
        let mut body = parse_json_object(bytes, "the body")?;
        let mut violations = Vec::new();
        let all_or_nothing = match body.remove(ALL_OR_NOTHING) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is)) => is,
            Some(_) => {
                violations.push(violation(ALL_OR_NOTHING, "must be true or false"));
                false
            }
        };
        let Some(Value::Array(requests)) = body.remove(REQUESTS) else {
            let rule = format!("is required: a list of 1 to {MOST_REQUESTS} requests");
            violations.push(violation(REQUESTS, rule));
            return Err(refuse(body, violations));
        };
        if !(1..=MOST_REQUESTS).contains(&requests.len()) {
            let rule = format!(
                "must hold 1 to {MOST_REQUESTS} requests; found {}. Send more in several batches.",
                requests.len()
            );
            violations.push(violation(REQUESTS, rule));
        }
        if !(body.is_empty() && violations.is_empty()) {
            return Err(refuse(body, violations));
        }
        let fingerprint = Fingerprint::of_batch(&requests, all_or_nothing);
        let requests = requests
            .into_iter()
            .map(|request| RequestedTranscription::parse(request, policy))
            .collect();
        Ok(Self {
            requests,
            all_or_nothing,
            fingerprint,
        })
    }
}

impl RequestedTranscription {
    fn parse(request: Value, policy: OptionsPolicy) -> Self {
        let body = match expect_object(request, "the request") {
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
            parsed: request::parse(body, policy)
                .map_err(|violations| Problem::violations("", violations)),
        }
    }
}

/// The problem of a body that is no batch. `rest` are the fields that have no meaning here.
fn refuse(rest: Map<String, Value>, mut violations: Vec<Violation>) -> Problem {
    let rule = format!(
        "is not known here: use {REQUESTS} and {ALL_OR_NOTHING}; options belong into each request"
    );
    let names = rest.into_iter().take(MOST_WRONG_NAMES).map(|(name, _)| {
        let name: String = name.chars().take(100).collect();
        violation(&name.replace('~', "~0").replace('/', "~1"), rule.as_str())
    });
    violations.extend(names);
    Problem::violations("", violations)
}

fn violation(field: &str, rule: impl Into<String>) -> Violation {
    Violation::new(format!("/{field}"), rule)
}
