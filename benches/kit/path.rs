//! The whole path under load: jobs are submitted by several connections at once, each the next as soon as the last is
//! accepted, until all have their results.
//!
//! Submitting and Gladia ([`InstantGladia`]) share this process: two requests and a callback a job, which is little beside
//! what gateway and Postgres do for it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use reqwest::{Client, header::CONTENT_TYPE};
use serde::Deserialize;
use sqlx::PgPool;

use super::{API_KEY, cpu, instant::InstantGladia, processes::Program, table::milliseconds};

/// No block takes longer unless something is broken.
const BOUND: Duration = Duration::from_mins(1);

/// Settings of a gateway whose cap is never reached.
pub const NO_CAP: [(&str, &str); 1] = [("MAX_IN_FLIGHT", "1000")];

/// How many connections submit.
pub const AT_ONCE: usize = 16;

const BODY: &str = r#"{"audio_url":"https://audio.example.com/recordings/2026/interview.mp3","diarization":true,"language_config":{"languages":["en"],"code_switching":false},"custom_metadata":{"team":"editorial","source":"interview"}}"#;

/// What a block of jobs took.
pub struct Spent {
    pub jobs: usize,
    /// From the first submitted to the last stored.
    pub elapsed: Duration,
    /// Of all gateways.
    gateways: Duration,
    postgres: Duration,
}

impl Spent {
    pub fn rate(&self) -> f64 {
        count(self.jobs) / self.elapsed.as_secs_f64()
    }

    /// CPU milliseconds a job: of the gateways, and of Postgres.
    pub fn cpu_ms(&self) -> [f64; 2] {
        [self.gateways, self.postgres].map(|all| milliseconds(all) / count(self.jobs))
    }
}

/// Runs jobs through gateways.
pub async fn run(
    http: &Client,
    gladia: &InstantGladia,
    gateways: &[&Program],
    server: &PgPool,
    jobs: usize,
    at_once: usize,
) -> anyhow::Result<Spent> {
    let of_gateways = || -> anyhow::Result<Duration> {
        let mut all = Duration::ZERO;
        for gateway in gateways {
            all += cpu::of_process(gateway.pid())?;
        }
        Ok(all)
    };
    let called_back = gladia.called_back();
    let (before, postgres_before) = (of_gateways()?, cpu::of_server(server).await?);
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let submitters = (0..at_once).map(|_| async {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= jobs {
                return anyhow::Ok(());
            }
            submit(http, &gateways[nth % gateways.len()].url).await?;
        }
    });
    try_join_all(submitters).await?;
    gladia
        .wait_until_called_back(called_back + jobs, BOUND)
        .await?;
    let elapsed = start.elapsed();
    Ok(Spent {
        jobs,
        elapsed,
        gateways: of_gateways()?.saturating_sub(before),
        postgres: cpu::of_server(server)
            .await?
            .saturating_sub(postgres_before),
    })
}

/// Submits a job. Its id.
pub async fn submit(http: &Client, gateway: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Accepted {
        id: String,
    }

    let answer = http
        .post(format!("{gateway}/v1/transcriptions"))
        .bearer_auth(API_KEY)
        .header(CONTENT_TYPE, "application/json")
        .body(BODY)
        .send()
        .await?;
    let accepted: Accepted = answer.error_for_status()?.json().await?;
    Ok(accepted.id)
}

/// As a number to reckon with.
pub fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap())
}
