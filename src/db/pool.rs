//! The pool, as everybody asks it.
//!
//! When a connection is given back, sqlx's pool asks Postgres whether it still answers, in a task of its own: a second way there
//! for each statement, half of what a small one costs both sides, and meanwhile the next one takes a connection that has gone
//! cold. So whoever has had the answers to all that was asked may put a connection back: whoever waits gets it from there, or
//! the next one does. Whatever is dropped otherwise, with an error or by a caller who hung up, goes back to the pool and is
//! asked; what is still busy with its statement a moment later is closed, and Postgres ends the statement.
//!
//! To open a connection takes Postgres as long as a hundred small statements. So those who wait open none themselves: a few ask
//! on behalf of all, and what is put back meanwhile is often there sooner.

mod asker;
mod at_hand;
mod callers;
mod opening;

use std::{
    io,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use sqlx::{
    Connection, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgConnectOptions,
};
use tokio::{
    runtime::Handle,
    time::{self, error::Elapsed},
};

pub use self::callers::CallerPool;
use self::{
    asker::Asker,
    at_hand::{AtHand, Taken},
    opening::Opening,
};
use super::{USABLE_TIMEOUT, is_usable, lazy_pool};
use crate::{domain::millis::whole_ms, turns::Turn};

/// Whoever has waited longer for a connection is mentioned in the log.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// How long a step of the service's own work may take. Longer than a lock is waited for in the database.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// How long one may take that writes a large result, or as much as there is.
const LONG_STEP_TIMEOUT: Duration = Duration::from_mins(5);

/// How long the end of the pool waits for its connections to close: longer than whoever gives one back has it asked.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool that lends its connections on from one to the next.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pool: PgPool,
    at_hand: Mutex<AtHand<PoolConnection<Postgres>>>,
    /// How many somebody has.
    lent: AtomicU32,
    opening: Opening,
}

/// A connection on loan.
#[derive(Debug)]
pub struct Loan {
    /// `None` once it is given back.
    conn: Option<PoolConnection<Postgres>>,
    /// When the pool last gave it out.
    since: Instant,
    parts: Arc<Parts>,
    /// Whether it is closed once it is given back.
    is_closed: bool,
    /// A caller's, that ends when the connection is free again.
    turn: Option<Turn>,
}

impl Pool {
    /// Waits for a connection.
    ///
    /// # Errors
    /// Where the database does not answer or refuses, none comes in time, or the pool is closed.
    pub async fn acquire(&self) -> sqlx::Result<Loan> {
        let begin = Instant::now();
        let were_all_lent = self.0.are_all_lent();
        let taken = self.0.at_hand().take(begin);
        let (conn, since) = match taken {
            Taken::Conn(conn, since) => (conn, since),
            Taken::Nothing(given) => {
                Asker::ask(&self.0);
                let given = time::timeout(self.0.pool.options().get_acquire_timeout(), given);
                let given = given.await.map_err(|_| self.out_of_time())?;
                given.map_err(|_| sqlx::Error::PoolClosed)??
            }
        };
        let waited = begin.elapsed();
        if waited > LONG_WAIT {
            self.tell_of_wait(begin, waited, were_all_lent);
        }
        self.0.lent.fetch_add(1, Ordering::Relaxed);
        Ok(Loan {
            conn: Some(conn),
            since,
            parts: Arc::clone(&self.0),
            is_closed: false,
            turn: None,
        })
    }

    /// The error of whoever has waited in vain for a connection.
    fn out_of_time(&self) -> sqlx::Error {
        self.0.opening.error(Instant::now())
    }

    /// Gives an error its reason, where all that is known is that none could be opened in time.
    #[must_use]
    pub fn explain(&self, error: sqlx::Error) -> sqlx::Error {
        match error {
            sqlx::Error::PoolTimedOut => self.out_of_time(),
            other => other,
        }
    }

    fn tell_of_wait(&self, begin: Instant, waited: Duration, were_all_lent: bool) {
        let waited_ms = whole_ms(waited);
        if let Some(reason) = self.0.opening.reason_since(begin) {
            tracing::warn!(
                waited_ms,
                error = reason,
                "A connection to the database was waited for, since none could be opened: {reason}"
            );
        } else if were_all_lent {
            tracing::warn!(
                waited_ms,
                "A connection to the database was waited for, since all were in use; DATABASE_POOL_SIZE may be too small, or \
                 Postgres overloaded"
            );
        } else {
            tracing::warn!(
                waited_ms,
                "A connection to the database was waited for, since Postgres took long to open one or to answer on it"
            );
        }
    }

    /// Waits for a connection, until a deadline.
    ///
    /// # Errors
    /// Where the database does not answer, or there is none by then.
    pub async fn acquire_by(&self, deadline: time::Instant) -> sqlx::Result<Loan> {
        time::timeout_at(deadline, self.acquire())
            .await
            .map_err(given_up)?
    }

    /// Closes all connections, when they are given back. Those who wait for one get an error. One whose server has vanished while
    /// sqlx asks it, which has no bound there, is not waited for.
    pub async fn close(&self) {
        let at_hand: Vec<_> = self.0.at_hand().close().collect();
        drop(at_hand);
        let closed = time::timeout(CLOSE_TIMEOUT, self.0.pool.close()).await;
        if closed.is_err() {
            tracing::warn!(
                "Connections to the database did not close in time; their server may be gone"
            );
        }
    }

    /// One connection more to the same database, for whoever listens: it is never given back.
    #[must_use]
    pub fn listener_pool(&self) -> PgPool {
        let options = self.0.pool.connect_options();
        lazy_pool(PgConnectOptions::clone(&options), 1)
    }
}

impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        Self(Arc::new(Parts {
            pool,
            at_hand: Mutex::default(),
            lent: AtomicU32::default(),
            opening: Opening::default(),
        }))
    }
}

impl Parts {
    fn at_hand(&self) -> MutexGuard<'_, AtHand<PoolConnection<Postgres>>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether whoever wants one has to wait for others.
    fn are_all_lent(&self) -> bool {
        self.lent.load(Ordering::Relaxed) >= self.pool.options().get_max_connections()
    }
}

impl Drop for Parts {
    /// Closes them. A connection that is dropped would be given back, by a task, and there may be no runtime any more.
    fn drop(&mut self) {
        for conn in self.at_hand().close() {
            drop(conn.leak());
        }
    }
}

impl Loan {
    /// Puts it at hand, for whoever waits or comes next. Only for whoever has had the whole answer to each of its statements.
    pub fn put_back(mut self) {
        // A dropped transaction leaves its ROLLBACK unsent in the connection. Such a connection goes to sqlx's pool, which sends
        // it. (`should_flush` is a hidden method of sqlx: look here at every update.)
        if let Some(conn) = self.conn.take_if(|conn| !conn.should_flush()) {
            let now = Instant::now();
            let left_over = self.parts.at_hand().put_back(conn, self.since, now);
            drop(left_over);
        }
    }

    /// Has work done with it, and puts it at hand again where that succeeds. Such work reads every answer to its end. Otherwise the
    /// pool asks it first, as whatever is dropped.
    ///
    /// # Errors
    /// The work's own.
    pub async fn put_back_after<T, E>(
        mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let done = work(&mut self).await?;
        self.put_back();
        Ok(done)
    }

    /// Gives it back after work that had a deadline. Work that was given up left it in the middle of whatever it was doing.
    ///
    /// # Errors
    /// The work's own, and where it was given up.
    pub fn settle<T>(mut self, outcome: Result<sqlx::Result<T>, Elapsed>) -> sqlx::Result<T> {
        match outcome {
            Ok(Ok(done)) => {
                self.put_back();
                Ok(done)
            }
            Ok(Err(error)) => Err(error),
            Err(elapsed) => {
                self.close_on_drop();
                Err(given_up(elapsed))
            }
        }
    }

    /// Closes it when it is dropped: it was left in the middle of something.
    pub fn close_on_drop(&mut self) {
        if let Some(conn) = &mut self.conn {
            conn.close_on_drop();
            self.is_closed = true;
        }
    }
}

impl Drop for Loan {
    /// A caller's turn lasts until the connection is known to be free: whoever has hung up may have left Postgres at work, and a
    /// tenant could have all connections work for it by hanging up time and again.
    fn drop(&mut self) {
        self.parts.lent.fetch_sub(1, Ordering::Relaxed);
        let (Some(mut conn), Some(turn)) = (self.conn.take(), self.turn.take()) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            drop(conn.leak());
            return;
        };
        // It closes by itself, which is soon: only the service's own work, which has no turn, gives up in the middle.
        if self.is_closed {
            return;
        }
        let (since, parts) = (self.since, Arc::clone(&self.parts));
        runtime.spawn(async move {
            let answer = time::timeout(USABLE_TIMEOUT, is_usable(&mut conn)).await;
            if let Ok(Ok(true)) = answer {
                let left_over = parts.at_hand().put_back(conn, since, Instant::now());
                drop(left_over);
            } else {
                conn.close_on_drop();
            }
            drop(turn);
        });
    }
}

/// Takes a step of the service's own work, and gives it up where the database is silent for too long. A transaction that it was
/// in the middle of is rolled back; whether a commit that was not answered has happened, is not known.
///
/// A server whose host is gone says nothing any more, and TCP tells of it after a quarter of an hour, or never: sqlx sets no
/// keepalive. So whoever has all the time in the world for its work may not wait for one answer for ever. The time begins with
/// this call.
///
/// # Errors
/// The step's own, and where it was given up.
pub fn in_time<T, E: From<sqlx::Error>>(
    step: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    within(STEP_TIMEOUT, step)
}

/// As [`in_time`], for a step that takes long also where the database answers.
///
/// # Errors
/// The step's own, and where it was given up.
pub fn in_long_time<T, E: From<sqlx::Error>>(
    step: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    within(LONG_STEP_TIMEOUT, step)
}

/// As [`in_time`], with a limit of the caller's.
///
/// # Errors
/// The step's own, and where it was given up.
pub fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    step: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    time::timeout(limit, step).map(or_given_up)
}

fn or_given_up<T, E: From<sqlx::Error>>(outcome: Result<Result<T, E>, Elapsed>) -> Result<T, E> {
    outcome.unwrap_or_else(|elapsed| Err(given_up(elapsed).into()))
}

fn given_up(_: Elapsed) -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

impl Deref for Loan {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        let Some(conn) = &self.conn else {
            unreachable!("a loan that is given back is gone")
        };
        conn
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut PgConnection {
        let Some(conn) = &mut self.conn else {
            unreachable!("a loan that is given back is gone")
        };
        conn
    }
}
