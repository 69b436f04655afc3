//! Webhooks: how fast prepared deliveries to one receiver that answers at once are claimed, sent and recorded, held against a
//! program that leases, POSTs and records in batches (`floors/told.rs`). Then the whole path with a webhook at its end.
//!
//! Jobs, their events and deliveries are put into the tables, as many at once as are drained, so that a block is nothing but
//! lease, send, record. It is timed from the first request at the receiver, since either program finds by a timer that there
//! is something. Requests go to a receiver on bare sockets in this process ([`Receiver`]), the same for both.

mod prepare;

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use reqwest::Client;
use serde_json::json;
use sqlx::PgPool;

use crate::kit::{
    API_KEY, PAIRS, Scale, cpu,
    instant::InstantGladia,
    path::{self, NO_CAP, count},
    processes::Program,
    receiver::Receiver,
    start_postgres,
    table::{Goal, Row, median, milliseconds},
};

/// No block takes longer unless something is broken.
const BOUND: Duration = Duration::from_mins(1);

/// How long until it is looked again whether all is recorded.
const PAUSE: Duration = Duration::from_millis(1);

struct Bench {
    http: Client,
    gateway: Program,
    floor: Program,
    /// The gateway's database, and the floor's.
    pools: [PgPool; 2],
    receiver: Receiver,
    gladia: InstantGladia,
}

/// A block: deliveries per second, and CPU milliseconds each of the process and of Postgres.
struct Drained {
    rate: f64,
    cpu_ms: f64,
    postgres_ms: f64,
}

/// Measures it.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let postgres = start_postgres().await?;
    let gladia = InstantGladia::start().await?;
    let receiver = Receiver::start().await?;
    let bench = Bench {
        http: Client::builder().no_proxy().build()?,
        gateway: Program::gateway(&postgres.url("gateway"), &gladia.url, &NO_CAP).await?,
        floor: Program::floor("told", &postgres.url("floor"), &receiver.url).await?,
        pools: [
            PgPool::connect(&postgres.url("gateway")).await?,
            PgPool::connect(&postgres.url("floor")).await?,
        ],
        receiver,
        gladia,
    };
    bench.register().await?;
    let rows = bench.measure(scale).await?;
    drop(bench);
    postgres.stop().await?;
    Ok(rows)
}

impl Bench {
    async fn register(&self) -> anyhow::Result<()> {
        let endpoint = json!({ "url": self.receiver.url, "event_types": ["transcription.done"] });
        let made = self
            .http
            .post(format!("{}/v1/webhook-endpoints", self.gateway.url))
            .bearer_auth(API_KEY)
            .json(&endpoint);
        made.send().await?.error_for_status()?;
        Ok(())
    }

    async fn measure(&self, scale: Scale) -> anyhow::Result<Vec<Row>> {
        // What is prepared is made from what has come this way.
        let jobs = scale.of(300, 100);
        self.run(jobs).await?;
        let prepared = scale.of(10_000, 2000);
        self.drain_gateway(prepared / 5).await?;
        self.drain_floor(prepared / 5).await?;
        for pool in &self.pools {
            // As autovacuum does within a minute.
            sqlx::query("ANALYZE").execute(pool).await?;
        }
        let mut drained = Row::new("told, deliveries drained", "/s").goal(Goal::AtLeast(0.7));
        let mut cpu_ms = Row::new("told, gateway's CPU a delivery", "ms").goal(Goal::AtMost(0.3));
        for _ in 0..PAIRS {
            let gateway = self.drain_gateway(prepared).await?;
            let floor = self.drain_floor(prepared).await?;
            drained.add(gateway.rate, floor.rate);
            drained.add_cpu(
                gateway.cpu_ms,
                Some(floor.cpu_ms),
                Some(gateway.postgres_ms),
            );
            cpu_ms.add_alone(gateway.cpu_ms);
        }
        let mut rows = vec![drained, cpu_ms];
        for at_once in [1, 8] {
            let rounds = scale.of(100, 30) / at_once;
            let mut latencies = Vec::new();
            for _ in 0..rounds {
                let round = (0..at_once).map(|_| self.tell());
                latencies.extend(try_join_all(round).await?);
            }
            rows.push(Row::single(
                format!("told, submit to webhook, {at_once} at once"),
                "ms",
                median(latencies),
            ));
        }
        let mut whole = Row::new("told, jobs with a webhook", "/s");
        for _ in 0..scale.of(5, 3) {
            whole.add_alone(self.run(jobs * 2).await?);
        }
        rows.push(whole);
        Ok(rows)
    }

    /// From the submit to the webhook, in milliseconds.
    async fn tell(&self) -> anyhow::Result<f64> {
        let start = Instant::now();
        let id = path::submit(&self.http, &self.gateway.url).await?;
        let told = self.receiver.wait_for_job(&id, BOUND).await?;
        Ok(milliseconds(told - start))
    }

    /// Jobs from submit to webhook, per second.
    async fn run(&self, jobs: usize) -> anyhow::Result<f64> {
        self.receiver.forget();
        let (gateways, server) = ([&self.gateway], &self.pools[0]);
        let start = Instant::now();
        path::run(
            &self.http,
            &self.gladia,
            &gateways,
            server,
            jobs,
            path::AT_ONCE,
        )
        .await?;
        self.receiver.wait_for(jobs, BOUND).await?;
        let rate = count(jobs) / start.elapsed().as_secs_f64();
        self.wait_until_none(prepare::GATEWAY_PENDING, server)
            .await?;
        Ok(rate)
    }

    async fn drain_gateway(&self, deliveries: usize) -> anyhow::Result<Drained> {
        let pool = &self.pools[0];
        self.receiver.forget();
        prepare::gateway(pool, i32::try_from(deliveries)?).await?;
        self.drain(&self.gateway, pool, prepare::GATEWAY_PENDING, deliveries)
            .await
    }

    async fn drain_floor(&self, deliveries: usize) -> anyhow::Result<Drained> {
        let pool = &self.pools[1];
        self.receiver.forget();
        prepare::floor(pool, i32::try_from(deliveries)?).await?;
        self.drain(&self.floor, pool, prepare::FLOOR_PENDING, deliveries)
            .await
    }

    async fn drain(
        &self,
        program: &Program,
        pool: &PgPool,
        pending: &'static str,
        deliveries: usize,
    ) -> anyhow::Result<Drained> {
        let (before, postgres_before) =
            (cpu::of_process(program.pid())?, cpu::of_server(pool).await?);
        let first_at = self.receiver.wait_for(deliveries, BOUND).await?;
        self.wait_until_none(pending, pool).await?;
        let elapsed = first_at.elapsed();
        let cpu = cpu::of_process(program.pid())?.saturating_sub(before);
        let postgres = cpu::of_server(pool).await?.saturating_sub(postgres_before);
        Ok(Drained {
            rate: count(deliveries) / elapsed.as_secs_f64(),
            cpu_ms: milliseconds(cpu) / count(deliveries),
            postgres_ms: milliseconds(postgres) / count(deliveries),
        })
    }

    async fn wait_until_none(&self, pending: &'static str, pool: &PgPool) -> anyhow::Result<()> {
        let start = Instant::now();
        while sqlx::query_scalar(pending).fetch_one(pool).await? {
            anyhow::ensure!(start.elapsed() < BOUND, "not all are recorded");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
