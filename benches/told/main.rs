//! From a callback's arrival until callers know: the outgoing webhook, the stream event and the waiting answer, each held
//! against a program that commits one row, wakes a task and POSTs (`../floors/told.rs`).
//!
//! Both run as processes of their own, on one Postgres with fsync, by turns. Machines are noisy, so only the ratios of one
//! run mean anything: a pair is a block of one and a block of the other, and what is printed is the median of the pairs'
//! ratios with the least and the greatest.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and what it cannot unwrap ends it"
)]

#[path = "../floors/told.rs"]
mod floor;
mod gladia;
mod marks;
mod processes;
mod stats;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use gladia_gateway::dev_tools::postgres::{EmbeddedPostgres, Options};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::PgPool;

use self::{
    gladia::FakeGladia,
    marks::{Marks, follow_stream, serve_receiver},
    processes::Program,
    stats::{Row, median},
};

/// An API key of the right shape: `BOOTSTRAP_API_KEY`.
const API_KEY: &str = "gg_bench_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";

/// Nothing here takes longer unless it is broken.
const BOUND: Duration = Duration::from_secs(30);

/// How long a waiting request gets to begin to wait before the callback comes.
const SETTLE: Duration = Duration::from_millis(15);

/// Over how many jobs transactions are counted.
const WRITE_ROUNDS: usize = 20;

/// When whoever waits knew, after the callback was sent.
struct Known {
    answered: Duration,
    webhook: Duration,
    stream: Duration,
    waiting: Duration,
}

struct Bench {
    http: Client,
    gateway: String,
    floor: String,
    marks: Arc<Marks>,
    gladia: FakeGladia,
    result: Value,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Ok(database_url) = std::env::var("FLOOR_DATABASE_URL") {
        return floor::serve(&database_url, std::env::var("FLOOR_RECEIVER")?).await;
    }
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (pairs, rounds) = if is_quick { (5, 8) } else { (7, 40) };
    let postgres = EmbeddedPostgres::start(Options {
        fsync: true,
        max_connections: 100,
    })
    .await?;
    for database in ["gateway", "floor"] {
        postgres.create_database(database, None).await?;
    }
    let marks = Arc::new(Marks::default());
    let receiver = serve_receiver(Arc::clone(&marks)).await?;
    let gladia = FakeGladia::start().await?;
    let gateway = Program::gateway(&postgres.url("gateway"), &gladia.url, API_KEY).await?;
    let floor = Program::floor(&postgres.url("floor"), &format!("{receiver}/floor")).await?;
    let bench = Bench {
        http: Client::builder().no_proxy().build()?,
        gateway: gateway.url.clone(),
        floor: floor.url.clone(),
        marks,
        gladia,
        result: result(),
    };
    bench.register(&format!("{receiver}/gateway")).await?;
    let stream = bench.get("/v1/events/stream?types=transcription.done");
    follow_stream(
        Arc::clone(&bench.marks),
        stream.send().await?.error_for_status()?,
    );

    // Postgres settles on a plan when a connection has run a statement five times, and each has many connections.
    let warm_up = if is_quick { 64 } else { 320 };
    bench.gateway_block(warm_up, 8).await;
    bench.floor_block(warm_up, 8).await;
    println!(
        "{pairs} pairs of {rounds} callbacks of {} KB, fsync on; milliseconds from the callback to the news",
        bench.result.to_string().len() / 1000
    );
    println!(
        "{:<29}{:>9}{:>9}   ratio: median (least to greatest)",
        "", "gateway", "floor"
    );
    for at_once in [1, 8] {
        for row in bench.compare(pairs, rounds, at_once).await {
            println!("{row}");
        }
    }
    let per_job = bench.writes_per_job(&postgres.url("postgres")).await?;
    println!("transactions that write, per job from its create until it is told: {per_job:.1}");
    drop((gateway, floor));
    postgres.stop().await
}

impl Bench {
    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .get(format!("{}{path}", self.gateway))
            .bearer_auth(API_KEY)
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.gateway))
            .bearer_auth(API_KEY)
            .json(body)
    }

    async fn register(&self, url: &str) -> anyhow::Result<()> {
        let endpoint = json!({ "url": url, "event_types": ["transcription.done"] });
        let made = self.post("/v1/webhook-endpoints", &endpoint).send().await?;
        made.error_for_status()?;
        Ok(())
    }

    /// Blocks of one and of the other by turns.
    async fn compare(&self, pairs: usize, rounds: usize, at_once: usize) -> Vec<Row> {
        let names = [
            "callback answered",
            "webhook sent",
            "stream event",
            "waiting answer",
        ];
        let mut rows: Vec<Row> = names
            .iter()
            .map(|name| Row::new(&format!("{name}, {at_once} at once")))
            .collect();
        for _ in 0..pairs {
            let known = self.gateway_block(rounds, at_once).await;
            let floor = median(self.floor_block(rounds, at_once).await);
            let kinds: [fn(&Known) -> Duration; 4] = [
                |one| one.answered,
                |one| one.webhook,
                |one| one.stream,
                |one| one.waiting,
            ];
            for (row, kind) in rows.iter_mut().zip(kinds) {
                row.add(median(known.iter().map(kind).collect()), floor);
            }
        }
        rows
    }

    async fn gateway_block(&self, rounds: usize, at_once: usize) -> Vec<Known> {
        let mut known = Vec::with_capacity(rounds);
        while known.len() < rounds {
            let round = (0..at_once).map(|_| self.gateway_round());
            known.extend(join_all(round).await);
        }
        known
    }

    /// One job, ready for its callback, which then comes.
    async fn gateway_round(&self) -> Known {
        let name = uuid::Uuid::new_v4().to_string();
        let audio_url = format!("https://audio.example.com/{name}.mp3");
        let create = self.post("/v1/transcriptions", &json!({ "audio_url": audio_url }));
        let job: Value = create.send().await.unwrap().json().await.unwrap();
        let id = job["id"].as_str().unwrap().to_owned();
        let created = self.gladia.created(&audio_url, BOUND).await;
        let waiting = self.get(&format!("/v1/transcriptions/{id}?wait=60")).send();
        let waiting = tokio::spawn(async move {
            let answer = waiting.await.unwrap();
            let at = Instant::now();
            assert_eq!(answer.status(), 200);
            drop(answer.bytes().await.unwrap());
            at
        });
        tokio::time::sleep(SETTLE).await;
        let body =
            json!({ "id": created.id, "event": "transcription.success", "payload": self.result });
        let callback = self.http.post(&created.callback_url).json(&body);
        let start = Instant::now();
        assert!(callback.send().await.unwrap().status().is_success());
        let answered = Instant::now();
        let webhook = self.marks.wait(&format!("gateway {id}"), BOUND).await;
        let stream = self.marks.wait(&format!("stream {id}"), BOUND).await;
        Known {
            answered: answered - start,
            webhook: webhook - start,
            stream: stream - start,
            waiting: waiting.await.unwrap() - start,
        }
    }

    async fn floor_block(&self, rounds: usize, at_once: usize) -> Vec<Duration> {
        let mut known = Vec::with_capacity(rounds);
        while known.len() < rounds {
            let round = (0..at_once).map(|_| self.floor_round());
            known.extend(join_all(round).await);
        }
        known
    }

    /// One job after the other, so that none shares a commit with another.
    async fn writes_per_job(&self, database_url: &str) -> anyhow::Result<f64> {
        let pool = PgPool::connect(database_url).await?;
        let before = writes(&pool).await?;
        self.gateway_block(WRITE_ROUNDS, 1).await;
        // The last delivery is recorded after its receiver knows.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let written = u32::try_from(writes(&pool).await? - before)?;
        Ok(f64::from(written) / f64::from(u32::try_from(WRITE_ROUNDS)?))
    }

    async fn floor_round(&self) -> Duration {
        let name = uuid::Uuid::new_v4().to_string();
        tokio::time::sleep(SETTLE).await;
        let body = json!({ "id": name, "event": "transcription.success", "payload": self.result });
        let callback = self
            .http
            .post(&self.floor)
            .header(floor::KEY, &name)
            .json(&body);
        let start = Instant::now();
        assert!(callback.send().await.unwrap().status().is_success());
        self.marks.wait(&format!("floor {name}"), BOUND).await - start
    }
}

/// A result of about 30 KB, in the shape of a transcript.
fn result() -> Value {
    let words: Vec<Value> = (0..12)
        .map(|at| json!({ "word": format!(" word{at}"), "start": at, "end": at + 1, "confidence": 0.93 }))
        .collect();
    let text = "word0 word1 word2 word3 word4 word5 word6 word7 word8 word9 word10 word11";
    let utterances: Vec<Value> = (0..34)
        .map(|at| json!({
            "text": text, "language": "en", "start": at * 12, "end": at * 12 + 12, "confidence": 0.9, "channel": 0,
            "words": words,
        }))
        .collect();
    json!({
        "metadata": { "audio_duration": 408.0, "number_of_distinct_channels": 1, "billing_time": 408.0, "transcription_time": 9.1 },
        "transcription": { "languages": ["en"], "utterances": utterances, "full_transcript": text.repeat(34) },
    })
}

/// How many transactions of the server have written so far: each of them has a number.
async fn writes(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        .fetch_one(pool)
        .await
}
