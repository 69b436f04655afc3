//! `GET /v1/events`: what happened, page by page, and what happens next to those who wait.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{
    cursor,
    query::{EventQuery, Start},
};
use crate::{
    db::events,
    domain::{
        event::{EventId, EventView, PublicEventType},
        ids::TenantId,
    },
    feed::{self, Next, Subscription, Told, Topic, Way},
    http::{
        auth::Reader,
        problem::{Problem, ProblemType},
        state::AppState,
        wait::Wait,
    },
    trace,
};

/// How often the log is looked at for one page of events of rare types.
const MOST_LOOKS: usize = 10;

/// A page of events.
#[derive(Serialize, ToSchema)]
pub struct EventList<'a> {
    /// In the order of their ids. Each is written as webhooks and streams have it.
    #[schema(value_type = Vec<EventView>)]
    pub events: Vec<&'a RawValue>,
    /// What to send as `after` next, also where nothing was found.
    pub next_after: EventId,
    /// Whether there may be more already: then there is no need to wait.
    pub has_more: bool,
}

/// List events.
///
/// What happened to the tenant's transcriptions and webhook endpoints, in the order of the events' ids: the same events with
/// the same ids as in webhooks and streams. Whoever goes on with `next_after` misses none and sees none twice.
///
/// With `wait`, or the header `Prefer: wait=…`, a request that finds nothing is answered as soon as there is something, or with an empty page in the end. So
/// a loop of `after=<next_after>&wait=60` follows what happens without asking in vain.
///
/// Events are kept for a while (`EVENT_RETENTION_SECONDS`, 30 days unless the operator has chosen otherwise). Whoever was away
/// for longer gets 410, and starts again as it says.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(
        ("after" = Option<String>, Query, description = "Only events after this one: `next_after` of the page before, or the id of the last event seen anywhere. `latest`: only what comes from now on. The oldest that are kept, if not given.", example = "evt_0"),
        ("types" = Option<Vec<PublicEventType>>, Query, description = "Only events of these types, separated by commas. All, if not given.", example = json!(["transcription.done", "transcription.error"])),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most. 100 if not given."),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 60, description = "How many seconds to wait where there is nothing yet."),
        ("Prefer" = Option<String>, Header, description = "`wait=20` (RFC 7240): as the parameter `wait`, which wins over it. More than 60 means 60. Where as many requests wait as may, the answer comes at once and names no preference.", example = "wait=20"),
    ),
    responses(
        (
            status = 200, description = "What there is, which may be nothing.", body = EventList,
            headers(
                ("Preference-Applied" = Option<String>, description = "`wait=` and the seconds, where `Prefer` asked for them."),
                ("Retry-After" = Option<u32>, description = "Where `Prefer` asked for a wait and there was no place: after how many seconds to ask again."),
            ),
        ),
        (status = 410, description = "Events after `after` are gone; the problem says how to start again, and `oldest_after` from where (`event-cursor-expired`)."),
        (status = 503, description = "The database is not available (`database-unavailable`), or as many requests wait as may, of all or of the tenant (`too-many-waiting`)."),
    ),
)]
pub async fn list_events(
    State(state): State<AppState>,
    Reader(caller): Reader,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = EventQuery::parse(query.as_deref())?;
    let mut wait = Wait::of(asked.wait, &headers);
    // They keep in memory all that came with them.
    drop(headers);
    let deadline = Instant::now() + wait.at_most();
    let mut has_waited = true;
    // What a look takes is not kept while news is waited for.
    let look = read(&state, caller.tenant_id, &asked, asked.start);
    let mut found = Box::pin(look).await?;
    if found.is_nothing() && !wait.at_most().is_zero() {
        match (state.waiting_room.enter(caller.tenant_id), wait) {
            (Ok(_place), _) => {
                found = wait_for_news(&state, caller.tenant_id, &asked, found, deadline).await?;
            }
            // No more than a preference.
            (Err(_), Wait::Preferred(_)) => {
                wait = wait.declined();
                has_waited = false;
            }
            (Err(problem), _) => return Err(problem),
        }
    }
    let mut response = found.answer()?;
    // Whoever was waited for asks again at once.
    wait.mark(&mut response, has_waited);
    Ok(response)
}

/// What was found.
struct Found {
    events: Vec<Arc<Told>>,
    /// How far the log is known.
    through: EventId,
    has_more: bool,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.events.is_empty() && !self.has_more
    }

    /// Takes an event from the feed, if it is new and asked for.
    fn take(&mut self, told: Arc<Told>, asked: &EventQuery) {
        if told.id > self.through {
            self.through = told.id;
            if asked.wants(told.kind) {
                told.observe(Way::Wait, trace::now());
                self.events.push(told);
            }
        }
    }

    fn answer(&self) -> Result<Response, Problem> {
        let events = self.events.iter();
        let events = events
            .map(|told| serde_json::from_slice::<&RawValue>(&told.body))
            .collect::<Result<_, _>>()
            .map_err(|error| {
                tracing::error!(%error, "An event is not written as JSON");
                Problem::new(ProblemType::Internal, "The events cannot be shown.")
            })?;
        let list = EventList {
            events,
            next_after: self.through,
            has_more: self.has_more,
        };
        Ok(Json(list).into_response())
    }
}

/// Reads a page from the database.
async fn read(
    state: &AppState,
    tenant_id: TenantId,
    asked: &EventQuery,
    start: Start,
) -> Result<Found, Problem> {
    let mut conn = state.conn().await?;
    let mut after = match start {
        Start::After(id) => id,
        Start::Oldest => events::horizon(&mut conn, tenant_id).await?,
        Start::Latest => events::last_id(&mut conn).await?,
    };
    let limit = i64::try_from(asked.limit).unwrap_or(i64::MAX);
    let mut looks = 0;
    loop {
        let page = look(&mut conn, tenant_id, asked, after, limit).await?;
        let bounds = events::bounds(&mut conn, tenant_id).await?;
        match start {
            // Some of the oldest were deleted meanwhile, and so others are the oldest.
            Start::Oldest | Start::Latest if after < bounds.horizon => {
                after = bounds.horizon;
                continue;
            }
            _ => cursor::judge(after, bounds)?,
        }
        looks += 1;
        if page.events.is_empty() && page.has_more && looks < MOST_LOOKS {
            after = page.through;
            continue;
        }
        conn.put_back();
        let told = page.events.iter();
        return Ok(Found {
            events: told
                .map(|event| Arc::new(feed::write(event, &state.links)))
                .collect(),
            through: page.through,
            has_more: page.has_more,
        });
    }
}

async fn look(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    asked: &EventQuery,
    after: EventId,
    limit: i64,
) -> sqlx::Result<events::EventPage> {
    let types = asked.types.as_deref();
    events::list_of_tenant_after(conn, tenant_id, after, types, limit).await
}

/// Waits until there is something that is asked for, or the time is up, or the process is to end.
async fn wait_for_news(
    state: &AppState,
    tenant_id: TenantId,
    asked: &EventQuery,
    mut found: Found,
    deadline: Instant,
) -> Result<Found, Problem> {
    let mut news = state.feed.subscribe(Topic::Tenant(tenant_id));
    loop {
        // Subscribed before: what this does not find comes as news.
        let look = read(state, tenant_id, asked, Start::After(found.through));
        found = Box::pin(look).await?;
        while found.is_nothing() {
            let next = tokio::select! {
                () = state.stopping.cancelled() => return Ok(found),
                () = tokio::time::sleep_until(deadline) => return Ok(found),
                next = news.next() => next,
            };
            match next {
                Next::Event(told) => found.take(told, asked),
                Next::Missed => break,
            }
        }
        if !found.is_nothing() {
            take_what_came_along(&mut news, asked, &mut found);
            return Ok(found);
        }
    }
}

/// Takes what is there already beside the first news.
fn take_what_came_along(news: &mut Subscription, asked: &EventQuery, found: &mut Found) {
    while !found.has_more {
        match news.next().now_or_never() {
            None => return,
            Some(Next::Event(told)) if found.events.len() < asked.limit => found.take(told, asked),
            Some(_) => found.has_more = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::list_events;
    use crate::http::wait::held_by;

    #[test]
    fn whoever_waits_for_news_holds_little() {
        let held = held_by(|(a, b, c, d)| list_events(a, b, c, d));
        assert!(held <= 1280, "{held}");
    }
}
