//! Finished jobs read per second, with transcripts of 30 KB, 200 KB and 2 MB: `GET /v1/transcriptions/{id}`, plain, compressed,
//! and where the caller has the answer already (304), against a server that reads the same row and builds the same answer
//! (`floors/read.rs`). The whole scale also has the result alone, which is stored as it can be sent.
//!
//! The load comes from wrk on 8 connections, and for one row on 64: more than there are connections to the database.

mod transcript;

use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, header};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::kit::{
    API_KEY, Scale,
    duel::Duel,
    gladia::FakeGladia,
    processes::Program,
    start_postgres,
    table::{Goal, Row},
    wrk::{self, Script},
};

const CONNECTIONS: usize = 8;

const MANY_CONNECTIONS: usize = 64;

const SIZES: [(&str, usize); 3] = [("30 KB", 30_000), ("200 KB", 200_000), ("2 MB", 2_000_000)];

/// Nothing here takes longer unless it is broken.
const BOUND: Duration = Duration::from_secs(30);

/// What is asked for: a URL, or how a row is named; and the header that it is asked with.
type Asked<'a> = (&'a str, Option<(&'a str, &'a str)>);

struct Bench {
    http: Client,
    gateway: Program,
    floor: Program,
    gladia: FakeGladia,
}

/// Measures it.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    if !wrk::is_there("read") {
        return Ok(Vec::new());
    }
    let postgres = start_postgres().await?;
    let gladia = FakeGladia::start().await?;
    let bench = Bench {
        http: Client::builder().no_proxy().build()?,
        gateway: Program::gateway(&postgres.url("gateway"), &gladia.url, &[]).await?,
        // It reads the gateway's rows.
        floor: Program::floor("read", &postgres.url("gateway"), "").await?,
        gladia,
    };
    let server = PgPool::connect(&postgres.url("postgres")).await?;
    let duel = Duel {
        gateway: &bench.gateway,
        floor: &bench.floor,
        server: &server,
    };
    let mut rows = Vec::new();
    for (nth, (size, bytes)) in (0..).zip(SIZES) {
        let id = bench.finished(nth, bytes).await?;
        let ours = format!("{}/v1/transcriptions/{id}", bench.gateway.url);
        let least = format!("{}/{id}", bench.floor.url);
        let (ours_tag, floor_tag) = (bench.etag(&ours).await?, bench.etag(&least).await?);
        let zstd = Some(("accept-encoding", "zstd"));
        let plain: Asked = ("", None);
        let ways: [Asked; 3] = [
            plain,
            (", zstd", zstd),
            (", gzip", Some(("accept-encoding", "gzip"))),
        ];
        for (name, header) in ways {
            let mut row = row(&format!("{size}{name}"));
            let asked = ((&*ours, header), (&*least, header));
            compare(&duel, &mut row, scale, CONNECTIONS, asked).await?;
            rows.push(row);
        }
        let known = |tag| Some(("if-none-match", tag));
        let unchanged = (
            (&*ours, known(ours_tag.as_str())),
            (&*least, known(floor_tag.as_str())),
        );
        let mut row_304 = row(&format!("{size}, 304"));
        compare(&duel, &mut row_304, scale, CONNECTIONS, unchanged).await?;
        rows.push(row_304);
        if nth == 0 {
            let mut row_304 = row(&format!("{size}, 304, {MANY_CONNECTIONS} connections"));
            compare(&duel, &mut row_304, scale, MANY_CONNECTIONS, unchanged).await?;
            rows.push(row_304);
        }
        if scale.is_quick {
            continue;
        }
        let (ours, least) = (format!("{ours}/result"), format!("{least}/result"));
        for (name, header) in [plain, (", zstd", zstd)] {
            let mut row = row(&format!("{size}, result alone{name}"));
            let asked = ((&*ours, header), (&*least, header));
            compare(&duel, &mut row, scale, CONNECTIONS, asked).await?;
            rows.push(row);
        }
    }
    drop(bench);
    server.close().await;
    postgres.stop().await?;
    Ok(rows)
}

fn row(what: &str) -> Row {
    Row::new(format!("read, {what}"), "/s").goal(Goal::AtLeast(0.8))
}

async fn compare(
    duel: &Duel<'_>,
    row: &mut Row,
    scale: Scale,
    connections: usize,
    ((ours, ours_header), (least, floor_header)): (Asked<'_>, Asked<'_>),
) -> anyhow::Result<()> {
    let block = scale.of(Duration::from_millis(700), Duration::from_millis(180));
    let (ours_script, floor_script) = (
        script("gateway", ours_header)?,
        script("floor", floor_header)?,
    );
    // Postgres settles on a plan when a connection has run a statement five times.
    wrk::load(ours, &ours_script, connections, block).await?;
    wrk::load(least, &floor_script, connections, block).await?;
    let ask_ours = || wrk::load(ours, &ours_script, connections, block);
    let ask_floor = || wrk::load(least, &floor_script, connections, block);
    duel.run(row, ask_ours, ask_floor).await
}

fn script(name: &str, header: Option<(&str, &str)>) -> anyhow::Result<Script> {
    let header = header.map_or(String::new(), |(name, value)| {
        format!("wrk.headers['{name}'] = '{value}'\n")
    });
    Script::write(
        name,
        &format!("wrk.headers['authorization'] = 'Bearer {API_KEY}'\n{header}"),
    )
}

impl Bench {
    /// A job that is done, with a result of about this size.
    async fn finished(&self, seed: u64, bytes: usize) -> anyhow::Result<String> {
        let audio_url = format!("https://audio.example.com/{seed}.mp3");
        let create = self
            .http
            .post(format!("{}/v1/transcriptions", self.gateway.url))
            .bearer_auth(API_KEY)
            .json(&json!({ "audio_url": audio_url, "diarization": true }));
        let job: Value = create.send().await?.error_for_status()?.json().await?;
        let created = self.gladia.created(&audio_url, BOUND).await;
        let payload = transcript::result(seed, bytes);
        let body =
            json!({ "id": created.id, "event": "transcription.success", "payload": payload });
        let callback = self.http.post(&created.callback_url).json(&body);
        callback.send().await?.error_for_status()?;
        Ok(job["id"].as_str().context("no id")?.to_owned())
    }

    async fn etag(&self, url: &str) -> anyhow::Result<String> {
        let answer = self.http.get(url).bearer_auth(API_KEY).send().await?;
        let answer = answer.error_for_status()?;
        let tag = answer.headers().get(header::ETAG).context("no tag")?;
        Ok(tag.to_str()?.to_owned())
    }
}
