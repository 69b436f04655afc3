//! Those who ask on behalf of all who wait: what has gone cold at hand whether it still answers, and then sqlx's pool, which
//! may open a connection. Nobody gets one to a server that takes no writes.
//!
//! In tasks of their own: one who waits no more, since another one has put a connection back, would leave behind a connection
//! that is half open. It also keeps what it takes to open one, some fifteen kilobytes, out of every request and every stream.

use std::{
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::time;

use super::Parts;
use crate::db::{TAKES_NO_WRITES, is_usable};

/// An asker whose question takes longer does not keep others from asking. Something may have come back to the pool meanwhile, or
/// the database be back.
const PATIENCE: Duration = Duration::from_millis(250);

/// One who asks.
pub(super) struct Asker {
    parts: Arc<Parts>,
    /// Whether it stands for others who could ask.
    is_counted: bool,
}

impl Parts {
    async fn find(&self) -> sqlx::Result<(PoolConnection<Postgres>, Instant)> {
        loop {
            let resting = self.at_hand().take_resting();
            let Some((mut conn, since)) = resting else {
                break;
            };
            match self.ask(&mut conn).await {
                Ok(true) => return Ok((conn, since)),
                Ok(false) | Err(_) => conn.close_on_drop(),
            }
        }
        let mut conn = self.pool.acquire().await?;
        self.opening.succeeded();
        let answer = self.ask(&mut conn).await;
        if let Ok(true) = answer {
            return Ok((conn, Instant::now()));
        }
        conn.close_on_drop();
        let refused = io::Error::new(TAKES_NO_WRITES, "it answers and takes no writes");
        answer.and(Err(sqlx::Error::Io(refused)))
    }

    /// Whether a connection can be used.
    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        let patience = self.pool.options().get_acquire_timeout();
        time::timeout(patience, is_usable(conn))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Whether there is something to be found: not all connections are lent to somebody.
    fn may_find_another(&self) -> bool {
        let most = self.pool.options().get_max_connections();
        self.pool.size() < most || self.pool.num_idle() > 0 || self.at_hand().is_any_resting()
    }
}

impl Asker {
    /// Asks for whoever has begun to wait, unless enough do.
    pub(super) fn ask(parts: &Arc<Parts>) {
        if parts.at_hand().begin_to_ask() {
            let asker = Self {
                parts: Arc::clone(parts),
                is_counted: true,
            };
            tokio::spawn(asker.run());
        }
    }

    async fn run(mut self) {
        while self.is_counted {
            let answer = self.wait_for_one().await;
            let mut at_hand = self.parts.at_hand();
            let left_over = match answer {
                Ok((conn, since)) => at_hand.put_back(conn, since, Instant::now()),
                // Each of those who wait has a deadline of its own.
                Err(sqlx::Error::PoolTimedOut) => Vec::new(),
                Err(error) => {
                    at_hand.fail(error);
                    Vec::new()
                }
            };
            self.is_counted = self.is_counted && at_hand.ask_on();
            drop(at_hand);
            drop(left_over);
        }
    }

    /// Another one begins to ask, where this one's question takes long.
    async fn wait_for_one(&mut self) -> sqlx::Result<(PoolConnection<Postgres>, Instant)> {
        let parts = Arc::clone(&self.parts);
        let mut asked = pin!(parts.find());
        loop {
            let answered = time::timeout(PATIENCE, &mut asked).await;
            if answered.is_err() {
                parts.look_into_opening();
            }
            match answered {
                Ok(answer) => return answer,
                Err(_) if self.is_counted && parts.may_find_another() => {
                    self.is_counted = false;
                    parts.at_hand().stop_asking();
                    Self::ask(&parts);
                }
                Err(_) => {}
            }
        }
    }
}

impl Drop for Asker {
    /// One that has panicked, or whose runtime ends, does not keep others from asking.
    fn drop(&mut self) {
        if self.is_counted {
            self.parts.at_hand().stop_asking();
        }
    }
}
