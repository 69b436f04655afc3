//! `GET /v1/transcriptions`: newest first, without results.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::view::Transcription;
use crate::{
    db,
    domain::{cursor::Cursor, job::PublicStatus},
    http::{
        auth::Reader,
        problem::{Problem, ProblemBody},
        state::AppState,
    },
};

/// How many a page holds where nothing is said.
const DEFAULT_LIMIT: i64 = 20;

/// How many it may hold.
const MAX_LIMIT: i64 = 100;

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
    let page = Page::parse(query.as_deref().unwrap_or_default())?;
    let statuses = page.status.map(PublicStatus::internal);
    let mut conn = state.pool.acquire().await?;
    // One more than asked for tells whether there is a next page.
    let mut jobs = db::jobs::list(
        &mut conn,
        caller.tenant_id,
        statuses.as_deref(),
        page.cursor,
        page.limit + 1,
    )
    .await?;
    let has_more = i64::try_from(jobs.len()).is_ok_and(|found| found > page.limit);
    if has_more {
        jobs.pop();
    }
    let next_cursor = jobs.last().filter(|_| has_more).map(|job| {
        Cursor {
            created_at: job.created_at,
            id: job.id,
        }
        .encode()
    });
    Ok(Json(TranscriptionList {
        items: jobs.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// The query, parsed.
struct Page {
    status: Option<PublicStatus>,
    limit: i64,
    cursor: Option<Cursor>,
}

impl Page {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut page = Self {
            status: None,
            limit: DEFAULT_LIMIT,
            cursor: None,
        };
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "status" => {
                    let rule = || format!("must be one of {}", PublicStatus::NAMES.join(", "));
                    page.status = Some(
                        value
                            .parse()
                            .map_err(|_| Problem::parameter("status", rule()))?,
                    );
                }
                "limit" => {
                    let limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let rule = || format!("must be a whole number from 1 to {MAX_LIMIT}");
                    page.limit = limit.ok_or_else(|| Problem::parameter("limit", rule()))?;
                }
                "cursor" => {
                    let rule = "must be the next_cursor of a page, as it came";
                    page.cursor = Some(
                        Cursor::decode(&value).ok_or_else(|| Problem::parameter("cursor", rule))?,
                    );
                }
                other => {
                    let other: String = other.chars().take(100).collect();
                    return Err(Problem::parameter(
                        &other,
                        "is not known here: use status, limit and cursor",
                    ));
                }
            }
            if seen.iter().any(|known| *known == name) {
                return Err(Problem::parameter(&name, "must be given once"));
            }
            seen.push(name.into_owned());
        }
        Ok(page)
    }
}
