//! Whose events a stream tells, and how they are read.

use sqlx::PgConnection;

use crate::{
    db::{
        events,
        pool::{CallerPool, in_time},
    },
    domain::{
        event::{Event, EventId, PublicEventType},
        ids::{JobId, TenantId},
    },
    feed::{Told, Topic},
    http::{events::cursor, problem::Problem},
    turns::Turns,
};

/// How many events are read at once.
const PAGE: i64 = 100;

/// Whose events a stream tells.
#[derive(Debug)]
pub enum Source {
    /// A tenant's.
    Tenant {
        /// Whose.
        tenant_id: TenantId,
        /// Only these. `None`: all.
        types: Option<Vec<PublicEventType>>,
    },
    /// A transcription's, until it has ended.
    Job {
        /// Whose.
        tenant_id: TenantId,
        /// Which.
        job_id: JobId,
    },
}

/// What was read.
#[derive(Debug)]
pub(super) struct Page {
    /// In order.
    pub events: Vec<Event>,
    /// Nothing up to this one is missing.
    pub through: EventId,
    /// Whether there is more already.
    pub has_more: bool,
    /// Whether nothing more is to come by itself.
    pub is_last: bool,
}

/// Why nothing was read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The database failed.
    Database(sqlx::Error),
    /// There is no such thing to read, or a part of it is gone.
    Refused(Problem),
}

impl From<sqlx::Error> for Unreadable {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Problem> for Unreadable {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl Source {
    /// Whose stream it is.
    pub(super) fn tenant_id(&self) -> TenantId {
        match self {
            Self::Tenant { tenant_id, .. } | Self::Job { tenant_id, .. } => *tenant_id,
        }
    }

    /// What its stream waits for.
    pub(super) fn topic(&self) -> Topic {
        match self {
            Self::Tenant { tenant_id, .. } => Topic::Tenant(*tenant_id),
            Self::Job { job_id, .. } => Topic::Job(*job_id),
        }
    }

    /// Whether it tells an event of its topic.
    pub(super) fn tells(&self, told: &Told) -> bool {
        match self {
            Self::Tenant { types, .. } => types
                .as_ref()
                .is_none_or(|types| types.contains(&told.kind)),
            Self::Job { .. } => true,
        }
    }

    /// Whether it begins where it is asked to, and not always at the beginning.
    pub(super) fn has_cursor(&self) -> bool {
        matches!(self, Self::Tenant { .. })
    }

    /// Whether nothing is expected after an event.
    pub(super) fn ends_with(&self, kind: PublicEventType) -> bool {
        matches!(self, Self::Job { .. }) && kind.is_terminal()
    }

    /// What comes after a page.
    pub(super) fn after(&self, page: &Page) -> Then {
        let last = page.events.last().map(|event| self.ends_with(event.kind));
        Then::of(page.has_more, page.is_last, last)
    }

    /// Reads what comes after an event. Without one: of a tenant nothing that was before now, of a job everything.
    async fn read(
        &self,
        conn: &mut PgConnection,
        after: Option<EventId>,
    ) -> Result<Page, Unreadable> {
        match (self, after) {
            (Self::Tenant { .. }, None) => Ok(Page {
                events: Vec::new(),
                through: events::last_id(conn).await?,
                has_more: false,
                is_last: false,
            }),
            (Self::Tenant { tenant_id, types }, Some(after)) => {
                let types = types.as_deref();
                let page =
                    events::list_of_tenant_after(conn, *tenant_id, after, types, PAGE).await?;
                cursor::check(conn, *tenant_id, after).await?;
                Ok(Page {
                    events: page.events,
                    through: page.through,
                    has_more: page.has_more,
                    is_last: false,
                })
            }
            (Self::Job { tenant_id, job_id }, after) => {
                // Before the events: of what gets its number in between, another look is taken.
                let may_go_on = events::may_go_on(conn, *tenant_id, *job_id)
                    .await?
                    .ok_or_else(Problem::no_such_transcription)?;
                let begin = after.unwrap_or(EventId::ZERO);
                let page = events::list_of_job_after(conn, *job_id, begin, PAGE).await?;
                if let Some(after) = after {
                    // The events of a job that has not ended are kept, however old.
                    let is_kept = may_go_on && after <= events::last_id(conn).await?;
                    if !is_kept {
                        cursor::check(conn, *tenant_id, after).await?;
                    }
                }
                let is_last = !may_go_on && !page.has_more;
                if let Some(last) = page.events.last()
                    && is_last
                    && !last.kind.is_terminal()
                {
                    // Its end may be gone while its beginning is there.
                    cursor::check(conn, *tenant_id, last.id).await?;
                }
                Ok(Page {
                    events: page.events,
                    through: page.through,
                    has_more: page.has_more,
                    is_last,
                })
            }
        }
    }
}

/// What comes after a page of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    End,
    /// Another page.
    Page,
    /// What the feed hands over.
    Feed,
}

impl Then {
    /// Of a page that may have more behind it, or be the last; and whether its last event is an end, if it has any.
    ///
    /// Whether more is to come is asked before the events are read. What waited for its number then may have got it in between,
    /// and be the end that is in the page; or what was an end then is followed by a retry. Where the two do not go together,
    /// another look, behind these events, finds out.
    fn of(has_more: bool, is_last: bool, ends_with_end: Option<bool>) -> Self {
        match (ends_with_end, is_last) {
            _ if has_more => Self::Page,
            (None | Some(true), true) => Self::End,
            (None | Some(false), false) => Self::Feed,
            (Some(true), false) | (Some(false), true) => Self::Page,
        }
    }
}

/// Reads a source's events from the database.
pub(super) struct Reader {
    pub source: Source,
    pub callers: CallerPool,
    /// Who may read now.
    pub turns: Turns,
}

impl Reader {
    /// Reads what comes after an event, when it is its turn.
    pub async fn read(&self, after: Option<EventId>) -> Result<Page, Unreadable> {
        let by = Some(self.source.tenant_id());
        // If no turn comes, read anyway: turns only spread the load.
        let _turn = self.turns.enter_patiently(by).await;
        let mut conn = self.callers.acquire(by).await?;
        let page = in_time(self.source.read(&mut conn, after)).await?;
        conn.put_back();
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_where_nothing_is_to_come_and_an_end_was_told_or_nothing_is_left() {
        assert_eq!(Then::of(false, true, Some(true)), Then::End);
        assert_eq!(Then::of(false, true, None), Then::End);
    }

    #[test]
    fn what_is_to_come_is_waited_for_where_no_end_was_told() {
        assert_eq!(Then::of(false, false, Some(false)), Then::Feed);
        assert_eq!(Then::of(false, false, None), Then::Feed);
    }

    #[test]
    fn another_look_is_taken_at_an_end_that_had_no_number_yet_and_behind_one_that_was_none() {
        assert_eq!(Then::of(false, false, Some(true)), Then::Page);
        assert_eq!(Then::of(false, true, Some(false)), Then::Page);
    }

    #[test]
    fn more_is_read_whatever_comes_later() {
        for is_last in [false, true] {
            for ends_with_end in [None, Some(false), Some(true)] {
                assert_eq!(Then::of(true, is_last, ends_with_end), Then::Page);
            }
        }
    }
}
