//! The whole path: jobs per second from submit to stored result, with a Gladia that answers and calls back at once and a cap
//! that is never reached ([`path`] says what generates the load); what one job takes of everything. Beside it the official
//! Python SDK, which polls, against a caller of the gateway who waits ([`sdk`]).

mod sdk;

use std::time::Duration;

use reqwest::Client;
use sqlx::PgPool;

use crate::kit::{
    PAIRS, Scale,
    instant::InstantGladia,
    ledger::{self, Ledger},
    path::{self, NO_CAP, count},
    processes::Program,
    start_postgres,
    table::{Goal, Row},
};

/// How long everything gets to come to rest after a job, so that none shares a commit with the next.
const REST: Duration = Duration::from_millis(40);

/// What is written after the last result: its event's number.
const SETTLE: Duration = Duration::from_millis(300);

/// Measures it.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let mut rows = under_load(scale).await?;
    rows.extend(sdk::compare(scale).await?);
    Ok(rows)
}

async fn under_load(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let mut postgres = start_postgres().await?;
    ledger::count_statements(&mut postgres).await?;
    let gladia = InstantGladia::start().await?;
    let gateway = Program::gateway(&postgres.url("gateway"), &gladia.url, &NO_CAP).await?;
    let server = PgPool::connect(&postgres.url("postgres")).await?;
    let http = Client::builder().no_proxy().build()?;
    let run =
        async |jobs, at_once| path::run(&http, &gladia, &[&gateway], &server, jobs, at_once).await;
    run(scale.of(1000, 300), path::AT_ONCE).await?;

    let jobs = scale.of(1000, 300);
    let mut rate = Row::new("whole, jobs", "/s");
    let (mut sum, mut upstream, mut jobs_run) = (PerJob::default(), 0, 0);
    for _ in 0..PAIRS {
        let (before, requests) = (Ledger::read(&server).await?, gladia.requests());
        let spent = run(jobs, path::AT_ONCE).await?;
        let [of_gateway, of_postgres] = spent.cpu_ms();
        rate.add_alone(spent.rate());
        rate.add_cpu(of_gateway, None, Some(of_postgres));
        tokio::time::sleep(SETTLE).await;
        upstream += gladia.requests() - requests;
        jobs_run += jobs;
        sum.add(before, Ledger::read(&server).await?);
    }
    let alone = scale.of(50, 20);
    let before = Ledger::read(&server).await?;
    for _ in 0..alone {
        run(1, 1).await?;
        tokio::time::sleep(REST).await;
    }
    let mut sum_alone = PerJob::default();
    sum_alone.add(before, Ledger::read(&server).await?);
    drop(gateway);
    server.close().await;
    postgres.stop().await?;

    let upstream = count(upstream) / count(jobs_run);
    let upstream = Row::single("whole, upstream requests a job", "", upstream);
    let mut rows = vec![rate, upstream.goal(Goal::AtMost(1.0))];
    rows.extend(sum.rows("", jobs_run));
    rows.extend(sum_alone.rows(", one at a time", alone));
    Ok(rows)
}

/// What Postgres has counted over blocks of jobs.
#[derive(Default)]
struct PerJob {
    commits: i64,
    statements: Option<i64>,
    wal_bytes: i64,
}

impl PerJob {
    fn add(&mut self, before: Ledger, after: Ledger) {
        self.commits += after.commits - before.commits;
        self.wal_bytes += after.wal_bytes - before.wal_bytes;
        if let (Some(before), Some(after)) = (before.statements, after.statements) {
            *self.statements.get_or_insert(0) += after - before;
        }
    }

    fn rows(&self, how: &str, jobs: usize) -> Vec<Row> {
        let per_job = |sum: i64| f64::from(i32::try_from(sum).unwrap()) / count(jobs);
        let commits = Row::single(
            format!("whole, commits a job{how}"),
            "",
            per_job(self.commits),
        );
        // By itself a job shares nothing with another one.
        let mut rows = vec![if how.is_empty() {
            commits.goal(Goal::AtMost(4.0))
        } else {
            commits
        }];
        rows.extend(self.statements.map(|statements| {
            Row::single(
                format!("whole, statements a job{how}"),
                "",
                per_job(statements),
            )
        }));
        rows.push(Row::single(
            format!("whole, WAL a job{how}"),
            "KB",
            per_job(self.wal_bytes) / 1000.0,
        ));
        rows
    }
}
