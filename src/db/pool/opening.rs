//! Why no connection can be opened, where none can.
//!
//! Where the server refuses connections, has too many, or ends each that is being set up, sqlx's pool tries again until its time is
//! up, and keeps the reason to itself. So while somebody waits for one to be opened, one more is opened now and then beside it,
//! and closed again, or tells the reason: to the log, and to all who get none.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tokio::time;

use super::Parts;
use crate::db::{ACQUIRE_TIMEOUT, prepare_session};

/// How long between the end of a look for the reason and the next look: shorter than anybody waits for a connection.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A reason that was found longer ago says nothing of now. A look may take as long as the database may take to answer.
const FRESH: Duration = Duration::from_secs(10);

/// How often the same reason is told at most.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// What is known of the connections that are opened.
#[derive(Debug, Default)]
pub(super) struct Opening(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_looking: bool,
    looked_at: Option<Instant>,
    fault: Option<Fault>,
    /// The reason that was told last.
    told: Option<(Instant, String)>,
}

#[derive(Debug)]
struct Fault {
    found_at: Instant,
    reason: String,
    /// One was opened since.
    is_over: bool,
}

impl Opening {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One was opened.
    pub(super) fn succeeded(&self) {
        if let Some(fault) = &mut self.lock().fault {
            fault.is_over = true;
        }
    }

    /// What whoever waited in vain is told: why none could be opened, where that is known.
    pub(super) fn error(&self, now: Instant) -> sqlx::Error {
        match &self.lock().fault {
            Some(fault) if !fault.is_over && now.duration_since(fault.found_at) <= FRESH => {
                sqlx::Error::Io(io::Error::other(format!(
                    "no connection can be opened: {}",
                    fault.reason
                )))
            }
            _ => sqlx::Error::PoolTimedOut,
        }
    }

    /// Why none could be opened for a while since then, if so.
    pub(super) fn reason_since(&self, begin: Instant) -> Option<String> {
        let state = self.lock();
        let fault = state.fault.as_ref()?;
        (fault.found_at + LOOK_AGAIN >= begin).then(|| fault.reason.clone())
    }

    /// Whether to look for the reason. Whoever does says what was found.
    fn begin_to_look(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let looked_lately = state.looked_at.is_some_and(|at| now < at + LOOK_AGAIN);
        let begins = !state.is_looking && !looked_lately;
        state.is_looking |= begins;
        begins
    }

    /// Keeps what a look has found. Whether it is to be told.
    fn found(&self, fault: Option<&str>, now: Instant) -> bool {
        let mut state = self.lock();
        state.is_looking = false;
        state.looked_at = Some(now);
        let Some(reason) = fault else {
            return false;
        };
        state.fault = Some(Fault {
            found_at: now,
            reason: reason.to_owned(),
            is_over: false,
        });
        let was_told = state
            .told
            .as_ref()
            .is_some_and(|(at, told)| told == reason && now < *at + TELL_AGAIN);
        if !was_told {
            state.told = Some((now, reason.to_owned()));
        }
        !was_told
    }
}

impl Parts {
    /// Looks why whoever asks has no connection yet, unless that was done a moment ago or the pool has all that it may have. The one
    /// that is opened for that may be one more than it may have, for a moment.
    pub(super) fn look_into_opening(self: &Arc<Self>) {
        let is_full = self.pool.size() >= self.pool.options().get_max_connections();
        if is_full || self.are_all_lent() || self.pool.is_closed() {
            return;
        }
        if self.opening.begin_to_look(Instant::now()) {
            let parts = Arc::clone(self);
            tokio::spawn(async move { parts.look().await });
        }
    }

    async fn look(&self) {
        let fault = match time::timeout(ACQUIRE_TIMEOUT, self.open_one()).await {
            Ok(Ok(())) => None,
            // Without what the driver says of each of these, and says again to whoever gets none.
            Ok(Err(sqlx::Error::Io(error))) => Some(error.to_string()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", ACQUIRE_TIMEOUT.as_secs())),
        };
        let is_told = self.opening.found(fault.as_deref(), Instant::now());
        if let Some(reason) = fault
            && is_told
        {
            tracing::warn!(
                error = reason,
                "No connection to the database can be opened, trying again: {reason}"
            );
        }
    }

    async fn open_one(&self) -> sqlx::Result<()> {
        let options = self.pool.connect_options();
        let mut conn = PgConnection::connect_with(&options).await?;
        prepare_session(&mut conn).await?;
        // Whoever cannot be told that it is over finds out.
        let _ = conn.close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn one_looks_at_a_time_and_not_again_at_once() {
        let (opening, now) = (Opening::default(), Instant::now());
        assert!(opening.begin_to_look(now));
        assert!(!opening.begin_to_look(now + LOOK_AGAIN), "one looks still");
        opening.found(None, now);
        assert!(!opening.begin_to_look(now + LOOK_AGAIN / 2));
        assert!(opening.begin_to_look(now + LOOK_AGAIN));
    }

    #[test]
    fn a_reason_is_told_once_a_while_and_another_one_at_once() {
        let (opening, now) = (Opening::default(), Instant::now());
        assert!(opening.found(Some("refused"), now));
        assert!(!opening.found(Some("refused"), now + TELL_AGAIN / 2));
        assert!(opening.found(Some("too many"), now + TELL_AGAIN / 2));
        assert!(!opening.found(None, now + TELL_AGAIN));
        assert!(!opening.found(Some("too many"), now + TELL_AGAIN));
        assert!(opening.found(Some("too many"), now + TELL_AGAIN * 2));
    }

    #[test]
    fn whoever_got_none_is_told_why_until_one_is_opened_or_it_is_long_ago() {
        let (opening, now) = (Opening::default(), Instant::now());
        let is_known = |at| opening.error(at).to_string().contains("refused");
        assert!(!is_known(now));
        opening.found(Some("refused"), now);
        assert!(is_known(now + FRESH) && !is_known(now + FRESH + MOMENT));
        opening.succeeded();
        assert!(!is_known(now));
        assert!(matches!(opening.error(now), sqlx::Error::PoolTimedOut));
        // Whoever gets one in the end had to wait for this.
        let begin = now + LOOK_AGAIN;
        assert_eq!(opening.reason_since(begin).as_deref(), Some("refused"));
        assert_eq!(opening.reason_since(begin + MOMENT), None);
    }
}
