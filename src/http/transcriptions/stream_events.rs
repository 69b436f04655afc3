//! `GET /v1/transcriptions/{id}/events/stream`: a transcription's events as they happen.

use axum::{Extension, extract::State, response::Response};

use crate::{
    domain::{
        event::{EventId, TranscriptionEvent},
        ids::JobId,
    },
    http::{
        auth::Reader,
        problem::Problem,
        request::id_path::IdPath,
        server::serve::CutOff,
        sse::{self, JobStreamQuery, Source},
        state::AppState,
    },
};

/// Stream a transcription's events.
///
/// Its events from the first one on, as Server-Sent Events, and the end of the stream after the one that ends it: done, error,
/// canceled or deleted. Whoever comes back with the id of that one is answered 204, after which an `EventSource` stays away,
/// unless more has happened since: a retry after an error, say. Of an erased transcription the events are still told.
///
/// Frames, ids and comments are those of `GET /v1/events/stream`.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}/events/stream",
    tag = "transcriptions",
    params(
        ("id" = String, Path, format = Uuid, description = "The transcription's id."),
        ("after" = Option<EventId>, Query, description = "Only events after this one. For those who cannot set a header; the header wins."),
        ("Last-Event-ID" = Option<EventId>, Header, description = "Only events after this one: the last that the caller has seen."),
    ),
    responses(
        (
            status = 200, content_type = "text/event-stream", body = TranscriptionEvent,
            description = "Frames up to its end. The schema is that of the `data` of one frame; `retry: 2000` comes before the first.",
            headers(("X-Accel-Buffering" = String, description = "`no`, so that no proxy holds events back.")),
        ),
        (status = 204, description = "It has ended, and nothing more is to come."),
        (status = 404, description = "There is no such transcription."),
        (status = 410, description = "Events after that id are gone; without it, the stream begins with the oldest that is kept, unless the transcription's end is gone (`event-cursor-expired`)."),
        (status = 503, description = "The database is not available (`database-unavailable`), or as many streams are open as may be, of all or of the tenant (`too-many-streams`)."),
    ),
)]
pub async fn stream_transcription_events(
    State(state): State<AppState>,
    Reader(caller): Reader,
    IdPath(job_id): IdPath<JobId>,
    query: JobStreamQuery,
    cut_off: Option<Extension<CutOff>>,
) -> Result<Response, Problem> {
    let source = Source::Job {
        tenant_id: caller.tenant_id,
        job_id,
    };
    sse::open(&state, source, query.after, cut_off).await
}
