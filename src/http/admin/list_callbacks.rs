//! `GET /v1/admin/callbacks`: what Gladia delivered and the gateway did not carry out.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::callbacks::quarantine::{self, KeptApart},
    domain::{
        cursor::Cursor,
        ids::{AttemptId, CallbackId, JobId},
    },
    http::{
        auth::Admin,
        problem::Problem,
        request::page::{Page, Unfiltered},
        state::AppState,
    },
};

/// A callback that was not carried out.
#[derive(Serialize, ToSchema)]
pub struct AdminCallback {
    /// Its id.
    pub id: CallbackId,
    /// The transcription that it is about.
    pub transcription_id: JobId,
    /// The attempt that it answers.
    pub attempt_id: AttemptId,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// `quarantined`: it is kept as it came, and can be replayed. `too_large`: its body was not read; the result is fetched
    /// from Gladia instead. `unproven`: it is kept, and counts once Gladia says the same when asked; it can be replayed.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// The size of its body.
    pub body_bytes: i64,
}

impl From<KeptApart> for AdminCallback {
    fn from(callback: KeptApart) -> Self {
        Self {
            id: callback.id,
            transcription_id: callback.job_id,
            attempt_id: callback.attempt_id,
            received_at: callback.received_at,
            outcome: callback.outcome,
            reason: callback.reason,
            body_bytes: callback.body_bytes,
        }
    }
}

/// A page of callbacks.
#[derive(Serialize, ToSchema)]
pub struct AdminCallbackList {
    /// Oldest first.
    pub items: Vec<AdminCallback>,
    /// Where the next page begins: send it as `cursor`. Null on the last page.
    pub next_cursor: Option<String>,
}

/// List callbacks that were not carried out.
///
/// Those of all tenants: it needs an API key of scope `admin`.
#[utoipa::path(
    get,
    path = "/v1/admin/callbacks",
    tag = "admin",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page. 20 if not given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = AdminCallbackList),
    ),
)]
pub async fn list_callbacks(
    State(state): State<AppState>,
    Admin(_caller): Admin,
    RawQuery(query): RawQuery,
) -> Result<Json<AdminCallbackList>, Problem> {
    let page = Page::parse(query.as_deref(), &mut Unfiltered("callbacks"))?;
    let rows = page.rows_to_read();
    let listing =
        state.with_conn(async |conn| quarantine::list_page(conn, page.cursor, rows).await);
    let mut callbacks = listing.await?;
    let next_cursor = page.cut(&mut callbacks, |callback| Cursor {
        created_at: callback.received_at,
        id: callback.id,
    });
    Ok(Json(AdminCallbackList {
        items: callbacks.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}
