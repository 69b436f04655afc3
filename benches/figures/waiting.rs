//! What it costs that many wait: streams of events on which nothing happens, and requests that wait for an end. Memory for
//! each, processor time while nothing happens, and how long until all of them know once something does.
//!
//! All belong to one tenant, and each has a connection of its own, held by this process as a bare socket that is read only
//! when something is to come. A stream's heartbeats are a part of what it costs to be idle. Requests wait for few jobs,
//! which are canceled at once: what is measured is how all are told, and not how many jobs can end.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::kit::{
    API_KEY, Scale, cpu,
    gladia::FakeGladia,
    processes::Program,
    start_postgres,
    table::{Goal, Row, milliseconds},
    wire::Wire,
};

/// How many connections are being opened at once.
const OPENING: usize = 16;

/// How many requests begin to wait at once.
const BEGINNING: usize = 50;

/// How long they may take for that.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How many jobs requests wait for.
const AWAITED_JOBS: usize = 20;

/// How long what was closed gets to be gone.
const SETTLE: Duration = Duration::from_millis(500);

/// Room for twice as many as there are, since a tenant may take half.
const SETTINGS: [(&str, &str); 3] = [
    ("MAX_STREAMS", "30000"),
    ("MAX_WAITING_REQUESTS", "10000"),
    // All but the first job stay where they are.
    ("MAX_IN_FLIGHT", "1"),
];

struct Bench {
    http: Client,
    gateway: Program,
}

/// Measures streams, and then requests that wait.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let postgres = start_postgres().await?;
    let gladia = FakeGladia::start().await?;
    // Each from a fresh process: what one leaves in the allocator would be counted as the other's.
    let start = || async {
        let url = postgres.url("gateway");
        let bench = Bench {
            http: Client::builder().no_proxy().build()?,
            gateway: Program::gateway(&url, &gladia.url, &SETTINGS).await?,
        };
        // The very first one is submitted, and all others stay behind it.
        bench.create().await?;
        anyhow::Ok(bench)
    };
    let mut rows = start().await?.streams(scale).await?;
    rows.extend(start().await?.requests(scale).await?);
    postgres.stop().await?;
    Ok(rows)
}

impl Bench {
    async fn streams(&self, scale: Scale) -> anyhow::Result<Vec<Row>> {
        let (count, rounds) = (scale.of(10_000, 1_000), scale.of(7, 5));
        let mut jobs = Vec::new();
        for _ in 0..rounds {
            jobs.push(self.create().await?);
        }
        // What the first ones cost once is not counted.
        drop(self.open_streams(100).await?);
        sleep(SETTLE).await;
        let before = self.resident()?;
        let start = Instant::now();
        let mut streams = self.open_streams(count).await?;
        let opened_in = start.elapsed();
        // Each has had its heartbeat by then.
        let idle = self.idle(scale.of(30, 15)).await?;
        let each = (self.resident()? - before) / number(count);
        let mut told = Row::new(format!("waiting, one event to {count} streams"), "ms");
        for job in &jobs {
            let mark = format!("\"transcription_id\":\"{job}\"");
            let mut reading = JoinSet::new();
            for mut stream in streams.drain(..) {
                let mark = mark.clone();
                reading.spawn(async move { stream.read_past(&mark).await.map(|()| stream) });
            }
            let start = Instant::now();
            self.cancel(job).await?;
            while let Some(stream) = reading.join_next().await {
                streams.push(stream??);
            }
            told.add_alone(milliseconds(start.elapsed()));
        }
        Ok(vec![
            Row::single("waiting, memory for a stream", "KB", each).goal(Goal::AtMost(20.0)),
            Row::single(format!("waiting, CPU of {count} idle streams"), "%", idle)
                .goal(Goal::AtMost(1.0)),
            told,
            Row::single(
                "waiting, streams opened",
                "/s",
                number(count) / opened_in.as_secs_f64(),
            ),
        ])
    }

    async fn open_streams(&self, count: usize) -> anyhow::Result<Vec<Wire>> {
        let opened = (0..count).map(|_| async {
            let mut stream = Wire::open(&self.gateway.url).await?;
            stream.get("/v1/events/stream").await?;
            // The first frame.
            stream.read_past("retry: ").await?;
            anyhow::Ok(stream)
        });
        stream::iter(opened)
            .buffer_unordered(OPENING)
            .try_collect()
            .await
    }

    async fn requests(&self, scale: Scale) -> anyhow::Result<Vec<Row>> {
        let (count, rounds) = (scale.of(2_000, 1_000), scale.of(7, 3));
        for _ in 0..AWAITED_JOBS {
            self.create().await?;
        }
        let before = self.resident()?;
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(Wire::open(&self.gateway.url).await?);
        }
        let mut costs = None;
        let mut told = Row::new(format!("waiting, ends to {count} requests"), "ms");
        for _ in 0..rounds {
            let mut jobs = Vec::new();
            for _ in 0..AWAITED_JOBS {
                jobs.push(self.create().await?);
            }
            for (nth, connection) in connections.iter_mut().enumerate() {
                let job = &jobs[nth % AWAITED_JOBS];
                let path = format!("/v1/transcriptions/{job}?wait=60");
                connection.get(&path).await?;
                // More than these at once would be overload, of which another figure speaks.
                if (nth + 1) % BEGINNING == 0 || nth + 1 == count {
                    self.until_waiting(nth + 1).await?;
                }
            }
            if costs.is_none() {
                let idle = self.idle(scale.of(20, 4)).await?;
                costs = Some(((self.resident()? - before) / number(count), idle));
            }
            let mut reading = JoinSet::new();
            for mut connection in connections.drain(..) {
                reading.spawn(async move {
                    let read = connection.read_past("\"status\":\"canceled\"").await;
                    read.map(|()| connection)
                });
            }
            let start = Instant::now();
            stream::iter(&jobs)
                .map(Ok)
                .try_for_each_concurrent(AWAITED_JOBS, |job| self.cancel(job))
                .await?;
            while let Some(connection) = reading.join_next().await {
                connections.push(connection??);
            }
            told.add_alone(milliseconds(start.elapsed()));
        }
        let (each, idle) = costs.unwrap_or_default();
        Ok(vec![
            Row::single("waiting, memory for a waiting request", "KB", each)
                .goal(Goal::AtMost(20.0)),
            Row::single(
                format!("waiting, CPU of {count} waiting requests"),
                "%",
                idle,
            )
            .goal(Goal::AtMost(1.0)),
            told,
        ])
    }

    /// A job that waits for a slot.
    async fn create(&self) -> anyhow::Result<String> {
        let url = format!("{}/v1/transcriptions", self.gateway.url);
        let body = json!({ "audio_url": "https://audio.example.com/a.mp3" });
        let create = self.http.post(url).bearer_auth(API_KEY).json(&body);
        let job: Value = create.send().await?.error_for_status()?.json().await?;
        Ok(job["id"].as_str().unwrap().to_owned())
    }

    async fn cancel(&self, job: &str) -> anyhow::Result<()> {
        let url = format!("{}/v1/transcriptions/{job}/cancel", self.gateway.url);
        let cancel = self.http.post(url).bearer_auth(API_KEY);
        cancel.send().await?.error_for_status()?;
        Ok(())
    }

    /// Waits until so many requests wait.
    async fn until_waiting(&self, count: usize) -> anyhow::Result<()> {
        let line = format!("gateway_requests_waiting {count}\n");
        let start = Instant::now();
        loop {
            let metrics = self.http.get(format!("{}/metrics", self.gateway.url));
            if metrics.send().await?.text().await?.contains(&line) {
                return Ok(());
            }
            ensure!(start.elapsed() < BEGIN_TIMEOUT, "fewer than {count} wait");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// How much of a core the gateway takes for so many seconds, in percent.
    async fn idle(&self, seconds: u64) -> anyhow::Result<f64> {
        let before = cpu::of_process(self.gateway.pid())?;
        let start = Instant::now();
        sleep(Duration::from_secs(seconds)).await;
        let spent = cpu::of_process(self.gateway.pid())?.saturating_sub(before);
        Ok(100.0 * spent.as_secs_f64() / start.elapsed().as_secs_f64())
    }

    /// In kilobytes.
    fn resident(&self) -> anyhow::Result<f64> {
        let (bytes, _) = cpu::resident_bytes(self.gateway.pid())?;
        Ok(f64::from(u32::try_from(bytes / 1000)?))
    }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
