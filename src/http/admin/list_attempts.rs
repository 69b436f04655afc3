//! `GET /v1/admin/attempts`: what may or may not have reached Gladia.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::attempts::decisions::{self, UndecidedAttempt},
    domain::{
        cursor::Cursor,
        ids::{AttemptId, JobId},
    },
    http::{
        auth::Admin,
        problem::Problem,
        request::page::{Page, Unfiltered},
        state::AppState,
    },
};

/// An attempt of unknown outcome.
#[derive(Serialize, ToSchema)]
pub struct AdminAttempt {
    /// Its id. It stands in Gladia's `custom_metadata` of the job, under `gladia_gateway_attempt`.
    pub id: AttemptId,
    /// The transcription that it is about.
    pub transcription_id: JobId,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// The request may leave until this instant.
    pub send_until: DateTime<Utc>,
    /// What went wrong.
    pub detail: Option<String>,
    /// The HTTP status, where there was an answer.
    pub http_status: Option<i32>,
    /// Why it is not settled yet. `awaiting_decision`: it waits for a person.
    pub unknown_reason: Option<String>,
    /// How often Gladia was asked for it.
    pub looks: i32,
    /// How often Gladia then provably did not have it.
    pub absences: i32,
}

impl From<UndecidedAttempt> for AdminAttempt {
    fn from(attempt: UndecidedAttempt) -> Self {
        Self {
            id: attempt.id,
            transcription_id: attempt.job_id,
            created_at: attempt.created_at,
            send_until: attempt.send_until,
            detail: attempt.detail,
            http_status: attempt.http_status,
            unknown_reason: attempt.unknown_reason,
            looks: attempt.looks,
            absences: attempt.absences,
        }
    }
}

/// A page of attempts.
#[derive(Serialize, ToSchema)]
pub struct AdminAttemptList {
    /// Oldest first.
    pub items: Vec<AdminAttempt>,
    /// Where the next page begins: send it as `cursor`. Null on the last page.
    pub next_cursor: Option<String>,
}

/// List attempts of unknown outcome.
///
/// Those of all tenants: it needs an API key of scope `admin`.
#[utoipa::path(
    get,
    path = "/v1/admin/attempts",
    tag = "admin",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page. 20 if not given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = AdminAttemptList),
    ),
)]
pub async fn list_attempts(
    State(state): State<AppState>,
    Admin(_caller): Admin,
    RawQuery(query): RawQuery,
) -> Result<Json<AdminAttemptList>, Problem> {
    let page = Page::parse(query.as_deref(), &mut Unfiltered("attempts"))?;
    let rows = page.rows_to_read();
    let listing = state.with_conn(async |conn| decisions::list(conn, page.cursor, rows).await);
    let mut attempts = listing.await?;
    let next_cursor = page.cut(&mut attempts, |attempt| Cursor {
        created_at: attempt.created_at,
        id: attempt.id,
    });
    Ok(Json(AdminAttemptList {
        items: attempts.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}
