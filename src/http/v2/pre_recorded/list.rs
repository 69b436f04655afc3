//! `GET /v2/pre-recorded`: newest first, with their results.
//!
//! Results are large, and a page may have a thousand. So a page is sent while it is read: a few jobs at a time, and of the
//! results no more than what is stored of the one that is being sent. Where that fails in the middle the answer breaks off, so
//! that no part of a page passes for the whole.

use std::{collections::VecDeque, io};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{OriginalUri, RawQuery, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    query::ListQuery,
    view::{JobView, NO_RESULT},
};
use crate::{
    db::{
        self,
        jobs::{Job, Jobs, Slice},
    },
    domain::{
        cursor::Cursor,
        ids::{JobId, TenantId},
        plain_json,
    },
    http::{
        problem::{Problem, ProblemType},
        server::overload::{Room, Takes},
        state::AppState,
        transcriptions::{
            result::{Plain, read_plain},
            view::{pieces, written},
        },
        v2::{auth::KeyedReader, error::V2Error, links::Base},
    },
};

/// How many jobs are in memory, without their results.
const CHUNK: i64 = 20;

/// What they take about. What they take beyond it is counted while they are there, and each result while it is sent.
const CHUNK_BYTES: usize = 100_000;

/// So much is read of them at once, or a single one.
const MOST_CHUNK_BYTES: usize = 1_000_000;

/// Answers a page.
pub async fn list_jobs(
    State(state): State<AppState>,
    KeyedReader(caller): KeyedReader,
    base: Base,
    OriginalUri(uri): OriginalUri,
    RawQuery(query): RawQuery,
) -> Result<Response, V2Error> {
    let query = ListQuery::parse(query.as_deref().unwrap_or_default()).map_err(V2Error::invalid)?;
    let path = uri.path().trim_end_matches('/');
    let link = |offset: i64| base.link(&format!("{path}?{}", query.at(offset)));
    let (first, current) = (link(0), link(query.offset));
    let after_next = link(query.offset.saturating_add(query.limit));
    let (walk, has_more) = find_page(&state, caller.tenant_id, query).await?;
    let next = has_more.then_some(after_next);
    let head = format!(
        r#"{{"first":{},"current":{},"next":{},"items":["#,
        json!(first),
        json!(current),
        json!(next),
    );
    let items = Items {
        walk,
        base,
        is_first: true,
    };
    let items = stream::try_unfold(items, |mut items| async move {
        let item = items.next().await;
        // The log has the cause; the caller's connection ends here.
        let item = item.map_err(|_| io::Error::other("the list cannot be read any further"))?;
        Ok::<_, io::Error>(item.map(|item| (item, items)))
    })
    .try_flatten();
    let body = stream::iter([Ok(Bytes::from(head))])
        .chain(items)
        .chain(stream::iter([Ok(Bytes::from_static(b"]}"))]));
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    let takes = Extension(Takes(CHUNK_BYTES));
    Ok((json, takes, Body::from_stream(body)).into_response())
}

/// Where a page begins, and whether another one follows. Most filters are the database's, which also passes over what comes
/// before the page; what it has no index for is compared here, job by job.
async fn find_page(
    state: &AppState,
    tenant_id: TenantId,
    query: ListQuery,
) -> Result<(Walk, bool), Problem> {
    let (offset, limit) = (query.offset, query.limit);
    let mut walk = Walk {
        state: state.clone(),
        tenant_id,
        query,
        after: None,
        offset,
        left: limit,
        read: VecDeque::new(),
        chunk: CHUNK,
        room: None,
        is_at_end: false,
    };
    if walk.query.rest.is_empty() {
        let beyond = Slice {
            after: None,
            offset: offset.saturating_add(limit),
            limit: 1,
            most_bytes: MOST_CHUNK_BYTES,
        };
        let has_more = !walk.list(beyond).await?.jobs.is_empty();
        walk.fill().await?;
        return Ok((walk, has_more));
    }
    walk.offset = 0;
    walk.left = i64::MAX;
    let mut start = None;
    for _ in 0..offset {
        match walk.next().await? {
            Some(job) => start = Some(cursor_of(&job)),
            None => break,
        }
    }
    let mut ahead = 0;
    while ahead <= limit && walk.next().await?.is_some() {
        ahead += 1;
    }
    walk.after = start;
    walk.left = ahead.min(limit);
    walk.read.clear();
    walk.is_at_end = false;
    Ok((walk, ahead > limit))
}

/// The jobs of a page, one after another.
struct Walk {
    state: AppState,
    tenant_id: TenantId,
    query: ListQuery,
    /// Where the next ones are read.
    after: Option<Cursor<JobId>>,
    offset: i64,
    /// How many are still to be given.
    left: i64,
    read: VecDeque<Job>,
    /// How many are asked for at once: hardly more than fit, for the database sends all of them.
    chunk: i64,
    /// Where those are large.
    room: Option<Room>,
    /// Whether nothing is behind what was read.
    is_at_end: bool,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Job>, Problem> {
        while self.left > 0 {
            if self.read.is_empty() && !self.is_at_end {
                self.fill().await?;
            }
            let Some(job) = self.read.pop_front() else {
                return Ok(None);
            };
            if self.fits(&job) {
                self.left -= 1;
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        let whole = self.query.rest.is_empty();
        let slice = Slice {
            after: self.after,
            offset: std::mem::take(&mut self.offset),
            limit: if whole {
                self.left.min(self.chunk)
            } else {
                self.chunk
            },
            most_bytes: MOST_CHUNK_BYTES,
        };
        let found = self.list(slice).await?;
        let wanted = usize::try_from(slice.limit).unwrap_or_default();
        self.is_at_end = found.jobs.len() < wanted && !found.is_cut;
        self.chunk = if found.is_cut {
            i64::try_from(found.jobs.len()).map_or(CHUNK, |count| count + 1)
        } else {
            (self.chunk * 2).min(CHUNK)
        };
        if let Some(last) = found.jobs.last() {
            self.after = Some(cursor_of(last));
        }
        let beyond = found.bytes.checked_sub(CHUNK_BYTES);
        self.room = beyond.map(|bytes| self.state.answers.hold(self.tenant_id, bytes));
        self.read = found.jobs.into();
        Ok(())
    }

    /// No connection is held beyond the look. Most looks are taken while the page is sent, when its request has been handled.
    async fn list(&self, slice: Slice) -> Result<Jobs, Problem> {
        let conn = self.state.callers.acquire(Some(self.tenant_id)).await?;
        let filter = &self.query.filter;
        let listing = db::jobs::list(conn, self.tenant_id, filter, slice);
        Ok(db::pool::in_time(listing).await?)
    }

    fn fits(&self, job: &Job) -> bool {
        if self.query.rest.is_empty() {
            return true;
        }
        let metadata = job.request.as_deref().and_then(metadata_of);
        self.query.fits(metadata.as_ref())
    }
}

/// The metadata alone of what was asked for.
fn metadata_of(request: &RawValue) -> Option<Value> {
    #[derive(Deserialize)]
    struct Asked {
        options: Options,
    }
    #[derive(Deserialize)]
    struct Options {
        #[serde(default, deserialize_with = "plain_json::value_if_any")]
        custom_metadata: Option<Value>,
    }
    let asked = serde_json::from_str::<Asked>(request.get()).ok()?;
    asked.options.custom_metadata
}

fn cursor_of(job: &Job) -> Cursor<JobId> {
    Cursor {
        created_at: job.created_at,
        id: job.id,
    }
}

/// The items of a page as they are written.
struct Items {
    walk: Walk,
    base: Base,
    is_first: bool,
}

impl Items {
    /// The next one, as it is written.
    async fn next(
        &mut self,
    ) -> Result<Option<impl Stream<Item = io::Result<Bytes>> + Send + use<>>, Problem> {
        while let Some(job) = self.walk.next().await? {
            let (written, result) = match self.read_whole(job).await {
                Ok(whole) => whole,
                // Erased since it was listed.
                Err(problem) if problem.kind() == ProblemType::TranscriptionDeleted => continue,
                Err(problem) => return Err(problem),
            };
            let room = self
                .walk
                .state
                .answers
                .hold(self.walk.tenant_id, result.takes().0);
            let [before, _, after] = pieces(written, Bytes::new());
            let comma = (!std::mem::take(&mut self.is_first)).then_some(Bytes::from_static(b","));
            let before = stream::iter(comma.into_iter().chain([before]).map(Ok));
            let after = stream::iter([Ok(after)]);
            let item = before.chain(result.into_stream()).chain(after);
            // Held until the next one begins.
            return Ok(Some(item.inspect(move |_| {
                let _ = &room;
            })));
        }
        Ok(None)
    }

    /// A job as it is written, and what stands as its result.
    async fn read_whole(&self, job: Job) -> Result<(Vec<u8>, Plain), Problem> {
        let Walk {
            state, tenant_id, ..
        } = &self.walk;
        let callback_id = job.result_callback_id;
        let written = written(&JobView::of(job, &self.base))?;
        let result = match callback_id {
            Some(callback_id) => read_plain(state, Some(*tenant_id), callback_id, None).await?,
            None => Plain::Whole(NO_RESULT),
        };
        Ok((written, result))
    }
}
