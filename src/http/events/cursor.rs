//! Where a reader of the log goes on: after the event that it has seen last.

use sqlx::PgConnection;

use crate::{
    db::events::{self, Bounds},
    domain::{event::EventId, ids::TenantId},
    http::problem::Problem,
};

/// What a program does whose cursor cannot be used, apart from where it goes on.
const START_AGAIN: &str = "To start again, list the transcriptions (GET /v1/transcriptions), which tells where each is now";

/// Checks that nothing is missing between the event that a reader has seen last and those that were read for it.
///
/// To be called *after* they were read: events are deleted along with the word that they are, so what is gone by the time
/// of the reading is known here.
///
/// # Errors
/// 410 where events are missing, or the reader has seen one that does not exist.
pub async fn check(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    after: EventId,
) -> Result<(), Problem> {
    judge(after, events::bounds(conn, tenant_id).await?)
}

/// The same, by bounds that were read after the events.
///
/// # Errors
/// As above.
pub fn judge(after: EventId, bounds: Bounds) -> Result<(), Problem> {
    if after < bounds.horizon {
        Err(expired(after, bounds.horizon))
    } else if after > bounds.last {
        Err(unheard_of(after, bounds.last))
    } else {
        Ok(())
    }
}

/// Events that a reader has not seen are gone.
fn expired(after: EventId, horizon: EventId) -> Problem {
    let detail = format!(
        "Events after {after} are older than what is kept, and gone. {START_AGAIN}, and then go on after {horizon} \
         (`oldest_after`), the last event that is gone."
    );
    Problem::event_cursor_expired(detail, horizon)
}

/// A reader has seen an event that the log does not have.
fn unheard_of(after: EventId, last: EventId) -> Problem {
    let detail = format!(
        "The log ends with {last}, so {after} is of another gateway, or the log was set back. {START_AGAIN}, and then go on \
         after {last} (`oldest_after`)."
    );
    Problem::event_cursor_expired(detail, last)
}
