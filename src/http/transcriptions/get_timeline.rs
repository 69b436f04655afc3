//! `GET /v1/transcriptions/{id}/timeline`: what happened to it, and what it waits for.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::lookup::find;
use crate::{
    db,
    domain::{
        ids::JobId,
        job::{PublicStatus, StatusReason},
        timeline::{Step, Timeline},
    },
    http::{auth::Reader, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// What happened to a transcription, step by step.
#[derive(Serialize, ToSchema)]
pub struct TranscriptionTimeline {
    /// The transcription.
    pub transcription_id: JobId,
    /// Its steps, oldest first.
    pub steps: Vec<Step>,
    /// How many steps after the first one are left out, where there are very many.
    pub steps_left_out: usize,
    /// What holds at this moment.
    pub now: Standing,
}

/// Where a transcription stands.
#[derive(Serialize, ToSchema)]
pub struct Standing {
    /// Where it is.
    pub status: PublicStatus,
    /// Why it is there, where the status alone does not say it.
    pub status_reason: Option<StatusReason>,
    /// Since its last move.
    pub since: DateTime<Utc>,
    /// Seconds that it has waited in all, until Gladia was known to have it: in line, while it was sent, and for certainty.
    pub queued_seconds: f64,
    /// Seconds that Gladia was known to be at work on it in all.
    pub processing_seconds: f64,
    /// While it waits in line: how many transcriptions of the same tenant are ahead of it. 10,001 stands for more.
    pub ahead_in_line: Option<i64>,
}

/// Get a transcription's timeline.
///
/// Each step with its time, from its acceptance to now: attempts, what came of them and why, callbacks, the end.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}/timeline",
    tag = "transcriptions",
    params(("id" = String, Path, format = Uuid, description = "The transcription's id.")),
    responses(
        (status = 200, description = "Its steps, and where it stands.", body = TranscriptionTimeline),
        (status = 404, description = "There is no such transcription."),
        (status = 410, description = "It was erased; `erased` is the receipt (`transcription-deleted`)."),
    ),
)]
pub async fn get_transcription_timeline(
    State(state): State<AppState>,
    Reader(caller): Reader,
    IdPath(id): IdPath<JobId>,
) -> Result<Json<TranscriptionTimeline>, Problem> {
    let reading = state.with_conn(async |conn| {
        let mut tx = db::jobs::timeline::begin_reading(conn).await?;
        let job = find(&mut tx, caller.tenant_id, id).await?;
        let history = db::jobs::timeline::read(&mut tx, &job).await?;
        let ahead_in_line = db::jobs::timeline::count_ahead(&mut tx, &job).await?;
        tx.commit().await?;
        Ok::<_, Problem>((job, history, ahead_in_line))
    });
    let (job, history, ahead_in_line) = reading.await?;
    let timeline = Timeline::of(&history);
    Ok(Json(TranscriptionTimeline {
        transcription_id: job.id,
        steps: timeline.steps,
        steps_left_out: timeline.steps_left_out,
        now: Standing {
            status: job.status.public(),
            status_reason: job.status_reason,
            since: timeline.since,
            queued_seconds: seconds(timeline.queued),
            processing_seconds: seconds(timeline.processing),
            ahead_in_line,
        },
    }))
}

/// Seconds to the millisecond.
fn seconds(delta: TimeDelta) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of any job's life are far below 2^53"
    )]
    let milliseconds = delta.num_milliseconds() as f64;
    milliseconds / 1000.0
}
