//! `GET /v1/batches/{id}`: how far a batch is, and its transcriptions.

use axum::{
    Json,
    extract::{RawQuery, State},
};

use super::{accept::no_such_batch, view::Batch};
use crate::{
    db,
    domain::{
        cursor::Cursor,
        ids::{BatchId, JobId},
    },
    http::{
        auth::Reader,
        problem::Problem,
        request::{
            id_path::{IdPath, InPath},
            page::{MOST_PAGE_BYTES, Page, Unfiltered},
        },
        state::AppState,
    },
};

impl InPath for BatchId {
    fn names_nothing() -> Problem {
        no_such_batch()
    }
}

/// Get a batch.
///
/// Counts its transcriptions by status, and lists them page by page in the order of the requests. A page ends before its limit
/// where its transcriptions have some megabytes of options: `next_cursor` says whether there are more.
#[utoipa::path(
    get,
    path = "/v1/batches/{id}",
    tag = "batches",
    params(
        ("id" = String, Path, format = Uuid, description = "The batch's id."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many transcriptions to a page. 20 if not given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "The batch, with a page of its transcriptions.", body = Batch),
        (status = 404, description = "There is no such batch."),
    ),
)]
pub async fn get_batch(
    State(state): State<AppState>,
    Reader(caller): Reader,
    IdPath(id): IdPath<BatchId>,
    RawQuery(query): RawQuery,
) -> Result<Json<Batch>, Problem> {
    let page: Page<JobId> = Page::parse(query.as_deref(), &mut Unfiltered("batch"))?;
    let reading = state.lend(async |mut conn| {
        let batch = db::batches::find(&mut conn, caller.tenant_id, id)
            .await?
            .ok_or_else(no_such_batch)?;
        let mut after_index = None;
        if let Some(cursor) = page.cursor {
            let rule = "must be the next_cursor of a page of this batch, as it came";
            let index = db::batches::find_index(&mut conn, id, cursor.id).await?;
            after_index = Some(index.ok_or_else(|| Problem::parameter("cursor", rule))?);
        }
        // Before the page is read: where they say that the batch is finished, every job on the page has ended.
        let counts = db::batches::count_jobs(&mut conn, id).await?;
        let rows = page.rows_to_read();
        let tenant_id = caller.tenant_id;
        let found =
            db::jobs::list_of_batch(conn, tenant_id, id, after_index, rows, MOST_PAGE_BYTES)
                .await?;
        Ok::<_, Problem>((batch, counts, found))
    });
    let (batch, counts, mut found) = reading.await?;
    let next_cursor = page.cut_again(&mut found.jobs, found.is_cut, |job| Cursor {
        created_at: job.created_at,
        id: job.id,
    });
    Ok(Json(Batch::new(batch, &counts, found.jobs, next_cursor)))
}
