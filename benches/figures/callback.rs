//! Callbacks per second, from verified callback to commit, each size held against a program that compresses a body and
//! inserts it (`floors/callback.rs`); and how much memory sixteen large ones take at once. Beside it, against the same floor,
//! a program that changes the rows which a callback changes, and does nothing else (`floors/rows.rs`).
//!
//! The jobs are there beforehand: made through the API, and taken by a Gladia that does not call back. Bodies are made
//! beforehand too, and sent on bare connections (`kit/wire.rs`).

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde_json::json;
use sqlx::PgPool;

use crate::kit::{
    API_KEY, PAIRS, SETTLE, Scale, cpu,
    gladia::{Created, FakeGladia},
    processes::Program,
    start_postgres,
    table::{Goal, Row, milliseconds},
    transcripts,
    wire::{self, Request},
};

/// Nothing here takes longer unless it is broken.
const BOUND: Duration = Duration::from_secs(30);

/// How many jobs are made at once.
const MADE_AT_ONCE: usize = 16;

/// How many different transcripts there are of a size.
const TRANSCRIPTS: u64 = 4;

struct Size {
    name: &'static str,
    bytes: usize,
    /// In a block.
    whole: usize,
    quick: usize,
}

const SIZES: [Size; 3] = [
    Size {
        name: "30 KB",
        bytes: 30_000,
        whole: 600,
        quick: 160,
    },
    Size {
        name: "200 KB",
        bytes: 200_000,
        whole: 240,
        quick: 64,
    },
    Size {
        name: "2 MB",
        bytes: 2_000_000,
        whole: 64,
        quick: 16,
    },
];

/// How many of the largest are sent at once where memory is measured, and how often.
const LARGE_AT_ONCE: usize = 16;
const LARGE_ROUNDS: usize = 4;

struct Bench {
    http: Client,
    gateway: Program,
    floor: Program,
    /// The one that changes all the rows.
    rows: Program,
    server: PgPool,
    database: PgPool,
    gladia: FakeGladia,
}

/// Measures it, one at a time and eight at once.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let postgres = start_postgres().await?;
    let gladia = FakeGladia::start().await?;
    let settings = [("MAX_IN_FLIGHT", "1000")];
    let gateway = Program::gateway(&postgres.url("gateway"), &gladia.url, &settings).await?;
    let floor = Program::floor("callback", &postgres.url("floor"), "").await?;
    let rows = Program::floor("rows", &postgres.url("rows"), "").await?;
    let bench = Bench {
        http: Client::builder().no_proxy().build()?,
        gateway,
        floor,
        rows,
        server: PgPool::connect(&postgres.url("postgres")).await?,
        database: PgPool::connect(&postgres.url("gateway")).await?,
        gladia,
    };
    let mut rows = Vec::new();
    for size in &SIZES {
        let transcripts: Vec<Bytes> = (0..TRANSCRIPTS)
            .map(|seed| transcripts::result(seed, size.bytes).into())
            .collect();
        for at_once in [1, 8] {
            let name = format!("callback, {}, {at_once} at once", size.name);
            let mut least = Row::new(format!("{name}, its rows alone"), "/s");
            let mut row = Row::new(name, "/s").goal(Goal::AtLeast(0.7));
            let count = scale.of(size.whole, size.quick);
            // Connections are opened and statements are planned.
            bench.gateway_block(&transcripts, count, 8).await?;
            bench.floor_block(&transcripts, count, 8).await?;
            bench.rows_block(&transcripts, count, 8).await?;
            for _ in 0..PAIRS {
                let ours = bench.gateway_block(&transcripts, count, at_once).await?;
                let floor = bench.floor_block(&transcripts, count, at_once).await?;
                let all_rows = bench.rows_block(&transcripts, count, at_once).await?;
                ours.compare(&floor, &mut row, count)?;
                all_rows.compare(&floor, &mut least, count)?;
            }
            rows.extend([row, least]);
        }
        if size.bytes == 2_000_000 {
            rows.push(bench.memory(&transcripts).await?);
        }
    }
    drop(bench);
    postgres.stop().await?;
    Ok(rows)
}

/// How long a block took, and what was spent in it.
struct Block {
    took: Duration,
    process: Duration,
    postgres: Duration,
}

impl Block {
    /// Adds it and a block of the floor to a row.
    fn compare(&self, floor: &Self, row: &mut Row, count: usize) -> anyhow::Result<()> {
        let operations = f64::from(u32::try_from(count)?);
        let per_second = |block: &Self| operations / block.took.as_secs_f64();
        let each = |spent: Duration| milliseconds(spent) / operations;
        row.add(per_second(self), per_second(floor));
        row.add_cpu(
            each(self.process),
            Some(each(floor.process)),
            Some(each(self.postgres)),
        );
        Ok(())
    }
}

impl Bench {
    async fn gateway_block(
        &self,
        transcripts: &[Bytes],
        count: usize,
        at_once: usize,
    ) -> anyhow::Result<Block> {
        let jobs = self.make_jobs(count).await?;
        let requests = jobs.iter().zip(transcripts.iter().cycle());
        let requests = requests.map(|(job, transcript)| {
            let path = job.callback_url.strip_prefix(&self.gateway.url);
            request(path.unwrap_or_default(), &job.id, transcript)
        });
        let requests = requests.collect();
        self.block(&self.gateway, requests, at_once).await
    }

    async fn floor_block(
        &self,
        transcripts: &[Bytes],
        count: usize,
        at_once: usize,
    ) -> anyhow::Result<Block> {
        let requests = transcripts.iter().cycle().take(count);
        let id = uuid::Uuid::new_v4().to_string();
        let requests = requests.map(|transcript| request("/", &id, transcript));
        let requests = requests.collect();
        self.block(&self.floor, requests, at_once).await
    }

    async fn rows_block(
        &self,
        transcripts: &[Bytes],
        count: usize,
        at_once: usize,
    ) -> anyhow::Result<Block> {
        let url = format!("{}/sent/{count}", self.rows.url);
        let sent = self.http.post(&url).send().await?.error_for_status()?;
        let attempt_ids = sent.text().await?;
        let requests = attempt_ids.lines().zip(transcripts.iter().cycle());
        let requests = requests
            .map(|(id, transcript)| request(&format!("/callbacks/{id}"), id, transcript))
            .collect();
        self.block(&self.rows, requests, at_once).await
    }

    async fn block(
        &self,
        program: &Program,
        requests: Vec<Request>,
        at_once: usize,
    ) -> anyhow::Result<Block> {
        let (process, postgres) = (
            cpu::of_process(program.pid())?,
            cpu::of_server(&self.server).await?,
        );
        let took = wire::send_all(&program.url, requests, at_once).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(Block {
            took,
            process: cpu::of_process(program.pid())?.saturating_sub(process),
            postgres: cpu::of_server(&self.server).await?.saturating_sub(postgres),
        })
    }

    /// Jobs that Gladia is known to have.
    async fn make_jobs(&self, count: usize) -> anyhow::Result<Vec<Created>> {
        let url = format!("{}/v1/transcriptions", self.gateway.url);
        let audio_urls: Vec<String> = (0..count)
            .map(|_| format!("https://audio.example.com/{}.mp3", uuid::Uuid::new_v4()))
            .collect();
        stream::iter(&audio_urls)
            .map(|audio_url| {
                let create = self.http.post(&url).bearer_auth(API_KEY);
                let create = create.json(&json!({ "audio_url": audio_url })).send();
                async move { create.await?.error_for_status() }
            })
            .buffer_unordered(MADE_AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let mut created = Vec::with_capacity(count);
        for audio_url in &audio_urls {
            created.push(self.gladia.created(audio_url, BOUND).await);
        }
        let known = async {
            let query =
                "SELECT count(*) FROM attempts WHERE finished_at IS NULL AND gladia_id IS NOT NULL";
            let wanted = i64::try_from(count)?;
            while sqlx::query_scalar::<_, i64>(query)
                .fetch_one(&self.database)
                .await?
                < wanted
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(BOUND, known).await??;
        // What follows of the answers of creates is done as well.
        tokio::time::sleep(SETTLE).await;
        Ok(created)
    }

    /// The most memory that the gateway has with many large bodies at once.
    async fn memory(&self, transcripts: &[Bytes]) -> anyhow::Result<Row> {
        cpu::forget_peak(self.gateway.pid())?;
        for _ in 0..LARGE_ROUNDS {
            self.gateway_block(transcripts, LARGE_AT_ONCE, LARGE_AT_ONCE)
                .await?;
        }
        let (_, peak) = cpu::resident_bytes(self.gateway.pid())?;
        let megabytes = f64::from(u32::try_from(peak / 1000)?) / 1000.0;
        let name = format!("callback, 2 MB × {LARGE_AT_ONCE} at once, resident");
        Ok(Row::single(name, "MB", megabytes).goal(Goal::AtMost(200.0)))
    }
}

/// A callback.
fn request(path: &str, gladia_id: &str, transcript: &Bytes) -> Request {
    let begin = format!(r#"{{"id":"{gladia_id}","event":"transcription.success","payload":"#);
    let end = Bytes::from_static(b"}");
    let length = u64::try_from(begin.len() + transcript.len() + end.len()).unwrap_or_default();
    let head = wire::post_head(path, "application/json", length, "");
    vec![(head + &begin).into(), transcript.clone(), end]
}
