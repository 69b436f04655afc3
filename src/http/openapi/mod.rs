//! The OpenAPI document: assembled from the handlers themselves, served and committed.

mod told;

use axum::{Json, Router, response::Redirect, routing::get};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::told::Told;
use super::{
    admin, batches, callback_secret, deliveries, events, problem::ProblemBody, state::AppState,
    transcriptions, uploads, usage, webhook_endpoints,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "gladia-gateway",
        description = "A durable gateway to Gladia's speech-to-text API: audio in, transcript out, without polling Gladia, without \
                       losing a paid transcript, without paying for one twice.",
    ),
    modifiers(&ApiKeys),
    components(schemas(ProblemBody)),
    tags(
        (name = "transcriptions", description = "Audio in, transcript out."),
        (name = "batches", description = "Many transcriptions in one call."),
        (name = "events", description = "What happened, in one order: to be read page by page, and waited for."),
        (name = "uploads", description = "Files for use in several transcriptions."),
        (name = "deliveries", description = "What was sent to webhook endpoints and callbacks, and how each try went."),
        (name = "webhooks", description = "Being told of what happens, by signed requests to endpoints of one's own."),
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

/// The API's routes with their document.
pub fn api() -> (Router<AppState>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Base::openapi())
        .merge(transcriptions::router())
        .merge(batches::router())
        .merge(events::router())
        .merge(uploads::router())
        .merge(deliveries::router())
        .merge(webhook_endpoints::router())
        .merge(callback_secret::router())
        .merge(usage::router())
        .merge(admin::router())
        .split_for_parts();
    Told.modify(&mut document);
    (router, document)
}

/// The document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    api().1
}

/// `/openapi.json`, and `/docs` to browse it. The page needs nothing from elsewhere.
pub fn router(document: utoipa::openapi::OpenApi) -> Router<AppState> {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none"));
    Router::new()
        // Whoever opens the address in a browser finds something to read.
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .route("/openapi.json", get(|| async move { Json(document) }))
        .merge(page)
}
