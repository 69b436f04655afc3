//! What a second and a third process add: the whole path's load ([`path`]) at one, two and three gateways on one Postgres, by
//! turns, and what a job takes of the gateways together and of Postgres.
//!
//! They share the machine with each other and with Postgres, so the figure tells what replicas cost; what they add is seen
//! where each has processors of its own.

use reqwest::Client;
use sqlx::PgPool;

use crate::kit::{
    Scale,
    instant::InstantGladia,
    path::{self, NO_CAP},
    processes::Program,
    start_postgres,
    table::Row,
};

/// How many processes at most.
const MOST: usize = 3;

/// Measures it.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let postgres = start_postgres().await?;
    let gladia = InstantGladia::start().await?;
    let server = PgPool::connect(&postgres.url("postgres")).await?;
    let http = Client::builder().no_proxy().build()?;
    let mut rows: Vec<Row> = (1..=MOST)
        .map(|replicas| Row::new(format!("replicas, jobs, {replicas}"), "/s"))
        .collect();
    for _ in 0..scale.of(5, 2) {
        for (row, replicas) in rows.iter_mut().zip(1..=MOST) {
            let mut gateways = Vec::new();
            for _ in 0..replicas {
                let database = postgres.url("gateway");
                gateways.push(Program::gateway(&database, &gladia.url, &NO_CAP).await?);
            }
            let gateways: Vec<&Program> = gateways.iter().collect();
            let run = async |jobs| {
                path::run(&http, &gladia, &gateways, &server, jobs, path::AT_ONCE).await
            };
            run(scale.of(500, 150)).await?;
            let spent = run(scale.of(1000, 300)).await?;
            let [of_gateways, of_postgres] = spent.cpu_ms();
            row.add_alone(spent.rate());
            row.add_cpu(of_gateways, None, Some(of_postgres));
        }
    }
    server.close().await;
    postgres.stop().await?;
    Ok(rows)
}
