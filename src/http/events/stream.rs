//! `GET /v1/events/stream`: a tenant's events as they happen.

use axum::{Extension, extract::State, response::Response};

use crate::{
    domain::event::{EventId, EventView, PublicEventType},
    http::{
        auth::Reader,
        problem::Problem,
        server::serve::CutOff,
        sse::{self, Source, TenantStreamQuery},
        state::AppState,
    },
};

/// Stream events.
///
/// Everything that happens to the tenant's transcriptions and webhook endpoints, as Server-Sent Events. Without an id the
/// stream begins with what happens from now on. Any `EventSource` keeps it up: it comes back with the id of the last event that
/// it has seen, which may be at another replica, and gets every later event once, in their order.
///
/// A frame is `id: evt_42`, `event: transcription.done` and `data:` with the event in one line of JSON, the same that
/// webhooks and `GET /v1/events` have. A comment comes every 15 seconds. The stream ends after an hour at most, at which the
/// API key is looked at anew, and whoever takes nothing for 30 seconds is cut off; both come back as after any other
/// interruption.
#[utoipa::path(
    get,
    path = "/v1/events/stream",
    tag = "events",
    params(
        ("types" = Option<Vec<PublicEventType>>, Query, description = "Only events of these types, separated by commas: `transcription.done,transcription.error`."),
        ("after" = Option<EventId>, Query, description = "Only events after this one. For those who cannot set a header; the header wins."),
        ("Last-Event-ID" = Option<EventId>, Header, description = "Only events after this one: the last that the caller has seen."),
    ),
    responses(
        (
            status = 200, content_type = "text/event-stream", body = EventView,
            description = "Frames without an end. The schema is that of the `data` of one frame; `retry: 2000` comes before the first.",
            headers(("X-Accel-Buffering" = String, description = "`no`, so that no proxy holds events back.")),
        ),
        (status = 410, description = "Events after that id are gone; `oldest_after` says where to go on (`event-cursor-expired`)."),
        (status = 503, description = "The database is not available (`database-unavailable`), or as many streams are open as may be, of all or of the tenant (`too-many-streams`)."),
    ),
)]
pub async fn stream_events(
    State(state): State<AppState>,
    Reader(caller): Reader,
    query: TenantStreamQuery,
    cut_off: Option<Extension<CutOff>>,
) -> Result<Response, Problem> {
    let source = Source::Tenant {
        tenant_id: caller.tenant_id,
        types: query.types,
    };
    sse::open(&state, source, query.after, cut_off).await
}
