//! Files on their way to Gladia, in megabytes per second: a large one, and sixteen at once, each held against a proxy that
//! reads a form and writes one (`floors/upload.rs`); and how much memory the gateway takes for them.
//!
//! Gladia throws away what it gets. The files are the same megabyte of noise again and again, written on bare connections
//! (`kit/wire.rs`).

use std::time::Instant;

use bytes::Bytes;
use futures_util::future::try_join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::kit::{
    API_KEY, PAIRS, SETTLE, Scale, cpu,
    gladia::FakeGladia,
    processes::Program,
    start_postgres,
    table::{Goal, Row, milliseconds},
    wire::{self, Wire},
};

const MEGABYTE: usize = 1_000_000;

const BOUNDARY: &str = "----bench7d41b838";

struct Load {
    name: &'static str,
    at_once: usize,
    /// Of each file.
    whole_megabytes: usize,
    quick_megabytes: usize,
}

const LOADS: [Load; 2] = [
    Load {
        name: "1 file",
        at_once: 1,
        whole_megabytes: 1000,
        quick_megabytes: 300,
    },
    Load {
        name: "16 files at once",
        at_once: 16,
        whole_megabytes: 100,
        quick_megabytes: 20,
    },
];

/// Measures it.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let postgres = start_postgres().await?;
    let gladia = FakeGladia::start().await?;
    let target = format!("{}/v2/upload", gladia.url);
    let gateway = Program::gateway(&postgres.url("gateway"), &gladia.url, &[]).await?;
    let floor = Program::floor("upload", "", &target).await?;
    let mut noise = vec![0; MEGABYTE];
    StdRng::seed_from_u64(7).fill_bytes(&mut noise);
    let noise = Bytes::from(noise);
    let mut rows = Vec::new();
    for load in LOADS {
        let megabytes = scale.of(load.whole_megabytes, load.quick_megabytes);
        let total = f64::from(u32::try_from(megabytes * load.at_once)?);
        let name = format!("upload, {} of {megabytes} MB", load.name);
        let mut row = Row::new(name, "MB/s").goal(Goal::AtLeast(0.8));
        let block = async |program: &Program, path, megabytes| {
            let before = cpu::of_process(program.pid())?;
            let start = Instant::now();
            let files = (0..load.at_once).map(|_| send(&program.url, path, &noise, megabytes));
            try_join_all(files).await?;
            let took = start.elapsed().as_secs_f64();
            tokio::time::sleep(SETTLE).await;
            let spent = cpu::of_process(program.pid())?.saturating_sub(before);
            anyhow::Ok((total / took, milliseconds(spent) / total))
        };
        block(&gateway, "/v1/uploads", 1).await?;
        block(&floor, "/", 1).await?;
        cpu::forget_peak(gateway.pid())?;
        let (before, _) = cpu::resident_bytes(gateway.pid())?;
        for _ in 0..PAIRS {
            let (ours, spent) = block(&gateway, "/v1/uploads", megabytes).await?;
            let (least, floor_spent) = block(&floor, "/", megabytes).await?;
            row.add(ours, least);
            row.add_cpu(spent, Some(floor_spent), None);
        }
        let (_, peak) = cpu::resident_bytes(gateway.pid())?;
        let rise = f64::from(u32::try_from(peak.saturating_sub(before) / 1000)?) / 1000.0;
        let name = format!("upload, {}, resident rises", load.name);
        rows.push(row);
        rows.push(Row::single(name, "MB", rise).goal(Goal::AtMost(32.0)));
    }
    drop((gateway, floor));
    postgres.stop().await?;
    Ok(rows)
}

/// Uploads a file of so many megabytes.
async fn send(url: &str, path: &str, noise: &Bytes, megabytes: usize) -> anyhow::Result<()> {
    let begin = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"talk.wav\"\r\ncontent-type: audio/wav\r\n\r\n"
    );
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let length = u64::try_from(begin.len() + megabytes * noise.len() + end.len())?;
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let key = format!("authorization: Bearer {API_KEY}\r\n");
    let head = wire::post_head(path, &content_type, length, &key);
    let mut wire = Wire::open(url).await?;
    wire.send(Bytes::from(head + &begin)).await?;
    for _ in 0..megabytes {
        wire.send(noise.clone()).await?;
    }
    wire.send(Bytes::from(end)).await?;
    wire.expect(201).await
}
