//! `GET /v1/transcriptions`: newest first, without results.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::Transcription;
use crate::{
    db,
    domain::{cursor::Cursor, job::PublicStatus},
    http::{
        auth::Reader,
        page::Page,
        problem::{Problem, ProblemBody},
        state::AppState,
    },
};

/// A page of transcriptions.
#[derive(Serialize, ToSchema)]
pub struct TranscriptionList {
    /// Newest first, without results.
    pub items: Vec<Transcription>,
    /// Where the next page begins: send it as `cursor`. Null on the last page.
    pub next_cursor: Option<String>,
}

/// List transcriptions.
#[utoipa::path(
    get,
    path = "/v1/transcriptions",
    tag = "transcriptions",
    params(
        ("status" = Option<PublicStatus>, Query, description = "Only those with this status."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page. 20 if not given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = TranscriptionList),
        (status = 400, description = "A parameter breaks a rule.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid API key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The database is not available.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list_transcriptions(
    State(state): State<AppState>,
    Reader(caller): Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<TranscriptionList>, Problem> {
    let mut status = None;
    let page = Page::parse(
        query.as_deref(),
        "status, limit and cursor",
        |name, value| {
            if name != "status" {
                return Ok(false);
            }
            let rule = || format!("must be one of {}", PublicStatus::NAMES.join(", "));
            let parsed: PublicStatus = value
                .parse()
                .map_err(|_| Problem::parameter("status", rule()))?;
            status = Some(parsed);
            Ok(true)
        },
    )?;
    let statuses = status.map(PublicStatus::internal);
    let mut conn = state.pool.acquire().await?;
    let mut jobs = db::jobs::list(
        &mut conn,
        caller.tenant_id,
        statuses.as_deref(),
        page.cursor,
        page.rows_to_read(),
    )
    .await?;
    let next_cursor = page.cut(&mut jobs, |job| Cursor {
        created_at: job.created_at,
        id: job.id,
    });
    Ok(Json(TranscriptionList {
        items: jobs.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}
