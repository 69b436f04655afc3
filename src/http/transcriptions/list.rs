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
    domain::{
        cursor::Cursor,
        ids::BatchId,
        job::{JobErrorType, PublicStatus},
        job_filter::JobFilter,
    },
    http::{
        auth::Reader,
        problem::Problem,
        request::page::{MOST_PAGE_BYTES, Page},
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
///
/// Newest first. Filters combine: a transcription is listed where all of them hold. While transcriptions come and move, the
/// pages show none twice; with a filter, one that moves may leave the list, or join it on a page that was read already. A
/// cursor goes on in the list that it was made for: with other filters it is refused. Erased transcriptions are not listed. A
/// page ends before its limit where its transcriptions have some megabytes of options: `next_cursor` says whether there are more.
#[utoipa::path(
    get,
    path = "/v1/transcriptions",
    tag = "transcriptions",
    params(
        ("status" = Option<Vec<PublicStatus>>, Query, description = "Only those with this status. Repeat it for several: `status=done&status=error`."),
        ("error_type" = Option<Vec<JobErrorType>>, Query, description = "Only those that are in `error` as this type. Repeat it for several."),
        ("batch_id" = Option<BatchId>, Query, description = "Only those that came with this batch."),
        ("created_after" = Option<DateTime<Utc>>, Query, description = "Only those accepted at this time or later. RFC 3339."),
        ("created_before" = Option<DateTime<Utc>>, Query, description = "Only those accepted before this time, which itself is left out. RFC 3339."),
        ("metadata" = Option<Vec<String>>, Query, pattern = "^[^:]+:", max_items = 10, example = json!(["team:sales"]), description = "Only those whose `custom_metadata` has this value under this key: `metadata=team:sales`, or `metadata[team]=sales`. Of several keys, 10 at most, all have to match. Searched are strings, numbers and booleans at the top, of 512 bytes at most under keys of 256 at most; they are compared as text, so `metadata=order:7` finds `7` and `\"7\"`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page. 20 if not given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = TranscriptionList),
    ),
)]
pub async fn list_transcriptions(
    State(state): State<AppState>,
    Reader(caller): Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<TranscriptionList>, Problem> {
    let mut filter = JobFilter::default();
    let page = Page::parse(query.as_deref(), &mut filter)?;
    let slice = db::jobs::Slice {
        after: page.cursor,
        offset: 0,
        limit: page.rows_to_read(),
        most_bytes: MOST_PAGE_BYTES,
    };
    let mut found = state
        .lend(async |conn| db::jobs::list(conn, caller.tenant_id, &filter, slice).await)
        .await?;
    let next_cursor = page.cut_again(&mut found.jobs, found.is_cut, |job| Cursor {
        created_at: job.created_at,
        id: job.id,
    });
    Ok(Json(TranscriptionList {
        items: found.jobs.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}
