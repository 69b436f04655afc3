//! The part of the pool that callers may have, none of whom gets all of it.
//!
//! Whoever asks for much that is slow holds as many connections as it gets, for as long as that takes. So callers have three
//! quarters of the pool together, and the rest is left to callbacks, to workers and to those who accept jobs by the dozen; and
//! a tenant has no more of those than it leaves to others ([`turns`](crate::turns)).

use std::sync::Arc;

use tokio::time;

use super::{Loan, Pool};
use crate::turns::{By, NoTurn, Turns};

/// The pool, for callers. Clones are the same.
#[derive(Debug, Clone)]
pub struct CallerPool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: Pool,
    turns: Turns,
}

impl CallerPool {
    /// Three quarters of a pool.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        let connections = pool.0.pool.options().get_max_connections();
        let for_callers = usize::try_from(connections * 3 / 4).unwrap_or(usize::MAX);
        let turns = Turns::new(for_callers.max(1), usize::MAX);
        Self(Arc::new(Shared { pool, turns }))
    }

    /// All of it, for what is owed whatever the tenant asks for besides: keys that are held are renewed and given back.
    #[must_use]
    pub fn whole(&self) -> &Pool {
        &self.0.pool
    }

    /// Waits for a connection for whoever asks.
    ///
    /// # Errors
    /// Where the database does not answer or refuses, none comes in time, or the pool is closed.
    pub async fn acquire(&self, by: By) -> sqlx::Result<Loan> {
        let Shared { pool, turns } = &*self.0;
        let patience = pool.0.pool.options().get_acquire_timeout();
        let deadline = time::Instant::now() + patience;
        let turn = turns.enter(by, |_| patience).await;
        let turn = turn.map_err(|NoTurn| pool.out_of_time())?;
        let acquired = time::timeout_at(deadline, pool.acquire()).await;
        let mut loan = acquired.map_err(|_| pool.out_of_time())??;
        loan.turn = Some(turn);
        Ok(loan)
    }
}
