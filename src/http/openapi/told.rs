//! What the gateway sends to its callers: the events as webhooks of the document, and the callbacks of the creates.
//!
//! The bodies are put together elsewhere, from stored bytes; the types here say what they look like, so that generated
//! clients have types for them.

#![expect(
    dead_code,
    reason = "describes bodies in the OpenAPI document; they are put together from stored bytes"
)]

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        self, Content, HttpMethod, ObjectBuilder, PathItem, Paths, Ref, RefOr, Required,
        ResponseBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::Type,
    },
};

use crate::{
    domain::{
        event::{
            EventId, EventView, TranscriptionEvent, TranscriptionEventData, TranscriptionEventType,
            WebhookEndpointEvent,
        },
        ids::JobId,
        transcript::TranscriptionResult,
    },
    http::transcriptions::view::WrittenApart,
};

/// Something that happened to a transcription, with its result where it is done: for endpoints with `include_result`.
#[derive(Serialize, ToSchema)]
struct TranscriptionEventWithResult {
    /// The same in webhooks, streams and the change list.
    id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    kind: TranscriptionEventType,
    /// When.
    occurred_at: DateTime<Utc>,
    /// To which transcription.
    data: TranscriptionEventDataWithResult,
}

/// A transcription as an event left it, with its result.
#[derive(Serialize, ToSchema)]
struct TranscriptionEventDataWithResult {
    #[serde(flatten)]
    data: TranscriptionEventData,
    /// Gladia's result object as it came. Only in `transcription.done`, and left out once it is erased.
    #[schema(value_type = Option<TranscriptionResult>, nullable = false)]
    result: Option<WrittenApart>,
}

/// The end of a transcription, in the form of Gladia's callbacks, to the `callback_config` of its request.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum TranscriptionCallback {
    /// It is done.
    Success(TranscriptionSuccessCallback),
    /// It has failed.
    Error(TranscriptionErrorCallback),
}

/// A transcription is done.
#[derive(Serialize, ToSchema)]
struct TranscriptionSuccessCallback {
    /// The transcription.
    id: JobId,
    /// That it is done.
    event: TranscriptionSuccess,
    /// Gladia's result object as it came.
    #[schema(value_type = TranscriptionResult)]
    payload: WrittenApart,
    /// What the request had, where it had any.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>, nullable = false)]
    custom_metadata: Option<Map<String, Value>>,
}

/// A transcription has failed.
#[derive(Serialize, ToSchema)]
struct TranscriptionErrorCallback {
    /// The transcription.
    id: JobId,
    /// That it has failed.
    event: TranscriptionFailure,
    /// Why.
    error: TranscriptionCallbackError,
    /// What the request had, where it had any.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>, nullable = false)]
    custom_metadata: Option<Map<String, Value>>,
}

/// Why a transcription failed.
#[derive(Serialize, ToSchema)]
struct TranscriptionCallbackError {
    /// Gladia's code from 400 to 599. Where it gave none: 400 refused by Gladia, 500 failed there, 502 it never became known
    /// whether Gladia has it, 504 Gladia delivered nothing in time.
    code: i32,
    /// For people.
    message: String,
}

/// The event of a transcription that is done.
#[derive(Serialize, ToSchema)]
enum TranscriptionSuccess {
    /// It is done.
    #[serde(rename = "transcription.success")]
    Success,
}

/// The event of a transcription that has failed.
#[derive(Serialize, ToSchema)]
enum TranscriptionFailure {
    /// It has failed.
    #[serde(rename = "transcription.error")]
    Error,
}

#[derive(OpenApi)]
#[openapi(components(schemas(
    EventView,
    TranscriptionEvent,
    TranscriptionEventWithResult,
    WebhookEndpointEvent,
    TranscriptionCallback,
)))]
struct Bodies;

/// The creates, where in their bodies the address stands that is called, and the operation that is called there: an id stands in
/// one place.
const CREATES: [(&str, &str, &str); 3] = [
    (
        "/v1/transcriptions",
        "{$request.body#/callback_config/url}",
        "receive_transcription_callback",
    ),
    // Of each request; an expression can name one only.
    (
        "/v1/batches",
        "{$request.body#/requests/0/callback_config/url}",
        "receive_transcription_callback_of_batch",
    ),
    (
        "/v1/transcriptions/upload",
        "{$request.body#/options/callback_config/url}",
        "receive_transcription_callback_of_file",
    ),
];

/// Adds to the document what callers are sent.
pub(super) struct Told;

impl Modify for Told {
    fn modify(&self, document: &mut openapi::OpenApi) {
        document.merge(Bodies::openapi());
        document.webhooks = Some(webhooks());
        for (path, expression, id) in CREATES {
            let create = document.paths.paths.get_mut(path);
            let Some(create) = create.and_then(|item| item.post.as_mut()) else {
                continue;
            };
            let callback = BTreeMap::from([(expression.to_owned(), RefOr::T(callback(id)))]);
            create
                .callbacks
                .insert("transcriptionEnded".to_owned(), RefOr::T(callback));
        }
    }
}

fn webhooks() -> Paths {
    let of = |operation| PathItem::new(HttpMethod::Post, operation);
    let mut paths = Paths::new();
    paths.paths = BTreeMap::from([
        (
            "transcriptionEvent".to_owned(),
            of(sent(
                "receive_transcription_event",
                "Something happened to a transcription",
                "To webhook endpoints whose `event_types` have it.",
                "TranscriptionEvent",
                GONE_ENDPOINT,
            )),
        ),
        (
            "transcriptionEventWithResult".to_owned(),
            of(sent(
                "receive_transcription_event_with_result",
                "Something happened to a transcription, told with its result",
                "The same to webhook endpoints with `include_result`.",
                "TranscriptionEventWithResult",
                GONE_ENDPOINT,
            )),
        ),
        (
            "webhookEndpointEvent".to_owned(),
            of(sent(
                "receive_webhook_endpoint_event",
                "Something happened to a webhook endpoint",
                "To webhook endpoints whose `event_types` have it; a test to the one that is tested.",
                "WebhookEndpointEvent",
                GONE_ENDPOINT,
            )),
        ),
    ]);
    paths
}

fn callback(id: &str) -> PathItem {
    let operation = |id: &str| {
        sent(
            id,
            "The transcription has ended",
            "By the method in `callback_config`, and `POST` to a `callback_url`. A transcription that fails and succeeds later, \
             by a retry or because its result arrives late, is told of twice.",
            "TranscriptionCallback",
            "It does not want to be called: this message is not sent again.",
        )
    };
    let mut item = PathItem::new(HttpMethod::Post, operation(id));
    item.put = Some(operation(&format!("{id}_by_put")));
    item
}

const GONE_ENDPOINT: &str =
    "It does not want to be told any more: the webhook endpoint is disabled.";

/// A request that the gateway makes.
fn sent(id: &str, summary: &str, description: &str, schema: &str, gone: &str) -> Operation {
    let content = Content::new(Some(Ref::from_schema_name(schema)));
    let body = RequestBodyBuilder::new()
        .content("application/json", content)
        .required(Some(Required::True))
        .build();
    let answer = |description: &str| ResponseBuilder::new().description(description).build();
    OperationBuilder::new()
        .operation_id(Some(id))
        // Of its own: generators write a file for each group, and would write this one over that of the endpoints.
        .tag("webhook messages")
        .summary(Some(summary))
        .description(Some(format!("{description} {AT_LEAST_ONCE}")))
        .parameters(Some(signature_headers()))
        .request_body(Some(body))
        .response("2XX", answer("It is delivered."))
        .response("410", answer(gone))
        .response(
            "default",
            answer("It is sent again later, for a day at least. Redirects are not followed; `Retry-After` is obeyed."),
        )
        .security(openapi::security::SecurityRequirement::default())
        .build()
}

const AT_LEAST_ONCE: &str = "Sent at least once, as far as possible in the order of events, and signed as Standard Webhooks \
                             says.";

/// The headers of Standard Webhooks.
fn signature_headers() -> [Parameter; 3] {
    [
        (
            "webhook-id",
            "The same at each try, and in no other message to this endpoint: by it, what has come already can be told.",
        ),
        ("webhook-timestamp", "When this try was made, in seconds since 1970."),
        (
            "webhook-signature",
            "`v1,` and the base64 of an HMAC-SHA256 over the id, the timestamp and the body, with full stops between \
             them. Several of these (five at most) with spaces between them while a secret is being replaced.",
        ),
    ]
    .map(|(name, description)| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    })
}
