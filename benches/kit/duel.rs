//! Gateway and floor by turns under the same kind of load.

use std::{future::Future, time::Duration};

use sqlx::PgPool;

use super::{
    PAIRS, SETTLE, cpu,
    processes::Program,
    table::{Row, milliseconds},
    wrk::Served,
};

/// The two, and the server that both keep everything on.
pub struct Duel<'a> {
    pub gateway: &'a Program,
    pub floor: &'a Program,
    pub server: &'a PgPool,
}

impl Duel<'_> {
    /// Adds pairs of blocks to a row of requests per second. What a block leaves for later, such as events that are still to
    /// get their numbers, counts as its own CPU, and is not in the way of the next one.
    pub async fn run<G, F>(
        &self,
        row: &mut Row,
        gateway: impl Fn() -> G,
        floor: impl Fn() -> F,
    ) -> anyhow::Result<()>
    where
        G: Future<Output = anyhow::Result<Served>>,
        F: Future<Output = anyhow::Result<Served>>,
    {
        for _ in 0..PAIRS {
            let before = cpu::of_process(self.gateway.pid())?;
            let postgres_before = cpu::of_server(self.server).await?;
            let ours = gateway().await?;
            tokio::time::sleep(SETTLE).await;
            let spent = cpu::of_process(self.gateway.pid())?.saturating_sub(before);
            let postgres = cpu::of_server(self.server)
                .await?
                .saturating_sub(postgres_before);
            let before = cpu::of_process(self.floor.pid())?;
            let least = floor().await?;
            tokio::time::sleep(SETTLE).await;
            let floor_spent = cpu::of_process(self.floor.pid())?.saturating_sub(before);
            row.add(ours.per_second, least.per_second);
            let each = |spent: Duration, served: Served| milliseconds(spent) / served.requests;
            row.add_cpu(
                each(spent, ours),
                Some(each(floor_spent, least)),
                Some(each(postgres, ours)),
            );
        }
        Ok(())
    }
}
