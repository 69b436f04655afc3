//! From a callback's arrival until callers know: the outgoing webhook, the stream event and the waiting answer, each held
//! against a program that commits one row, wakes a task and POSTs (`floors/news.rs`).

mod marks;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::PgPool;

use self::marks::{Marks, follow_stream, serve_receiver};
use crate::{
    floors::news as floor,
    kit::{
        API_KEY, PAIRS, Scale, cpu,
        gladia::FakeGladia,
        processes::Program,
        start_postgres,
        table::{Goal, Row, median, milliseconds},
    },
};

/// Nothing here takes longer unless it is broken.
const BOUND: Duration = Duration::from_secs(30);

/// How long a waiting request gets to begin to wait, and all else to come to rest, before the callback comes.
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

/// Processor time so far.
struct Spent {
    gateway: Duration,
    floor: Duration,
    postgres: Duration,
}

/// A job that waits for its callback.
struct Prepared {
    id: String,
    callback: reqwest::RequestBuilder,
    waiting: tokio::task::JoinHandle<Instant>,
}

/// One of the ways in which it becomes known.
type Kind = fn(&Known) -> Duration;

struct Bench {
    http: Client,
    gateway: Program,
    floor: Program,
    server: PgPool,
    marks: Arc<Marks>,
    gladia: FakeGladia,
    result: Value,
}

/// Measures it, one at a time and eight at once.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let rounds = scale.of(40, 8);
    let postgres = start_postgres().await?;
    let marks = Arc::new(Marks::default());
    let receiver = serve_receiver(Arc::clone(&marks)).await?;
    let gladia = FakeGladia::start().await?;
    let gateway = Program::gateway(&postgres.url("gateway"), &gladia.url, &[]).await?;
    let target = format!("{receiver}/floor");
    let floor = Program::floor("news", &postgres.url("floor"), &target).await?;
    let bench = Bench {
        http: Client::builder().no_proxy().build()?,
        gateway,
        floor,
        server: PgPool::connect(&postgres.url("postgres")).await?,
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
    let warm_up = scale.of(320, 64);
    bench.gateway_block(warm_up, 8).await;
    bench.floor_block(warm_up, 8).await;
    let mut rows = Vec::new();
    for at_once in [1, 8] {
        rows.extend(bench.compare(rounds, at_once).await?);
    }
    let per_job = bench.writes_per_job().await?;
    rows.push(Row::single("news, writing transactions a job", "", per_job));
    drop(bench);
    postgres.stop().await?;
    Ok(rows)
}

impl Bench {
    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .get(format!("{}{path}", self.gateway.url))
            .bearer_auth(API_KEY)
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.gateway.url))
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
    async fn compare(&self, rounds: usize, at_once: usize) -> anyhow::Result<Vec<Row>> {
        let kinds: [(&str, Kind); 4] = [
            ("callback answered", |one| one.answered),
            ("webhook sent", |one| one.webhook),
            ("stream event", |one| one.stream),
            ("waiting answer", |one| one.waiting),
        ];
        let mut rows: Vec<Row> = kinds
            .iter()
            .map(|(name, _)| Row::new(format!("news, {name}, {at_once} at once"), "ms"))
            .collect();
        let operations = f64::from(u32::try_from(rounds)?);
        for _ in 0..PAIRS {
            let before = self.spent().await?;
            let known = self.gateway_block(rounds, at_once).await;
            let between = self.spent().await?;
            let floor = median_of(self.floor_block(rounds, at_once).await);
            let after = self.spent().await?;
            for (row, (_, kind)) in rows.iter_mut().zip(kinds) {
                row.add(median_of(known.iter().map(kind).collect()), floor);
            }
            rows[0].add_cpu(
                milliseconds(between.gateway.saturating_sub(before.gateway)) / operations,
                Some(milliseconds(after.floor.saturating_sub(between.floor)) / operations),
                Some(milliseconds(between.postgres.saturating_sub(before.postgres)) / operations),
            );
        }
        // The first says what of the rest is telling.
        let [answered, told @ ..] = <[Row; 4]>::try_from(rows).unwrap_or_else(|_| unreachable!());
        let told = told.map(|row| row.goal(Goal::AtMost(3.0)));
        Ok([answered].into_iter().chain(told).collect())
    }

    async fn spent(&self) -> anyhow::Result<Spent> {
        Ok(Spent {
            gateway: cpu::of_process(self.gateway.pid())?,
            floor: cpu::of_process(self.floor.pid())?,
            postgres: cpu::of_server(&self.server).await?,
        })
    }

    async fn gateway_block(&self, rounds: usize, at_once: usize) -> Vec<Known> {
        let mut known = Vec::with_capacity(rounds);
        while known.len() < rounds {
            let prepared = join_all((0..at_once).map(|_| self.prepare())).await;
            tokio::time::sleep(SETTLE).await;
            known.extend(join_all(prepared.into_iter().map(|job| self.call_back(job))).await);
        }
        known
    }

    /// One job that Gladia has, as the gateway knows, and for which a request waits.
    async fn prepare(&self) -> Prepared {
        let name = uuid::Uuid::new_v4().to_string();
        let audio_url = format!("https://audio.example.com/{name}.mp3");
        let create = self.post("/v1/transcriptions", &json!({ "audio_url": audio_url }));
        let job: Value = create.send().await.unwrap().json().await.unwrap();
        let id = job["id"].as_str().unwrap().to_owned();
        let created = self.gladia.created(&audio_url, BOUND).await;
        let path = format!("/v1/transcriptions/{id}");
        loop {
            let now: Value = self.get(&path).send().await.unwrap().json().await.unwrap();
            if now["status"] == "processing" {
                break;
            }
            tokio::time::sleep(SETTLE / 5).await;
        }
        let waiting = self.get(&format!("{path}?wait=60")).send();
        let waiting = tokio::spawn(async move {
            let answer = waiting.await.unwrap();
            let at = Instant::now();
            assert_eq!(answer.status(), 200);
            drop(answer.bytes().await.unwrap());
            at
        });
        let body =
            json!({ "id": created.id, "event": "transcription.success", "payload": self.result });
        Prepared {
            id,
            callback: self.http.post(&created.callback_url).json(&body),
            waiting,
        }
    }

    /// And its callback.
    async fn call_back(&self, job: Prepared) -> Known {
        let start = Instant::now();
        assert!(job.callback.send().await.unwrap().status().is_success());
        let answered = Instant::now();
        let id = job.id;
        let webhook = self.marks.wait(&format!("gateway {id}"), BOUND).await;
        let stream = self.marks.wait(&format!("stream {id}"), BOUND).await;
        Known {
            answered: answered - start,
            webhook: webhook - start,
            stream: stream - start,
            waiting: job.waiting.await.unwrap() - start,
        }
    }

    async fn floor_block(&self, rounds: usize, at_once: usize) -> Vec<Duration> {
        let mut known = Vec::with_capacity(rounds);
        while known.len() < rounds {
            tokio::time::sleep(SETTLE).await;
            let round = (0..at_once).map(|_| self.floor_round());
            known.extend(join_all(round).await);
        }
        known
    }

    /// One job after the other, so that none shares a commit with another.
    async fn writes_per_job(&self) -> anyhow::Result<f64> {
        let before = writes(&self.server).await?;
        self.gateway_block(WRITE_ROUNDS, 1).await;
        // The last delivery is recorded after its receiver knows.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let written = u32::try_from(writes(&self.server).await? - before)?;
        Ok(f64::from(written) / f64::from(u32::try_from(WRITE_ROUNDS)?))
    }

    async fn floor_round(&self) -> Duration {
        let name = uuid::Uuid::new_v4().to_string();
        let body = json!({ "id": name, "event": "transcription.success", "payload": self.result });
        let callback = self
            .http
            .post(&self.floor.url)
            .header(floor::KEY, &name)
            .json(&body);
        let start = Instant::now();
        assert!(callback.send().await.unwrap().status().is_success());
        self.marks.wait(&format!("floor {name}"), BOUND).await - start
    }
}

fn median_of(all: Vec<Duration>) -> f64 {
    median(all.into_iter().map(milliseconds).collect())
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
