//! What a caller asks of an endpoint, read by hand, so that everything that is wrong is told at once.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    db::webhook_endpoints::EndpointChange,
    domain::{
        event::PublicEventType, options::Violation, receiver_url::ReceiverUrl,
        webhook_endpoint::WantedEvents,
    },
    http::{
        problem::Problem,
        request::fields::{Fields, broken},
    },
    notify::guard::Guard,
};

/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 500;

/// More wrong types than this help nobody.
const MOST_WRONG_TYPES: usize = 50;

/// The fields that there are.
const KNOWN: &str = "url, description, event_types and include_result";

/// A webhook endpoint to be.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body in the OpenAPI document; bodies are read by hand, for better messages"
)]
pub struct CreateWebhookEndpoint {
    /// Where events are to be sent, by POST: http or https, 2048 bytes at most, without user name, password and fragment. Private
    /// networks are not reached, unless the operator allows them.
    #[schema(format = Uri, example = "https://example.com/told")]
    url: String,
    /// What to call it: one line of 500 characters at most.
    #[schema(default = "", max_length = 500)]
    description: Option<String>,
    /// Which events to send. Without it, or with null, all of them, those of types to come too.
    #[schema(min_items = 1)]
    event_types: Option<Vec<PublicEventType>>,
    /// Whether `transcription.done` is to come with the result, as `data.result`.
    #[schema(default = false)]
    include_result: Option<bool>,
}

/// What is to be different about a webhook endpoint. What is left out stays as it is.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body in the OpenAPI document; bodies are read by hand, for better messages"
)]
pub struct UpdateWebhookEndpoint {
    /// Where events are to be sent. What failed elsewhere is forgotten.
    #[schema(format = Uri, nullable = false, example = "https://example.com/told")]
    url: Option<String>,
    /// What to call it: one line of 500 characters at most.
    #[schema(nullable = false, max_length = 500)]
    description: Option<String>,
    /// Which events to send. Null: all of them, those of types to come too.
    #[schema(min_items = 1)]
    event_types: Option<Vec<PublicEventType>>,
    /// Whether `transcription.done` is to come with the result.
    #[schema(nullable = false)]
    include_result: Option<bool>,
}

/// An endpoint to be.
#[derive(Debug)]
pub struct RequestedEndpoint {
    /// Where it is.
    pub url: ReceiverUrl,
    /// What to call it.
    pub description: String,
    /// What to send.
    pub event_types: WantedEvents,
    /// Whether a result goes along.
    pub includes_result: bool,
}

/// What is to be different.
#[derive(Debug)]
pub struct RequestedChange {
    url: Option<ReceiverUrl>,
    description: Option<String>,
    event_types: Option<WantedEvents>,
    includes_result: Option<bool>,
}

impl RequestedEndpoint {
    /// Reads a body.
    ///
    /// # Errors
    /// With every rule that it breaks.
    pub fn parse(body: Map<String, Value>, guard: &Guard) -> Result<Self, Problem> {
        let mut fields = Fields::without_nulls(body);
        let read = RequestedChange::take(&mut fields, guard);
        let Some(url) = read.url else {
            return Err(fields.lacks("url", "is required: where events are to be sent", KNOWN));
        };
        fields.finish(KNOWN)?;
        Ok(Self {
            url,
            description: read.description.unwrap_or_default(),
            event_types: read.event_types.unwrap_or(WantedEvents::All),
            includes_result: read.includes_result.unwrap_or(false),
        })
    }
}

impl RequestedChange {
    /// Reads a body.
    ///
    /// # Errors
    /// With every rule that it breaks.
    pub fn parse(body: Map<String, Value>, guard: &Guard) -> Result<Self, Problem> {
        let mut fields = Fields::of(body);
        let read = Self::take(&mut fields, guard);
        fields.finish(KNOWN)?;
        Ok(read)
    }

    fn take(fields: &mut Fields, guard: &Guard) -> Self {
        Self {
            url: fields.take("url", |value| parse_url(&value, guard)),
            description: fields.take("description", parse_description),
            event_types: fields.take("event_types", parse_event_types),
            includes_result: fields.take("include_result", |value| {
                value
                    .as_bool()
                    .ok_or_else(|| broken("must be true or false"))
            }),
        }
    }

    /// As the database takes it.
    pub fn as_change(&self) -> EndpointChange<'_> {
        EndpointChange {
            url: self.url.as_ref().map(ReceiverUrl::as_str),
            description: self.description.as_deref(),
            event_types: self.event_types.as_ref(),
            includes_result: self.includes_result,
        }
    }
}

/// What is certain to be refused at each try is refused at once.
fn parse_url(value: &Value, guard: &Guard) -> Result<ReceiverUrl, Vec<Violation>> {
    let text = value.as_str().ok_or_else(|| broken("must be a string"))?;
    let url = ReceiverUrl::parse(text).map_err(broken)?;
    guard
        .judge_url(url.url())
        .map_err(|refusal| broken(refusal.to_string()))?;
    Ok(url)
}

fn parse_description(value: Value) -> Result<String, Vec<Violation>> {
    let Value::String(text) = value else {
        return Err(broken("must be a string"));
    };
    if text.chars().count() > LONGEST_DESCRIPTION {
        return Err(broken(format!(
            "must be at most {LONGEST_DESCRIPTION} characters long"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(broken("must not contain control characters"));
    }
    Ok(text)
}

fn parse_event_types(value: Value) -> Result<WantedEvents, Vec<Violation>> {
    let names = match value {
        Value::Null => return Ok(WantedEvents::All),
        Value::Array(names) if !names.is_empty() => names,
        Value::Array(_) => {
            return Err(broken(
                "must name a type at least; leave it out, or send null, for all of them",
            ));
        }
        _ => return Err(broken("must be a list of event types, or null for all")),
    };
    let parse = |name: &Value| name.as_str()?.parse::<PublicEventType>().ok();
    let wrong: Vec<Violation> = names
        .iter()
        .enumerate()
        .filter(|(_, name)| parse(name).is_none())
        .take(MOST_WRONG_TYPES)
        .map(|(index, _)| Violation {
            pointer: format!("/{index}"),
            rule: "must be a type of event".to_owned(),
            allowed: Some(PublicEventType::ALL.map(PublicEventType::as_str).to_vec()),
        })
        .collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let wanted: Vec<PublicEventType> = names.iter().filter_map(parse).collect();
    Ok(WantedEvents::only(&wanted))
}
