//! The `OpenAPI` document: assembled from the handlers themselves, served and committed.
//!
//! Handlers say what is theirs. What all have in common is added in one place each: what is sent to callers ([`told`]), names and
//! shapes that generators understand ([`names`], [`shape`]), the refusals ([`refusals`]) and the examples ([`examples`]). What
//! callers send is strict, what they read is open ([`strict`], [`later`]). The twin for programs that read no newer version than 3.0 is
//! derived from it ([`v3_0`]).

mod document;
mod examples;
mod later;
mod names;
mod refusals;
mod shape;
mod streams;
mod strict;
mod told;
mod v3_0;
mod walk;

use axum::{Router, body::Bytes, http::header, response::Redirect, routing::get};
use tokio::{sync::OnceCell, task::spawn_blocking};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

pub use self::document::{Document, Version};
use self::told::Told;
use super::{
    admin, batches, callback_secret, deliveries, events,
    problem::ProblemBody,
    state::AppState,
    transcriptions::{self, export_query::ExportFormat},
    uploads, usage, webhook_endpoints,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "gladia-gateway",
        description = "A durable gateway to Gladia's speech-to-text API: audio in, transcript out, without polling Gladia, without \
                       losing a paid transcript, without paying for one twice.\n\n\
                       Every refusal is a problem (RFC 9457, `application/problem+json`), whose `type` is stable; more types may come. \
                       An address that is not there is answered 404 (`not-found`), a method that an address does not take 405 \
                       (`method-not-allowed`), with those that it takes in `Allow`. \
                       Lists come in pages: send `next_cursor` as `cursor`, until it is null. New fields and new values of \
                       enumerations may come, and are no break of this version.",
        contact(name = "Whoever runs this gateway"),
    ),
    servers((url = "/", description = "The gateway that serves this document.")),
    modifiers(&ApiKeys),
    // Parameters refer to the two that no body has.
    components(schemas(ProblemBody, ExportFormat, usage::query::Format)),
    tags(
        (name = "transcriptions", description = "Audio in, transcript out."),
        (name = "batches", description = "Many transcriptions in one call."),
        (name = "events", description = "What happened, in one order: to be read page by page, and waited for."),
        (name = "uploads", description = "Files for use in several transcriptions."),
        (name = "deliveries", description = "What was sent to webhook endpoints and callbacks, and how each try went."),
        (name = "webhooks", description = "Being told of what happens, by signed requests to endpoints of one's own."),
        (name = "webhook messages", description = "What those requests, and callbacks, look like to whoever receives them."),
        (name = "usage", description = "What was used, and what Gladia bills for it."),
        (name = "admin", description = "For whoever runs the gateway: what waits for a person. Needs an API key of scope `admin`, \
                                        which sees the matters of all tenants here."),
    ),
)]
struct Base;

struct ApiKeys;

impl Modify for ApiKeys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key, made with `gladia-gateway keys create`."))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("api_key", SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new(
            "api_key",
            Vec::<String>::new(),
        )]);
    }
}

/// The API's routes.
pub fn api() -> Router<AppState> {
    described().split_for_parts().0
}

/// The API's routes with what they say of themselves.
fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Base::openapi())
        .merge(transcriptions::router())
        .merge(batches::router())
        .merge(events::router())
        .merge(uploads::router())
        .merge(deliveries::router())
        .merge(webhook_endpoints::router())
        .merge(callback_secret::router())
        .merge(usage::router())
        .merge(admin::router())
}

/// The document.
#[must_use]
pub fn document() -> Document {
    let (_, mut document) = described().split_for_parts();
    Told.modify(&mut document);
    Document::complete(&document)
}

/// The document as it is served. Few ask for it, so it is written when somebody does, and kept from then on.
async fn text(version: Version) -> Bytes {
    static TEXTS: [OnceCell<Bytes>; 2] = [const { OnceCell::const_new() }; 2];
    let kept = match version {
        Version::V3_1 => &TEXTS[0],
        Version::V3_0 => &TEXTS[1],
    };
    let write = || async {
        let written = spawn_blocking(move || document().in_version(version).to_json()).await;
        written.map(Bytes::from)
    };
    let text = kept.get_or_try_init(write).await;
    text.cloned().unwrap_or_default()
}

/// `/openapi.json` and its twin, and `/docs` to browse it. The page needs nothing from elsewhere.
pub fn router() -> Router<AppState> {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none"));
    let mut router = Router::new()
        // Whoever opens the address in a browser finds something to read.
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .merge(page);
    for (path, version) in [
        ("/openapi.json", Version::V3_1),
        ("/openapi-3.0.json", Version::V3_0),
    ] {
        let answer = move || async move {
            (
                [(header::CONTENT_TYPE, "application/json")],
                text(version).await,
            )
        };
        router = router.route(path, get(answer));
    }
    router
}
